"""The same thing in another place: the most alike parts of two pictures, by an encoder."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..descriptors.base import Descriptor

_SHARES = (1.0, 0.6)  # sides of the parts, of the picture's
_STEPS = {1.0: 1, 0.6: 3}  # parts along a side


class RegionSimilarity:
    """The cosine of the most alike of ten parts each (the whole, and a 3 x 3 grid of overlapping ones). See `Similarity`."""

    most_looks = None

    def __init__(self, descriptor: Descriptor):
        self._descriptor = descriptor
        self.name = f"object ({descriptor.name})"
        self.identity = f"regions-1 {descriptor.identity}"
        self.side = round(descriptor.side / min(_SHARES))

    def looks(self, pictures: Sequence[np.ndarray]) -> list[np.ndarray]:
        """(10, D) a picture."""
        return [
            self._descriptor.describe([self._descriptor.prepare(part) for part in _parts(pixels)])
            for pixels in pictures
        ]

    def compare(self, one: np.ndarray, other: np.ndarray) -> float:
        return float((one.astype(np.float64) @ other.astype(np.float64).T).max())


def _parts(pixels: np.ndarray) -> list[np.ndarray]:
    found = []
    for share in _SHARES:
        height, width = (max(1, round(length * share)) for length in pixels.shape[:2])
        steps = _STEPS[share]
        for row in range(steps):
            for column in range(steps):
                top = (pixels.shape[0] - height) * row // max(steps - 1, 1)
                left = (pixels.shape[1] - width) * column // max(steps - 1, 1)
                found.append(pixels[top : top + height, left : left + width])
    return found
