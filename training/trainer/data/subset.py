"""Halves of the training pairs, for learning curves."""

from __future__ import annotations

from collections.abc import Iterable

from ...dataset.disk.rows import PairRow
from ...dataset.splits import split_groups, split_position

_ORDER = 2  # seed of the order in which sources are dealt out; other than those of the splits


def outside_subset(rows: Iterable[PairRow], subset: str) -> set[str]:
    """Ids of the training pairs that a subset leaves out. Held-out pairs belong to every subset.

    Args:
        rows: of a dataset.
        subset: "all", "first half" or "second half": of the sources, those of one history or group together.
    """
    if subset == "all":
        return set()
    rows = list(rows)
    groups = split_groups(rows)
    train = [row.id for row in rows if row.split == "train"]
    ordered = sorted({groups[pair] for pair in train}, key=lambda one: (split_position(one, _ORDER), one))
    first = set(ordered[: len(ordered) // 2])
    return {pair for pair in train if (groups[pair] in first) != (subset == "first half")}
