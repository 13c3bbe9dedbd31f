"""Everything that can be set about a training run; unknown keys are refused. The examples are in `training/configs`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from ...ace.weights.presets import BundleDefaults
from ..dataset.disk.names import is_reserved

# Strict: a batch of `true` pairs or a switch set to "yes" is a mistake, and guessing would hide it.
Positive = Annotated[int, Field(ge=1, strict=True)]
Count = Annotated[int, Field(ge=0, strict=True)]
Seed = Annotated[int, Field(ge=0, lt=2**63, strict=True)]
Switch = Annotated[bool, Field(strict=True)]
Share = Annotated[float, Field(ge=0, le=1, strict=True)]
Decay = Annotated[float, Field(ge=0, lt=1, strict=True)]
Amount = Annotated[float, Field(ge=0, strict=True)]
PositiveAmount = Annotated[float, Field(gt=0, strict=True)]

_LONGEST_NAME = 180  # bytes; file systems stop at 255, and temporary names and step numbers need room


class Section(BaseModel):
    """A table of the configuration file."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


class ScratchSection(Section):
    """Shape of a model that starts from random weights."""

    hidden_size: Positive = 1152
    """Width of a token."""
    depth: Positive = 28
    """Number of transformer blocks."""
    num_heads: Positive = 16
    """Attention heads; must divide hidden_size."""
    mlp_ratio: PositiveAmount = 4.0
    """Width of the MLP over hidden_size."""
    max_seq_len: Positive = 1024
    """Rows of the position table: the longest side of an image in patches."""


class ModelSection(Section):
    """Where training starts from, and the frozen parts around it."""

    bundle: Path | None = None
    """Folder of an ACE model (DiT, VAE, text encoder, tokenizer)."""
    weights: Path | None = None
    """Start from this DiT instead of the bundle's: ACE or PixArt-α, .safetensors or .pth."""
    scratch: ScratchSection | None = None
    """Start from random weights of this shape instead."""
    vae: Path | None = None
    """VAE file, if it is not the bundle's."""
    text_encoder: Path | None = None
    """Folder of the text encoder, if it is not the bundle's."""
    tokenizer: Path | None = None
    """Folder of the tokenizer, if it is not the bundle's."""

    @model_validator(mode="after")
    def _complete(self) -> ModelSection:
        if self.weights is not None and self.scratch is not None:
            raise ValueError(
                "weights and scratch exclude each other: a model starts from a file or from random weights"
            )
        if self.bundle is None:
            start = self.weights or self.scratch
            missing = [name for name in ("vae", "text_encoder", "tokenizer") if getattr(self, name) is None]
            missing += [] if start else ["weights (or scratch)"]
            if missing:
                raise ValueError(f"without a bundle these must be given too: {', '.join(missing)}")
        return self


class ResolutionSection(Section):
    """Size of every picture; see `comfyui-ace edit` for the same choice when sampling."""

    rule: Literal["published", "megapixels", "exact", "source"] = "published"
    """published: at most max_tokens patches, never scaled up. megapixels: about this area. exact: width x height.
    source: the picture's own pixels."""
    max_tokens: Positive | None = None
    """Patches of 16 x 16 pixels in the largest picture; the bundle's own number if left out."""
    megapixels: PositiveAmount | None = None
    """Area in units of 1024 x 1024 pixels, for the rule megapixels."""
    width: Positive | None = None
    """For the rule exact; a multiple of 16."""
    height: Positive | None = None
    """For the rule exact; a multiple of 16."""

    @model_validator(mode="after")
    def _complete(self) -> ResolutionSection:
        needed = {"megapixels": ("megapixels",), "exact": ("width", "height")}.get(self.rule, ())
        missing = [name for name in needed if getattr(self, name) is None]
        if missing:
            raise ValueError(f"the rule {self.rule} needs {' and '.join(missing)}")
        surplus = {"megapixels", "width", "height"} - set(needed)
        given = sorted(name for name in surplus if getattr(self, name) is not None)
        if given:
            raise ValueError(f"{', '.join(given)} has no meaning for the rule {self.rule}; remove it")
        return self


class DataSection(Section):
    """Pairs and what is made of them."""

    datasets: Annotated[list[Path], Field(min_length=1)]
    """Folders of pairs (metadata.jsonl, target, control, …)."""
    cache: Path = Path("output/training-cache")
    """Folder for encoded pictures and texts; safe to share between runs and to delete."""
    cache_dtype: Literal["auto", "fp32", "bf16"] = "auto"
    """Stored numbers; auto is fp32 on a CPU and bf16 elsewhere."""
    keep_in_memory_mb: Count = 4096
    """Encoded pictures and texts are held in main memory up to this size, beyond it they are read for every batch."""
    weights: Literal["ignore", "binary", "soft"] = "soft"
    """Importance of a pair (OmniEdit's λ): ignore it, leave out pairs under weight_threshold, or multiply the loss."""
    weight_threshold: Amount = 0.5
    """For binary weights: pairs of at least this weight count fully, others not at all."""
    max_images: Annotated[int, Field(ge=0, le=10, strict=True)] = 10
    """Pairs with more condition images, those of earlier rounds included, are left out."""
    max_rounds: Count = 4
    """Rounds of history to keep, the latest."""
    fill: Literal["keep", "blank"] = "keep"
    """What the model sees under a mask: the picture, or black, as the published model was trained for inpainting."""
    on_bad_pair: Literal["stop", "skip"] = "stop"
    """What happens if a pair cannot be read or makes no sense: stop and name it, or go on without it."""


class LoraSection(Section):
    """Low-rank adapters."""

    rank: Positive = 32
    """Rank of every adapter."""
    alpha: PositiveAmount | None = None
    """The adapters' output is scaled by alpha / rank; the rank itself if left out."""
    targets: Annotated[list[str], Field(min_length=1)] = ["blocks"]
    """Layers that get an adapter, by parts of their names: blocks (all in every block), attn, attn.q, cross_attn, mlp,
    x_embedder, y_embedder, t_block, final_layer …"""
    dora: Switch = False
    """Learn the length of every row separately (DoRA)."""
    dropout: Decay = 0.0
    """Share of the adapters' inputs that is set to zero."""


class ObjectiveSection(Section):
    """What is minimised: the mean squared error of the predicted noise."""

    weighting: Literal["noise", "velocity"] = "noise"
    """noise: every timestep counts alike, as published. velocity: as if v were predicted (Salimans & Ho 2022), up to
    max_weighting: noisy timesteps, which decide about colours and composition, count more. Small models learn faster."""
    max_weighting: Annotated[float, Field(ge=1, strict=True)] = 10.0
    """For velocity: the noisiest timesteps count at most so many times as much as a clean one."""
    instruction_dropout: Share = 0.1
    """How often the last instruction is replaced by the empty one, which is what guidance needs at sampling."""
    timesteps: Literal["uniform", "stratified"] = "uniform"
    """uniform: independent, as published. stratified: spread evenly over each batch, which makes the loss less noisy."""


class OptimizerSection(Section):
    """AdamW and the course of its learning rate."""

    learning_rate: PositiveAmount = 2e-5
    """At its highest. The paper's is 2e-5 for the whole model; LoRAs want about ten times as much."""
    weight_decay: Amount = 5e-4
    """The paper's."""
    betas: tuple[Decay, Decay] = (0.9, 0.999)
    eps: PositiveAmount = 1e-8
    clip_norm: Amount = 1.0
    """Gradients are scaled down to this norm; 0 leaves them."""
    schedule: Literal["constant", "linear", "cosine"] = "constant"
    """Course of the learning rate after the warm-up, until the last step."""
    warmup_steps: Count = 0
    """Steps in which the learning rate rises from zero."""
    final_rate: Share = 0.0
    """What linear and cosine end at, as a share of learning_rate."""


class ValidationSection(Section):
    """Loss on held-out pairs, with the same noise and timesteps every time."""

    every: Count = 500
    """Steps between two measurements; 0 switches them off."""
    max_examples: Positive = 64
    """Held-out pairs to measure on."""
    timesteps: Positive = 4
    """Noise levels per pair, spread evenly."""


class SamplesSection(Section):
    """Pictures from held-out sources, beside the teacher's."""

    every: Count = 1000
    """Steps between two sheets; 0 switches them off."""
    count: Positive = 4
    """Held-out pairs to draw."""
    steps: Annotated[int, Field(ge=1, le=1000, strict=True)] | None = None
    """Of the sampler; this and the next two are what the bundle recommends if left out."""
    guidance_scale: Amount | None = None
    guidance_rescale: Share | None = None

    def filled(self, defaults: BundleDefaults) -> SamplesSection:
        """These settings, with a bundle's own where they are left out."""
        names = ("steps", "guidance_scale", "guidance_rescale")
        return self.model_copy(update={n: getattr(defaults, n) for n in names if getattr(self, n) is None})


class CheckpointSection(Section):
    """What a stopped run continues from."""

    every: Count = 1000
    """Steps between two checkpoints; 0 writes one at the end only."""
    keep: Positive = 3
    """How many of the latest stay."""
    export: Switch = False
    """Beside each checkpoint also write the LoRA or model itself."""


class ExportSection(Section):
    """The file that comes out."""

    name: str = ""
    """File name without its ending; that of the output folder if left out."""
    dtype: Literal["fp32", "bf16", "fp16"] = "fp32"
    trigger: str = ""
    """Words that call the edit; the most frequent instruction of the training pairs if left out."""
    licence: str = ""
    """A note about the terms of use, stored in the file."""
    description: str = ""
    """For people, stored in the file."""

    @field_validator("name")
    @classmethod
    def _plain(cls, name: str) -> str:
        odd = set(name) & set('/\\:*?"<>|') or not name.isprintable() or is_reserved(name)
        if name and (odd or name[0] in ". " or name[-1] in ". " or len(name.encode()) > _LONGEST_NAME):
            raise ValueError("this is no file name: folders, leading dots and signs such as : or * cannot be used")
        return name


class TrainConfig(Section):
    """A training run."""

    output: Path
    """Folder of the run; the same command with the same folder continues it."""
    model: ModelSection
    data: DataSection
    resolution: ResolutionSection = ResolutionSection()
    method: Literal["lora", "full"] = "lora"
    """Train low-rank adapters, or the whole transformer."""
    lora: LoraSection = LoraSection()
    objective: ObjectiveSection = ObjectiveSection()
    optimizer: OptimizerSection = OptimizerSection()
    steps: Positive
    """Optimiser steps."""
    batch_size: Positive = 4
    """Pairs in one forward pass of one process."""
    accumulate: Positive = 1
    """Forward passes whose gradients are added up for one step."""
    gradient_checkpointing: Literal[True, False, "auto"] = False
    """Compute each block again in the backward pass: a fraction of the memory, about a third more time. auto does so but
    on a CPU, which is slow and seldom short of memory."""
    precision: Literal["fp32", "bf16"] = "bf16"
    """fp32 is exact and repeatable. bf16 computes in bfloat16; what is trained stays in float32."""
    device: Literal["auto", "cpu"] = "auto"
    """auto takes the accelerator where there is one."""
    seed: Seed = 0
    """Decides starting weights, order, noise, timesteps and dropout."""
    ema: Decay = 0.0
    """Decay of the moving average of the weights, which is then what is measured, drawn and handed back; 0 is off."""
    validation: ValidationSection = ValidationSection()
    samples: SamplesSection = SamplesSection()
    checkpoints: CheckpointSection = CheckpointSection()
    export: ExportSection = ExportSection()
    tensorboard: Switch = True
    """Write an event file for TensorBoard."""
    plot: Switch = True
    """Draw loss.png at the end."""

    @property
    def name(self) -> str:
        return self.export.name or self.output.resolve().name

    @property
    def lora_alpha(self) -> float:
        return self.lora.rank if self.lora.alpha is None else self.lora.alpha
