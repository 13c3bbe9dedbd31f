"""Pictures as ACE++ is shown them: the reference left of the source on one canvas, with a mask (section 3.1).

The sizes, the filters and the order of the steps are those of the published code, so that the canvas is the same pixel by
pixel. In the model's range of -1 … 1 erased pixels are 0, which here is a grey of 0.5.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from ..notices import Notify, silent
from ..pictures.fit import PATCH_PIXELS, Canvas, Fit, limit_aspect
from ..pictures.masks import fit_to_image
from ..pictures.parameters import Parameters, number, switch
from ..pictures.paste_back import broadcast_batches
from ..pictures.preprocess import binarize, resize_mask, to_rgb
from .request import Request

GREY = 0.5
KEPT_SHARE = 0.8
"""Of the source's height: a reference that keeps its pixels is scaled down to it if it is higher."""


@dataclass(frozen=True)
class PlusSettings(Parameters):
    """How pictures come onto the canvas."""

    repainting_scale: float = number(
        1.0,
        0.0,
        1.0,
        "How much of what is under the mask is erased before the model sees it: 1 to paint anew, with a reference too; 0.5 "
        "for local editing; 0 for pictures that steer, such as depth, contours, a mosaic or grey to be coloured.",
        0.05,
    )
    keep_pixels: bool = switch(
        False,
        "The reference keeps its size, if it is lower than the picture, with grey above and below. Off: it is scaled to the "
        "picture's height.",
    )
    max_seq_len: int = number(
        4096,
        256,
        16384,
        "Tokens of the whole canvas, one for 16x16 pixels: larger ones are scaled down to it. 4096 is a megapixel, and with "
        "a reference the picture gets about half of it. More is sharper and slower.",
        16,
    )


@dataclass(frozen=True, eq=False)
class PlusCanvas:
    """What is encoded for the model.

    Attributes:
        image: (B, H, W, 3), 0 … 1, both sides multiples of 16: what the model sees, the masked part erased as far as asked.
        whole: (B, H, W, 3): the same with nothing erased.
        mask: (B, H, W) of zeros and ones: 1 may change. It is 0 on the reference.
        fit: where the source lies on it, to cut out and paste back the result.
    """

    image: torch.Tensor
    whole: torch.Tensor
    mask: torch.Tensor
    fit: Fit

    @property
    def kept(self) -> torch.Tensor:
        """The image outside the mask, grey inside: (B, H, W, 3)."""
        return erase(self.image, self.mask)

    @property
    def changed(self) -> torch.Tensor:
        """The image inside the mask, grey outside: (B, H, W, 3)."""
        return erase(self.image, 1 - self.mask)


def erase(image: torch.Tensor, mask: torch.Tensor, scale: float = 1.0) -> torch.Tensor:
    """Draws an image (B, H, W, 3) towards grey where the mask (B, H, W) is 1; a scale of 1 leaves nothing of it."""
    return GREY + (image - GREY) * (1 - mask[..., None] * scale)


def make_canvas(request: Request, settings: PlusSettings | None = None, notify: Notify = silent) -> PlusCanvas:
    """Lays source and reference side by side and scales the whole to the model's budget, never up.

    A new picture is a grey source under a full mask. A mask that marks nothing means everywhere. The one exception to the
    published sizes is a canvas with a side under 16 pixels, which gets 16.

    Args:
        request: pictures of any size; beyond an aspect ratio of 4:1 their centre is taken.
        settings: how.
        notify: told about crops, masks that are lost, and pixels that were changed.

    Raises:
        ValueError: a mask that does not fit its picture, or batches of different sizes.
    """
    settings = settings or PlusSettings()
    source, mask, fit = _source(request, notify)
    reference = None
    if request.reference is not None:
        reference = _beside(_cropped(request.reference, request.reference_indicator, notify), source.shape[1], settings)
    names = "the picture to edit, its mask and the reference"
    source, mask, *rest = broadcast_batches(names, *(part for part in (source, mask, reference) if part is not None))
    image = erase(source, mask, settings.repainting_scale)
    before = 0
    for other in rest:
        before = other.shape[2]
        source, image = (torch.cat([other, part], dim=2) for part in (source, image))
        mask = F.pad(mask, (before, 0))
    height, width = canvas_size(*mask.shape[1:], settings.max_seq_len)
    scaled = resize_mask(mask, height, width)
    if (mask.flatten(1).any(1) & ~scaled.flatten(1).any(1)).any():
        notify("the mask is so thin that nothing of it is left on the canvas; grow it with Mask Prepare")
    return PlusCanvas(
        _nearest(image, height, width), _nearest(source, height, width), scaled, _fit(fit, height, width, before)
    )


def canvas_size(height: int, width: int, max_seq_len: int) -> tuple[int, int]:
    """(height, width) that a canvas is scaled to: multiples of 16, of at most so many patches."""
    scale = min(1.0, math.sqrt(max_seq_len / ((height / PATCH_PIXELS) * (width / PATCH_PIXELS))))
    fitted = (int(side * scale) // PATCH_PIXELS * PATCH_PIXELS for side in (height, width))
    height, width = (max(PATCH_PIXELS, side) for side in fitted)
    return height, width


def _source(request: Request, notify: Notify) -> tuple[torch.Tensor, torch.Tensor, tuple[int, int]]:
    """(B, H, W, 3) cropped, (B, H, W) of zeros and ones, and the size before the crop."""
    if request.source is None:
        grey = torch.full((1, *request.size, 3), GREY)
        return grey, torch.ones(1, *request.size), request.size
    size = request.source.shape[1:3]
    source = _cropped(request.source, request.source_indicator, notify)
    if request.mask is None:
        return source, source.new_ones(1, *source.shape[1:3]), size
    mask = binarize(fit_to_image(request.mask, *size)).to(source.device)
    box = limit_aspect(*size)
    inner = mask[:, box.rows, box.columns]
    meant = mask.flatten(1).any(1)
    if (meant & ~inner.flatten(1).any(1)).any():
        notify(f"{request.source_indicator}: the mask lies outside the part that the model sees, so nothing may change")
    return source, torch.where(meant[:, None, None], inner, 1.0), size


def _cropped(image: torch.Tensor, word: str, notify: Notify) -> torch.Tensor:
    """The centre of at most 4:1, in colours: (B, H, W, C) -> (B, h, w, 3)."""
    box = limit_aspect(*image.shape[1:3])
    cropped = to_rgb(image, notify, word or "image")[:, box.rows, box.columns]
    if cropped.shape[1:3] != image.shape[1:3]:
        notify(f"{word}: {image.shape[2]}x{image.shape[1]}, centre cropped to {box.width}x{box.height}")
    return cropped


def _beside(reference: torch.Tensor, height: int, settings: PlusSettings) -> torch.Tensor:
    """The reference (B, h, w, 3) at the height of the source it is laid beside: (B, height, w', 3)."""
    if not settings.keep_pixels:
        return _smooth(reference, height)
    if reference.shape[1] >= KEPT_SHARE * height:
        reference = _smooth(reference, max(1, int(height * KEPT_SHARE)))
    missing = height - reference.shape[1]
    return F.pad(reference, (0, 0, 0, 0, missing // 2, missing - missing // 2), value=GREY)


def _smooth(image: torch.Tensor, height: int) -> torch.Tensor:
    """Scales to a height, aspect ratio kept, by the antialiased bilinear filter."""
    width = max(1, int(image.shape[2] * (height / image.shape[1])))
    if image.shape[1:3] == (height, width):
        return image
    size = {"size": (height, width), "mode": "bilinear", "align_corners": False, "antialias": True}
    return F.interpolate(image.movedim(-1, 1), **size).movedim(1, -1)


def _nearest(image: torch.Tensor, height: int, width: int) -> torch.Tensor:
    return F.interpolate(image.movedim(-1, 1), size=(height, width), mode="nearest-exact").movedim(1, -1).contiguous()


def _fit(size: tuple[int, int], height: int, width: int, before: int) -> Fit:
    """Where a source of that size lies on a canvas of ``height`` x ``width`` with ``before`` columns of a reference."""
    box = limit_aspect(*size)
    if not before:
        return Fit(*size, box, height, width)
    own = max(1, round(width * box.width / (before + box.width)))
    return Fit(*size, box, height, own, Canvas(height, width, before))
