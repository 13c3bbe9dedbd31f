"""Sets to datasets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from ...dataset.store import Dataset
from ..cluster.centroids import mixed
from ..disk.columns import Tables, take
from ..emit.examples import EmitSettings, Scored
from ..emit.writing import Writer, WriteSettings, Written, sets_of
from ..engines.base import Counts, Resources
from .work import Work, spread


@dataclass(frozen=True)
class DatasetPlace:
    """root and name of a dataset; of several, each has a number after the name and a share of the sets.

    A set goes by its name, so that it finds its pairs again whatever other sets there are.
    """

    root: str
    name: str
    count: int = 1

    def name_of(self, number: int) -> str:
        return self.name if self.count == 1 else f"{self.name}-{number:04d}"

    def numbers_of(self, sets: np.ndarray) -> np.ndarray:
        """For each set the number of its dataset."""
        return spread(mixed(sets), self.count)


@dataclass(frozen=True)
class Choices:
    """What a person struck out: sets by name, and single pictures by key."""

    sets: frozenset[int] = frozenset()
    pictures: frozenset[int] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.sets or self.pictures)


@dataclass(frozen=True)
class EmitTask:
    """An item is a dataset's number."""

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
            buckets = sorted(self.sets.names(), key=int)
            writer = Writer(dataset, self.emit, self.settings)
            for done, part in enumerate((part for name in buckets for part in self._chosen_sets(name, number)), 1):
                writer.write_set(*part)
                if self.on_set is not None:
                    self.on_set(done)
            return {**asdict(writer.written), "reasons": [dict(writer.written.reasons)]}

        return work

    def _chosen_sets(self, name: str, number: int) -> Iterator[tuple[int, dict[int, str], list[Scored]]]:
        """The sets of a bucket that belong to a dataset, without what was struck out."""
        sets, pairs = self.sets.read(name), self.pairs.read(name)
        struck, pictures = (np.array(sorted(ids), np.int64) for ids in (self.choices.sets, self.choices.pictures))
        here = (self.place.numbers_of(sets["set"]) == number) & ~np.isin(sets["set"], struck)
        sets = take(sets, here & ~np.isin(sets["key"], pictures))
        gone = np.isin(pairs["one"], pictures) | np.isin(pairs["other"], pictures)
        yield from sets_of(sets, take(pairs, np.isin(pairs["set"], sets["set"]) & ~gone))


def emit_sets(work: Work, task: EmitTask) -> Written:
    """Writes all sets that were not struck out into the datasets."""
    items = [str(number) for number in range(task.place.count)]
    total = Written()
    for counts in work.engine.map(task, items, work.progress("writing datasets")):
        reasons = sum((Counter(part) for part in counts["reasons"]), Counter())
        total.add(Written(counts["stored"], counts["duplicates"], counts["rejected"], reasons))
    return total
