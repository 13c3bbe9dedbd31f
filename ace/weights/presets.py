"""How the published models are sampled, and what a file of that name was trained on."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class BundleDefaults:
    """How a bundle's model is meant to be sampled.

    Attributes:
        max_tokens: patches of 16 x 16 pixels in the largest image.
        steps: of the sampler.
        guidance_scale: strength of classifier-free guidance.
        guidance_rescale: 0 … 1, see :func:`ace.model.sampler.apply_guidance`.
        description: what the model is, for a menu or a notice.
    """

    max_tokens: int = 1024
    steps: int = 20
    guidance_scale: float = 4.5
    guidance_rescale: float = 0.5
    description: str = ""


_PRESETS = {
    "512px": BundleDefaults(description="ACE 0.6B, images up to 512 x 512 pixels"),
    "1024px": BundleDefaults(max_tokens=4096, steps=50, description="ACE 0.6B, images up to 1024 x 1024 pixels"),
}


def preset_by_name(name: str) -> BundleDefaults | None:
    """The published defaults for a model of this name; None if it says neither 512px nor 1024px."""
    return next((value for key, value in reversed(_PRESETS.items()) if key in name), None)
