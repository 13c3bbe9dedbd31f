"""Where two pictures differ, by their pixels: what a model says of the place is held against it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

_SIDE = 384  # pixels of the longer side on which differences are looked for
_LEVELS = 12.0  # of 255: less is noise, compression or a VAE's round trip
_LEAST = 0.0005  # share of all pixels; fewer are specks
_FINE = 4  # parts of a ninth's side in which changes are counted
_DOUBT = 2  # of these parts that a place may be off: half a ninth
_TOUCHED = 0.05  # share of a part's pixels; fewer are a speck in it
_MOSTLY = 0.5  # share of all parts from which on the whole picture changed
PLACES = (
    "top left",
    "top",
    "top right",
    "left",
    "center",
    "right",
    "bottom left",
    "bottom",
    "bottom right",
)
WHOLE = "whole picture"


@dataclass(frozen=True, eq=False)
class Changes:
    """What changed.

    Attributes:
        share: of all pixels, 0 to 1.
        parts: (12, 12), the share of each part of the picture that changed.
    """

    share: float
    parts: np.ndarray

    @property
    def cells(self) -> np.ndarray:
        """(3, 3), the share of each ninth of the picture that changed."""
        return self.parts.reshape(3, _FINE, 3, _FINE).mean(axis=(1, 3))

    @property
    def spread(self) -> float:
        """Share of the picture's parts in which anything changed."""
        return float((self.parts > _TOUCHED).mean())

    @property
    def visible(self) -> bool:
        return self.share >= _LEAST

    def covered(self, places: tuple[str, ...]) -> float:
        """Share of all that changed that lies in these places, half a ninth of doubt around each included.

        The whole picture is a place only where most of it changed; elsewhere it names none.
        """
        if WHOLE in places and self.spread >= _MOSTLY:
            return 1.0
        near = np.zeros_like(self.parts, dtype=bool)
        for place in places:
            if place != WHOLE:
                rows, columns = (_around(at) for at in divmod(PLACES.index(place), 3))
                near[rows, columns] = True
        return float(self.parts[near].sum() / max(self.parts.sum(), 1e-9))


def find_changes(source: Image.Image, result: Image.Image) -> Changes:
    """The places where the result is another than the source; a result of another size is fitted to the source's."""
    size = _small(source.size)
    one, other = (
        np.asarray(image.convert("RGB").resize(size, Image.Resampling.BOX), dtype=np.float32)
        for image in (source, result)
    )
    changed = np.abs(one - other).max(axis=2) > _LEVELS
    rows, columns = (np.array_split(np.arange(side), 3 * _FINE) for side in changed.shape)
    parts = np.array([[changed[np.ix_(row, column)].mean() for column in columns] for row in rows])
    return Changes(float(changed.mean()), parts)


def _around(third: int) -> slice:
    """Parts of one side that a third of it takes up, with doubt."""
    return slice(max(0, third * _FINE - _DOUBT), (third + 1) * _FINE + _DOUBT)


def _small(size: tuple[int, int]) -> tuple[int, int]:
    scale = min(1.0, _SIDE / max(size))
    return tuple(max(3 * _FINE, round(side * scale)) for side in size)
