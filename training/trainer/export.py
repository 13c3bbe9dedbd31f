"""The file that comes out of a run: a LoRA that core's loaders apply, an EditNet, or a whole model that Load Model opens."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch

from ...ace.files import atomic_write
from ...ace.model.config import ACEConfig
from ...ace.weights.checkpoint import save_checkpoint
from ...ace.weights.editnet import write_editnet
from .config import TrainConfig
from .errors import TrainError
from .learning.adapters import adapter_tensors
from .learning.editnet import editnet_config, editnet_tensors

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
# These stay in float32: they are few, and rounding one changes a whole column or layer.
_SCALES = (".alpha", ".dora_scale")


def export_weights(
    path: Path,
    config: TrainConfig,
    model_config: ACEConfig,
    tensors: Mapping[str, torch.Tensor],
    metadata: Mapping[str, str],
) -> Path:
    """Writes the LoRA, the EditNet or the model, whole or not at all.

    Args:
        path: the .safetensors to write; one that is there is replaced.
        config: of the run.
        model_config: shape of the model.
        tensors: of the model under its names while training; frozen ones too, where it is trained whole.
        metadata: entries of the header.

    Raises:
        TrainError: the file cannot be written.
    """
    dtype = DTYPES[config.export.dtype]
    try:
        if config.method == "full":
            weights = {name: tensor.to(dtype) for name, tensor in tensors.items()}
            return save_checkpoint(weights, path, metadata={**model_config.metadata(), **metadata}, overwrite=True)
        if config.method == "editnet":
            weights = {name: tensor.to(dtype) for name, tensor in editnet_tensors(tensors).items()}
            return write_editnet(path, weights, model_config, editnet_config(config.editnet, model_config), metadata)
        adapters = adapter_tensors(tensors, config.lora_alpha)
        narrow = {name: tensor if name.endswith(_SCALES) else tensor.to(dtype) for name, tensor in adapters.items()}
        return _write_lora(path, narrow, metadata)
    except (OSError, ValueError) as error:
        raise TrainError(
            f"{path} cannot be written ({error}). The run's last checkpoint is kept; free some space and run the same "
            "command again"
        ) from error


def is_exported(path: Path, config: TrainConfig, metadata: Mapping[str, str]) -> bool:
    """Whether a whole file with this metadata and the dtype of the configuration is there already."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="pt") as file:
            stored = file.metadata() or {}
            name = next(name for name in file.keys() if not name.endswith(_SCALES))  # noqa: SIM118
            same_dtype = file.get_tensor(name).dtype == DTYPES[config.export.dtype]
            return same_dtype and stored == {**stored, **metadata}
    except (OSError, SafetensorError, StopIteration):
        return False


def add_metadata(path: Path, entries: Mapping[str, str]) -> None:
    """Adds entries to the header of a file, which is replaced as a whole or not at all; its tensors stay as they are.

    Raises:
        TrainError: the file cannot be written; it is as it was.
    """
    from safetensors import safe_open

    with safe_open(str(path), framework="pt") as file:
        stored = file.metadata() or {}
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    if stored == {**stored, **entries}:
        return
    try:
        _write_lora(path, tensors, {**stored, **entries})
    except OSError as error:
        raise TrainError(f"{path} cannot be written ({error}); it is as the training left it") from error


def _write_lora(path: Path, tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str]) -> Path:
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    try:
        with atomic_write(path, sum(tensor.nbytes for tensor in tensors.values())) as temporary:
            save_file(
                {name: tensor.contiguous() for name, tensor in tensors.items()},
                temporary,
                metadata={"format": "pt", **metadata},
            )
    except SafetensorError as error:
        raise OSError(str(error)) from error
    return path
