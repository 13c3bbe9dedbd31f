"""Sets around one picture each.

Union-find links pictures by chains: of 6,000 at a threshold of 0.8 it made one set of 5,620, of whose pairs one in a
thousand was above 0.8. So a linked group is covered by stars: the picture that passes with the most others and these
others are a set, then again among those that are left. In a set everybody has passed with its centre, a clique stays
whole, and a chain falls apart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from .graphs import Graph

Scores = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Star:
    """members: of a set, its centre first. beyond: how many more passed with the centre and found no room."""

    members: np.ndarray
    beyond: int


def star_cover(graph: Graph, keys: np.ndarray, largest: int, scores: Scores) -> Iterator[Star]:
    """Disjoint sets of at least two.

    Args:
        keys: (N,), which decide between equals, so that the order of the pictures does not.
        largest: members of a set at most; of more, those nearest to the centre.
        scores: similarities of pairs, for that.
    """
    rank = np.empty(len(keys), dtype=np.int64)
    rank[np.argsort(keys, kind="stable")] = np.arange(len(keys))
    alive = np.ones(len(keys), dtype=bool)
    degree = graph.degrees()
    while (most := degree.max(initial=0)) > 0:
        graph = graph.thinned(alive, int(degree.sum()) // 2)
        candidates = np.flatnonzero(degree == most)
        centre = int(candidates[rank[candidates].argmin()])
        near = graph.neighbours(centre)
        near = near[alive[near]]
        beyond = max(0, len(near) + 1 - largest)
        if beyond:
            nearness = scores(np.full(len(near), centre), near)
            near = near[np.lexsort((rank[near], -nearness))[: largest - 1]]
        members = np.concatenate([[centre], near[np.argsort(rank[near])]])
        alive[members] = False
        degree = np.where(alive, degree - graph.links_to(members), 0)
        yield Star(members, beyond)
