"""What a similarity is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np


class Similarity(Protocol):
    """Compares pictures in two steps, so that what is costly is done once a picture and not once a pair.

    Attributes:
        name: for people, and in the scores of pairs.
        identity: changes whenever the numbers would.
        side: pictures are decoded with both sides at least this long, where they are.
        most_looks: how many looks may be in memory at once; None for small ones, of which all may.
    """

    name: str
    identity: str
    side: int
    most_looks: int | None

    def looks(self, pictures: Sequence[np.ndarray]) -> list[Any]:
        """What is compared of each picture (H, W, 3) uint8; None for one that has nothing to compare, such as no face."""
        ...

    def compare(self, one: Any, other: Any) -> float:
        """Similarity of two looks."""
        ...
