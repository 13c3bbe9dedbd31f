"""Everything that can be set about a training run; unknown keys are rejected. The examples are in `training/configs`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from .config_adapters import EditNetSection, LoraSection
from .config_outputs import (
    CheckpointSection,
    EarlyStoppingSection,
    ExportSection,
    SamplesSection,
    ValidationSection,
)
from .config_values import (
    Fraction,
    FractionBelowOne,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    Section,
    Seed,
    StrictBool,
)


class ScratchSection(Section):
    """Shape of a model that starts from random weights."""

    hidden_size: PositiveInt = 1152
    """Width of a token."""
    depth: PositiveInt = 28
    """Number of transformer blocks."""
    num_heads: PositiveInt = 16
    """Attention heads; must divide hidden_size."""
    mlp_ratio: PositiveFloat = 4.0
    """Width of the MLP over hidden_size."""
    max_seq_len: PositiveInt = 1024
    """Rows of the position table: the longest side of an image in patches."""


class ModelSection(Section):
    """Where training starts from, and the frozen parts around it."""

    bundle: Path | None = None
    """Folder of an ACE model (DiT, VAE, text encoder, tokenizer)."""
    weights: Path | None = None
    """Start from this DiT instead of the bundle's: ACE or PixArt-α, .safetensors or .pth."""
    scratch: ScratchSection | None = None
    """Start from random weights of this shape instead."""
    lora: Path | None = None
    """A finished LoRA that is merged into these weights first. What is trained then has to be used together with it."""
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
    max_tokens: PositiveInt | None = None
    """Patches of 16 x 16 pixels in the largest picture; the bundle's own number if left out."""
    megapixels: PositiveFloat | None = None
    """Area in units of 1024 x 1024 pixels, for the rule megapixels."""
    width: PositiveInt | None = None
    """For the rule exact; a multiple of 16."""
    height: PositiveInt | None = None
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


class SourceSection(Section):
    """Examples that are drawn by number while training; nothing of them is stored."""

    name: Annotated[str, Field(min_length=1)]
    """`module:Class` of an importable class derived from ExampleSource; a leading dot stands for this pack's `training`
    folder, as in ".tiny.source:TinySource"."""
    options: dict[str, Any] = Field(default={})
    """Keyword arguments of the class."""
    passes: PositiveInt = 1
    """How often each drawn batch is used, each time with other noise. Drawing and encoding then cost so many times less."""
    share: Annotated[float, Field(gt=0, le=1, strict=True)] = 0.5
    """Share of the batches that are drawn, where there are datasets too."""


class DataSection(Section):
    """Pairs and what is made of them."""

    datasets: list[Path] = Field(default=[])
    """Folders of pairs (metadata.jsonl, target, control, …)."""
    source: SourceSection | None = None
    """Draws examples while training, instead of datasets or beside them."""
    cache: Path = Path("output/training-cache")
    """Folder for encoded pictures and texts; safe to share between runs and to delete."""
    cache_dtype: Literal["auto", "fp32", "bf16"] = "auto"
    """Stored numbers; auto is fp32 on a CPU and bf16 elsewhere."""
    keep_in_memory_mb: NonNegativeInt = 4096
    """Encoded pictures and texts are held in main memory up to this size, beyond it they are read for every batch."""
    weights: Literal["ignore", "binary", "soft"] = "soft"
    """Importance of a pair (OmniEdit's λ): ignore it, leave out pairs under weight_threshold, or multiply the loss."""
    weight_threshold: NonNegativeFloat = 0.5
    """For binary weights: pairs of at least this weight count fully, others not at all."""
    balance: Literal["pairs", "datasets"] = "pairs"
    """What is seen equally often: every pair, or every dataset, however many pairs it has. The second suits one student of
    several teachers."""
    max_images: Annotated[int, Field(ge=0, le=10, strict=True)] = 10
    """Pairs with more condition images, those of earlier rounds included, are left out."""
    max_rounds: NonNegativeInt = 4
    """Rounds of history to keep, the latest."""
    fill: Literal["keep", "blank"] = "keep"
    """What the model sees under a mask: the picture, or black, as the published model was trained for inpainting."""
    augment: Literal["off", "auto"] | list[Literal["hflip", "vflip", "crop"]] = "off"
    """More pictures out of few pairs: hflip mirrors left and right, vflip turns upside down, crop cuts at the scale of the
    whole; source, references, masks and result alike. auto takes those of the flips that the teacher seems to commute with,
    judged by the pairs and their words."""
    subset: Literal["all", "first half", "second half"] = "all"
    """Which of the pairs to train on: all, or those of one half of their sources, which tells what more pairs would bring."""
    on_bad_pair: Literal["stop", "skip"] = "stop"
    """What happens if a pair cannot be read or makes no sense: stop and name it, or go on without it."""

    @model_validator(mode="after")
    def _something(self) -> DataSection:
        if not self.datasets and self.source is None:
            raise ValueError("there is nothing to learn from: give datasets (folders of pairs), or a source, or both")
        return self


class ObjectiveSection(Section):
    """What is minimised: the mean squared error of the predicted noise."""

    weighting: Literal["noise", "velocity"] = "noise"
    """noise: every timestep counts alike, as published. velocity: as if v were predicted (Salimans & Ho 2022), up to
    max_weighting: noisy timesteps, which decide about colours and composition, count more. Small models learn faster."""
    max_weighting: Annotated[float, Field(ge=1, strict=True)] = 10.0
    """For velocity: the noisiest timesteps count at most so many times as much as a clean one."""
    instruction_dropout: Fraction = 0.1
    """How often the last instruction is replaced by the empty one, which is what guidance needs at sampling."""
    timesteps: Literal["uniform", "stratified"] = "uniform"
    """uniform: independent, as published. stratified: spread evenly over each batch, which makes the loss less noisy."""


class DistilSection(Section):
    """Learning from the model itself, as it is before training: a student that needs fewer evaluations."""

    method: Literal["pairs", "guidance", "consistency"] = "pairs"
    """pairs: the results of the pairs. guidance: the model's own guided predictions, without guidance, which halves the
    evaluations. consistency: to jump to the end from anywhere on the way, in 4 to 8 steps without guidance (LCM)."""
    pairs_share: Fraction = 0.0
    """For guidance and consistency: share of the forward passes that learn from the pairs' results all the same."""
    steps: Annotated[int, Field(ge=1, le=1000, strict=True)] | None = None
    """Of the teacher's sampler; this and the next two are what the bundle recommends if left out."""
    guidance_scale: NonNegativeFloat | None = None
    guidance_rescale: Fraction | None = None


class MuonSection(Section):
    """Muon, for the matrices of the blocks."""

    learning_rate: PositiveFloat = 0.02
    """At its highest, for a square matrix; it rises and falls as optimizer.learning_rate does."""
    momentum: FractionBelowOne = 0.95
    """Share of the earlier gradients in a step."""
    nesterov: StrictBool = True
    """Step from where the momentum leads to."""
    weight_decay: NonNegativeFloat = 0.0
    """Of the matrices; optimizer.weight_decay is for the rest."""
    iterations: Annotated[int, Field(ge=1, le=20, strict=True)] = 5
    """Of the polynomial that evens out the singular values."""
    scale: Literal["original", "match_rms_adamw"] = "original"
    """original: tall matrices get larger steps. match_rms_adamw: steps as large as AdamW's, for its learning rates."""


class OptimizerSection(Section):
    """The optimiser and its learning rate schedule."""

    name: Literal["adamw", "muon"] = "adamw"
    """adamw, the paper's; or muon: Muon for the matrices of the blocks and AdamW for the rest. Muon is for whole models
    (method full), best from random weights: it learns two to three times as much from the same steps."""
    muon: MuonSection = MuonSection()
    learning_rate: PositiveFloat = 2e-5
    """AdamW's at its highest. The paper's is 2e-5 for the whole model; LoRAs want about ten times as much."""
    weight_decay: NonNegativeFloat = 5e-4
    """The paper's."""
    betas: tuple[FractionBelowOne, FractionBelowOne] = (0.9, 0.999)
    eps: PositiveFloat = 1e-8
    clip_norm: NonNegativeFloat = 1.0
    """Gradients are scaled down to this norm; 0 leaves them."""
    schedule: Literal["constant", "linear", "cosine"] = "constant"
    """How the learning rate changes after the warm-up, until the last step."""
    warmup_steps: NonNegativeInt = 0
    """Steps in which the learning rate rises from zero."""
    hold: Fraction = 0.0
    """Share of the steps in which linear and cosine keep the highest rate before it falls; steps can then still be changed
    while a run goes on."""
    final_rate: Fraction = 0.0
    """What linear and cosine end at, as a share of learning_rate."""


class TrainConfig(Section):
    """A training run."""

    output: Path
    """Folder of the run; the same command with the same folder continues it."""
    model: ModelSection
    data: DataSection
    resolution: ResolutionSection = ResolutionSection()
    method: Literal["lora", "full", "editnet"] = "lora"
    """Train low-rank adapters, or the whole transformer, or a control branch beside it (experimental)."""
    lora: LoraSection = LoraSection()
    editnet: EditNetSection = EditNetSection()
    objective: ObjectiveSection = ObjectiveSection()
    distil: DistilSection = DistilSection()
    optimizer: OptimizerSection = OptimizerSection()
    steps: PositiveInt
    """Optimiser steps; with early stopping the most that are taken."""
    batch_size: PositiveInt = 4
    """Pairs in one forward pass of one process."""
    accumulate: PositiveInt = 1
    """Gradient accumulation: forward passes whose gradients are added up for one step."""
    gradient_checkpointing: Literal[True, False, "auto"] = False
    """Compute each block again in the backward pass: a fraction of the memory, about a third more time. auto does so but
    on a CPU, which is slow and seldom short of memory."""
    precision: Literal["fp32", "bf16"] = "bf16"
    """fp32 is exact and repeatable. bf16 computes in bfloat16; what is trained stays in float32."""
    device: Literal["auto", "cpu"] = "auto"
    """auto takes the accelerator where there is one."""
    seed: Seed = 0
    """Decides starting weights, order of the pairs, noise, timesteps and dropout."""
    ema: FractionBelowOne = 0.0
    """Decay of the exponential moving average (EMA) of the weights, which is then what is measured, sampled and exported;
    0 is off."""
    validation: ValidationSection = ValidationSection()
    samples: SamplesSection = SamplesSection()
    early_stopping: EarlyStoppingSection = EarlyStoppingSection()
    checkpoints: CheckpointSection = CheckpointSection()
    export: ExportSection = ExportSection()
    tensorboard: StrictBool = True
    """Write an event file for TensorBoard."""
    plot: StrictBool = True
    """Draw loss.png at the end."""

    @model_validator(mode="after")
    def _suited(self) -> TrainConfig:
        if self.optimizer.name == "muon" and self.method == "editnet":
            raise ValueError(
                "optimizer.name is muon, which is for whole models; the branch of an EditNet starts from trained blocks and "
                'from zeros. Set optimizer.name = "adamw", or method = "full"'
            )
        if self.optimizer.name == "muon" and self.method == "lora":
            raise ValueError(
                "optimizer.name is muon, which steps whole matrices; a LoRA's two factors are none, and gain nothing from "
                'it. Set optimizer.name = "adamw", or method = "full"'
            )
        if self.distil.method != "pairs" and self.method == "full":
            raise ValueError(
                f"distil.method is {self.distil.method}, whose teacher is the model without its LoRA, and method is full, "
                'which leaves no such model. Set method = "lora" (or "editnet")'
            )
        return self

    @model_validator(mode="after")
    def _stops_at_the_full_rate(self) -> TrainConfig:
        if self.early_stopping.every and self.optimizer.schedule != "constant":
            raise ValueError(
                f"early_stopping.every is {self.early_stopping.every} and optimizer.schedule is "
                f'"{self.optimizer.schedule}", which falls towards the last of all steps; a run that stops before it would '
                'stop at a high rate. Set optimizer.schedule = "constant", best with an ema of about '
                "1 - 1 / early_stopping.every, which evens out the latest steps as a falling rate does"
            )
        return self

    @property
    def name(self) -> str:
        """Of the exported file, without its ending."""
        return self.export.name or self.output.resolve().name

    @property
    def lora_alpha(self) -> float:
        """The LoRA's alpha, which is its rank where none is given."""
        return self.lora.rank if self.lora.alpha is None else self.lora.alpha
