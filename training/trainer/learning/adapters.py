"""LoRA, DoRA and LoKr: into a model before training, and out of it as tensors that ComfyUI's LoRA loaders apply.

Each chosen layer is replaced by one that holds the frozen layer and the adapter; the model's own class and forward pass
stay as they are. LoRA's layers are peft's, a DoRA is one of them with magnitudes (:mod:`.dora`), LoKr's are our own
(:mod:`.lokr`).

DoRAs of ACE Edit 0.1 had a magnitude for every row, and their files hold it times |W| / |W + ΔW|, which undoes what
ComfyUI divides by. Such files stay what they are, :mod:`ace.weights.lora` reads them as ComfyUI does today; such runs
cannot go on, and :mod:`..resume` says so.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence

import torch
from torch import nn

from ....ace.model.editnet import ModelWithEditNet
from ....ace.model.transformer import ACEModel
from ....ace.weights.lora import LOKR_FACTORS, PREFIX
from ..config import LoraSection
from ..errors import ConfigError, TrainError
from .dora import add_magnitudes, column_lengths
from .lokr import LoKrLayer

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


def add_adapters(model: ACEModel, settings: LoraSection, alpha: float, seed: int) -> ACEModel:
    """Freezes a model and puts trainable adapters (float32) into it, in place. They start without any effect.

    Args:
        model: a plain ACE model.
        settings: kind, rank, targets, factor, dropout.
        alpha: the adapters' output is scaled by alpha / rank.
        seed: of the adapters' starting weights.

    Raises:
        ConfigError: see :func:`choose_layers`; or DoRA is asked of a layer with columns of zeros.
        TrainError: peft is not installed.
    """
    model.requires_grad_(False)
    layers = choose_layers(model, settings.targets)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if settings.adapter == "lokr":
            _add_lokr(model, layers, settings, alpha)
        else:
            _add_lora(model, layers, settings, alpha)
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()
    return model


@contextlib.contextmanager
def without_adapters(model: nn.Module) -> Iterator[None]:
    """The frozen model alone answers inside this block, whatever kind of adapter or branch it has."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    kinds = (BaseTunerLayer, LoKrLayer, ModelWithEditNet)
    layers = [module for module in model.modules() if isinstance(module, kinds)]
    for layer in layers:
        layer.enable_adapters(False)
    try:
        yield
    finally:
        for layer in layers:
            layer.enable_adapters(True)


def _add_lora(model: ACEModel, layers: Sequence[str], settings: LoraSection, alpha: float) -> None:
    """LoRA by peft, and the magnitudes that make it a DoRA."""
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError as error:
        raise TrainError(f"training a LoRA needs the package peft: pip install peft ({error})") from error

    if settings.adapter == "dora":
        _require_nonzero_columns(model, layers)
    config = LoraConfig(
        r=settings.rank, lora_alpha=alpha, target_modules=list(layers), lora_dropout=settings.dropout, bias="none"
    )
    inject_adapter_in_model(config, model, adapter_name=ADAPTER)
    if settings.adapter == "dora":
        for name in layers:
            add_magnitudes(model.get_submodule(name), ADAPTER)


def _add_lokr(model: ACEModel, layers: Iterable[str], settings: LoraSection, alpha: float) -> None:
    for name in layers:
        parent, _, child = name.rpartition(".")
        layer = LoKrLayer(
            model.get_submodule(name),
            rank=settings.rank,
            alpha=alpha,
            factor=settings.factor,
            dropout=settings.dropout,
        )
        setattr(model.get_submodule(parent), child, layer)


def _require_nonzero_columns(model: ACEModel, layers: Iterable[str]) -> None:
    """DoRA divides by the norm of every column.

    Raises:
        ConfigError: a layer has columns of zeros.
    """
    for name in layers:
        empty = int((column_lengths(model.get_submodule(name).weight) == 0).sum())
        if empty:
            raise ConfigError(
                f"lora.adapter: {empty} columns of {name} are all zeros and have no direction, which DoRA needs. Leave "
                'that layer out of lora.targets, or set lora.adapter = "lora"'
            )


def adapter_tensors(state_dict: Mapping[str, torch.Tensor], alpha: float) -> dict[str, torch.Tensor]:
    """Trained adapters under the names that ComfyUI reads for any model: `diffusion_model.LAYER.lora_A.weight` and so on.

    Args:
        state_dict: names of the model while training (`LAYER.lora_A.default.weight`, `LAYER.lokr_w1` …); those of no
            adapter are passed over.
        alpha: of the run; stored beside each adapter, so that loaders scale as in training.

    Returns:
        for each layer alpha (a scalar) and A (rank, in, …), B (out, rank, …), with DoRA dora_scale (1, in, 1, …), too;
        or LoKr's factors, see :class:`.lokr.LoKrLayer`.
    """
    endings = {f".{part}.{ADAPTER}.weight": f".{part}.weight" for part in ("lora_A", "lora_B")}
    endings |= {".magnitude": ".dora_scale", **{ending: ending for ending in LOKR_FACTORS}}
    tensors: dict[str, torch.Tensor] = {}
    for name in sorted(state_dict):
        ending = next((ending for ending in endings if name.endswith(ending)), None)
        if ending is not None:
            layer = f"{PREFIX}{name.removesuffix(ending)}"
            tensors[f"{layer}{endings[ending]}"] = state_dict[name]
            tensors[f"{layer}.alpha"] = torch.tensor(float(alpha))
    return tensors
