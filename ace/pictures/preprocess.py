"""Pictures and masks as artists have them, brought to the layout and size that the model takes, and back.

Throughout, an image is (B, H, W, C) float32 in [0, 1] and a mask (B, H, W) float32 in [0, 1], 1 = may change: the
layout ComfyUI uses.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

from ..notices import Notify, log_notice
from .files.mask_reading import THRESHOLD
from .fit import Box, Fit

LATENT_PIXELS = 8
"""Pixels along one side of a latent pixel."""
MASK_THRESHOLD = (THRESHOLD + 0.5) / 255
"""Above 128 of 255. The half keeps a byte that went through ``1 - alpha / 255`` in float32 on its own side."""


# Layouts


def check_image(image: torch.Tensor, name: str = "image") -> None:
    """Checks that ``image`` is a non-empty floating (B, H, W, C) tensor with 1 to 4 channels.

    Args:
        image: what came over a wire.
        name: what it is called in messages.

    Raises:
        TypeError: no tensor, or not of floats.
        ValueError: another shape, or no pixels.
    """
    if not isinstance(image, torch.Tensor):
        raise TypeError(f"{name} is a {type(image).__name__}; expected a tensor (batch, height, width, channels)")
    shape = tuple(image.shape)
    if image.ndim != 4 or not 1 <= shape[3] <= 4:
        hint = ""
        if image.ndim == 3:
            hint = ". Is it a mask, or an image without its batch dimension?"
        elif image.ndim == 4 and shape[1] <= 4:
            hint = ". It looks like (batch, channels, height, width): move the channels last"
        elif image.ndim == 5:
            hint = ". It looks like a video: pass its frames as a batch"
        raise ValueError(f"{name} has shape {shape}; expected (batch, height, width, 1 to 4 channels){hint}")
    if 0 in shape:
        raise ValueError(f"{name} has shape {shape}: there is no pixel in it; check the node it comes from")
    if not image.is_floating_point():
        raise TypeError(f"{name} has dtype {image.dtype}; expected floats in [0, 1] (divide bytes by 255)")


def as_mask(mask: torch.Tensor, name: str = "mask") -> torch.Tensor:
    """Brings the layouts masks are passed around in, (H, W), (B, H, W) and (B, 1, H, W), to (B, H, W) float32.

    Args:
        mask: what came over a wire.
        name: what it is called in messages.

    Raises:
        TypeError: no tensor.
        ValueError: another shape, no pixels, or values that are no numbers.
    """
    if not isinstance(mask, torch.Tensor):
        raise TypeError(f"{name} is a {type(mask).__name__}; expected a tensor (batch, height, width)")
    shape = tuple(mask.shape)
    if mask.ndim == 2:
        mask = mask[None]
    elif mask.ndim == 4 and shape[1] == 1:
        mask = mask[:, 0]
    if mask.ndim != 3:
        hint = ". It looks like an image: convert it to a mask first" if len(shape) == 4 and shape[-1] <= 4 else ""
        raise ValueError(f"{name} has shape {shape}; expected (batch, height, width){hint}")
    if 0 in shape:
        raise ValueError(f"{name} has shape {shape}: there is no pixel in it; check the node it comes from")
    mask = mask.to(torch.float32)
    if not mask.isfinite().all():
        raise ValueError(f"{name} contains values that are not finite; check the node it comes from")
    return mask


def binarize(mask: torch.Tensor, threshold: float = MASK_THRESHOLD) -> torch.Tensor:
    """Mask of zeros and ones (B, H, W): 1 where ``mask`` lies above ``threshold``, by default above 128 of 255."""
    return (as_mask(mask) > threshold).to(torch.float32)


def to_rgb(image: torch.Tensor, notify: Notify = log_notice, name: str = "image") -> torch.Tensor:
    """Brings an image of 1 to 4 channels to RGB.

    Grey is repeated, alpha is composited over white, and values outside [0, 1] are clamped.

    Args:
        image: (B, H, W, C): grey, grey with alpha, RGB or RGBA.
        notify: told where pixels are transparent or values were clamped.
        name: what the image is called in messages.

    Returns:
        (B, H, W, 3) float32 in [0, 1].

    Raises:
        TypeError: no tensor, or not of floats.
        ValueError: no image layout, no pixels, or values that are no numbers.
    """
    check_image(image, name)
    image = image.to(torch.float32)
    low, high = (bound.item() for bound in image.aminmax())
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ValueError(
            f"{name} contains values that are not finite; if it was decoded by a VAE, decode it in float32 or bfloat16"
        )
    if low < 0 or high > 1:
        notify(f"{name} has values from {low:.3g} to {high:.3g}; they were clamped to [0, 1]")
        image = image.clamp(0, 1)
    channels = image.shape[3]
    if channels in (2, 4):
        color, alpha = image[..., :-1], image[..., -1:]
        if (alpha < 1).any():
            notify(f"{name} is partly transparent; it was laid over white. Use its alpha as a mask to keep that shape")
            color = torch.lerp(torch.ones_like(color), color, alpha)
        image = color
    return image.expand(-1, -1, -1, 3).contiguous() if channels < 3 else image


# Pixels


def resize_image(image: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Resizes by an antialiased bicubic filter, clamped to [0, 1]: (B, H, W, C) -> (B, height, width, C).

    An image of that size is returned as it is. The published code resizes 8-bit PIL images by torchvision with the
    bicubic filter, which antialiases; this is the same filter without the rounding to bytes.
    """
    if image.shape[1:3] == (height, width):
        return image
    resized = F.interpolate(
        image.permute(0, 3, 1, 2), size=(height, width), mode="bicubic", align_corners=False, antialias=True
    )
    return resized.clamp_(0, 1).permute(0, 2, 3, 1).contiguous()


def resize_mask(mask: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Resizes by the nearest pixel's centre, values unchanged: (B, H, W) -> (B, height, width)."""
    if mask.shape[1:] == (height, width):
        return mask
    return F.interpolate(mask[:, None], size=(height, width), mode="nearest-exact")[:, 0]


def fit_image(image: torch.Tensor, fit: Fit) -> torch.Tensor:
    """Crops and scales an image (B, H, W, C) of the fit's source size to (B, fit.height, fit.width, C).

    Raises:
        TypeError: see :func:`check_image`.
        ValueError: no image, or another size than the fit's source.
    """
    check_image(image)
    _check_size(image.shape[1:3], fit.source_height, fit.source_width, "image")
    return resize_image(image[:, fit.crop.rows, fit.crop.columns], fit.height, fit.width)


def fit_mask(mask: torch.Tensor, fit: Fit) -> torch.Tensor:
    """Crops and scales a mask (B, H, W) of the fit's source size to a binary (B, fit.height, fit.width).

    Raises:
        TypeError: see :func:`as_mask`.
        ValueError: no mask, or another size than the fit's source.
    """
    mask = as_mask(mask)
    _check_size(mask.shape[1:], fit.source_height, fit.source_width, "mask")
    return binarize(resize_mask(mask[:, fit.crop.rows, fit.crop.columns], fit.height, fit.width))


def undo_fit(result: torch.Tensor, fit: Fit) -> tuple[torch.Tensor, Box]:
    """Scales a result (B, fit.height, fit.width, C) back to the source's own pixels.

    Returns:
        The part of the source that was kept, (B, crop.height, crop.width, C), and where in the source it lies.

    Raises:
        ValueError: no image, or another size than the fit gives.
    """
    check_image(result, "result")
    _check_size(result.shape[1:3], fit.height, fit.width, "result")
    return resize_image(result, fit.crop.height, fit.crop.width), fit.crop


def mask_to_latent(mask: torch.Tensor, notify: Notify = log_notice) -> torch.Tensor:
    """Binary mask at the latent's size: (B, H, W) -> (B, 1, H/8, W/8).

    One pixel of each 8x8 decides for all of them, so thin strokes can vanish; ``notify`` is told when a whole mask does.

    Raises:
        ValueError: a side is no multiple of 8.
    """
    mask = binarize(mask)
    height, width = mask.shape[1:]
    if height % LATENT_PIXELS or width % LATENT_PIXELS:
        raise ValueError(f"the mask is {width}x{height}; both sides must be multiples of 8: fit it first")
    latent = resize_mask(mask, height // LATENT_PIXELS, width // LATENT_PIXELS)
    if (mask.amax((1, 2)) > latent.amax((1, 2))).any():
        notify("a mask is so thin that nothing of it is left at the latent's size; grow it by 8 pixels")
    return latent[:, None]


def _check_size(size: torch.Size, height: int, width: int, name: str) -> None:
    if tuple(size) != (height, width):
        raise ValueError(
            f"the {name} is {size[1]}x{size[0]}, but the fit was made for {width}x{height}; "
            "make the fit from this picture's own size"
        )
