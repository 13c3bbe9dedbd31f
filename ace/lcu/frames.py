"""Frames at the sizes the model is given them: what encoding and the preview have in common."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from ..notices import Notify, silent
from ..pictures.fit import Fit
from ..pictures.masks import inpaint_image
from ..pictures.preprocess import binarize, fit_image, fit_mask, mask_to_latent
from ..pictures.resolution import Resolution
from .indicators import MAX_IMAGES
from .units import Frame, ResolvedContext


@dataclass(frozen=True, eq=False)
class FittedFrame:
    """A condition image with its size decided.

    Attributes:
        frame: the image and its words.
        fit: how it is cropped and scaled.
        mask: binary (B, 1, fit.height / 8, fit.width / 8); None when everything may change.
    """

    frame: Frame
    fit: Fit
    mask: torch.Tensor | None

    def image(self) -> torch.Tensor:
        """(B, fit.height, fit.width, 3); blanked after scaling, so that the edge of the hole is not smeared."""
        image = fit_image(self.frame.image, self.fit)
        if self.frame.mask is None or self.frame.fill == "keep":
            return image
        return inpaint_image(image, fit_mask(self.frame.mask, self.fit), self.frame.fill)


def fit_frames(resolved: ResolvedContext, resolution: Resolution, notify: Notify = silent) -> tuple[FittedFrame, ...]:
    """Gives every frame its size, and its mask the latent's.

    Args:
        resolved: the frames in order.
        resolution: decides the size of every image.
        notify: told about crops, masks that vanish, and more images than the published models know.
    """
    fitted = []
    for frame in resolved.frames:
        fit = resolution.fit(*frame.image.shape[1:3])
        mask = None if frame.mask is None else _latent_mask(frame, fit, notify)
        if fit.crops:
            notify(f"{frame.indicator}: {fit.describe()}")
        fitted.append(FittedFrame(frame, fit, mask))
    if len(fitted) == MAX_IMAGES:
        notify(
            f"{len(fitted)} pictures are more than the published models were trained with; the last one and the result "
            "are told apart by a word the model does not know"
        )
    return tuple(fitted)


def _latent_mask(frame: Frame, fit: Fit, notify: Notify) -> torch.Tensor:
    """Binary (B, 1, h, w); a sample whose mask marks nothing gets all ones, for that means no mask."""
    original = binarize(frame.mask)  # (B, H, W)
    latent = mask_to_latent(fit_mask(original, fit), silent)
    meant, kept = (mask.flatten(1).any(dim=1) for mask in (original, latent))
    if (lost := meant & ~kept).any():
        # One pixel in 8 x 8 decides for all of them; of a mask that this loses, every latent pixel it covers may change.
        crop = original[:, None, fit.crop.rows, fit.crop.columns]
        covered = F.adaptive_max_pool2d(crop, latent.shape[-2:])
        latent = torch.where(lost[:, None, None, None], covered, latent)
        outside = (lost & ~covered.flatten(1).any(dim=1)).any()
        notify(
            f"{frame.indicator}: the mask lies outside the part that the model sees, so nothing may change; move it, or "
            "choose another resolution"
            if outside
            else f"{frame.indicator}: the mask is so thin that it was thickened to be seen at the latent's size"
        )
    return torch.where(meant[:, None, None, None], latent, 1.0)
