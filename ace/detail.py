"""Keep Detail on the result of a long context: the source, its mask and its size are known."""

from __future__ import annotations

import torch

from .encode import EncodedContext
from .notices import Notify, silent
from .pictures.keep_detail import KeepDetail, keep_detail
from .pictures.preprocess import binarize, fit_image, fit_mask
from .vae import ImageVAE


def keep_source_detail(
    images: torch.Tensor,
    encoded: EncodedContext,
    vae: ImageVAE,
    settings: KeepDetail,
    *,
    own_scale: bool,
    notify: Notify = silent,
) -> torch.Tensor:
    """Gives decoded results back what the VAE took of the picture that was edited.

    Under a mask and around it the result follows the source differently, so each part is judged by itself.

    Args:
        images: (B, H, W, 3), as decoded.
        encoded: what they were made from.
        vae: that decoded them.
        own_scale: at the edited picture's own scale instead of the model's.
        notify: told if there is nothing to keep the detail of.

    Returns:
        (B, H, W, 3), or with ``own_scale`` (B, height, width, 3), the part of the edited picture that its fit keeps.
    """
    resolved, fit = encoded.resolved, encoded.target_fit
    if resolved.target is None or fit is None:
        notify("no detail was kept: a picture made from text alone has no source to take it from")
        return images
    frame = resolved.frames[resolved.target]
    seen = fit_image(frame.image, fit)
    round_trip = vae.decode(vae.encode(seen))
    mask = frame.mask
    if own_scale:
        source, known = frame.image, fit
        inside = None if mask is None else binarize(mask)
    else:
        source, known = seen, None
        inside = None if mask is None else fit_mask(mask, fit)
    for part in (None,) if inside is None else (inside, 1 - inside):
        images = keep_detail(source, images, round_trip, part, fit=known, settings=settings, notify=notify)
    return images
