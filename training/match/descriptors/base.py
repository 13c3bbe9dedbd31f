"""What a descriptor is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

Prepare = Callable[[np.ndarray], np.ndarray]


class Descriptor(Protocol):
    """Makes a vector of a picture, in two steps: one beside the reading, in any number of processes, and one in batches.

    Attributes:
        name: for people.
        identity: changes whenever the vectors would; what is stored is used again only under the same one.
        sees: what it can and cannot see, in an artist's words.
        dimension: D, of its vectors.
        side: pictures are decoded with both sides at least this long, where they are.
        prepare: (H, W, 3) uint8 -> any array. It can be pickled, and raises `SetAside` for pictures without what it
            looks at.
    """

    name: str
    identity: str
    sees: str
    dimension: int
    side: int
    prepare: Prepare

    def describe(self, prepared: Sequence[np.ndarray]) -> np.ndarray:
        """(B, D) float32 of unit length."""
        ...


def concatenated(parts: Sequence[tuple[float, np.ndarray]]) -> np.ndarray:
    """One vector of unit length from several, each with its share of the similarity.

    The cosine of two such vectors is about the mean of their parts' cosines, weighed by the shares. A part that is
    nearly zero (the colours of a grey picture) weighs less, by the soft limit in its normalisation.
    """
    joined = np.concatenate([np.sqrt(share) * soft_unit(part.ravel()) for share, part in parts])
    return (joined / max(float(np.linalg.norm(joined)), 1e-6)).astype(np.float32)


def soft_unit(vector: np.ndarray, least: float = 0.05) -> np.ndarray:
    """Of unit length where it is long, and short where its squared length is well below `least`."""
    return vector / np.sqrt(np.square(vector).sum() + least)
