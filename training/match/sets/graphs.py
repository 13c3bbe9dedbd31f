"""Which pictures of a linked group pass with which: as a list of links, or worked out anew where that would be too long."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np

from ..link.relation import BLOCK, Vectors, Window

MOST_LISTED = 4096  # pictures; a larger group can have more links than memory holds
_MOST_LINKS = 4_000_000  # that are listed all the same
_ROWS = 256  # whose nearest are looked for at once


class Graph(Protocol):
    """Pictures 0 … N-1 and the test of each pair. All answers are exact and do not depend on the order of asking."""

    def __len__(self) -> int: ...

    def degrees(self) -> np.ndarray:
        """(N,), with how many others each passes."""
        ...

    def neighbours(self, node: int) -> np.ndarray:
        """Those that pass with `node`, ascending."""
        ...

    def near(self, rows: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
        """Pairs of `rows` with those that they pass, at least with the `most` that are nearest to each."""
        ...

    def links_to(self, members: np.ndarray) -> np.ndarray:
        """(N,), with how many of `members` each passes."""
        ...

    def among(self, members: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The pairs that pass among `members`, the smaller index first."""
        ...

    def thinned(self, alive: np.ndarray, links: int) -> Graph:
        """A graph that need not know of pictures that are not `alive` (N,); of the others all, which have so many links."""
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

    def near(self, rows: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
        found = [self.neighbours(row) for row in rows]
        return np.repeat(rows, list(map(len, found))), np.concatenate(found)

    def among(self, members: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        inside = np.zeros(len(self), dtype=bool)
        inside[members] = True
        found = [(member, near[inside[near]]) for member in np.sort(members) if len(near := self.neighbours(member))]
        one = np.repeat([member for member, _ in found], [len(near) for _, near in found]).astype(np.int64)
        other = np.concatenate([near for _, near in found]) if found else one
        return one[one < other], other[one < other]

    def thinned(self, alive: np.ndarray, links: int) -> ListedGraph:
        return self


class TestedGraph:
    """Links worked out from the features whenever they are asked for, in memory that does not grow with their number.

    Args:
        rows: the pictures whose links are wanted, ascending; None for all.
    """

    __test__ = False  # no test of pytest's

    def __init__(self, vectors: Vectors, window: Window, rows: np.ndarray | None = None):
        self._vectors, self._window = vectors, window
        self._rows = np.arange(len(vectors)) if rows is None else rows

    def __len__(self) -> int:
        return len(self._vectors)

    def degrees(self) -> np.ndarray:
        total = np.zeros(len(self), dtype=np.int64)
        for one, other in self._pairs():
            total += np.bincount(one, minlength=len(self)) + np.bincount(other, minlength=len(self))
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

    def near(self, rows: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
        found = [self._pass(rows, columns) for columns in self._blocks()]
        node, near = (np.concatenate(ends) for ends in zip(*found, strict=True))
        table = self._vectors.block(rows)
        rough = np.concatenate([(table @ self._vectors.block(c).T).cpu().numpy() for c in self._blocks()], axis=1)
        values = rough[np.searchsorted(rows, node), np.searchsorted(self._rows, near)]
        order = np.lexsort((-values, node))
        starts = np.searchsorted(node[order], rows)
        # The place of each row's last wanted one.
        last = np.minimum(starts + most, np.append(starts[1:], len(node))) - 1
        least = values[order][np.maximum(last, 0)] if len(node) else np.zeros(len(rows))
        keep = values >= least[np.searchsorted(rows, node)] - 2 * self._vectors.margin
        return node[keep], near[keep]

    def thinned(self, alive: np.ndarray, links: int) -> Graph:
        left = int(np.count_nonzero(alive))
        if links > _MOST_LINKS and left > 0.8 * len(self._rows):
            return self
        rest = TestedGraph(self._vectors, self._window, np.flatnonzero(alive))
        if links > _MOST_LINKS:
            return rest
        found = list(rest._pairs())
        return ListedGraph(len(self), *(np.concatenate(ends) for ends in zip(*found, strict=True)))

    def _pairs(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """All links, each once."""
        blocks = self._blocks()
        for number, rows in enumerate(blocks):
            for columns in blocks[number:]:
                one, other = self._pass(rows, columns)
                yield (one, other) if columns is not rows else (one[one < other], other[one < other])

    def _pass(self, rows: np.ndarray, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return self._vectors.passing(rows, columns, self._window)

    def _blocks(self) -> list[np.ndarray]:
        return [self._rows[start : start + BLOCK] for start in range(0, len(self._rows), BLOCK)]


def feature_graph(vectors: Vectors, window: Window) -> Graph:
    """The first turn's links."""
    tested = TestedGraph(vectors, window)
    if len(vectors) > MOST_LISTED:
        return tested
    return ListedGraph(len(vectors), *tested.among(np.arange(len(vectors))))


def nearest_pairs(graph: Graph, vectors: Vectors, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Each picture with the nearest `most` of those that it passes, each pair once, the smaller index first."""
    found = [np.zeros(0, np.int64)]
    for start in range(0, len(graph), _ROWS):
        node, near = graph.near(np.arange(start, min(start + _ROWS, len(graph))), most)
        order = np.lexsort((near, -vectors.scores(node, near), node))
        node, near = node[order], near[order]
        place = np.arange(len(node)) - np.searchsorted(node, node)  # from the nearest on
        node, near = node[place < most], near[place < most]
        found.append(np.minimum(node, near) * len(graph) + np.maximum(node, near))
    packed = np.unique(np.concatenate(found))
    return packed // len(graph), packed % len(graph)
