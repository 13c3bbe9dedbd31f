"""Sizes: how a picture of one size becomes one that the model takes, as whole numbers of pixels.

A ``Fit`` says which part of a picture is kept and what size that part gets. It is made by exactly one of the rules below,
never silently.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

PATCH_PIXELS = 16
"""Pixels along one side of a token: 8 by the VAE, 2 by the patches."""
MAX_ASPECT_RATIO = 4


@dataclass(frozen=True)
class Box:
    """A rectangle of pixels.

    Attributes:
        top: first row.
        left: first column.
        height: number of rows.
        width: number of columns.
    """

    top: int
    left: int
    height: int
    width: int

    @property
    def rows(self) -> slice:
        """Index of its rows."""
        return slice(self.top, self.top + self.height)

    @property
    def columns(self) -> slice:
        """Index of its columns."""
        return slice(self.left, self.left + self.width)


@dataclass(frozen=True)
class Canvas:
    """A canvas that holds another picture left of the one that a ``Fit`` is for.

    Attributes:
        height: that the model works on, a multiple of 16.
        width: that the model works on, a multiple of 16.
        before: columns of the other picture at the scale of the crop: ``before`` and the crop's columns together are
            scaled to ``width``.
    """

    height: int
    width: int
    before: int


@dataclass(frozen=True)
class Fit:
    """How a picture becomes one that the model takes: ``crop`` is cut out of it and scaled to ``height`` x ``width``.

    Attributes:
        source_height: of the picture.
        source_width: of the picture.
        crop: the part that is kept.
        height: that the part is scaled to, a multiple of 16.
        width: that the part is scaled to, a multiple of 16 unless it shares a canvas.
        canvas: where the model works on a canvas of which the part is only the right side.

    Raises:
        ValueError: the crop leaves the picture, or a side of what the model works on is no multiple of 16.
    """

    source_height: int
    source_width: int
    crop: Box
    height: int
    width: int
    canvas: Canvas | None = None

    def __post_init__(self) -> None:
        inside = (
            0 <= self.crop.top < self.crop.top + self.crop.height <= self.source_height
            and 0 <= self.crop.left < self.crop.left + self.crop.width <= self.source_width
        )
        if not inside:
            raise ValueError(
                f"a crop of {self.crop.width}x{self.crop.height} at ({self.crop.left}, {self.crop.top}) does not lie in a "
                f"picture of {self.source_width}x{self.source_height}; choose a crop inside the picture"
            )
        whole = self.canvas or self
        check_sides(whole.height, whole.width)

    @property
    def tokens(self) -> int:
        """Tokens the scaled picture takes on the sequence."""
        return (self.height // PATCH_PIXELS) * (self.width // PATCH_PIXELS)

    @property
    def crops(self) -> bool:
        """Whether a part of the picture is cut off."""
        return (self.crop.height, self.crop.width) != (self.source_height, self.source_width)

    @property
    def scales(self) -> bool:
        """Whether the part that is kept changes its size."""
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
    """Checks that both sides are positive multiples of 16.

    Raises:
        ValueError: one is not; the message names the nearest that are.
    """
    if height < PATCH_PIXELS or width < PATCH_PIXELS or height % PATCH_PIXELS or width % PATCH_PIXELS:
        near = f"{_round_to_patch(width)}x{_round_to_patch(height)}"
        raise ValueError(f"{width}x{height} was asked for; both sides must be multiples of {PATCH_PIXELS}: try {near}")


def published_fit(height: int, width: int, max_tokens: int = 1024) -> Fit:
    """The rule of the published code: crop to an aspect ratio of at most 4:1, scale down to the token budget, never up.

    Sides are floored to multiples of 16. A picture with a side under 16 pixels is the one exception to "never up": it is
    scaled until that side is 16.

    Args:
        height: of the picture in pixels.
        width: of the picture in pixels.
        max_tokens: the checkpoint's budget: 1024 for ACE-0.6B-512px, 4096 for ACE-0.6B-1024px.

    Raises:
        ValueError: a side without pixels, or a budget too small for a picture of 4:1.
    """
    _check_source(height, width)
    if max_tokens < MAX_ASPECT_RATIO:
        raise ValueError(f"max_tokens is {max_tokens}; it must be at least {MAX_ASPECT_RATIO}, one picture of 4:1")
    crop = limit_aspect(height, width)
    scale = min(1.0, math.sqrt(max_tokens / ((crop.height / PATCH_PIXELS) * (crop.width / PATCH_PIXELS))))
    scale = max(scale, PATCH_PIXELS / min(crop.height, crop.width))
    sides = (_floor_to_patch(int(side * scale)) for side in (crop.height, crop.width))
    return Fit(height, width, crop, *sides)


def megapixels_fit(height: int, width: int, megapixels: float) -> Fit:
    """Crops to at most 4:1 and scales up or down to an area, aspect ratio kept.

    Args:
        height: of the picture in pixels.
        width: of the picture in pixels.
        megapixels: the area in units of 1024 x 1024 pixels, met as nearly as multiples of 16 allow.

    Raises:
        ValueError: a side without pixels, or an area that is not above 0 or infinite.
    """
    _check_source(height, width)
    if not 0 < megapixels < math.inf:
        raise ValueError(f"megapixels is {megapixels}; it must be above 0, such as 0.25 (512x512) or 1 (1024x1024)")
    crop = limit_aspect(height, width)
    scale = math.sqrt(megapixels * 1024 * 1024 / (crop.height * crop.width))
    return Fit(height, width, crop, _round_to_patch(crop.height * scale), _round_to_patch(crop.width * scale))


def exact_fit(height: int, width: int, target_height: int, target_width: int, when_aspect_differs: str = "crop") -> Fit:
    """Exactly the size asked for, in multiples of 16.

    Args:
        height: of the picture in pixels.
        width: of the picture in pixels.
        target_height: a multiple of 16.
        target_width: a multiple of 16.
        when_aspect_differs: "crop" the source's centre to the target's aspect ratio, "stretch" it, or raise an "error".

    Raises:
        ValueError: a side is no multiple of 16, or the aspect ratios differ and that is to be an error.
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
    """The part of a ``height`` x ``width`` picture that a result shows, inferred from the result's size alone.

    Right for results of the published rule, of the megapixels rule, and at the source's own size, however they were
    scaled afterwards. A result that was made from pixels left unscaled (``source_fit``) needs its fit instead: its
    size does not tell that up to 15 pixels were cut off.

    Raises:
        ValueError: no scaling of the (at most 4:1) picture gives that shape, so it was fitted by another rule.
    """
    _check_source(height, width)
    whole, crop = Box(0, 0, height, width), limit_aspect(height, width)
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
    """Whether one scale maps both sides onto the other's, each to less than ``tolerance`` pixels, for sizes are rounded."""
    lowest = max((other_height - tolerance) / height, (other_width - tolerance) / width)
    highest = min((other_height + tolerance) / height, (other_width + tolerance) / width)
    return lowest < highest


def aspect_crop(
    height: int, width: int, target_height: int, target_width: int, when_aspect_differs: str, tolerance: int = 1
) -> Box:
    """The part of a ``height`` x ``width`` picture that goes into a target of another aspect ratio.

    Args:
        height: of the picture in pixels.
        width: of the picture in pixels.
        target_height: gives the aspect ratio with ``target_width``.
        target_width: see ``target_height``.
        when_aspect_differs: "crop" the centre, "stretch" the whole, or raise an "error".
        tolerance: pixels by which a side may differ and the ratio still counts as the same.

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
    """The central ``crop_height`` x ``crop_width`` pixels of a ``height`` x ``width`` picture.

    Rounds as torchvision's ``center_crop`` does, which the published code uses.
    """
    return Box(round((height - crop_height) / 2), round((width - crop_width) / 2), crop_height, crop_width)


def limit_aspect(height: int, width: int) -> Box:
    """The centre of a ``height`` x ``width`` picture that has an aspect ratio of at most 4:1."""
    return center_crop(height, width, min(height, MAX_ASPECT_RATIO * width), min(width, MAX_ASPECT_RATIO * height))


def _floor_to_patch(side: int) -> int:
    return max(1, side // PATCH_PIXELS) * PATCH_PIXELS


def _round_to_patch(side: float) -> int:
    return max(1, round(side / PATCH_PIXELS)) * PATCH_PIXELS


def _check_source(height: int, width: int) -> None:
    if height < 1 or width < 1:
        raise ValueError(f"a picture of {width}x{height} has no pixels; check the node it comes from")
