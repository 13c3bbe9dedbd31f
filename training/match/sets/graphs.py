"""Which pictures of a linked group pass with which: as a list of links, or worked out anew where that would be too long."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from ..link.relation import BLOCK, Vectors, Window

MOST_LISTED = 4096  # pictures; a larger group can have more links than memory holds


class Graph(Protocol):
    """Pictures 0 … N-1 and the test of each pair. All answers are exact and do not depend on the order of asking."""

    def __len__(self) -> int: ...

    def degrees(self) -> np.ndarray:
        """(N,), with how many others each passes."""
        ...

    def neighbours(self, node: int) -> np.ndarray:
        """Those that pass with `node`, ascending."""
        ...

    def links_to(self, members: np.ndarray) -> np.ndarray:
        """(N,), with how many of `members` each passes."""
        ...

    def among(self, members: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The pairs that pass among `members`, the smaller index first."""
        ...


class ListedGraph:
    """Links in a list, those of a picture next to each other; most groups are so small that a matrix's upkeep would show.

    Args:
        size: N. one, other: (L,), each link once.
    """

    def __init__(self, size: int, one: np.ndarray, other: np.ndarray):
        node, near = np.concatenate([one, other]), np.concatenate([other, one])
        self._near = near[np.lexsort((near, node))]
        self._starts = np.concatenate([[0], np.cumsum(np.bincount(node, minlength=size))])

    def __len__(self) -> int:
        return len(self._starts) - 1

    def degrees(self) -> np.ndarray:
        return np.diff(self._starts)

    def neighbours(self, node: int) -> np.ndarray:
        return self._near[self._starts[node] : self._starts[node + 1]]

    def links_to(self, members: np.ndarray) -> np.ndarray:
        near = np.concatenate([self.neighbours(member) for member in members])
        return np.bincount(near, minlength=len(self))

    def among(self, members: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        inside = np.zeros(len(self), dtype=bool)
        inside[members] = True
        found = [(member, near[inside[near]]) for member in np.sort(members) if len(near := self.neighbours(member))]
        one = np.repeat([member for member, _ in found], [len(near) for _, near in found]).astype(np.int64)
        other = np.concatenate([near for _, near in found]) if found else one
        return one[one < other], other[one < other]


class TestedGraph:
    """Links worked out from the features whenever they are asked for, in memory that does not grow with their number."""

    __test__ = False  # no test of pytest's

    def __init__(self, vectors: Vectors, window: Window):
        self._vectors, self._window = vectors, window

    def __len__(self) -> int:
        return len(self._vectors)

    def degrees(self) -> np.ndarray:
        total = np.zeros(len(self), dtype=np.int64)
        for start in range(0, len(self), BLOCK):
            rows = np.arange(start, min(start + BLOCK, len(self)))
            for first in range(start, len(self), BLOCK):
                one, other = self._pass(rows, np.arange(first, min(first + BLOCK, len(self))))
                total += np.bincount(one, minlength=len(self))
                if first != start:
                    total += np.bincount(other, minlength=len(self))
        return total

    def neighbours(self, node: int) -> np.ndarray:
        found = [self._pass(np.array([node]), columns)[1] for columns in self._blocks()]
        return np.sort(np.concatenate(found))

    def links_to(self, members: np.ndarray) -> np.ndarray:
        found = [self._pass(members, columns)[1] for columns in self._blocks()]
        return np.bincount(np.concatenate(found), minlength=len(self))

    def among(self, members: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        one, other = self._pass(np.sort(members), np.sort(members))
        return one[one < other], other[one < other]

    def _pass(self, rows: np.ndarray, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return self._vectors.passing(rows, columns, self._window)

    def _blocks(self) -> list[np.ndarray]:
        return [np.arange(start, min(start + BLOCK, len(self))) for start in range(0, len(self), BLOCK)]


def feature_graph(vectors: Vectors, window: Window) -> Graph:
    """The first turn's links."""
    tested = TestedGraph(vectors, window)
    if len(vectors) > MOST_LISTED:
        return tested
    return ListedGraph(len(vectors), *tested.among(np.arange(len(vectors))))
