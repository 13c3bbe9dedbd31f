"""How far one picture is from another: (1, H, W, 3) tensors, 0 … 1, of one size."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

Distance = Callable[[torch.Tensor, torch.Tensor], float]
_MOST_DECIBELS = 100.0  # of equal pictures, whose PSNR has no limit


@dataclass(frozen=True)
class Distances:
    """One picture against another.

    Attributes:
        l1: mean absolute difference, 0 … 1.
        psnr: decibels; 100 for equal pictures.
        ssim: Wang et al. 2004 on colour, with the usual window of 11 pixels; 1 for equal pictures.
        lpips: Zhang et al. 2018, or None where its weights are not at hand.
    """

    l1: float
    psnr: float
    ssim: float
    lpips: float | None = None

    def as_dict(self) -> dict[str, float]:
        return {name: value for name, value in asdict(self).items() if value is not None}


def measure(picture: torch.Tensor, wanted: torch.Tensor, lpips: Distance | None = None) -> Distances:
    """Compares two pictures.

    Args:
        picture, wanted: (1, H, W, 3), 0 … 1.
        lpips: from :func:`find_lpips`.

    Raises:
        ValueError: their sizes differ.
    """
    from kornia.metrics import psnr, ssim

    if picture.shape != wanted.shape:
        raise ValueError(
            f"pictures of one size are compared, got {tuple(picture.shape)} and {tuple(wanted.shape)} (batch, height, "
            "width, channels)"
        )
    one, other = (image.movedim(-1, 1).float() for image in (picture, wanted))  # (1, 3, H, W)
    decibels = psnr(one, other, 1.0).item()
    return Distances(
        l1=(one - other).abs().mean().item(),
        psnr=min(decibels, _MOST_DECIBELS) if math.isfinite(decibels) else _MOST_DECIBELS,
        ssim=ssim(one, other, window_size=11).mean().item(),
        lpips=None if lpips is None else lpips(one, other),
    )


def mean(distances: list[Distances]) -> Distances | None:
    """Number by number; LPIPS only if all have it."""
    if not distances:
        return None
    columns = {name: [getattr(one, name) for one in distances] for name in ("l1", "psnr", "ssim", "lpips")}
    return Distances(
        **{name: None if None in values else sum(values) / len(values) for name, values in columns.items()}
    )


def find_lpips() -> Distance | None:
    """LPIPS on AlexNet if the package `lpips` and AlexNet's weights are on this machine; nothing is ever downloaded."""
    if not any(Path(torch.hub.get_dir(), "checkpoints").glob("alexnet-owt-*.pth")):
        return None
    try:
        from lpips import LPIPS
    except ImportError:
        return None
    network = LPIPS(net="alex", verbose=False).eval()

    @torch.no_grad()
    def distance(picture: torch.Tensor, wanted: torch.Tensor) -> float:
        return network(picture.cpu(), wanted.cpu(), normalize=True).item()

    return distance
