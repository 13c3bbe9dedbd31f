"""Sections of the configuration about what is measured, shown and written while a run goes on, and what it hands back."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from ...ace.weights.presets import BundleDefaults
from ..dataset.disk.names import is_reserved
from .config_values import (
    Fraction,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveInt,
    Section,
    StrictBool,
)

_MAX_NAME_BYTES = 180  # bytes; file systems stop at 255, and temporary names and step numbers need room


class ValidationSection(Section):
    """Loss on held-out pairs, with the same noise and timesteps every time."""

    every: NonNegativeInt = 500
    """Steps between two measurements; 0 switches them off."""
    max_examples: PositiveInt = 64
    """Held-out pairs to measure on."""
    timesteps: PositiveInt = 4
    """Noise levels per pair, spread evenly."""


class SamplesSection(Section):
    """Pictures from held-out sources, beside the teacher's."""

    every: NonNegativeInt = 1000
    """Steps between two sheets; 0 switches them off."""
    count: PositiveInt = 4
    """Held-out pairs to draw."""
    steps: Annotated[int, Field(ge=1, le=1000, strict=True)] | None = None
    """Of the sampler; this and the next two are what the bundle recommends if left out."""
    guidance_scale: NonNegativeFloat | None = None
    guidance_rescale: Fraction | None = None

    def with_defaults(self, defaults: BundleDefaults) -> SamplesSection:
        """These settings, with a bundle's defaults where they are left out."""
        names = ("steps", "guidance_scale", "guidance_rescale")
        return self.model_copy(update={n: getattr(defaults, n) for n in names if getattr(self, n) is None})


class EarlyStoppingSection(Section):
    """Where a run ends by itself: the pictures on held-out pairs no longer come nearer to the teacher's.

    The best weights so far are what the run hands back, not the last. The measure is the score of the pictures,
    1 - L1(student, teacher) / L1(source, teacher), since the loss goes on moving long after the pictures have stopped.
    """

    every: NonNegativeInt = 0
    """Steps between two measurements; 0 switches early stopping off, and the run takes all its steps."""
    patience: PositiveInt = 5
    """Measurements in a row without progress after which the run ends."""
    min_delta: Annotated[float, Field(ge=0, lt=1, strict=True)] = 0.005
    """What the score must have gained to count as progress; less is taken for chance."""
    max_examples: PositiveInt = 16
    """Held-out pairs to measure on; with fewer than three there is nothing to decide by, and all steps are taken."""
    pairs: Literal["all", "half"] = "all"
    """Which of the held-out pairs decide: all, or half of their sources, so that the other half can say afterwards what the
    student is worth. Where half would be fewer than three sources, all decide."""


class CheckpointSection(Section):
    """What a stopped run continues from."""

    every: NonNegativeInt = 1000
    """Steps between two checkpoints; 0 writes one at the end only."""
    keep: PositiveInt = 3
    """How many of the latest stay."""
    export: StrictBool = False
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
        if name and (odd or name[0] in ". " or name[-1] in ". " or len(name.encode()) > _MAX_NAME_BYTES):
            raise ValueError("this is no file name: folders, leading dots and signs such as : or * cannot be used")
        return name
