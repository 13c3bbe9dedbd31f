"""LoRA by peft: into a model before training, and out of it as tensors that ComfyUI's LoRA loaders apply.

peft replaces each chosen layer by one that holds the frozen layer and the adapter; the model's own class and forward
pass stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import nn

from ....ace.model.transformer import ACEModel
from ....ace.weights.lora import PREFIX
from ..config import LoraSection
from ..errors import ConfigError, TrainError

ADAPTER = "default"


def choose_layers(model: ACEModel, targets: Iterable[str]) -> list[str]:
    """Names of the linear and convolution layers that a target is part of (peft's ``target_modules``).

    Args:
        model: a plain ACE model.
        targets: parts of names: "attn" means `blocks.0.attn.q` and so on.

    Returns:
        in the order of the model.

    Raises:
        ConfigError: a target means no layer.
    """
    layers = [name for name, module in model.named_modules() if isinstance(module, (nn.Linear, nn.Conv2d))]
    chosen: set[str] = set()
    for target in targets:
        matching = [name for name in layers if f".{target}." in f".{name}."]
        if not matching:
            kinds = sorted({".".join(part for part in name.split(".") if not part.isdigit()) for name in layers})
            raise ConfigError(
                f"lora.targets: {target!r} is part of no layer's name; the layers are {', '.join(kinds)} "
                "(in each block, with its number)"
            )
        chosen.update(matching)
    return [name for name in layers if name in chosen]


def add_lora(model: ACEModel, settings: LoraSection, alpha: float, seed: int) -> ACEModel:
    """Freezes a model and puts trainable adapters (float32) into it, in place. They start without any effect.

    Args:
        model: a plain ACE model.
        settings: rank, targets, dropout, DoRA.
        alpha: the adapters' output is scaled by alpha / rank.
        seed: of the adapters' starting weights.

    Raises:
        ConfigError: see :func:`choose_layers`; or DoRA is asked of a layer with rows of zeros.
        TrainError: peft is not installed.
    """
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError as error:
        raise TrainError(f"training a LoRA needs the package peft: pip install peft ({error})") from error

    model.requires_grad_(False)
    layers = choose_layers(model, settings.targets)
    if settings.dora:
        _require_nonzero_rows(model, layers)
    config = LoraConfig(
        r=settings.rank,
        lora_alpha=alpha,
        target_modules=layers,
        lora_dropout=settings.dropout,
        use_dora=settings.dora,
        bias="none",
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        inject_adapter_in_model(config, model, adapter_name=ADAPTER)
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()
    return model


def _require_nonzero_rows(model: ACEModel, layers: Iterable[str]) -> None:
    """DoRA divides by the norm of every row.

    Raises:
        ConfigError: a layer has rows of zeros.
    """
    for name in layers:
        empty = int((model.get_submodule(name).weight.flatten(1).norm(dim=1) == 0).sum())
        if empty:
            raise ConfigError(
                f"lora.dora: {empty} rows of {name} are all zeros and have no direction, which DoRA needs. Leave that "
                "layer out of lora.targets, or set lora.dora = false"
            )


def lora_tensors(
    state_dict: Mapping[str, torch.Tensor], alpha: float, base: Mapping[str, torch.Tensor] | None = None
) -> dict[str, torch.Tensor]:
    """Trained adapters under the names that ComfyUI reads for any model: `diffusion_model.LAYER.lora_A.weight` and so on.

    A DoRA's stored scale is the learned magnitude of each row times |W| / |W + ΔW|: loaders divide by the norm of the
    frozen row |W|, while training divides by that of the changed one (Liu et al. 2024, eq. 5).

    Args:
        state_dict: peft's names (`LAYER.lora_A.default.weight` …); others are passed over.
        alpha: of the run; stored beside each adapter, so that loaders scale by alpha / rank as in training.
        base: weights of the frozen layers under peft's names (`LAYER.base_layer.weight`), needed for DoRA.

    Returns:
        for each layer A (rank, in, …), B (out, rank, …), alpha (a scalar) and, with DoRA, the scale (out, 1, …).
    """
    down = f".lora_A.{ADAPTER}.weight"
    tensors: dict[str, torch.Tensor] = {}
    for layer in sorted(name.removesuffix(down) for name in state_dict if name.endswith(down)):
        a, b = state_dict[f"{layer}{down}"], state_dict[f"{layer}.lora_B.{ADAPTER}.weight"]
        tensors[f"{PREFIX}{layer}.lora_A.weight"] = a
        tensors[f"{PREFIX}{layer}.lora_B.weight"] = b
        tensors[f"{PREFIX}{layer}.alpha"] = torch.tensor(float(alpha))
        magnitude = state_dict.get(f"{layer}.lora_magnitude_vector.{ADAPTER}.weight")
        if magnitude is not None:
            weight = base[f"{layer}.base_layer.weight"].float()
            change = (b.flatten(1) @ a.flatten(1)).view_as(weight) * (alpha / a.shape[0])
            tensors[f"{PREFIX}{layer}.dora_scale"] = _dora_scale(magnitude, weight, change)
    return tensors


def _dora_scale(magnitude: torch.Tensor, weight: torch.Tensor, change: torch.Tensor) -> torch.Tensor:
    """Magnitude (out,) -> (out, 1, …) with as many dimensions as the weight (out, in, …)."""
    norms = [w.flatten(1).norm(dim=1) for w in (weight, weight + change)]
    scale = magnitude.flatten() * norms[0] / norms[1]
    return scale.view(-1, *[1] * (weight.ndim - 1))
