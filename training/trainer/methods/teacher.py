"""The teacher: the model as it is without the adapters that are being trained, sampled with guidance."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from ....ace.model.conditioning import Conditioning
from ....ace.model.sampler import apply_guidance
from ....ace.model.schedule import trailing_timesteps
from ..learning.adapters import without_adapters


@dataclass(frozen=True)
class Teacher:
    """A model's own guided predictions.

    Attributes:
        model: with adapters, which the teacher does without.
        steps: of its sampler.
        guidance_scale: at 1 there is no guidance.
        guidance_rescale: 0 … 1.
    """

    model: nn.Module
    steps: int
    guidance_scale: float
    guidance_rescale: float

    @property
    def timesteps(self) -> list[int]:
        """That its sampler visits, the noisiest first."""
        return trailing_timesteps(self.steps)

    @torch.no_grad()
    def predict(
        self, x: torch.Tensor, timesteps: torch.Tensor, positive: Conditioning, negative: Conditioning
    ) -> torch.Tensor:
        """Guided eps as the sampler has it, see :func:`ace.model.sampler.apply_guidance`.

        Args:
            x: (B, 4, H, W).
            timesteps: (B,).
            positive, negative: of batch B.

        Returns:
            (B, 4, H, W) float32.
        """
        with without_adapters(self.model):
            conditional = self.model(x, timesteps, positive).float()
            if self.guidance_scale == 1.0:
                return conditional
            unconditional = self.model(x, timesteps, negative).float()
        return apply_guidance(conditional, unconditional, self.guidance_scale, self.guidance_rescale)
