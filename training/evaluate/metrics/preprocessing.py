"""Pictures as the published evaluation scripts hand them to their encoders, equal to the pixel.

The scripts resize with Pillow; torch's bicubic, with or without antialiasing, gives other pixels and cosines that differ
by up to .01.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def unit_tensor(image: Image.Image) -> torch.Tensor:
    """(3, H, W), 0 … 1, of an RGB picture."""
    return torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1).float() / 255.0


def resize_shorter_side(image: Image.Image, size: int) -> Image.Image:
    """The shorter side becomes ``size`` by Pillow's bicubic; the longer one is rounded down, as torchvision does."""
    width, height = image.size
    if min(width, height) == size:
        return image
    if width <= height:
        return image.resize((size, int(size * height / width)), Image.Resampling.BICUBIC)
    return image.resize((int(size * width / height), size), Image.Resampling.BICUBIC)


def crop_centre(image: Image.Image, size: int, whole: Callable[[float], int] = round) -> Image.Image:
    """A square of ``size`` out of the middle.

    Args:
        whole: rounds the corner's place: half to even as torchvision, or down (``math.floor``) as transformers.
    """
    left, top = (whole((side - size) / 2) for side in image.size)
    return image.crop((left, top, left + size, top + size))


def normalise(pixels: torch.Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> torch.Tensor:
    """(3, H, W) -> the same, each colour less its mean and over its deviation."""
    return (pixels - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)


def clip_pixels(image: Image.Image, size: int = 224) -> torch.Tensor:
    """OpenAI's CLIP transform: shorter side to ``size``, centre crop. (3, size, size)."""
    square = crop_centre(resize_shorter_side(image.convert("RGB"), size), size)
    return normalise(unit_tensor(square), CLIP_MEAN, CLIP_STD)


def processor_clip_pixels(image: Image.Image, size: int = 336) -> torch.Tensor:
    """The same as CLIP's processor of transformers does it, whose crop may lie one pixel further up and left."""
    square = crop_centre(resize_shorter_side(image.convert("RGB"), size), size, math.floor)
    return normalise(unit_tensor(square), CLIP_MEAN, CLIP_STD)


def dino_pixels(image: Image.Image) -> torch.Tensor:
    """MagicBrush's transform for DINO: shorter side to 256, centre crop of 224. (3, 224, 224)."""
    square = crop_centre(resize_shorter_side(image.convert("RGB"), 256), 224)
    return normalise(unit_tensor(square), IMAGENET_MEAN, IMAGENET_STD)


def squeezed_clip_pixels(image: Image.Image, size: int = 224) -> torch.Tensor:
    """InstructPix2Pix' transform: squeezed into a square by torch's bicubic, neither cropped nor antialiased.

    Returns:
        (3, size, size), normalised as CLIP wants it.
    """
    small = F.interpolate(unit_tensor(image)[None], size=(size, size), mode="bicubic", align_corners=False)[0]
    return normalise(small, CLIP_MEAN, CLIP_STD)


def resized_like(image: Image.Image, other: Image.Image) -> Image.Image:
    """At the size of ``other`` by Pillow's bicubic, RGB."""
    image = image.convert("RGB")
    return image if image.size == other.size else image.resize(other.size, Image.Resampling.BICUBIC)
