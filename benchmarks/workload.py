"""The workload that is measured: models of the published size with random weights, and editing jobs for them."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ..ace.model.conditioning import Conditioning
from ..ace.model.config import ACEConfig
from ..ace.model.transformer import ACEModel
from ..ace.weights.init import initialize_weights

TEXT_TOKENS = 40  # a sentence or two; the text encoder gives at most 120
_TABLE_ROWS = 10  # of the indicator table


@dataclass(frozen=True)
class Setting:
    """Where and how thoroughly to measure.

    Attributes:
        device, dtype: of model and inputs.
        quick: a model of a fraction of the depth, small pictures and few repeats, to see that all is in order.
    """

    device: torch.device
    dtype: torch.dtype
    quick: bool = False

    @property
    def config(self) -> ACEConfig:
        """Shape of the model to measure."""
        return self.shallow if self.quick else ACEConfig()

    @property
    def shallow(self) -> ACEConfig:
        """For ratios of things that every block repeats alike."""
        return ACEConfig(depth=2 if self.quick else 4)

    @property
    def rounds(self) -> int:
        """How often to repeat a measurement."""
        return 3 if self.quick else 5


@dataclass(frozen=True)
class Job:
    """One picture to make.

    Attributes:
        side: of the target and all references, in pixels.
        references: condition images.
    """

    side: int
    references: int

    def __str__(self) -> str:
        return f"{self.side} px, {self.references} ref" + "s" * (self.references != 1)

    @property
    def frame_tokens(self) -> int:
        """Image tokens of one frame."""
        return (self.side // 16) ** 2

    @property
    def tokens(self) -> int:
        """Image tokens of all frames."""
        return self.frame_tokens * (self.references + 1)


JOBS = tuple(Job(side, references) for side in (256, 512) for references in (0, 1, 3))
LARGE_JOBS = (Job(1024, 0), Job(1024, 1))  # minutes a pass on a CPU


def build_model(config: ACEConfig, setting: Setting, seed: int = 0) -> ACEModel:
    """A model with starting weights; the final layer's are not zero, so that the result depends on everything."""
    with torch.device("meta"):
        model = ACEModel(config, dtype=setting.dtype)
    model = initialize_weights(model.to_empty(device="cpu"), seed)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        model.final_layer.linear.weight.normal_(0.0, 0.02, generator=generator)
    return model.to(setting.device).eval().requires_grad_(False)


def build_noise(job: Job, setting: Setting, seed: int = 0) -> torch.Tensor:
    """Noise (1, 4, side / 8, side / 8)."""
    shape = (1, 4, job.side // 8, job.side // 8)
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(setting.device, setting.dtype)


def build_conditioning(
    job: Job, setting: Setting, text_tokens: tuple[int, ...] | int = TEXT_TOKENS, seed: int = 0
) -> Conditioning:
    """References and texts of a job, all random.

    Args:
        job: number and size of the references.
        setting: device and dtype.
        text_tokens: tokens of every text, or of each: the target's first.
        seed: of everything random.
    """
    generator = torch.Generator().manual_seed(seed)
    width = ACEConfig.text_width
    lengths = (text_tokens,) * (job.references + 1) if isinstance(text_tokens, int) else text_tokens
    latent = job.side // 8
    conditioning = Conditioning(
        context=[torch.randn(1, length, width, generator=generator) for length in lengths],
        indicator_embeddings=torch.randn(_TABLE_ROWS, width, generator=generator),
        references=[torch.randn(1, 4, latent, latent, generator=generator) for _ in range(job.references)],
    )
    return conditioning.to(setting.device, setting.dtype)
