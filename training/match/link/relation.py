"""The test of a pair: does its similarity lie in the window?

Similarity is the cosine of two float16 vectors. Blocks of pairs are tested by float32 matrix products, whose last digits
depend on the size of the block, the machine and the number of threads; pairs near an edge of the window are therefore
decided by a float64 sum of their own. So the same pairs pass on one machine, on many, and on a GPU.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from ..errors import MatchError

BLOCK = 2048  # rows of a block
_DECIMALS = 9  # of a score, so that no machine's rounding shows
_CHUNK = 1 << 15  # pairs whose vectors are gathered at once
# More than the float32 products err by; devices that multiply with fewer bits by default get more.
_MARGINS = {"cpu": 2e-5, "cuda": 2e-5}
_WIDE_MARGIN = 4e-3


@dataclass(frozen=True)
class Window:
    """Similarities that pass: above `low` and below `high`, both excluded (Han et al. 2024, App. B.4.1)."""

    low: float
    high: float | None = None

    def __post_init__(self) -> None:
        if not -1 <= self.low <= 1 or (self.high is not None and not self.low < self.high <= 1.01):
            raise MatchError(
                f"A window of similarity is LOW or LOW-HIGH with -1 <= LOW < HIGH <= 1, such as 0.8-0.9; got {self}."
            )

    def __str__(self) -> str:
        return f"{self.low:g}" if self.high is None else f"{self.low:g}-{self.high:g}"

    def admits(self, scores: np.ndarray) -> np.ndarray:
        """Which of these pass."""
        return (scores > self.low) & (scores < (np.inf if self.high is None else self.high))


class Vectors:
    """Features to compare with each other.

    Args:
        features: (N, D) float16, mapped or in memory; nothing of them is copied but the block under test.
        device: where the products are made.
    """

    def __init__(self, features: np.ndarray, device: torch.device | str = "cpu"):
        self.features, self.device = features, torch.device(device)
        self.margin = _MARGINS.get(self.device.type, _WIDE_MARGIN)
        self._lengths = np.ones(len(features))
        for start in range(0, len(features), BLOCK):
            block = np.asarray(features[start : start + BLOCK], dtype=np.float64)
            self._lengths[start : start + BLOCK] = np.sqrt(np.square(block).sum(axis=1))
        np.maximum(self._lengths, 1e-6, out=self._lengths)

    def __len__(self) -> int:
        return len(self.features)

    def block(self, rows: slice | np.ndarray) -> torch.Tensor:
        """(R, D) float32 of unit length, on the device."""
        values = np.asarray(self.features[rows], dtype=np.float32) / self._lengths[rows, None].astype(np.float32)
        return torch.from_numpy(values).to(self.device)

    def scores(self, one: np.ndarray, other: np.ndarray) -> np.ndarray:
        """Similarities of the pairs (one[k], other[k]), float64, the same on every machine."""
        found = np.empty(len(one))
        for start in range(0, len(one), _CHUNK):
            rows = slice(start, start + _CHUNK)
            left = np.asarray(self.features[one[rows]], dtype=np.float64)
            right = np.asarray(self.features[other[rows]], dtype=np.float64)
            found[rows] = (left * right).sum(axis=1) / (self._lengths[one[rows]] * self._lengths[other[rows]])
        return np.round(found, _DECIMALS)

    def passing(self, rows: np.ndarray, columns: np.ndarray, window: Window) -> tuple[np.ndarray, np.ndarray]:
        """The pairs of `rows` with `columns` that pass, as two arrays of indices. A picture with itself is no pair."""
        products = self.block(rows) @ self.block(columns).T
        near = products > window.low - self.margin
        if window.high is not None:
            near &= products < window.high + self.margin
        places = near.nonzero(as_tuple=True)
        values = products[places].cpu().numpy()
        one, other = (np.asarray(ids)[place.cpu().numpy()] for ids, place in zip((rows, columns), places, strict=True))
        doubtful = np.abs(values - window.low) <= self.margin
        if window.high is not None:
            doubtful |= np.abs(values - window.high) <= self.margin
        keep = one != other
        keep[doubtful] &= window.admits(self.scores(one[doubtful], other[doubtful]))
        return one[keep], other[keep]
