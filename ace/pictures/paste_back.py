"""Composites an edited result over its source: every pixel outside the mask stays bit for bit what it was."""

from __future__ import annotations

import torch

from ..notices import Notify, log_notice
from .crop import check_result_size, without_reference
from .fit import Box, Fit, infer_crop
from .masks import say_if_empty
from .morphology import bounding_box, grow
from .morphology import feather as feather_mask
from .outpaint import Placement
from .preprocess import as_mask, binarize, check_image, resize_image, resize_mask, to_rgb

RING_PIXELS = 32
MAX_GAIN = 2.0
"""Colour matching changes contrast by no more than this: a flat ring says little about the contrast inside."""


def paste_back(
    original: torch.Tensor,
    result: torch.Tensor,
    mask: torch.Tensor,
    *,
    fit: Fit | None = None,
    feather: int | None = 8,
    match_colors: bool = False,
    ring: int = RING_PIXELS,
    notify: Notify = log_notice,
) -> torch.Tensor:
    """Composites ``result`` over ``original`` where the mask marks.

    Args:
        original: (B, H, W, C), the source at its own size. Alpha, where it has one, is returned as it was.
        result: (B, h, w, C'), what the model made of it, at any scale: as sampled, at the source's, or enlarged.
        mask: (B, H, W) of the source's size, or of the result's.
        fit: how the source was prepared; None infers it from the two sizes, see ``infer_crop``.
        feather: pixels of the source over which the result fades in from the mask's edge inward. None takes the mask's
            own values as weights, such as a prepared soft mask.
        match_colors: shift the result's colours so that around the mask, where both show the same, mean and contrast
            agree with the source.
        ring: width in pixels of the band around the mask that colours are compared on.
        notify: told what is changed about the pictures, and when the mask reaches beyond the result.

    Returns:
        (B, H, W, C), C at least 3; equal to ``original`` in every bit where the mask is 0.

    Raises:
        ValueError: sizes or batches do not belong together.
    """
    original = _with_colors(original)
    result = without_reference(to_rgb(result, notify, "result").to(original.device), fit)
    box = result_box(original, result, fit)
    region = resize_image(result, box.height, box.width)
    mask = as_mask(mask).to(original.device)
    # A mask whose own values are the weights may be dim; for a seam, only what is bright counts.
    say_if_empty(mask, "The original comes back as it was", notify, dim_counts=feather is None)
    inner = mask_in_box(mask, original, result, box, notify)
    original, region, inner = broadcast_batches("original, result and mask", original, region, inner)
    if match_colors:
        region = match_seam_colors(region, original[:, box.rows, box.columns, :3], inner, ring, notify)
    weight = inner if feather is None else feather_mask(inner, feather)
    pasted = original.clone()
    _blend(pasted[:, box.rows, box.columns, :3], region, weight)
    return pasted


def _blend(below: torch.Tensor, above: torch.Tensor, weight: torch.Tensor) -> None:
    """Lays ``above`` (B, H, W, 3) over ``below`` in place, by weights (B, H, W); weight 0 leaves every bit alone."""
    window = bounding_box(weight > 0)
    if window is None:
        return
    below, above, weight = below[window], above[window], weight[window][..., None]
    # `where` guards what the arithmetic of a blend may not: the sign of zero, infinities.
    below.copy_(torch.where(weight > 0, torch.lerp(below, above, weight), below))


def paste_back_outpainting(
    original: torch.Tensor, result: torch.Tensor, placement: Placement, mask: torch.Tensor | None = None, **options
) -> torch.Tensor:
    """Composites an outpainted result around the picture that was extended.

    The canvas around the picture continues its edge pixels, so that a feathered seam fades from them and not from black.

    Args:
        original: (B, H, W, C), the picture before it was extended.
        result: (B, h, w, C'), the model's result for the whole canvas.
        placement: where the picture lies on the canvas.
        mask: the canvas's mask, where more than the border may change.
        options: as for ``paste_back``.

    Returns:
        (B, canvas_height, canvas_width, C).
    """
    canvas = placement.extend(_with_colors(original), continue_edges=True)
    return paste_back(canvas, result, placement.mask() if mask is None else mask, **options)


def match_seam_colors(
    region: torch.Tensor, source: torch.Tensor, mask: torch.Tensor, ring: int = RING_PIXELS, notify: Notify = log_notice
) -> torch.Tensor:
    """Gives a result the per-channel mean and contrast that its source has on a ring around the mask.

    Where a mask leaves no ring, that sample is returned unchanged.

    Args:
        region: (B, H, W, 3), the result.
        source: (B, H, W, 3).
        mask: (B, H, W).
        ring: width of the ring in pixels.
        notify: told where there is no ring.

    Returns:
        (B, H, W, 3).
    """
    inside = binarize(mask)
    matched = region.clone()
    for sample, around in enumerate(grow(inside, ring) > inside):
        if not around.any():
            notify("colours were not matched: there is no pixel around the mask to compare on")
            continue
        got, want = region[sample][around], source[sample][around]  # (pixels, 3)
        gain = (want.std(0, correction=0) + 1e-3) / (got.std(0, correction=0) + 1e-3)
        gain = gain.clamp(1 / MAX_GAIN, MAX_GAIN)
        matched[sample].mul_(gain).add_(want.mean(0) - got.mean(0) * gain).clamp_(0, 1)
    return matched


def _with_colors(image: torch.Tensor) -> torch.Tensor:
    """Repeats a grey channel so that colour can be pasted in; alpha stays behind it."""
    check_image(image, "original")
    image = image.to(torch.float32)
    if image.shape[3] >= 3:
        return image
    return torch.cat([image[..., :1].expand(-1, -1, -1, 3), image[..., 1:]], dim=3)


def result_box(original: torch.Tensor, result: torch.Tensor, fit: Fit | None, name: str = "original") -> Box:
    """The part of the original (B, H, W, C) that the result (B, h, w, C') shows.

    Args:
        fit: how the original was prepared; None works it out by the two sizes, see ``infer_crop``.
        name: of the original, for messages.

    Raises:
        ValueError: the sizes do not belong together.
    """
    (height, width), size = original.shape[1:3], result.shape[1:3]
    if fit is None:
        return infer_crop(height, width, *size)
    if (height, width) != (fit.source_height, fit.source_width):
        raise ValueError(
            f"the {name} is {width}x{height}, but the fit was made for {fit.source_width}x{fit.source_height}; "
            "connect the picture that the result was made from"
        )
    check_result_size(*size, fit)
    return fit.crop


def mask_in_box(
    mask: torch.Tensor, original: torch.Tensor, result: torch.Tensor, box: Box, notify: Notify, name: str = "original"
) -> torch.Tensor:
    """The mask (B, h, w) of the original's size or the result's on the part of the original that the result shows.

    An empty mask fits every picture.

    Returns:
        (B, box.height, box.width).

    Raises:
        ValueError: the mask has neither size.
    """
    size = tuple(mask.shape[1:])
    if not (mask > 0).any():
        return mask.new_zeros(mask.shape[0], box.height, box.width)
    if size == tuple(original.shape[1:3]):
        inner = mask[:, box.rows, box.columns]
        if inner.numel() < mask.numel() and inner.count_nonzero() < mask.count_nonzero():
            notify("the mask reaches beyond the part of the picture that was given to the model; the rest is unchanged")
        return inner
    if size == tuple(result.shape[1:3]):
        return resize_mask(mask, box.height, box.width)
    raise ValueError(
        f"the mask is {size[1]}x{size[0]}; expected the {name}'s size, {original.shape[2]}x{original.shape[1]}, "
        f"or the result's, {result.shape[2]}x{result.shape[1]}"
    )


def broadcast_batches(names: str, *tensors: torch.Tensor) -> list[torch.Tensor]:
    """Repeats batches of 1 to the size of the others.

    Args:
        names: what they are, for the message.
        tensors: (B or 1, …) each.

    Raises:
        ValueError: there are two sizes above 1.
    """
    batch = max(tensor.shape[0] for tensor in tensors)
    if any(tensor.shape[0] not in (1, batch) for tensor in tensors):
        counts = ", ".join(str(tensor.shape[0]) for tensor in tensors)
        raise ValueError(f"{names} are batches of {counts}; each must hold 1 or the same number")
    return [tensor.expand(batch, *tensor.shape[1:]) for tensor in tensors]
