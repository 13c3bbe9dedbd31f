"""Outpainting: the canvas is extended first; the new border is the mask, and black as the model expects."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F

from ..notices import Notify, log_notice
from .fit import PATCH_PIXELS, Box
from .preprocess import binarize, to_rgb

ANCHORS = {
    "center": (0.5, 0.5),
    "top": (0.0, 0.5),
    "bottom": (1.0, 0.5),
    "left": (0.5, 0.0),
    "right": (0.5, 1.0),
    "top left": (0.0, 0.0),
    "top right": (0.0, 1.0),
    "bottom left": (1.0, 0.0),
    "bottom right": (1.0, 1.0),
}
"""Where on the new canvas the picture sits: its share of the new (rows, columns) that lie above and to the left."""


@dataclass(frozen=True)
class Placement:
    """Where a picture lies on the extended canvas.

    Attributes:
        canvas_height: of the canvas in pixels.
        canvas_width: of the canvas in pixels.
        box: the picture on it.
        overlap: pixels along the picture's inner edge, next to new border, that may change too.

    Raises:
        ValueError: the picture leaves the canvas, or the overlap is negative.
    """

    canvas_height: int
    canvas_width: int
    box: Box
    overlap: int = 0

    def __post_init__(self) -> None:
        if min(self.margins) < 0 or min(self.box.height, self.box.width) < 1:
            raise ValueError(
                f"a picture of {self.box.width}x{self.box.height} at ({self.box.left}, {self.box.top}) does not lie on a "
                f"canvas of {self.canvas_width}x{self.canvas_height}; make the canvas larger"
            )
        if self.overlap < 0:
            raise ValueError(f"the overlap is {self.overlap} pixels; it must be 0 or more")

    @property
    def margins(self) -> tuple[int, int, int, int]:
        """New pixels to the (left, right, top, bottom), the order of ``torch.nn.functional.pad``."""
        box = self.box
        right, bottom = self.canvas_width - box.left - box.width, self.canvas_height - box.top - box.height
        return box.left, right, box.top, bottom

    def mask(self) -> torch.Tensor:
        """(1, canvas_height, canvas_width), 1 on the new border and the overlap."""
        box = self.box
        left, right, top, bottom = (self.overlap if margin else 0 for margin in self.margins)
        mask = torch.ones(1, self.canvas_height, self.canvas_width)
        kept_rows = slice(box.top + top, max(box.top + top, box.top + box.height - bottom))
        kept_columns = slice(box.left + left, max(box.left + left, box.left + box.width - right))
        mask[:, kept_rows, kept_columns] = 0
        return mask

    def extend(self, image: torch.Tensor, continue_edges: bool = False) -> torch.Tensor:
        """Lays an image on the canvas; around it black, or its edge pixels repeated.

        Args:
            image: (B, H, W, C) of the box's size.
            continue_edges: repeat the edge pixels.

        Returns:
            (B, canvas_height, canvas_width, C).

        Raises:
            ValueError: an image of another size.
        """
        if image.shape[1:3] != (self.box.height, self.box.width):
            raise ValueError(
                f"the image is {image.shape[2]}x{image.shape[1]}, but this outpainting was made for "
                f"{self.box.width}x{self.box.height}; connect the picture that was extended"
            )
        mode = "replicate" if continue_edges else "constant"
        return F.pad(image.permute(0, 3, 1, 2), self.margins, mode=mode).permute(0, 2, 3, 1).contiguous()


@dataclass(frozen=True, eq=False)
class Outpainting:
    """An extended picture.

    Attributes:
        canvas: (B, H, W, 3), the new border black (-1 in the model's range).
        mask: (B, H, W) or (1, H, W) of zeros and ones.
        placement: where the picture lies, for pasting it back.
    """

    canvas: torch.Tensor
    mask: torch.Tensor
    placement: Placement


def outpaint(
    image: torch.Tensor, placement: Placement, mask: torch.Tensor | None = None, notify: Notify = log_notice
) -> Outpainting:
    """Extends an image.

    Args:
        image: (B, H, W, C) of the placement's size.
        placement: where the image lies on the new canvas.
        mask: (B, H, W) or (1, H, W) of what may change inside the picture too. Those pixels are kept on the canvas:
            blank them as for inpainting if they are to be filled.
        notify: told when nothing is added.

    Raises:
        ValueError: an image or mask of another size.
    """
    canvas = placement.extend(to_rgb(image, notify))
    border = placement.mask()
    if not border.any():
        notify("outpainting adds nothing: the picture already has that size; every side's extension is 0")
    if mask is not None:
        inner = placement.extend(binarize(mask)[..., None])[..., 0]
        border = torch.maximum(border.to(inner.device), inner)
    return Outpainting(canvas, border.to(image.device), placement)


def place_by_pixels(
    height: int, width: int, *, left: int = 0, top: int = 0, right: int = 0, bottom: int = 0, overlap: int = 0
) -> Placement:
    """Extends a ``height`` x ``width`` picture by pixels on each side; ``overlap`` as in :class:`Placement`.

    Raises:
        ValueError: a number is negative.
    """
    _check_extension(left=left, top=top, right=right, bottom=bottom)
    return Placement(height + top + bottom, width + left + right, Box(top, left, height, width), overlap)


def place_by_ratio(
    height: int,
    width: int,
    *,
    left: float = 0.0,
    top: float = 0.0,
    right: float = 0.0,
    bottom: float = 0.0,
    overlap: int = 0,
) -> Placement:
    """Extends by shares of the picture's own width and height (0.5 adds half of it); sizes round down, as published.

    Raises:
        ValueError: a number is negative.
    """
    _check_extension(left=left, top=top, right=right, bottom=bottom)
    canvas_height, canvas_width = int(height * (top + bottom + 1)), int(width * (left + right + 1))
    box = Box(int(height * top), int(width * left), height, width)
    # A sum of two shares can round down where each of them does not.
    canvas_height, canvas_width = max(canvas_height, box.top + height), max(canvas_width, box.left + width)
    return Placement(canvas_height, canvas_width, box, overlap)


def place_to_aspect(
    height: int, width: int, aspect_width: float, aspect_height: float, anchor: str = "center", overlap: int = 0
) -> Placement:
    """Extends the shorter way to an aspect ratio.

    Args:
        height: of the picture in pixels.
        width: of the picture in pixels.
        aspect_width: first number of the ratio, 16 of 16:9.
        aspect_height: second number of the ratio.
        anchor: a key of ``ANCHORS``: where on the new canvas the picture sits.
        overlap: as in :class:`Placement`.

    Raises:
        ValueError: no such anchor, or a number that is not above 0.
    """
    if not (aspect_width > 0 and aspect_height > 0):
        raise ValueError(f"the aspect ratio is {aspect_width}:{aspect_height}; both numbers must be above 0")
    if anchor not in ANCHORS:
        raise ValueError(f'anchor is "{anchor}"; expected one of {", ".join(ANCHORS)}')
    canvas_height = max(height, round(width * aspect_height / aspect_width))
    canvas_width = max(width, round(height * aspect_width / aspect_height))
    above, before = ANCHORS[anchor]
    box = Box(int((canvas_height - height) * above), int((canvas_width - width) * before), height, width)
    return Placement(canvas_height, canvas_width, box, overlap)


def snap(placement: Placement, multiple: int = PATCH_PIXELS) -> Placement:
    """Enlarges the canvas to multiples of 16, so that it needs no scaling as long as it fits the token budget.

    The extra pixels go where the canvas grows anyway: above or left if only there, otherwise below and right.
    """
    left, right, top, bottom = placement.margins
    extra_rows, extra_columns = -placement.canvas_height % multiple, -placement.canvas_width % multiple
    box = replace(
        placement.box,
        top=top + (extra_rows if top and not bottom else 0),
        left=left + (extra_columns if left and not right else 0),
    )
    return replace(
        placement,
        canvas_height=placement.canvas_height + extra_rows,
        canvas_width=placement.canvas_width + extra_columns,
        box=box,
    )


def _check_extension(**sides: float) -> None:
    for side, amount in sides.items():
        if not amount >= 0:
            raise ValueError(f"{side} is {amount}; extend by 0 or more, and crop the picture to make it smaller")
