"""The host's way of saying that a picture has no mask."""

from __future__ import annotations

import torch

_LOAD_IMAGE_SIDE = 64  # pixels of the black mask that Load Image gives for every picture without transparency


def given_mask(mask: torch.Tensor | None) -> torch.Tensor | None:
    """The mask that an artist has given: None for the black one that Load Image gives where there is none.

    Args:
        mask: (B, H, W) or (H, W), as it comes from a socket. A black one of another size was made by somebody, and stays.
    """
    if mask is None or tuple(mask.shape[-2:]) != (_LOAD_IMAGE_SIDE, _LOAD_IMAGE_SIDE) or bool(mask.any()):
        return mask
    return None
