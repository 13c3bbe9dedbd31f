"""Where two pictures differ, by their pixels: what a model says of the place is held against it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

_SIDE = 384  # pixels of the longer side on which differences are looked for
_LEVELS = 12.0  # of 255: less is noise, compression or a VAE's round trip
_LEAST = 0.0005  # share of all pixels; fewer are specks
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
        cells: (3, 3), the share of each ninth of the picture that changed.
    """

    share: float
    cells: np.ndarray

    @property
    def visible(self) -> bool:
        return self.share >= _LEAST

    def covered(self, places: tuple[str, ...]) -> float:
        """Share of all that changed that lies in these places, a cell's width of doubt included."""
        if WHOLE in places:
            return 1.0
        near = np.zeros((3, 3), dtype=bool)
        for place in places:
            row, column = divmod(PLACES.index(place), 3)
            near[max(0, row - 1) : row + 2, max(0, column - 1) : column + 2] = True
        return float(self.cells[near].sum() / max(self.cells.sum(), 1e-9))


def find_changes(source: Image.Image, result: Image.Image) -> Changes:
    """The places where the result is another than the source; a result of another size is fitted to the source's."""
    size = _small(source.size)
    one, other = (
        np.asarray(image.convert("RGB").resize(size, Image.Resampling.BOX), dtype=np.float32)
        for image in (source, result)
    )
    changed = np.abs(one - other).max(axis=2) > _LEVELS
    rows, columns = (np.array_split(np.arange(side), 3) for side in changed.shape)
    cells = np.array([[changed[np.ix_(row, column)].mean() for column in columns] for row in rows])
    return Changes(float(changed.mean()), cells)


def _small(size: tuple[int, int]) -> tuple[int, int]:
    scale = min(1.0, _SIDE / max(size))
    return tuple(max(3, round(side * scale)) for side in size)
