"""The built-in descriptor: where what lies in the picture. It needs no weights.

Three maps are compared: tones on a 16 x 16 grid, relative to their surroundings; directions of edges on an 8 x 8 grid
(histograms of oriented gradients); colours on an 8 x 8 grid. All are centred, so that unrelated pictures have a
similarity near 0 and not near 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from .base import concatenated

_SIDE, _TONES, _CELLS, _DIRECTIONS = 64, 16, 8, 8
_SHARES = {"tones": 0.4, "edges": 0.4, "colours": 0.2}
_SURROUNDINGS = 0.8  # how much of the local mean is taken off: pictures are alike in their broadest tones by chance
_FAINT = 0.05  # length below which a cell's edges count for less


@dataclass(frozen=True)
class LayoutDescriptor:
    """See the module."""

    name: str = "layout (built in)"
    identity: str = "layout-1"
    sees: str = (
        "It sees the same scene from nearly the same place: retouched, recoloured, relit, repainted or slightly cropped "
        "versions of one picture, renders of one seed, frames of one shot. It does not see the same person, object or "
        "style in another picture, nor a mirrored, turned or strongly cropped one: for these give an encoder with "
        "--descriptor."
    )
    dimension: int = _TONES**2 + (_DIRECTIONS + 2) * _CELLS**2
    side: int = 2 * _SIDE

    @staticmethod
    def prepare(pixels: np.ndarray) -> np.ndarray:
        """(H, W, 3) uint8 -> (896,) float32 of unit length."""
        image = Image.fromarray(pixels).resize((_SIDE, _SIDE), Image.Resampling.BOX)
        colour = np.asarray(image, dtype=np.float32) / 255
        light = colour @ np.array([0.299, 0.587, 0.114], dtype=np.float32)
        parts = {"tones": _tones(light), "edges": _edges(light), "colours": _colours(colour)}
        return concatenated([(share, parts[name]) for name, share in _SHARES.items()])

    def describe(self, prepared: Sequence[np.ndarray]) -> np.ndarray:
        return np.stack(prepared)


def pooled(values: np.ndarray, cells: int) -> np.ndarray:
    """(N, N, …) -> (cells, cells, …), the mean of every square."""
    block = values.shape[0] // cells
    return values.reshape(cells, block, cells, block, *values.shape[2:]).mean(axis=(1, 3))


def gradients(light: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Central differences across and down, (N, N) each."""
    framed = np.pad(light, 1, mode="edge")
    return (framed[1:-1, 2:] - framed[1:-1, :-2]) / 2, (framed[2:, 1:-1] - framed[:-2, 1:-1]) / 2


def directions(across: np.ndarray, down: np.ndarray, bins: int) -> np.ndarray:
    """Gradient magnitudes shared out to the two nearest of `bins` undirected angles, (N, N, bins)."""
    angle = (np.arctan2(down, across) % np.pi) * (bins / np.pi)
    distance = np.abs(angle[..., None] - np.arange(bins, dtype=np.float32))
    return np.hypot(across, down)[..., None] * np.maximum(1 - np.minimum(distance, bins - distance), 0)


def opponents(colour: np.ndarray) -> np.ndarray:
    """Red against green and yellow against blue, (…, 2); 0 for greys."""
    red, green, blue = np.moveaxis(colour, -1, 0)
    return np.stack([red - green, (red + green) / 2 - blue], axis=-1)


def _tones(light: np.ndarray) -> np.ndarray:
    tones = pooled(light, _TONES)
    framed = np.pad(tones, 2, mode="edge")
    around = np.lib.stride_tricks.sliding_window_view(framed, (5, 5)).mean(axis=(2, 3))
    relative = tones - _SURROUNDINGS * around
    return relative - relative.mean()


def _edges(light: np.ndarray) -> np.ndarray:
    cells = np.sqrt(pooled(directions(*gradients(light), _DIRECTIONS), _CELLS))
    cells = cells - cells.mean(axis=(0, 1), keepdims=True)
    return cells / (np.linalg.norm(cells, axis=-1, keepdims=True) + _FAINT)


def _colours(colour: np.ndarray) -> np.ndarray:
    return pooled(opponents(colour), _CELLS)
