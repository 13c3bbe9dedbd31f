"""Image metrics: how far one picture is from another."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import torch

from .perceptual import detail_ratio, gradient_similarity_deviation, multi_scale_ssim
from .texture import find_vgg, load_texture_distance

Metric = Callable[[torch.Tensor, torch.Tensor], float]  # of two pictures (1, 3, H, W), 0 … 1
_MAX_PSNR = 100.0  # decibels, of equal pictures, whose PSNR has no limit
_SMALLEST = 11  # pixels a side, SSIM's window; smaller pictures are enlarged for the perceptual metrics


@dataclass(frozen=True)
class ImageMetrics:
    """Metrics of one picture against another.

    Attributes:
        l1: mean absolute difference, 0 … 1.
        psnr: decibels; 100 for equal pictures.
        ssim: Wang et al. 2004 on colour, with the usual window of 11 pixels; 1 for equal pictures.
        ms_ssim: SSIM on several scales; 1 for equal pictures.
        gmsd: spread of the similarity of edges; 0 for equal pictures.
        detail: fine detail as a share of the other's; 1 is as much, less is softer, more is grainier.
        lpips: Zhang et al. 2018, or None where its weights are not at hand.
        texture: structure and texture on VGG16 after Ding et al. 2020, or None where its weights are not at hand.
    """

    l1: float
    psnr: float
    ssim: float
    ms_ssim: float
    gmsd: float
    detail: float
    lpips: float | None = None
    texture: float | None = None

    def as_dict(self) -> dict[str, float]:
        """For JSON; the learned metrics only where they were measured."""
        return {name: value for name, value in asdict(self).items() if value is not None}


@dataclass(frozen=True)
class LearnedMetrics:
    """Metrics that are networks, where their weights are at hand; see :func:`load_learned_metrics`."""

    lpips: Metric | None = None
    texture: Metric | None = None


def load_learned_metrics() -> LearnedMetrics:
    """Those whose weights are on this machine; nothing is ever downloaded."""
    vgg = find_vgg()
    return LearnedMetrics(load_lpips(), None if vgg is None else load_texture_distance(vgg))


def compute_metrics(
    picture: torch.Tensor, target: torch.Tensor, learned: LearnedMetrics = LearnedMetrics()
) -> ImageMetrics:
    """Compares two pictures.

    Args:
        picture, target: (1, H, W, 3), 0 … 1.
        learned: from :func:`load_learned_metrics`.

    Raises:
        ValueError: their sizes differ.
    """
    from kornia.metrics import psnr, ssim

    if picture.shape != target.shape:
        raise ValueError(
            f"pictures of one size are compared, got {tuple(picture.shape)} and {tuple(target.shape)} (batch, height, "
            "width, channels)"
        )
    one, other = (image.movedim(-1, 1).float() for image in (picture, target))  # (1, 3, H, W)
    decibels = psnr(one, other, 1.0).item()
    return ImageMetrics(
        l1=(one - other).abs().mean().item(),
        psnr=min(decibels, _MAX_PSNR) if math.isfinite(decibels) else _MAX_PSNR,
        ssim=ssim(one, other, window_size=11).mean().item(),
        **_perceptual(one, other),
        lpips=None if learned.lpips is None else learned.lpips(one, other),
        texture=None if learned.texture is None else learned.texture(one, other),
    )


def _perceptual(one: torch.Tensor, other: torch.Tensor) -> dict[str, float]:
    """Of (1, 3, H, W)."""
    if min(one.shape[-2:]) < _SMALLEST:
        size = [max(_SMALLEST, side) for side in one.shape[-2:]]
        one, other = (torch.nn.functional.interpolate(image, size, mode="nearest") for image in (one, other))
    return {
        "ms_ssim": multi_scale_ssim(one, other),
        "gmsd": gradient_similarity_deviation(one, other),
        "detail": detail_ratio(one, other),
    }


def mean_metrics(metrics: Sequence[ImageMetrics]) -> ImageMetrics | None:
    """The mean of each metric, the learned ones only if all have them; None of nothing."""
    if not metrics:
        return None
    columns = {field.name: [getattr(one, field.name) for one in metrics] for field in fields(ImageMetrics)}
    return ImageMetrics(
        **{name: None if None in values else sum(values) / len(values) for name, values in columns.items()}
    )


def load_lpips() -> Metric | None:
    """LPIPS on AlexNet, or None unless the package `lpips` and AlexNet's weights are on this machine.

    Nothing is ever downloaded.
    """
    if not any(Path(torch.hub.get_dir(), "checkpoints").glob("alexnet-owt-*.pth")):
        return None
    try:
        from lpips import LPIPS
    except ImportError:
        return None
    network = LPIPS(net="alex", verbose=False).eval()

    @torch.no_grad()
    def lpips(picture: torch.Tensor, target: torch.Tensor) -> float:
        return network(picture.cpu(), target.cpu(), normalize=True).item()

    return lpips
