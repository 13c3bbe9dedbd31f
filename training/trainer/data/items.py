"""Files of pictures and masks at one size: what is encoded and cached."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ....ace.pictures.fit import Fit
from ....ace.pictures.preprocess import LATENT_PIXELS

Size = tuple[int, int]


@dataclass(frozen=True)
class MaskItem:
    """A mask file at one size."""

    path: Path
    digest: str
    fit: Fit


@dataclass(frozen=True)
class PictureItem:
    """A picture file at one size; ``blanked`` is the mask under which its pixels are hidden, if they are."""

    path: Path
    digest: str
    fit: Fit
    blanked: MaskItem | None = None

    @property
    def latent_size(self) -> Size:
        """(h, w)."""
        return self.fit.height // LATENT_PIXELS, self.fit.width // LATENT_PIXELS


def fit_numbers(fit: Fit) -> tuple[int, ...]:
    """All that a fit says, for hashing."""
    crop = fit.crop
    return (fit.source_height, fit.source_width, crop.top, crop.left, crop.height, crop.width, fit.height, fit.width)
