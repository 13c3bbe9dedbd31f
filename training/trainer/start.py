"""The model a run starts from, and the files around it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch.utils.checkpoint import checkpoint

from ...ace.bundles.bundle import find_bundle
from ...ace.model.config import ACEConfig
from ...ace.model.transformer import ACEModel
from ...ace.pictures.resolution import Resolution
from ...ace.weights.checkpoint import load_model
from ...ace.weights.init import initialize_weights
from ...ace.weights.presets import BundleDefaults
from .config import ModelSection, ResolutionSection, TrainConfig
from .data.encoding import EncoderFiles
from .errors import ConfigError
from .learning.adapters import add_lora


@dataclass(frozen=True)
class StartFiles:
    """Where everything a run starts from lies.

    Attributes:
        name: of the base model, for people.
        weights: DiT file, or None for random weights.
        encoders: VAE, text encoder and tokenizer.
        defaults: of the bundle.
    """

    name: str
    weights: Path | None
    encoders: EncoderFiles
    defaults: BundleDefaults


def find_files(settings: ModelSection) -> StartFiles:
    """Finds the files a configuration names.

    Raises:
        BundleError: the bundle is incomplete.
        ConfigError: a file is not there.
    """
    named = {name: getattr(settings, name) for name in ("vae", "text_encoder", "tokenizer", "weights")}
    for name, path in named.items():
        if path is not None and not path.exists():
            raise ConfigError(f"model.{name}: there is no {path}")
    defaults, name, found = BundleDefaults(), "random weights", dict(named)
    if settings.bundle is not None:
        parts = ("vae", "text_encoder", "tokenizer")
        bundle = find_bundle(settings.bundle, require=[part for part in parts if named[part] is None])
        defaults, name = bundle.defaults, bundle.name
        found = {part: named[part] or getattr(bundle, part) for part in parts}
        found["weights"] = named["weights"] or bundle.dit
    if settings.scratch is not None:
        found["weights"], name = None, "random weights"
    elif named["weights"] is not None:
        name = named["weights"].stem
    encoders = EncoderFiles(found["vae"], found["text_encoder"], found["tokenizer"])
    return StartFiles(name, found["weights"], encoders, defaults)


def max_tokens(settings: ResolutionSection, defaults: BundleDefaults) -> int | None:
    """Patches in the largest picture, where the rule sets a limit."""
    return (settings.max_tokens or defaults.max_tokens) if settings.rule == "published" else None


def make_resolution(settings: ResolutionSection, defaults: BundleDefaults) -> Resolution:
    """The rule for sizes.

    Raises:
        ConfigError: a size is no multiple of 16.
    """
    most = settings.max_tokens or defaults.max_tokens
    try:
        if settings.rule == "megapixels":
            return Resolution.megapixels(settings.megapixels)
        if settings.rule == "exact":
            return Resolution.exact(settings.height, settings.width)
        return Resolution.source(most) if settings.rule == "source" else Resolution.published(most)
    except ValueError as error:
        raise ConfigError(f"resolution: {error}") from error


def make_model(config: TrainConfig, files: StartFiles, text_width: int, device: torch.device | str) -> ACEModel:
    """The model with what is to be trained marked by ``requires_grad``.

    Trained parameters are float32. Frozen ones of a LoRA run are stored in the run's precision.

    Args:
        text_width: of the text encoder's embeddings.

    Raises:
        ConfigError, CheckpointError: the shape or the file is not one of ACE.
    """
    frozen = stored_dtype(config)
    if files.weights is None:
        model = _from_scratch(config, text_width).to(device, frozen)
    else:
        model = load_model(files.weights, dtype=frozen, device=device)
    if model.config.text_width != text_width:
        raise ConfigError(
            f"{files.weights} reads text embeddings {model.config.text_width} wide, but {files.encoders.text_encoder} "
            f"makes them {text_width} wide; give the text encoder that belongs to the model"
        )
    recompute = config.gradient_checkpointing
    if recompute == "auto":
        recompute = torch.device(device).type != "cpu"
    return mark_trained(model, config, recompute=recompute)


def stored_dtype(config: TrainConfig) -> torch.dtype:
    """Of the weights a run starts from."""
    return torch.bfloat16 if config.precision == "bf16" and config.method == "lora" else torch.float32


def mark_trained(model: ACEModel, config: TrainConfig, *, recompute: bool) -> ACEModel:
    """Puts in what a run trains, in place, and sets the model up for it.

    Args:
        recompute: blocks are computed again in the backward pass.
    """
    if config.method == "lora":
        add_lora(model, config.lora, config.lora_alpha, config.seed)
    else:
        _train_everything(model)
    if recompute:
        recompute_blocks(model)
    model._no_split_modules = ["Block"]  # read by accelerate: the unit in which FSDP shards
    return model.train()


def recompute_blocks(model: ACEModel) -> None:
    """Gradient checkpointing: blocks keep only their input and are computed again in the backward pass."""
    for block in model.blocks:
        block.forward = partial(checkpoint, block.forward, use_reentrant=False)


def _from_scratch(config: TrainConfig, text_width: int) -> ACEModel:
    try:
        shape = ACEConfig(text_width=text_width, **config.model.scratch.model_dump())
    except ValueError as error:
        raise ConfigError(f"model.scratch: {error}") from error
    return initialize_weights(ACEModel(shape), config.seed)


def _train_everything(model: ACEModel) -> None:
    """All parameters but ``norm_k``, which the published model holds and does not use: it would never get a gradient."""
    model.requires_grad_(True)
    for name, parameter in model.named_parameters():
        if ".norm_k." in name:
            parameter.requires_grad_(False)
