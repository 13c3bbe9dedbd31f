"""The base model of a run: its files, and how it is set up for training."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch.utils.checkpoint import checkpoint

from ...ace.bundles.bundle import find_bundle
from ...ace.model.config import ACEConfig
from ...ace.model.editnet import ModelWithEditNet
from ...ace.model.transformer import ACEModel
from ...ace.pictures.resolution import Resolution
from ...ace.weights.checkpoint import load_model
from ...ace.weights.init import initialize_weights
from ...ace.weights.lora import merge_lora, read_lora
from ...ace.weights.presets import BundleDefaults
from .config import ModelSection, ResolutionSection, TrainConfig
from .data.encoding import EncoderFiles
from .errors import ConfigError
from .learning.adapters import add_adapters
from .learning.editnet import add_editnet

StudentModel = ACEModel | ModelWithEditNet


@dataclass(frozen=True)
class BaseModelFiles:
    """Where the base model and its encoders lie.

    Attributes:
        name: for people.
        weights: file of the transformer, or None for random weights.
        encoders: VAE, text encoder and tokenizer.
        defaults: of the bundle.
        lora: that is merged into the weights first, or None.
    """

    name: str
    weights: Path | None
    encoders: EncoderFiles
    defaults: BundleDefaults
    lora: Path | None = None


def find_base_model(settings: ModelSection) -> BaseModelFiles:
    """Finds the files that a configuration names.

    Raises:
        BundleError: the bundle is incomplete.
        ConfigError: a file is not there.
    """
    named = {name: getattr(settings, name) for name in ("vae", "text_encoder", "tokenizer", "weights", "lora")}
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
    if settings.lora is not None:
        name = f"{name} with {settings.lora.stem}"
    encoders = EncoderFiles(found["vae"], found["text_encoder"], found["tokenizer"])
    return BaseModelFiles(name, found["weights"], encoders, defaults, settings.lora)


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


def make_model(config: TrainConfig, files: BaseModelFiles, text_width: int, device: torch.device | str) -> StudentModel:
    """Loads the base model, or makes one from scratch, and sets it up for training.

    What is trained has ``requires_grad`` and is float32. What a LoRA or an EditNet freezes is stored in the run's
    precision.

    Args:
        config: of the run.
        files: of the base model.
        text_width: of the text encoder's embeddings.
        device: where the model goes.

    Raises:
        ConfigError, CheckpointError, LoraError: the shape or a file is not one of ACE.
    """
    dtype = weight_dtype(config)
    if files.weights is None:
        model = _from_scratch(config, text_width).to(device, dtype)
    else:
        model = load_model(files.weights, dtype=dtype, device=device)
    if model.config.text_width != text_width:
        raise ConfigError(
            f"{files.weights} reads text embeddings {model.config.text_width} wide, but {files.encoders.text_encoder} "
            f"makes them {text_width} wide; give the text encoder that belongs to the model"
        )
    if files.lora is not None:
        merge_lora(model, read_lora(files.lora))
    checkpointing = config.gradient_checkpointing
    if checkpointing == "auto":
        checkpointing = torch.device(device).type != "cpu"
    return prepare_for_training(model, config, gradient_checkpointing=checkpointing)


def weight_dtype(config: TrainConfig) -> torch.dtype:
    """Of the base model's weights while training."""
    return torch.bfloat16 if config.precision == "bf16" and config.method != "full" else torch.float32


def prepare_for_training(model: ACEModel, config: TrainConfig, *, gradient_checkpointing: bool) -> StudentModel:
    """Adds the adapters or the branch, or unfreezes the whole model, in place, and puts it into training mode.

    Args:
        model: the base model.
        config: of the run.
        gradient_checkpointing: see :func:`enable_gradient_checkpointing`.

    Raises:
        ConfigError, TrainError: see :func:`add_adapters` and :func:`add_editnet`.
    """
    if config.method == "lora":
        add_adapters(model, config.lora, config.lora_alpha, config.seed)
    elif config.method == "editnet":
        model = add_editnet(model, config.editnet)
    else:
        _unfreeze(model)
    if gradient_checkpointing:
        enable_gradient_checkpointing(model)
    model._no_split_modules = ["Block"]  # read by accelerate: the unit in which FSDP shards
    return model.train()


def enable_gradient_checkpointing(model: StudentModel) -> None:
    """Lets blocks keep only their input and compute the rest again in the backward pass (Chen et al. 2016), in place."""
    for block in model.blocks:
        block.forward = partial(checkpoint, block.forward, use_reentrant=False)


def _from_scratch(config: TrainConfig, text_width: int) -> ACEModel:
    try:
        shape = ACEConfig(text_width=text_width, **config.model.scratch.model_dump())
    except ValueError as error:
        raise ConfigError(f"model.scratch: {error}") from error
    return initialize_weights(ACEModel(shape), config.seed)


def _unfreeze(model: ACEModel) -> None:
    """Trains all but ``norm_k``, which the published model holds and does not use: it would never get a gradient."""
    model.requires_grad_(True)
    for name, parameter in model.named_parameters():
        if ".norm_k." in name:
            parameter.requires_grad_(False)
