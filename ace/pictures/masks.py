"""Masks as artists make them, prepared for the model: (B, H, W) float32 in [0, 1], 1 = may change.

The model wants a binary mask at the picture's size. Soft edges are for pasting its result back.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ..notices import Notify, log_notice
from .files.mask_reading import LUMA, describe_marks, read_as_mask
from .fit import aspect_crop
from .morphology import feather as feather_mask
from .morphology import fill_holes as fill_mask
from .morphology import grow as grow_mask
from .preprocess import MASK_THRESHOLD, as_mask, binarize, check_image, resize_mask

INPAINT_FILLS = {
    "blank": "The masked pixels are blanked before the model sees them: it cannot keep what was there. "
    "For filling holes, removing, and painting something new from words.",
    "keep": "The model sees what is under the mask and changes it as told. "
    "For local edits that build on what is there, such as a new colour or expression.",
}


@dataclass(frozen=True, eq=False)
class PreparedMask:
    """One mask in its two forms.

    Attributes:
        binary: (B, H, W) of zeros and ones, for the model.
        soft: (B, H, W), 0 wherever ``binary`` is 0 and rising inward, for pasting back.
    """

    binary: torch.Tensor
    soft: torch.Tensor


def prepare_mask(
    mask: torch.Tensor,
    *,
    image: torch.Tensor | None = None,
    threshold: float = MASK_THRESHOLD,
    invert: bool = False,
    fill_holes: bool = False,
    grow: int = 0,
    corners: str = "round",
    feather: int = 0,
    unite: bool = False,
    when_aspect_differs: str = "error",
    notify: Notify = log_notice,
) -> PreparedMask:
    """Everything an artist does to a mask, in this order: fit, threshold, invert, unite, fill holes, grow, feather.

    Args:
        mask: (B, H, W).
        image: (B, H, W, C) that the mask is for; the mask gets its size. Pixels below are those of the result.
        threshold: 0 … 1; what lies above may change.
        invert: mark what was not marked.
        fill_holes: mark what the mask encloses, such as the inside of an outline.
        grow: pixels to grow by; negative shrinks.
        corners: "round" or "square" growth.
        feather: pixels over which ``soft`` rises inward from the edge. To replace the whole painted area at full
            strength, grow by the same amount.
        unite: one mask for the batch: what any of its masks marks.
        when_aspect_differs: see ``fit_to_image``.
        notify: told when nothing or everything is left marked.

    Raises:
        TypeError: see :func:`ace.pictures.preprocess.as_mask`.
        ValueError: no mask, another aspect ratio than the image, or a negative feather.
    """
    mask = as_mask(mask)
    if image is not None:
        check_image(image)
        mask = fit_to_image(mask, *image.shape[1:3], when_aspect_differs)
    binary = binarize(mask, threshold)
    if invert:
        binary = 1 - binary
    if unite:
        binary = union(binary)
    if fill_holes:
        binary = fill_mask(binary)
    binary = grow_mask(binary, grow, corners)
    marked = coverage(binary)
    for word, rows in (("nothing", marked == 0), ("the whole picture", marked == 1)):
        if rows.any():
            notify(f"mask {_numbers(rows)} marks {word}; the model may then change the whole picture")
    return PreparedMask(binary, feather_mask(binary, feather))


def fit_to_image(mask: torch.Tensor, height: int, width: int, when_aspect_differs: str = "error") -> torch.Tensor:
    """Resizes a mask to a picture's size by the nearest pixels, values unchanged.

    An empty mask fits every picture.

    Args:
        mask: (B, h, w).
        height: of the picture.
        width: of the picture.
        when_aspect_differs: what to do with a mask of another aspect ratio: raise an "error", "crop" its centre, or
            "stretch" it.

    Returns:
        (B, height, width).

    Raises:
        ValueError: the aspect ratios differ and that is to be an error.
    """
    mask = as_mask(mask)
    if not mask.any():
        return mask.new_zeros(mask.shape[0], height, width)
    try:
        box = aspect_crop(*mask.shape[1:], height, width, when_aspect_differs)
    except ValueError as error:
        raise ValueError(f"the mask does not belong to this picture: {error}") from None
    return resize_mask(mask[:, box.rows, box.columns], height, width)


def from_image(image: torch.Tensor, reading: str = "auto", notify: Notify = log_notice) -> torch.Tensor:
    """Mask (B, H, W) float32 out of a picture that is one, or out of its alpha.

    Args:
        image: (B, H, W, 1 to 4).
        reading: what of it is the mask; a key of :data:`ace.pictures.files.mask_reading.MASK_READINGS`.
        notify: told where the picture could have meant something else.

    Raises:
        TypeError: no image.
        ValueError: no image, no such reading, or no alpha where the mask is to be read by that.
    """
    check_image(image)
    levels = image.detach().to("cpu", torch.float32)
    alpha = levels[..., -1].numpy() if image.shape[3] in (2, 4) else None
    colour = levels[..., :-1] if alpha is not None else levels
    weights = torch.tensor(LUMA if colour.shape[3] == 3 else (1.0,))
    read = read_as_mask((colour @ weights).numpy(), alpha, reading)
    if read.note:
        notify(f"the picture for the mask: {read.note}")
    return torch.from_numpy(read.mask.copy()).to(image.device)


def union(mask: torch.Tensor) -> torch.Tensor:
    """One mask of what any mask of a batch marks: (B, H, W) -> (1, H, W)."""
    return as_mask(mask).amax(dim=0, keepdim=True)


def coverage(mask: torch.Tensor) -> torch.Tensor:
    """Share of pixels the binary mask marks: (B, H, W) -> (B,) in [0, 1]; 0 is an empty mask, 1 a full one.

    Pixels are counted where the mask is and divided on the CPU: not every device has float64, and float32 would take a
    large mask that lacks one pixel for full.
    """
    mask = binarize(mask)
    marked = mask.flatten(1).sum(1, dtype=torch.int64).tolist()
    return torch.tensor([count / mask[0].numel() for count in marked], dtype=torch.float64)


def say_if_empty(mask: torch.Tensor, then: str, notify: Notify, *, dim_counts: bool = False) -> None:
    """Tells of a mask (B, H, W) that marks nothing, and what comes of it.

    Args:
        mask: 0 … 1.
        then: what comes of it, such as "No detail is given back".
        notify: told it.
        dim_counts: grey marks something, however dark.
    """
    if not (mask > 0).any():
        marks = "marks nothing; paint white where the result is to be seen"
    elif not dim_counts and not binarize(mask).any():
        marks = describe_marks(mask.detach().cpu().numpy())
    else:
        return
    notify(f"the mask {marks}. {then}")


def inpaint_image(image: torch.Tensor, mask: torch.Tensor, fill: str = "blank") -> torch.Tensor:
    """The condition image of an edit under a mask, (B, H, W, C).

    Args:
        image: (B, H, W, C), already at the model's size: blanking before scaling would smear the hole's edge.
        mask: (B, H, W) or (1, H, W), of the same size.
        fill: a key of ``INPAINT_FILLS``: "blank" sets the masked pixels to black, -1 in the model's range, as the
            published model was trained for inpainting; "keep" leaves them.

    Raises:
        ValueError: no such fill, or a mask of another shape than the image.
    """
    check_image(image)
    if fill not in INPAINT_FILLS:
        raise ValueError(f'fill is "{fill}"; expected one of {", ".join(INPAINT_FILLS)}')
    mask = binarize(mask)
    if mask.shape[1:] != image.shape[1:3] or mask.shape[0] not in (1, image.shape[0]):
        raise ValueError(
            f"the mask has shape {tuple(mask.shape)} and the image {tuple(image.shape)}; fit the mask to the image"
        )
    return image if fill == "keep" else image.masked_fill(mask[..., None] > 0, 0.0)


def _numbers(rows: torch.Tensor) -> str:
    """ "1" or "2, 5 and 7" of the True entries, counted from 1."""
    numbers = [str(index + 1) for index in rows.nonzero().flatten().tolist()]
    return " and ".join(filter(None, (", ".join(numbers[:-1]), numbers[-1])))
