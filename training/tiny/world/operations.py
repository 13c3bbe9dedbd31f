"""What the edits do to pixels: pure functions of (H, W, 3) pictures, 0 … 1."""

from __future__ import annotations

import math

import torch

from ....ace.pictures import condition_images

_SEPIA = ((0.393, 0.769, 0.189), (0.349, 0.686, 0.168), (0.272, 0.534, 0.131))
_CYANOTYPE_INKS = ((0.02, 0.10, 0.36), (0.94, 0.97, 1.0))  # of shadows and lights


def invert(image: torch.Tensor) -> torch.Tensor:
    """The negative."""
    return 1.0 - image


def grayscale(image: torch.Tensor) -> torch.Tensor:
    """Luma in all three channels."""
    return condition_images.grayscale(image[None], condition_images.Grayscale())[0]


def sepia(image: torch.Tensor) -> torch.Tensor:
    """The brown of old prints, by the usual matrix."""
    return (image @ image.new_tensor(_SEPIA).T).clamp(0, 1)


def edges(image: torch.Tensor) -> torch.Tensor:
    """Sobel magnitude of the luma, white lines on black."""
    from kornia.filters import sobel

    magnitude = sobel(grayscale(image).permute(2, 0, 1)[None])[0].permute(1, 2, 0)
    return (4.0 * magnitude).clamp(0, 1)


def blur(image: torch.Tensor, sigma: float) -> torch.Tensor:
    """Gaussian; ``sigma`` in pixels."""
    return condition_images.blur(image[None], condition_images.Blur(sigma))[0]


def sharpen(image: torch.Tensor, amount: float, sigma: float) -> torch.Tensor:
    """Unsharp mask: what a Gaussian of ``sigma`` pixels takes away is added ``amount`` times."""
    return (image + amount * (image - blur(image, sigma))).clamp(0, 1)


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
    """Squares of ``side`` pixels, each in its mean colour."""
    return condition_images.mosaic(image[None], condition_images.Mosaic(side))[0]


def flip_horizontally(image: torch.Tensor) -> torch.Tensor:
    """Left becomes right."""
    return image.flip(1)


def flip_vertically(image: torch.Tensor) -> torch.Tensor:
    """Up becomes down."""
    return image.flip(0)


def inside(mask: torch.Tensor, new: torch.Tensor, old: torch.Tensor) -> torch.Tensor:
    """``new`` where the (H, W) mask is 1, ``old`` elsewhere."""
    return torch.where(mask[..., None] > 0.5, new, old)


def fill(image: torch.Tensor, colour: tuple[int, int, int]) -> torch.Tensor:
    """One colour, 0 … 255 a channel, in the picture's size."""
    return (image.new_tensor(colour) / 255).expand_as(image).contiguous()


def ink_drawing(image: torch.Tensor) -> torch.Tensor:
    """Dark outlines over a few flat colours."""
    return (posterise(blur(image, 1.0)) * (1 - 0.9 * edges(image))).clamp(0, 1)


def cyanotype(image: torch.Tensor) -> torch.Tensor:
    """Glow, grey, tone curve, two inks, vignette."""
    grey = grayscale(torch.maximum(image, 0.85 * blur(image, 3.0)))
    toned = grey * grey * (3 - 2 * grey)
    shadows, lights = (image.new_tensor(ink).expand_as(image) for ink in _CYANOTYPE_INKS)
    return (torch.lerp(shadows, lights, toned) * _vignette(*image.shape[:2])).clamp(0, 1)


def _vignette(height: int, width: int) -> torch.Tensor:
    """(H, W, 1): 1 in the middle, darker towards the corners."""
    y, x = torch.linspace(-1, 1, height)[:, None], torch.linspace(-1, 1, width)[None]
    return (1 - 0.35 * (x * x + y * y) / 2)[..., None]
