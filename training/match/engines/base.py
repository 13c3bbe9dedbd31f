"""What an engine does.

There are two kinds of work. ``map``: each of many items by itself. ``shuffle``: rows are read from many items, each row
with the number of a bucket, and every bucket is handed on whole. A worker writes its results itself, under a name that
follows from the item or bucket, and returns a few numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ..disk.columns import Columns
from ..embed.readers import Readers

Counts = dict[str, Any]
Progress = Callable[[int, int], None]
Source = Callable[[str, frozenset[int]], Columns]
"""(item, buckets) -> the item's rows for these buckets, with the column "bucket". It can be pickled."""


@dataclass(frozen=True)
class Resources:
    """What a worker may use. device: "cpu", "cuda" …; readers: for many pictures at once."""

    device: str
    readers: Readers


class MapTask(Protocol):
    """Work on items. It can be pickled; what cannot (models) is made by `start`, once for each worker.

    Attributes:
        keeps: what `start` makes is worth keeping (a model, centroids), so that workers stay.
        accelerated: it makes matrix products, which a GPU does faster.
    """

    keeps: bool
    accelerated: bool

    def start(self, resources: Resources) -> Callable[[str], Counts]: ...


class BucketTask(Protocol):
    """As `MapTask`, on buckets of rows."""

    keeps: bool
    accelerated: bool

    def start(self, resources: Resources) -> Callable[[int, Columns], Counts]: ...


class Engine(Protocol):
    """What runs the steps.

    Attributes:
        name: "local" or "ray".
        parquet: the form of its tables.
    """

    name: str
    parquet: bool

    def map(self, task: MapTask, items: Sequence[str], progress: Progress) -> Iterable[Counts]: ...

    def shuffle(
        self, source: Source, items: Sequence[str], task: BucketTask, buckets: Iterable[int], progress: Progress
    ) -> Iterable[Counts]: ...

    def close(self) -> None: ...


def add_counts(parts: Iterable[Counts]) -> Counts:
    """Numbers added by name, lists joined; what is called "largest …" is the largest."""
    total: Counts = {}
    for part in parts:
        for name, value in part.items():
            if name not in total:
                total[name] = value
            else:
                total[name] = max(total[name], value) if name.startswith("largest") else total[name] + value
    return total
