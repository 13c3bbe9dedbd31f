"""Pictures with fine grain, and what a VAE would lose of them."""

from __future__ import annotations

import torch
import torch.nn.functional as F


def scene(height: int = 96, width: int = 128, seed: int = 0, channels: int = 3) -> torch.Tensor:
    """Soft shapes under fine grain, (1, height, width, channels), well within 0 … 1."""
    generator = torch.Generator().manual_seed(seed)
    picture = torch.zeros(1, channels, height, width)
    for cells, weight in ((3, 0.5), (12, 0.3), (40, 0.2)):
        octave = torch.rand(1, channels, cells, cells, generator=generator)
        picture += weight * F.interpolate(octave, size=(height, width), mode="bicubic")
    grain = torch.randn(picture.shape, generator=generator) * 0.02
    return (0.2 + 0.6 * picture + grain).clamp(0.05, 0.95).movedim(1, -1).contiguous()


def blurred(picture: torch.Tensor, side: int = 5) -> torch.Tensor:
    """Stands in for a VAE's round trip."""
    soft = F.pad(picture.movedim(-1, 1), (side // 2,) * 4, mode="reflect")
    return F.avg_pool2d(soft, side, stride=1).movedim(1, -1).contiguous()


def distance(one: torch.Tensor, other: torch.Tensor) -> float:
    return (one - other).abs().mean().item()


def added(kept: torch.Tensor, result: torch.Tensor, source: torch.Tensor, round_trip: torch.Tensor) -> float:
    """What was added as a share of what was lost."""
    return distance(kept, result) / distance(source, round_trip)
