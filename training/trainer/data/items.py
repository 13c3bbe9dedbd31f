"""Files of pictures and masks at one size: what is encoded and cached."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ....ace.pictures.fit import Fit
from ....ace.pictures.preprocess import LATENT_PIXELS

Size = tuple[int, int]
FLIPS = {"": (), "h": (-1,), "v": (-2,), "hv": (-1, -2)}
"""Dimensions of (…, H, W) along which a picture is reversed: left and right, upside down, both."""


@dataclass(frozen=True)
class MaskItem:
    """A mask file at one size, flipped after that as :data:`FLIPS` says."""

    path: Path
    digest: str
    fit: Fit
    flip: str = ""


@dataclass(frozen=True)
class PictureItem:
    """A picture file at one size, flipped after that as :data:`FLIPS` says.

    ``blanked`` is the mask under which its pixels are hidden, if they are; it is not flipped by itself.
    """

    path: Path
    digest: str
    fit: Fit
    blanked: MaskItem | None = None
    flip: str = ""

    @property
    def latent_size(self) -> Size:
        """(h, w)."""
        return self.fit.height // LATENT_PIXELS, self.fit.width // LATENT_PIXELS


def fit_numbers(fit: Fit) -> tuple[int, ...]:
    """All that a fit says, for hashing."""
    crop = fit.crop
    return (fit.source_height, fit.source_width, crop.top, crop.left, crop.height, crop.width, fit.height, fit.width)
