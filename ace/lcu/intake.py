"""Pictures and masks as they come, made into condition images."""

from __future__ import annotations

import torch

from ..notices import Notify, silent
from ..pictures.files.mask_reading import describe_marks
from ..pictures.fit import same_aspect
from ..pictures.preprocess import as_mask, binarize, resize_mask, to_rgb
from .indicators import INDICATORS
from .units import ConditionImage, mask_name, picture_name


def condition_image(
    image: torch.Tensor,
    mask: torch.Tensor | None = None,
    indicator: str = INDICATORS[0],
    notify: Notify = silent,
    *,
    fill: str = "keep",
) -> ConditionImage:
    """A condition image from a picture and a mask as nodes and files have them.

    A mask that marks nothing counts as none, whatever its size, and that is said. A mask of the picture's shape but
    another scale is scaled to it.

    Args:
        image: (B, H, W, C), 1 to 4 channels.
        mask: (B or 1, H, W) or (H, W), 1 where the picture may change; None means everywhere.
        indicator: the word for it, in any accepted spelling, or ``AUTO``.
        notify: told what is changed about picture and mask.
        fill: see :class:`ConditionImage`.

    Raises:
        ValueError: not a picture, not a mask, or the mask has another shape than the picture.
    """
    image = to_rgb(image, notify, picture_name(indicator))
    mask = None if mask is None else _match(mask, image, indicator, notify)
    return ConditionImage(image, mask, indicator, fill)


def _match(mask: torch.Tensor, image: torch.Tensor, indicator: str, notify: Notify) -> torch.Tensor | None:
    name = mask_name(indicator)
    mask = as_mask(mask, name)
    if not binarize(mask).any():
        notify(f"{name} {describe_marks(mask.detach().cpu().numpy())}")
        return None
    (height, width), (mask_height, mask_width) = image.shape[1:3], mask.shape[1:]
    if (height, width) == (mask_height, mask_width):
        return mask
    if not same_aspect(height, width, mask_height, mask_width):
        raise ValueError(
            f"{name} is {mask_width}x{mask_height} and its picture {width}x{height}, which is another shape; make the mask "
            "on this picture, or crop or stretch it to the same shape first"
        )
    notify(f"{name} was scaled from {mask_width}x{mask_height} to its picture's {width}x{height}")
    return resize_mask(mask, height, width)
