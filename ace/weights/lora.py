"""LoRA files applied to an ACE model without a host.

Read are the names that ComfyUI reads for any model: ``diffusion_model.LAYER.`` followed by ``lora_A.weight`` and
``lora_B.weight`` (or ``lora_down`` and ``lora_up``), or by LoKr's ``lokr_w1``, ``lokr_w2`` and their parts; ``alpha``,
``dora_scale``, ``diff`` and ``diff_b``. The arithmetic is that of ComfyUI's loader, so that a file gives the same picture
in both.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from ..model.transformer import ACEModel
from .containers import CheckpointError, check_finite, read_container
from .detection import is_editnet
from .trained_file import TrainedFile

PREFIX = "diffusion_model."

_PAIRS = ((".lora_A.weight", ".lora_B.weight"), (".lora_down.weight", ".lora_up.weight"))
LOKR_FACTORS = (".lokr_w1", ".lokr_w1_a", ".lokr_w1_b", ".lokr_w2", ".lokr_w2_a", ".lokr_w2_b")
"""Endings of LoKr's tensors, as LyCORIS writes them."""
_ENDINGS = (".alpha", ".dora_scale", ".diff", ".diff_b", *(name for pair in _PAIRS for name in pair), *LOKR_FACTORS)


class LoraError(ValueError):
    """A file is no LoRA for ACE, or does not fit the model."""


@dataclass(frozen=True)
class Lora(TrainedFile):
    """The content of a LoRA file.

    Attributes:
        layers: tensors by layer and ending: ``layers["blocks.0.attn.q"][".lora_A.weight"]``.
        metadata: the file's header.
        path: the file.
    """

    layers: Mapping[str, Mapping[str, torch.Tensor]]
    metadata: Mapping[str, str]
    path: Path


def read_lora(path: str | Path) -> Lora:
    """Reads a LoRA file.

    Raises:
        LoraError: not there, damaged, with values that are no numbers, or without layers of ACE's naming.
    """
    path = Path(path)
    try:
        container = read_container(path)
        check_finite(path, container.tensors)
    except CheckpointError as error:
        raise LoraError(f"the LoRA {path} cannot be opened: {error}") from error
    if is_editnet(container.tensors):
        raise LoraError(f"{path} is an EditNet and no LoRA; give it with --editnet, or in ComfyUI to “Load EditNet”")
    layers: dict[str, dict[str, torch.Tensor]] = {}
    unknown = []
    for name, tensor in container.tensors.items():
        ending = next((e for e in _ENDINGS if name.endswith(e)), None)
        if ending is None or not name.startswith(PREFIX):
            unknown.append(name)
            continue
        layers.setdefault(name.removeprefix(PREFIX).removesuffix(ending), {})[ending] = tensor
    if unknown or not layers:
        raise LoraError(
            f"{path} is no LoRA for ACE: expected {PREFIX}blocks.0.attn.q.lora_A.weight and the like, found "
            f"{', '.join(sorted(unknown)[:3]) or 'nothing'}; choose a file that `comfyui-ace train` has written"
        )
    return Lora(layers, dict(container.metadata), path)


@torch.no_grad()
def merge_lora(model: ACEModel, lora: Lora, strength: float = 1.0) -> ACEModel:
    """Adds a LoRA to a model's weights in place; with the negative strength it comes off again (not exactly for DoRA).

    Args:
        model: the model it was trained on.
        lora: of :func:`read_lora`.
        strength: 1 is the LoRA as trained.

    Returns:
        The same model.

    Raises:
        ValueError: the strength is no number.
        LoraError: a layer or a shape is not the model's, or a weight would leave the range of the model's dtype; the
            model is unchanged then.
    """
    if not math.isfinite(strength):
        raise ValueError(f"the strength of {lora.path} is {strength}; it must be a number, such as 1")
    changes = {name: _changed(name, layer, parameter, strength, lora) for name, layer, parameter in _match(model, lora)}
    for name, changed in changes.items():
        if not changed.to(model.get_parameter(name).dtype).isfinite().all():
            raise LoraError(
                f"with {lora.path} at strength {strength:g}, {name} leaves the range of {model.dtype}; lower the strength, "
                "or use bfloat16 or float32"
            )
    for name, changed in changes.items():
        model.get_parameter(name).copy_(changed)
    return model


def _match(model: ACEModel, lora: Lora):
    """(parameter name, tensors, parameter) for everything the file changes."""
    parameters = dict(model.named_parameters())
    for layer, tensors in lora.layers.items():
        weight = f"{layer}.weight"
        if weight not in parameters:
            raise LoraError(
                f"{lora.path} changes {layer}, which this model of {model.config.depth} blocks lacks; use it with the "
                f"model it was trained on ({lora.base_model})"
            )
        if tensors.keys() - {".diff_b"}:
            yield weight, tensors, parameters[weight]
        if ".diff_b" in tensors:
            bias = f"{layer}.bias"
            if bias not in parameters:
                raise LoraError(
                    f"{lora.path} changes the bias of {layer}, which has none; use it with the model it was trained on "
                    f"({lora.base_model})"
                )
            yield bias, {".diff": tensors[".diff_b"]}, parameters[bias]


def _changed(
    name: str, tensors: Mapping[str, torch.Tensor], parameter: torch.Tensor, strength: float, lora: Lora
) -> torch.Tensor:
    """The merged weight, computed in float32."""
    weight = parameter.float()
    try:
        if ".diff" in tensors:
            return weight + strength * tensors[".diff"].to(weight)
        change = _kronecker(tensors, weight) if tensors.keys() & set(LOKR_FACTORS) else _product(tensors, weight)
    except (KeyError, RuntimeError) as error:
        shapes = {ending: tuple(tensor.shape) for ending, tensor in tensors.items()}
        raise LoraError(
            f"{lora.path} does not fit the model at {name} {tuple(weight.shape)}: it holds {shapes}; use it with the "
            f"model it was trained on ({lora.base_model})"
        ) from error
    scale = tensors.get(".dora_scale")
    if scale is None:
        return weight + strength * change
    return torch.lerp(weight, _rescaled(weight, weight + change, scale.to(weight)), strength)


def _product(tensors: Mapping[str, torch.Tensor], weight: torch.Tensor) -> torch.Tensor:
    """alpha / rank · B A, in the weight's shape."""
    down, up = next(pair for pair in _PAIRS if pair[0] in tensors or pair is _PAIRS[-1])
    a, b = tensors[down].to(weight), tensors[up].to(weight)
    alpha = tensors.get(".alpha")
    scale = 1.0 if alpha is None else alpha.item() / a.shape[0]
    return scale * (b.flatten(1) @ a.flatten(1)).view_as(weight)


def _kronecker(tensors: Mapping[str, torch.Tensor], weight: torch.Tensor) -> torch.Tensor:
    """alpha / rank · w1 ⊗ w2, in the weight's shape; alpha has no part where both factors are whole."""
    parts = {ending.removeprefix(".lokr_"): tensors[ending].to(weight) for ending in LOKR_FACTORS if ending in tensors}
    rank = None
    for name in ("w1", "w2"):
        if name not in parts:
            a, b = parts[f"{name}_a"], parts[f"{name}_b"]
            parts[name], rank = a @ b, b.shape[0]
    w1, w2 = parts["w1"], parts["w2"]
    alpha = tensors.get(".alpha")
    scale = 1.0 if alpha is None or rank is None else alpha.item() / rank
    return scale * torch.kron(w1.view(*w1.shape, *[1] * (w2.ndim - 2)), w2).reshape(weight.shape)


def _rescaled(weight: torch.Tensor, changed: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """DoRA: columns are scaled over the length of the changed column, rows over that of the frozen row.

    The latter is ComfyUI's fault (Comfy-Org/ComfyUI#15458), which files of ACE Edit 0.1 reckon with.
    """
    tiny = torch.finfo(weight.dtype).eps
    if scale.shape[0] == weight.shape[0]:
        lengths = weight.flatten(1).norm(dim=1).view(-1, *[1] * (weight.ndim - 1))
        return changed * (scale.view_as(lengths) / (lengths + tiny))
    lengths = changed.transpose(0, 1).flatten(1).norm(dim=1).view(1, -1, *[1] * (weight.ndim - 2))
    return changed * (scale.view_as(lengths) / (lengths + tiny))
