"""A picture cut out of a result that shows more than it: the canvas of ACE++ with a reference on its left."""

from __future__ import annotations

import torch

from .fit import Fit, same_aspect
from .preprocess import resize_image


def without_reference(result: torch.Tensor, fit: Fit | None) -> torch.Tensor:
    """The part of a result that shows the fit's own picture.

    The canvas was scaled as a whole, so that the reference may end within a pixel: it is scaled back before it is cut.

    Args:
        result: (B, h, w, C), at any scale; one that does not show the whole canvas is returned as it is.
        fit: how the picture was prepared; without a canvas (or None) there is nothing to cut off.

    Returns:
        (B, fit.crop.height, fit.crop.width, C), or ``result``.
    """
    if fit is None or fit.canvas is None or not same_aspect(fit.canvas.height, fit.canvas.width, *result.shape[1:3]):
        return result
    if tuple(result.shape[1:3]) == (fit.crop.height, fit.crop.width):
        return result  # beside a reference of a few pixels the two shapes are nearly one
    return resize_image(result, fit.crop.height, fit.canvas.before + fit.crop.width)[:, :, fit.canvas.before :]


def check_result_size(height: int, width: int, fit: Fit) -> None:
    """Checks that a result shows what its fit says.

    Raises:
        ValueError: it has another shape.
    """
    if not (
        same_aspect(fit.height, fit.width, height, width) or same_aspect(fit.crop.height, fit.crop.width, height, width)
    ):
        whole = fit.canvas or fit
        raise ValueError(
            f"the result is {width}x{height}, which is another shape than the {whole.width}x{whole.height} that its fit "
            "gives; connect the fit of the sampler that made it"
        )


def crop_to_source(result: torch.Tensor, fit: Fit | None, trim: int = 0) -> torch.Tensor:
    """The edited picture alone, at the size it had before it was prepared.

    Args:
        result: (B, h, w, C), what the model made, at any scale.
        fit: how the picture was prepared.
        trim: pixels of the canvas that are cut off beside the reference, before the rest is stretched over the gap. The
            published code cuts 30.

    Returns:
        (B, fit.crop.height, fit.crop.width, C).

    Raises:
        ValueError: no fit, a result of another shape, or nothing left after the trim.
    """
    if fit is None:
        raise ValueError(
            "this fit is that of a picture made from text alone: there is nothing to crop, leave the node out"
        )
    box = fit.crop
    part = without_reference(result, fit)
    check_result_size(*part.shape[1:3], fit)
    part = resize_image(part, box.height, box.width)
    if not trim or fit.canvas is None:
        return part
    columns = round(trim * box.width / fit.width)
    if columns >= box.width:
        raise ValueError(f"trim is {trim}, but the picture is only {fit.width} wide on the canvas; choose less")
    return resize_image(part[:, :, columns:], box.height, box.width)
