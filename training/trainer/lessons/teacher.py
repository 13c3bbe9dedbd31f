"""The teacher: the model as it is without the LoRA that is being trained, sampled with guidance."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import nn

from ....ace.model.conditioning import Conditioning
from ....ace.model.sampler import apply_guidance
from ....ace.model.schedule import trailing_timesteps


@contextlib.contextmanager
def without_lora(model: nn.Module) -> Iterator[None]:
    """The model's frozen layers alone answer inside this block."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    layers = [module for module in model.modules() if isinstance(module, BaseTunerLayer)]
    for layer in layers:
        layer.enable_adapters(False)
    try:
        yield
    finally:
        for layer in layers:
            layer.enable_adapters(True)


@dataclass(frozen=True)
class Teacher:
    """A model's own guided predictions.

    Attributes:
        model: with a LoRA, which the teacher does without.
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
        with without_lora(self.model):
            conditional = self.model(x, timesteps, positive).float()
            if self.guidance_scale == 1.0:
                return conditional
            unconditional = self.model(x, timesteps, negative).float()
        return apply_guidance(conditional, unconditional, self.guidance_scale, self.guidance_rescale)
