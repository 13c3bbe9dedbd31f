"""All pairs of a cluster, reduced to what links its sets.

A cluster of a thousand alike pictures has half a million passing pairs, and 999 links say as much about its sets. So a
cluster hands on its own sets, each picture linked to the first of its set, and the number of its pairs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .components import merge
from .relation import BLOCK, Vectors, Window

_CHUNK = 1 << 19  # pairs whose clusters are compared at once


@dataclass(frozen=True)
class Links:
    """links: (L, 2), picture and first picture of its set. pairs: how many passed, each counted in one cluster only."""

    links: np.ndarray
    pairs: int


def links_within(
    vectors: Vectors,
    window: Window,
    clusters: np.ndarray | None = None,
    own: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Links:
    """The sets of one cluster.

    Args:
        clusters: (N, P), all clusters of each picture; None where there is but one.
        own: the cluster at hand. A pair that meets in several counts in the lowest alone.
        progress: is told (blocks done, blocks in all).
    """
    labels = np.arange(len(vectors))
    starts = range(0, len(vectors), BLOCK)
    blocks = [np.arange(start, min(start + BLOCK, len(vectors))) for start in starts]
    pairs = done = 0
    for number, rows in enumerate(blocks):
        for columns in blocks[number:]:
            one, other = vectors.passing(rows, columns, window)
            if columns is rows:
                upper = one < other
                one, other = one[upper], other[upper]
            if clusters is not None and clusters.shape[1] > 1:
                mine = owned(clusters[one], clusters[other], own)
                one, other = one[mine], other[mine]
            pairs += len(one)
            labels = merge(labels, one, other)
            done += 1
            if progress is not None:
                progress(done, len(blocks) * (len(blocks) + 1) // 2)
    linked = np.flatnonzero(labels != np.arange(len(labels)))
    return Links(np.stack([linked, labels[linked]], axis=1), pairs)


def owned(one: np.ndarray, other: np.ndarray, own: int) -> np.ndarray:
    """Which pairs count in cluster `own`: those that have no lower one in common.

    Args:
        one, other: (M, P), the clusters of the first and of the second picture.
    """
    found = np.empty(len(one), dtype=bool)
    for start in range(0, len(one), _CHUNK):
        rows = slice(start, start + _CHUNK)
        left, right = one[rows, :, None], other[rows, None, :]
        found[rows] = ~((left == right) & (left < own)).any(axis=(1, 2))
    return found
