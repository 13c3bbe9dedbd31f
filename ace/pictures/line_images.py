"""Condition images of lines, without a model: Canny edges, pencil sketch, contour, scribble, doodle.

All functions take and return (B, H, W, 3) float32 in [0, 1]. The paper drew contours, scribbles and doodles with networks
(informative drawings, PIDNet, SketchNet); the operators here give pictures of the same kind, coarser in judgement.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from .morphology import grow
from .parameters import Parameters, number, switch

STRIP_PIXELS = 2**21
STRIP_HALO = 8
"""Rows beyond a strip that Canny's blur, gradient and thinning look at (2 + 1 + 1), rounded up."""
INVERT_HELP = "White lines on black instead of dark lines on white."


@dataclass(frozen=True)
class Canny(Parameters):
    """Of :func:`canny`."""

    low: float = number(0.4, 0.01, 0.99, "Edges weaker than this are dropped.", 0.01)
    high: float = number(
        0.8, 0.01, 0.99, "Edges stronger than this are kept, with all weaker ones they run into.", 0.01
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.low > self.high:
            raise ValueError(f"low is {self.low} and high {self.high}; low must not be above high")


@dataclass(frozen=True)
class Sketch(Parameters):
    """Of :func:`sketch`."""

    softness: float = number(6.0, 0.5, 64.0, "Width in pixels of the pencil's shading.", 0.5)
    darkness: float = number(1.5, 0.2, 8.0, "How dark the pencil is.", 0.1)
    invert: bool = switch(False, INVERT_HELP)


@dataclass(frozen=True)
class Contour(Parameters):
    """Of :func:`contour`."""

    smoothing: float = number(2.0, 0.3, 32.0, "Details smaller than about this many pixels are ignored.", 0.1)
    darkness: float = number(1.0, 0.2, 8.0, "How dark the lines are.", 0.1)
    invert: bool = switch(False, INVERT_HELP)


@dataclass(frozen=True)
class Scribble(Parameters):
    """Of :func:`scribble`."""

    thickness: float = number(1.4, 0.3, 16.0, "Thickness of the lines in pixels.", 0.1)
    contrast: float = number(80.0, 1.0, 400.0, "Higher draws faint lines too and makes them black.", 1.0)
    invert: bool = switch(False, INVERT_HELP)


@dataclass(frozen=True)
class Doodle(Parameters):
    """Of :func:`doodle`."""

    detail: int = number(384, 64, 2048, "Long side in pixels of the picture lines are found on; less is rougher.", 16)
    thickness: int = number(2, 0, 32, "How much the lines are thickened, in pixels of that picture.")
    low: float = number(0.3, 0.01, 0.99, "Edges weaker than this are dropped.", 0.01)
    high: float = number(0.7, 0.01, 0.99, "Edges stronger than this are kept.", 0.01)
    invert: bool = switch(False, INVERT_HELP)


def canny(image: torch.Tensor, parameters: Canny) -> torch.Tensor:
    """White edges one pixel wide on black (Canny 1986): (B, H, W, 3) -> (B, H, W, 3)."""
    return _to_rgb_image(_canny_edges(_gray(image), parameters.low, parameters.high), inverted=False)


def sketch(image: torch.Tensor, parameters: Sketch) -> torch.Tensor:
    """Pencil drawing by dodging the grey picture with its own blur: (B, H, W, 3) -> (B, H, W, 3)."""
    gray = _gray(image)
    page = (gray + 0.1).div_(blur(gray, parameters.softness).add_(0.1)).clamp_(0, 1)
    return _to_rgb_image(page.pow_(parameters.darkness * 2), parameters.invert)


def contour(image: torch.Tensor, parameters: Contour) -> torch.Tensor:
    """Soft outlines where the Sobel gradient of the smoothed picture is large: (B, H, W, 3) -> (B, H, W, 3)."""
    from kornia.filters import sobel

    slope = sobel(blur(_gray(image), parameters.smoothing))
    # A regular sample stands in for all pixels; the floor keeps the grain of a flat picture from being drawn.
    sample = slope.flatten(1)[:, :: max(1, slope[0].numel() // 2**16)]
    strongest = torch.quantile(sample, 0.99, dim=1).clamp(min=0.02)[:, None, None, None]
    return _to_rgb_image(1 - (slope * (parameters.darkness / strongest)).clamp_(0, 1), parameters.invert)


def scribble(image: torch.Tensor, parameters: Scribble) -> torch.Tensor:
    """Line art by a thresholded difference of Gaussians: (B, H, W, 3) -> (B, H, W, 3).

    That is XDoG (Winnemöller et al. 2012) without filled areas.
    """
    gray = _gray(image)
    response = blur(gray, parameters.thickness).sub_(blur(gray, 1.6 * parameters.thickness), alpha=0.98)
    return _to_rgb_image(response.mul_(parameters.contrast).clamp_(max=0).tanh_().add_(1), parameters.invert)


def doodle(image: torch.Tensor, parameters: Doodle) -> torch.Tensor:
    """Few thick lines, as drawn by hand, from strong edges of a small picture: (B, H, W, 3) -> (B, H, W, 3)."""
    gray = _gray(image)
    height, width = gray.shape[2:]
    scale = min(1.0, parameters.detail / max(height, width))
    size = max(1, round(height * scale)), max(1, round(width * scale))
    small = F.interpolate(gray, size=size, mode="bilinear", antialias=True)
    edges = _canny_edges(blur(small, 2.0), min(parameters.low, parameters.high) / 2, parameters.high / 2)
    lines = grow(edges[:, 0], parameters.thickness)[:, None]
    # Blurring and steepening rounds off the steps of the small picture.
    lines = F.interpolate(blur(lines, 1.0), size=(height, width), mode="bicubic").sub_(0.5).mul_(4).add_(0.5)
    return _to_rgb_image(1 - lines.clamp_(0, 1), parameters.invert)


def blur(picture: torch.Tensor, sigma: float) -> torch.Tensor:
    """Gaussian blur with edges repeated: (B, C, H, W) -> (B, C, H, W).

    A wide one is computed on a smaller picture, which has lost nothing that would survive the blur: kornia's time grows
    with sigma, this does not.

    Args:
        picture: (B, C, H, W).
        sigma: standard deviation in pixels.
    """
    from kornia.filters import gaussian_blur2d

    height, width = picture.shape[2:]
    factor = max(1, int(sigma / 4))
    if factor > 1:
        size = math.ceil(height / factor), math.ceil(width / factor)
        picture = F.interpolate(picture, size=size, mode="bilinear", antialias=True)
    kernel = 2 * math.ceil(3 * sigma / factor) + 1
    # One channel at a time: together they take half again as long and three times the memory.
    channels = [
        gaussian_blur2d(channel.contiguous(), (kernel, kernel), (sigma / factor,) * 2, border_type="replicate")
        for channel in picture.split(1, dim=1)
    ]
    blurred = torch.cat(channels, dim=1)
    if factor > 1:
        blurred = F.interpolate(blurred, size=(height, width), mode="bilinear")
    return blurred


def _gray(image: torch.Tensor) -> torch.Tensor:
    """(B, H, W, 3) -> (B, 1, H, W)."""
    from kornia.color import rgb_to_grayscale

    return rgb_to_grayscale(image.permute(0, 3, 1, 2))


def _to_rgb_image(page: torch.Tensor, inverted: bool) -> torch.Tensor:
    """(B, 1, H, W) -> (B, H, W, 3)."""
    page = 1 - page if inverted else page
    return page[:, 0, :, :, None].expand(-1, -1, -1, 3).contiguous()


def _canny_edges(gray: torch.Tensor, low: float, high: float) -> torch.Tensor:
    """Canny edges of (B, 1, H, W) as zeros and ones.

    kornia finds and thins the edges, strip by strip: on a whole picture of 4096x4096 it holds 2 GB. Its own tracking of
    weak edges passes over the picture once for every pixel of the longest one, ten minutes at that size.
    """
    from kornia.filters import canny

    height = gray.shape[2]
    padded = F.pad(gray, (STRIP_HALO,) * 4, mode="replicate")
    step = max(STRIP_HALO, STRIP_PIXELS // padded.shape[3])
    inner = slice(STRIP_HALO, -STRIP_HALO)
    strips = []
    for top in range(0, height, step):
        strip = padded[:, :, top : min(top + step, height) + 2 * STRIP_HALO]
        strips.append(canny(strip, low, high, hysteresis=False)[1][:, 0, inner, inner])
    edges = torch.cat(strips, dim=1)
    return _track_edges(edges > 0, edges > 0.75)[:, None].to(gray.dtype)


def _track_edges(weak: torch.Tensor, strong: torch.Tensor) -> torch.Tensor:
    """Weak pixels (boolean (B, H, W)) that are linked to strong ones by weak ones: a flood fill from the strong ones."""
    open_ = F.pad(weak, (1, 1, 1, 1))
    row = open_.shape[2]
    shape, open_ = open_.shape, open_.flatten()
    steps = torch.tensor([dy * row + dx for dy in (-1, 0, 1) for dx in (-1, 0, 1) if dy or dx], device=weak.device)
    front = F.pad(strong, (1, 1, 1, 1)).flatten().nonzero()[:, 0]
    kept = torch.zeros_like(open_)
    kept[front] = True
    open_[front] = False
    while front.numel():
        reached = (front[:, None] + steps).flatten()
        front = reached[open_[reached]].unique()
        kept[front] = True
        open_[front] = False
    return kept.view(shape)[:, 1:-1, 1:-1]
