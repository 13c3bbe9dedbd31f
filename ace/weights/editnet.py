"""EditNet files: control branches of :mod:`ace.model.editnet`, with the shape of the model that they steer in the header."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..files import atomic_write
from ..model.config import ACEConfig
from ..model.editnet import EditNet, EditNetConfig
from .containers import CheckpointError, check_finite, read_container
from .detection import EDITNET_PREFIX, detect_from_tensors, is_editnet
from .trained_file import TrainedFile

_SHAPE = {
    "hidden_size": "a width of {}",
    "depth": "{} blocks",
    "num_heads": "{} attention heads",
    "mlp_size": "MLPs of width {}",
}
_SWITCHES, _SWITCH = ("interaction", "text_update"), {"true": True, "false": False}


class EditNetError(ValueError):
    """A file is no EditNet for ACE, or does not fit the model."""


@dataclass(frozen=True)
class EditNetFile(TrainedFile):
    """The content of an EditNet file.

    Attributes:
        tensors: by the names of :class:`EditNet`'s state dict.
        config: of the branch.
        base_shape: width, depth, heads and the MLP's width of the model that it steers.
        metadata: the file's header.
        path: the file.
    """

    tensors: Mapping[str, torch.Tensor]
    config: EditNetConfig
    base_shape: Mapping[str, int]
    metadata: Mapping[str, str]
    path: Path


def editnet_metadata(base: ACEConfig, config: EditNetConfig) -> dict[str, str]:
    """What the header must say, because tensors cannot, or so that a mistake can be named."""
    shape = {name: str(getattr(base, name)) for name in _SHAPE}
    switches = {name: str(getattr(config, name)).lower() for name in _SWITCHES}
    return {**shape, **switches, "blocks": ",".join(map(str, config.blocks))}


def write_editnet(
    path: Path,
    tensors: Mapping[str, torch.Tensor],
    base: ACEConfig,
    config: EditNetConfig,
    metadata: Mapping[str, str],
) -> Path:
    """Writes a branch, whole or not at all; a file that is there is replaced.

    Args:
        path: a .safetensors.
        tensors: by the names of :class:`EditNet`'s state dict.
        base, config: shapes of the model and of the branch.
        metadata: further entries of the header.

    Raises:
        OSError: it cannot be written; nothing is left behind.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    named = {f"{EDITNET_PREFIX}{name}": tensor.detach().contiguous() for name, tensor in tensors.items()}
    header = {"format": "pt", **metadata, **editnet_metadata(base, config)}
    try:
        with atomic_write(path, sum(tensor.nbytes for tensor in named.values())) as temporary:
            save_file(named, temporary, metadata=header)
    except SafetensorError as error:  # the library reports a full disk by its own error
        raise OSError(str(error)) from error
    return path


def read_editnet(path: str | Path) -> EditNetFile:
    """Reads an EditNet file.

    Raises:
        EditNetError: not there, damaged, with values that are no numbers, or of another kind.
    """
    path = Path(path)
    try:
        container = read_container(path)
        check_finite(path, container.tensors)
    except CheckpointError as error:
        raise EditNetError(f"the EditNet {path} cannot be opened: {error}") from error
    if not is_editnet(container.tensors):
        raise EditNetError(_explain_other(path, container.tensors))
    try:
        shape = {name: int(container.metadata[name]) for name in _SHAPE}
        blocks = tuple(int(number) for number in container.metadata["blocks"].split(","))
        config = EditNetConfig(blocks, **{name: _SWITCH[container.metadata[name]] for name in _SWITCHES})
    except (KeyError, ValueError) as error:
        raise EditNetError(
            f"the header of the EditNet {path} does not say what it was made for ({error}): another program has changed "
            "the file; take the one that `comfyui-ace train` has written"
        ) from error
    tensors = {name.removeprefix(EDITNET_PREFIX): tensor for name, tensor in container.tensors.items()}
    return EditNetFile(tensors, config, shape, dict(container.metadata), path)


def build_editnet(
    file: EditNetFile,
    base: ACEConfig,
    *,
    dtype: torch.dtype | None = None,
    device: torch.device | str = "cpu",
    operations: Any = nn,
) -> EditNet:
    """The branch that a file holds, in ``eval()`` mode and frozen.

    Args:
        file: of :func:`read_editnet`.
        base: shape of the model that it is to steer.
        dtype: of the weights; None keeps the file's.
        device: of the weights.
        operations: as for :class:`ACEModel`.

    Raises:
        EditNetError: it was trained for a model of another shape, or tensors are missing.
    """
    own = {name: getattr(base, name) for name in _SHAPE}
    if own != dict(file.base_shape):
        different = ", ".join(
            f"{words.format(file.base_shape[name])} (here {own[name]})"
            for name, words in _SHAPE.items()
            if own[name] != file.base_shape[name]
        )
        raise EditNetError(
            f"{file.path} was trained for another model than this one, with {different}; use it with the model it was "
            f"trained on ({file.base_model})"
        )
    try:
        net = EditNet(base, file.config, device="meta", operations=operations)
        tensors = {name: tensor.to(dtype or tensor.dtype).to(device) for name, tensor in file.tensors.items()}
        net.load_state_dict(tensors, assign=True)
    except (ValueError, RuntimeError) as error:  # a block that is not there; names or shapes that do not fit
        raise EditNetError(
            f"{file.path} is incomplete or was changed by another program: {error}; take the file that `comfyui-ace "
            "train` has written"
        ) from error
    return net.eval().requires_grad_(False)


def _explain_other(path: Path, tensors: Mapping[str, torch.Tensor]) -> str:
    found = detect_from_tensors({name: tuple(tensor.shape) for name, tensor in tensors.items()})
    if found is None:
        return (
            f'{path} is no EditNet for ACE; choose a file that `comfyui-ace train` has written with method = "editnet"'
        )
    hint = " LoRAs are given with --lora, or to a LoRA loader." if "LoRA" in found.name else ""
    return (
        f"{path} is no EditNet for ACE: it looks like {found.name}.{hint} Choose a file that was trained as an EditNet"
    )
