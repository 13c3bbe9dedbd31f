"""The run's folder, and what all steps share: which pictures there are, and which of them count."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..disk.columns import Columns, Tables
from ..disk.places import Place
from ..engines.base import BucketTask, Counts, Engine, MapTask, Source, add_counts

_DONE = "done.json"
_ROW_BITS = 32  # of a node's number; the rest says which shard
_MOST_HOMES = 4096  # tables that hold what belongs to shards, at most
OnProgress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Shards:
    """The shards of a collection and where they are embedded.

    A picture's number (node) is that of its shard and its row there. What is found out about pictures and goes back to
    their shards is kept in as many tables as `homes` says.

    Attributes:
        names: of the tables in `embedded`.
        embedded: features and the rest, see ``embed.shards``.
        gone: for each home, the nodes of copies and of which picture they are one; a home without any has no table.
    """

    names: tuple[str, ...]
    embedded: Tables
    gone: Tables | None = None

    @property
    def homes(self) -> int:
        return min(len(self.names), _MOST_HOMES)

    @property
    def items(self) -> list[str]:
        return [f"{number}:{name}" for number, name in enumerate(self.names)]

    def usable(self, item: str, wanted: Iterable[str]) -> tuple[np.ndarray, Columns]:
        """Nodes and columns of a shard's pictures that are neither set aside nor copies."""
        number, name = item.split(":", 1)
        wanted = list(dict.fromkeys((*wanted, "reason")))
        columns = self.embedded.read(name, wanted)
        keep = columns.pop("reason") == ""
        nodes = (np.int64(int(number)) << _ROW_BITS) + np.arange(len(keep), dtype=np.int64)
        if self.gone is not None:
            home = str(int(number) % self.homes)
            if self.gone.place.exists(home + self.gone.suffix):
                keep &= ~np.isin(nodes, self.gone.read(home, ("node",))["node"])
        if keep.all():
            return nodes, columns
        rows = np.flatnonzero(keep)
        return nodes[rows], {column: values[rows] for column, values in columns.items()}

    def copies(self) -> Iterator[tuple[str, str]]:
        """The paths of each copy and of the better picture that it equals."""
        for number, name in enumerate(self.names):
            home = str(number % self.homes)
            if self.gone is None or not self.gone.place.exists(home + self.gone.suffix):
                continue
            found = self.gone.read(home)
            here = np.flatnonzero((found["node"] >> _ROW_BITS) == number)
            if len(here):
                paths = self.embedded.read(name, ("path",))["path"]
                yield from zip(paths[found["node"][here] & (2**_ROW_BITS - 1)], found["of"][here], strict=True)

    def home_of(self, nodes: np.ndarray) -> np.ndarray:
        return (nodes >> _ROW_BITS) % self.homes


@dataclass(frozen=True)
class Work:
    """A run's folder and engine.

    Attributes:
        place: the folder; a step's tables lie in a folder named by the step and a digest of all that decides them.
        on_progress: is told (step, done, of).
    """

    place: Place
    engine: Engine
    on_progress: OnProgress

    def tables(self, step: str, digest: str) -> Tables:
        return Tables(self.place.child(f"{step}-{digest[:12]}"), self.engine.parquet)

    def map(self, step: str, task: MapTask, items: Sequence[str], tables: Tables, names: Sequence[str]) -> Counts:
        """A step over items, each of which writes the table of its name.

        Returns:
            The sum of all counts, also of items that were done before.
        """
        if (known := self._known(tables)) is not None:
            return known
        there = tables.names()
        pending = [item for item, name in zip(items, names, strict=True) if name not in there]
        return self.finish(tables, self.engine.map(task, pending, self.progress(step)))

    def shuffle(
        self, step: str, source: Source, items: Sequence[str], task: BucketTask, buckets: int, tables: Tables
    ) -> Counts:
        """A step over buckets, each of which writes the table of its number, where it has rows."""
        if (known := self._known(tables)) is not None:
            return known
        there = tables.names()
        pending = [bucket for bucket in range(buckets) if str(bucket) not in there]
        return self.finish(tables, self.engine.shuffle(source, items, task, pending, self.progress(step)))

    def progress(self, step: str) -> Callable[[int, int], None]:
        """What an engine tells of a step that begins now."""
        self.on_progress(step, 0, 0)
        return lambda done, total: self.on_progress(step, done, total)

    def _known(self, tables: Tables) -> Counts | None:
        return json.loads(tables.place.read(_DONE)) if self.is_done(tables) else None

    def is_done(self, tables: Tables) -> bool:
        return tables.place.exists(_DONE)

    def finish(self, tables: Tables, results: Iterable[Counts]) -> Counts:
        """Lets the engine work, which it does as its results are asked for.

        Returns:
            The sum of all counts that lie beside the tables, those of an earlier run among them.
        """
        for _ in results:
            pass
        counts = add_counts(read_counts(tables))
        tables.place.write(_DONE, json.dumps(counts).encode())
        return counts


def write_with_counts(tables: Tables, name: str, columns: Columns, counts: Counts) -> Counts:
    """A part's counts, then its table: where the table is, the counts are, too."""
    tables.place.write(f"{name}.counts.json", json.dumps(counts).encode())
    tables.write(name, columns)
    return counts


def read_counts(tables: Tables, names: Iterable[str] | None = None) -> list[Counts]:
    """The counts of these parts, or of all that are there whole."""
    chosen = sorted(tables.names()) if names is None else names
    return [json.loads(tables.place.read(f"{name}.counts.json")) for name in chosen]


def digest_of(*parts: Any) -> str:
    """SHA-256 of what decides a step, as text."""
    return hashlib.sha256("\n".join(map(str, parts)).encode("utf-8", "surrogateescape")).hexdigest()


def spread(values: np.ndarray, buckets: int) -> np.ndarray:
    """Buckets of unsigned numbers."""
    return (values % np.uint64(buckets)).astype(np.int64)
