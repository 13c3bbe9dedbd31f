"""The host's way of saying that a picture has no mask."""

from __future__ import annotations

import torch

from ...ace.pictures.files.mask_reading import NO_MASK


def given_mask(mask: torch.Tensor | None) -> torch.Tensor | None:
    """The mask that an artist has given: None for the black one that Load Image gives where there is none.

    Args:
        mask: (B, H, W) or (H, W), as it comes from a socket. A black one of another size was made by somebody, and stays.
    """
    if mask is None or tuple(mask.shape[-2:]) != NO_MASK or bool(mask.any()):
        return mask
    return None
