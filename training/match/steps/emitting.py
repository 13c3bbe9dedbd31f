"""Sets to datasets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from ...dataset.store import Dataset
from ..disk.columns import Tables, take
from ..emit.examples import EmitSettings, Scored
from ..emit.writing import Writer, WriteSettings, Written, sets_of
from ..engines.base import Counts, Resources
from .work import Work


@dataclass(frozen=True)
class DatasetPlace:
    """root and name of a dataset; of several, each has a number after the name and a share of the sets."""

    root: str
    name: str
    count: int = 1

    def name_of(self, number: int) -> str:
        return self.name if self.count == 1 else f"{self.name}-{number:04d}"


@dataclass(frozen=True)
class Choices:
    """What a person struck out: sets by name, and single pictures by key."""

    sets: frozenset[int] = frozenset()
    pictures: frozenset[int] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.sets or self.pictures)


@dataclass(frozen=True)
class EmitTask:
    """An item is a dataset's number; it gets the sets of every so manieth bucket."""

    sets: Tables
    pairs: Tables
    place: DatasetPlace
    emit: EmitSettings
    settings: WriteSettings
    choices: Choices
    on_set: Callable[[int], None] | None = None
    keeps: bool = False
    accelerated: bool = False

    def start(self, resources: Resources) -> Callable[[str], Counts]:
        def work(item: str) -> Counts:
            number = int(item)
            Path(self.place.root).mkdir(parents=True, exist_ok=True)
            dataset = Dataset.open_or_create(self.place.root, self.place.name_of(number))
            chosen = [name for name in sorted(self.sets.names(), key=int) if int(name) % self.place.count == number]
            writer = Writer(dataset, self.emit, self.settings)
            for done, part in enumerate((part for name in chosen for part in self._chosen_sets(name)), 1):
                writer.write_set(*part)
                if self.on_set is not None:
                    self.on_set(done)
            return {**asdict(writer.written), "reasons": [dict(writer.written.reasons)]}

        return work

    def _chosen_sets(self, name: str) -> Iterator[tuple[int, dict[int, str], list[Scored]]]:
        """The sets of a bucket without what was struck out."""
        sets, pairs = self.sets.read(name), self.pairs.read(name)
        if self.choices:
            out = np.array(sorted(self.choices.sets), np.int64), np.array(sorted(self.choices.pictures), np.int64)
            sets = take(sets, ~np.isin(sets["set"], out[0]) & ~np.isin(sets["key"], out[1]))
            gone = np.isin(pairs["one"], out[1]) | np.isin(pairs["other"], out[1])
            pairs = take(pairs, np.isin(pairs["set"], sets["set"]) & ~gone)
        yield from sets_of(sets, pairs)


def emit_sets(work: Work, task: EmitTask) -> Written:
    """Writes all sets that were not struck out into the datasets."""
    items = [str(number) for number in range(task.place.count)]
    total = Written()
    for counts in work.engine.map(task, items, work.progress("writing datasets")):
        reasons = sum((Counter(part) for part in counts["reasons"]), Counter())
        total.add(Written(counts["stored"], counts["duplicates"], counts["rejected"], reasons))
    return total
