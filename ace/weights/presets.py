"""How the published models are sampled, and what a file of that name was trained on."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class DistillationDefaults:
    """How a bundle's model is meant to learn an edit from pairs; as in ``training/configs/distil-lora.toml`` by default.

    Attributes:
        rank: of the LoRA.
        learning_rate: at its highest.
        steps: of the optimiser.
        batch_size: pairs in one step.
    """

    rank: int = 32
    learning_rate: float = 2e-4
    steps: int = 2000
    batch_size: int = 4


@dataclass(frozen=True)
class BundleDefaults:
    """How a bundle's model is meant to be sampled and trained.

    Attributes:
        max_tokens: patches of 16 x 16 pixels in the largest image.
        steps: of the sampler.
        guidance_scale: strength of classifier-free guidance.
        guidance_rescale: 0 … 1, see :func:`ace.model.sampler.apply_guidance`.
        description: what the model is, for a menu or a notice.
        distillation: how it learns an edit.
    """

    max_tokens: int = 1024
    steps: int = 20
    guidance_scale: float = 4.5
    guidance_rescale: float = 0.5
    description: str = ""
    distillation: DistillationDefaults = DistillationDefaults()


@dataclass(frozen=True)
class RecommendedSampling:
    """How a model is best sampled: found for it and stored with it.

    Attributes:
        steps: of the sampler.
        guidance_scale: strength of classifier-free guidance; at 1 there is none, and a step is one evaluation, not two.
        guidance_rescale: 0 … 1, see :func:`ace.model.sampler.apply_guidance`.
    """

    steps: int
    guidance_scale: float
    guidance_rescale: float

    @classmethod
    def of(cls, defaults: BundleDefaults) -> RecommendedSampling:
        """A bundle's."""
        return cls(defaults.steps, defaults.guidance_scale, defaults.guidance_rescale)

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, str]) -> RecommendedSampling | None:
        """From the header of a file; None if it recommends nothing, or nothing that can be used."""
        try:
            steps = int(metadata["sampler_steps"])
            scale, rescale = (float(metadata[name]) for name in ("sampler_cfg", "sampler_rescale"))
        except (KeyError, ValueError):
            return None
        usable = steps > 0 and math.isfinite(scale) and scale >= 0 and 0 <= rescale <= 1
        return cls(steps, scale, rescale) if usable else None

    def to_metadata(self) -> dict[str, str]:
        """For the header of a file; :meth:`from_metadata` reads it."""
        return {
            "sampler_steps": str(self.steps),
            "sampler_cfg": repr(self.guidance_scale),
            "sampler_rescale": repr(self.guidance_rescale),
        }

    @property
    def evaluations(self) -> int:
        """Of the model for a picture."""
        return self.steps * (1 if self.guidance_scale == 1 else 2)

    def __str__(self) -> str:
        guidance = "without guidance" if self.guidance_scale == 1 else f"with guidance {self.guidance_scale:g}"
        return f"with {self.steps} step{'' if self.steps == 1 else 's'} {guidance}"


_PRESETS = {
    "512px": BundleDefaults(description="ACE 0.6B, images up to 512 x 512 pixels"),
    "1024px": BundleDefaults(max_tokens=4096, steps=50, description="ACE 0.6B, images up to 1024 x 1024 pixels"),
}


def preset_by_name(name: str) -> BundleDefaults | None:
    """The published defaults for a model of this name; None if it says neither 512px nor 1024px."""
    return next((value for key, value in reversed(_PRESETS.items()) if key in name), None)
