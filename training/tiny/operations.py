"""What the edits do to pixels: pure functions of (H, W, 3) pictures, 0 … 1."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

_LUMA = (0.299, 0.587, 0.114)
_SEPIA = ((0.393, 0.769, 0.189), (0.349, 0.686, 0.168), (0.272, 0.534, 0.131))


def invert(image: torch.Tensor) -> torch.Tensor:
    return 1.0 - image


def grayscale(image: torch.Tensor) -> torch.Tensor:
    return _luma(image)[..., None].expand_as(image).contiguous()


def sepia(image: torch.Tensor) -> torch.Tensor:
    """The brown of old prints, by the usual matrix."""
    return (image @ image.new_tensor(_SEPIA).T).clamp(0, 1)


def edges(image: torch.Tensor) -> torch.Tensor:
    """Sobel magnitude of the luma, white lines on black."""
    kernel = image.new_tensor([[1, 0, -1], [2, 0, -2], [1, 0, -1]])[None, None] / 4
    grey = F.pad(_luma(image)[None, None], (1, 1, 1, 1), mode="replicate")
    x, y = F.conv2d(grey, kernel), F.conv2d(grey, kernel.transpose(2, 3))
    magnitude = (2.0 * (x.square() + y.square()).sqrt())[0, 0].clamp(0, 1)
    return magnitude[..., None].expand_as(image).contiguous()


def blur(image: torch.Tensor, sigma: float) -> torch.Tensor:
    """Gaussian; ``sigma`` in pixels."""
    radius = max(1, math.ceil(3 * sigma))
    offsets = torch.arange(-radius, radius + 1, dtype=image.dtype)
    kernel = torch.exp(-0.5 * (offsets / sigma) ** 2)
    kernel = (kernel / kernel.sum()).repeat(3, 1, 1, 1)  # (3, 1, 1, K), one for each channel
    planes = F.pad(image.permute(2, 0, 1)[None], (radius,) * 4, mode="replicate")
    planes = F.conv2d(F.conv2d(planes, kernel, groups=3), kernel.transpose(2, 3), groups=3)
    return planes[0].permute(1, 2, 0).contiguous()


def shift_colours(image: torch.Tensor, amount: float) -> torch.Tensor:
    """Warmer (above 0: more red, less blue) or cooler (below 0)."""
    return (image * image.new_tensor([1 + 0.35 * amount, 1.0, 1 - 0.35 * amount])).clamp(0, 1)


def brighten(image: torch.Tensor, amount: float) -> torch.Tensor:
    """Lighter (above 0) or darker (below 0) by a gamma curve, so that black stays black and white stays white."""
    return image.clamp(0, 1) ** math.exp(-amount)


def posterise(image: torch.Tensor, levels: int = 4) -> torch.Tensor:
    """Only so many levels in each channel."""
    return (image * levels).floor().clamp(0, levels - 1) / (levels - 1)


def mosaic(image: torch.Tensor, side: int) -> torch.Tensor:
    """Squares of ``side`` pixels, each in its mean colour; the picture's sides must be multiples of it."""
    planes = F.avg_pool2d(image.permute(2, 0, 1)[None], side)
    return F.interpolate(planes, scale_factor=side, mode="nearest")[0].permute(1, 2, 0).contiguous()


def flip_horizontally(image: torch.Tensor) -> torch.Tensor:
    return image.flip(1)


def flip_vertically(image: torch.Tensor) -> torch.Tensor:
    return image.flip(0)


def inside(mask: torch.Tensor, new: torch.Tensor, old: torch.Tensor) -> torch.Tensor:
    """``new`` where the (H, W) mask is 1, ``old`` elsewhere."""
    return torch.lerp(old, new, mask[..., None])


def fill(image: torch.Tensor, colour: tuple[int, int, int]) -> torch.Tensor:
    """One colour, 0 … 255 a channel, in the picture's size."""
    return (image.new_tensor(colour) / 255).expand_as(image).contiguous()


def _luma(image: torch.Tensor) -> torch.Tensor:
    return image @ image.new_tensor(_LUMA)
