"""Sizes and layouts: pictures and masks as artists have them, brought to what the model takes, and back.

Throughout, an image is (B, H, W, C) float32 in [0, 1] and a mask (B, H, W) float32 in [0, 1], 1 = may change: the
layout ComfyUI uses. A ``Fit`` says how a picture of one size becomes a picture the model takes: which part of it is kept
and what size that part gets. It is made by exactly one of the rules below, never silently.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from ..notices import Notify, log_notice

PATCH_PIXELS = 16
"""Pixels along one side of a token: 8 by the VAE, 2 by the patches."""
LATENT_PIXELS = 8
MAX_ASPECT_RATIO = 4
MASK_THRESHOLD = 128.5 / 255
"""Above 128 of 255. The half keeps a byte that went through ``1 - alpha / 255`` in float32 on its own side."""


# Layouts


def check_image(image: torch.Tensor, name: str = "image") -> None:
    """Raise unless ``image`` is a non-empty floating (B, H, W, C) tensor with 1 to 4 channels."""
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
    """Bring the layouts masks are passed around in, (H, W), (B, H, W) and (B, 1, H, W), to float32 (B, H, W)."""
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
    return mask.to(torch.float32)


def binarize(mask: torch.Tensor, threshold: float = MASK_THRESHOLD) -> torch.Tensor:
    """Mask of zeros and ones (B, H, W): 1 where ``mask`` lies above ``threshold``, by default above 128 of 255."""
    return (as_mask(mask) > threshold).to(torch.float32)


def to_rgb(image: torch.Tensor, notify: Notify = log_notice, name: str = "image") -> torch.Tensor:
    """Image with three channels in [0, 1], (B, H, W, 3) float32.

    Grey is repeated; alpha is composited over white, which ``notify`` is told of where any pixel is not opaque; values
    outside [0, 1] are clamped, which is told too.

    Raises:
        TypeError, ValueError: no image layout, no pixels, or values that are no numbers.
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


# Sizes


@dataclass(frozen=True)
class Box:
    """A rectangle of pixels."""

    top: int
    left: int
    height: int
    width: int

    @property
    def rows(self) -> slice:
        return slice(self.top, self.top + self.height)

    @property
    def columns(self) -> slice:
        return slice(self.left, self.left + self.width)


@dataclass(frozen=True)
class Fit:
    """How a picture becomes one that the model takes: ``crop`` is cut out of it and scaled to ``height`` x ``width``.

    Raises:
        ValueError: the crop leaves the picture, or a side is no multiple of 16.
    """

    source_height: int
    source_width: int
    crop: Box
    height: int
    width: int

    def __post_init__(self) -> None:
        inside = (
            0 <= self.crop.top < self.crop.top + self.crop.height <= self.source_height
            and 0 <= self.crop.left < self.crop.left + self.crop.width <= self.source_width
        )
        if not inside:
            raise ValueError(f"{self.crop} does not lie in a picture of {self.source_width}x{self.source_height}")
        check_sides(self.height, self.width)

    @property
    def tokens(self) -> int:
        """Tokens the scaled picture takes on the sequence."""
        return (self.height // PATCH_PIXELS) * (self.width // PATCH_PIXELS)

    @property
    def crops(self) -> bool:
        return (self.crop.height, self.crop.width) != (self.source_height, self.source_width)

    @property
    def scales(self) -> bool:
        return (self.crop.height, self.crop.width) != (self.height, self.width)

    def describe(self) -> str:
        """One line in words, for previews and notices."""
        text = f"{self.source_width}x{self.source_height}"
        if self.crops:
            text += f", centre cropped to {self.crop.width}x{self.crop.height}"
        if self.scales:
            text += f", scaled to {self.width}x{self.height}"
        return f"{text} ({self.tokens} tokens)"


def check_sides(height: int, width: int) -> None:
    """Raise unless both sides are positive multiples of 16; the message names the nearest that are."""
    if height < PATCH_PIXELS or width < PATCH_PIXELS or height % PATCH_PIXELS or width % PATCH_PIXELS:
        near = f"{_round_to_patch(width)}x{_round_to_patch(height)}"
        raise ValueError(f"{width}x{height} was asked for; both sides must be multiples of {PATCH_PIXELS}: try {near}")


def published_fit(height: int, width: int, max_tokens: int = 1024) -> Fit:
    """The rule of the published code: crop to an aspect ratio of at most 4:1, scale down to the token budget, never up.

    Sides are floored to multiples of 16. A picture with a side under 16 pixels is the one exception to "never up": it is
    scaled until that side is 16.

    Args:
        max_tokens: the checkpoint's budget: 1024 for ACE-0.6B-512px, 4096 for ACE-0.6B-1024px.
    """
    _check_source(height, width)
    if max_tokens < MAX_ASPECT_RATIO:
        raise ValueError(f"max_tokens is {max_tokens}; it must be at least {MAX_ASPECT_RATIO}, one picture of 4:1")
    crop = _limit_aspect(height, width)
    scale = min(1.0, math.sqrt(max_tokens / ((crop.height / PATCH_PIXELS) * (crop.width / PATCH_PIXELS))))
    scale = max(scale, PATCH_PIXELS / min(crop.height, crop.width))
    sides = (_floor_to_patch(int(side * scale)) for side in (crop.height, crop.width))
    return Fit(height, width, crop, *sides)


def megapixels_fit(height: int, width: int, megapixels: float) -> Fit:
    """Crop to at most 4:1 and scale up or down to about ``megapixels`` (of 1024 x 1024 pixels), aspect ratio kept."""
    _check_source(height, width)
    if not megapixels > 0:
        raise ValueError(f"megapixels is {megapixels}; it must be above 0, such as 0.25 (512x512) or 1 (1024x1024)")
    crop = _limit_aspect(height, width)
    scale = math.sqrt(megapixels * 1024 * 1024 / (crop.height * crop.width))
    return Fit(height, width, crop, _round_to_patch(crop.height * scale), _round_to_patch(crop.width * scale))


def exact_fit(height: int, width: int, target_height: int, target_width: int, when_aspect_differs: str = "crop") -> Fit:
    """Exactly the size asked for, in multiples of 16.

    Args:
        when_aspect_differs: "crop" the source's centre to the target's aspect ratio, "stretch" it, or raise an "error".
    """
    _check_source(height, width)
    check_sides(target_height, target_width)
    crop = aspect_crop(height, width, target_height, target_width, when_aspect_differs, tolerance=PATCH_PIXELS)
    return Fit(height, width, crop, target_height, target_width)


def source_fit(height: int, width: int) -> Fit:
    """The source's own pixels, unscaled: the centre is kept and up to 15 pixels a side fall off.

    A side under 16 pixels cannot be kept; such a picture gets the published rule's smallest size.
    """
    _check_source(height, width)
    if min(height, width) < PATCH_PIXELS:
        return published_fit(height, width)
    crop = center_crop(height, width, _floor_to_patch(height), _floor_to_patch(width))
    return Fit(height, width, crop, crop.height, crop.width)


def infer_crop(height: int, width: int, result_height: int, result_width: int) -> Box:
    """The part of a ``height`` x ``width`` picture that a result shows, known only by its size.

    Right for results of the published rule, of the megapixels rule, and at the source's own size, however they were
    scaled afterwards. A result that was made from pixels left unscaled (``source_fit``) needs its fit instead: its
    size does not tell that up to 15 pixels were cut off.

    Raises:
        ValueError: no scaling of the (at most 4:1) picture gives that shape, so it was fitted by another rule.
    """
    _check_source(height, width)
    whole, crop = Box(0, 0, height, width), _limit_aspect(height, width)
    if (height, width) == (result_height, result_width):
        return whole
    if same_aspect(crop.height, crop.width, result_height, result_width, tolerance=PATCH_PIXELS):
        return crop
    if same_aspect(height, width, result_height, result_width):
        return whole
    raise ValueError(
        f"a result of {result_width}x{result_height} has another aspect ratio than its source of {width}x{height}; "
        "connect the fit that the source was prepared with, or the picture the result was made from"
    )


def same_aspect(height: int, width: int, other_height: int, other_width: int, tolerance: int = 1) -> bool:
    """Whether one scale maps both sides onto the other's, each to less than ``tolerance`` pixels (rounded sizes)."""
    lowest = max((other_height - tolerance) / height, (other_width - tolerance) / width)
    highest = min((other_height + tolerance) / height, (other_width + tolerance) / width)
    return lowest < highest


def aspect_crop(
    height: int, width: int, target_height: int, target_width: int, when_aspect_differs: str, tolerance: int = 1
) -> Box:
    """The part of a ``height`` x ``width`` picture that goes into a target of another aspect ratio.

    Raises:
        ValueError: the ratios differ by more than rounding and ``when_aspect_differs`` is "error".
    """
    if when_aspect_differs not in ("error", "crop", "stretch"):
        raise ValueError(f'when_aspect_differs is "{when_aspect_differs}"; expected "error", "crop" or "stretch"')
    whole = Box(0, 0, height, width)
    if same_aspect(height, width, target_height, target_width, tolerance) or when_aspect_differs == "stretch":
        return whole
    if when_aspect_differs == "error":
        raise ValueError(
            f"{width}x{height} has another aspect ratio than {target_width}x{target_height}; "
            "crop it, stretch it, or connect the one that belongs to it"
        )
    if width * target_height > height * target_width:
        return center_crop(height, width, height, max(1, round(height * target_width / target_height)))
    return center_crop(height, width, max(1, round(width * target_height / target_width)), width)


def center_crop(height: int, width: int, crop_height: int, crop_width: int) -> Box:
    """The centre of a picture, with the rounding of torchvision's ``center_crop``, which the published code uses."""
    return Box(round((height - crop_height) / 2), round((width - crop_width) / 2), crop_height, crop_width)


def _limit_aspect(height: int, width: int) -> Box:
    return center_crop(height, width, min(height, MAX_ASPECT_RATIO * width), min(width, MAX_ASPECT_RATIO * height))


def _floor_to_patch(side: int) -> int:
    return max(1, side // PATCH_PIXELS) * PATCH_PIXELS


def _round_to_patch(side: float) -> int:
    return max(1, round(side / PATCH_PIXELS)) * PATCH_PIXELS


def _check_source(height: int, width: int) -> None:
    if height < 1 or width < 1:
        raise ValueError(f"a picture of {width}x{height} has no pixels")


# Pixels


def resize_image(image: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Resize (B, H, W, C) by an antialiased bicubic filter, clamped to [0, 1]; the same size is returned untouched.

    The published code resizes 8-bit PIL images by torchvision with the bicubic filter, which antialiases; this is the
    same filter without the rounding to bytes.
    """
    if image.shape[1:3] == (height, width):
        return image
    resized = F.interpolate(
        image.permute(0, 3, 1, 2), size=(height, width), mode="bicubic", align_corners=False, antialias=True
    )
    return resized.clamp_(0, 1).permute(0, 2, 3, 1).contiguous()


def resize_mask(mask: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Resize (B, H, W) by picking the nearest pixel's centre; values stay what they were."""
    if mask.shape[1:] == (height, width):
        return mask
    return F.interpolate(mask[:, None], size=(height, width), mode="nearest-exact")[:, 0]


def fit_image(image: torch.Tensor, fit: Fit) -> torch.Tensor:
    """Crop and scale an image (B, H, W, C) of the fit's source size to (B, fit.height, fit.width, C)."""
    check_image(image)
    _check_size(image.shape[1:3], fit.source_height, fit.source_width, "image")
    return resize_image(image[:, fit.crop.rows, fit.crop.columns], fit.height, fit.width)


def fit_mask(mask: torch.Tensor, fit: Fit) -> torch.Tensor:
    """Crop and scale a mask of the fit's source size to a binary (B, fit.height, fit.width)."""
    mask = as_mask(mask)
    _check_size(mask.shape[1:], fit.source_height, fit.source_width, "mask")
    return binarize(resize_mask(mask[:, fit.crop.rows, fit.crop.columns], fit.height, fit.width))


def undo_fit(result: torch.Tensor, fit: Fit) -> tuple[torch.Tensor, Box]:
    """Scale a result (B, fit.height, fit.width, C) back to the source's own pixels.

    Returns:
        The part of the source that was kept, (B, crop.height, crop.width, C), and where in the source it lies.
    """
    check_image(result, "result")
    _check_size(result.shape[1:3], fit.height, fit.width, "result")
    return resize_image(result, fit.crop.height, fit.crop.width), fit.crop


def mask_to_latent(mask: torch.Tensor, notify: Notify = log_notice) -> torch.Tensor:
    """Binary mask at the latent's size: (B, H, W) -> (B, 1, H/8, W/8); sides must be multiples of 8.

    One pixel of each 8x8 speaks for all of them, so thin strokes can vanish; ``notify`` is told when a whole mask does.
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
