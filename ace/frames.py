"""Frames at the sizes the model is given them: what encoding and the preview have in common."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from .indicators import MAX_IMAGES
from .lcu import Frame, Notify, ResolvedContext, silent
from .masks import inpaint_image
from .preprocess import Fit, fit_image, fit_mask, mask_to_latent
from .resolution import Resolution


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
        notify: told about crops, masks that vanish, and more images than the published models know.
    """
    fitted = []
    for frame in resolved.frames:
        fit = resolution.fit(*frame.image.shape[1:3])
        mask = None if frame.mask is None else _latent_mask(frame.mask, fit, notify)
        if fit.crops:
            notify(f"{frame.indicator}: {fit.describe()}")
        fitted.append(FittedFrame(frame, fit, mask))
    if len(fitted) == MAX_IMAGES:
        notify(
            f"{len(fitted)} pictures are more than the published models were trained with; the last one and the result "
            "are told apart by a word the model does not know"
        )
    return tuple(fitted)


def _latent_mask(mask: torch.Tensor, fit: Fit, notify: Notify) -> torch.Tensor:
    """(B, H, W) of any values -> binary (B, 1, h, w); for a sample whose mask marks nothing, all ones."""
    mask = fit_mask(mask, fit)
    marked = mask.flatten(1).any(dim=1)[:, None, None]
    return mask_to_latent(torch.where(marked, mask, 1.0), notify)
