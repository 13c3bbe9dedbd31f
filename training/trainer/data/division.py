"""How pairs are divided beyond their split: held-out ones into those that decide and those that test, others into halves.

A length that was chosen because it does best on some pairs looks a little better on them than it is (it was chosen among
dozens). So of enough held-out sources half decide, and the report is measured on the others.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...dataset.disk.rows import PairRow
from ...dataset.splits import split_groups, split_position
from ...dataset.store import Dataset

LEAST = 3
"""Sources from which a length, or a score, is more than chance."""
_ORDER = 1  # seed of the order in which sources are dealt out; that of the split itself is another

_HALVES_ORDER = 2  # likewise, for halves of the training pairs

Pair = tuple[Path, str]  # folder of the dataset, id


@dataclass(frozen=True)
class HeldOutRoles:
    """What each held-out pair is for.

    Attributes:
        deciding: pairs that decide how long a run trains.
        testing: pairs that say what came of it.
        deciding_sources, testing_sources: pictures behind them.
    """

    deciding: frozenset[Pair]
    testing: frozenset[Pair]
    deciding_sources: int
    testing_sources: int

    @property
    def shared(self) -> bool:
        """Whether they are the same pairs, whose score then is a little too good."""
        return bool(self.deciding & self.testing)

    @property
    def can_decide(self) -> bool:
        """Whether there are enough to choose a length by."""
        return self.deciding_sources >= LEAST


def too_few_to_decide(pairs: int, steps: int) -> str:
    """For people: there are not enough held-out pairs to choose the length of a run by."""
    return (
        f"the length of the training cannot be chosen by its pictures: of {pairs} held-out pair{'' if pairs == 1 else 's'} "
        f"fewer than {LEAST} have different sources that the teacher changes. It trains {steps} steps; with more pairs held "
        "out (`comfyui-ace dataset split DATASET`, or the page of datasets) it stops by itself"
    )


def held_out_roles(folders: Sequence[Path], pairs: str) -> HeldOutRoles:
    """Deals out the held-out pairs: always the same way, and variants of one source to the same side.

    Args:
        folders: of the datasets.
        pairs: "all": each decides and tests. "half": half of the sources of each dataset decide, the rest tests; where that
            leaves fewer than ``LEAST`` on either side, all do both.

    Raises:
        DatasetError: a folder is no dataset.
    """
    deciding: set[Pair] = set()
    testing: set[Pair] = set()
    counts = [0, 0]
    for folder in folders:
        rows = list(Dataset(folder).rows())
        groups = split_groups(rows)
        held_out = [row for row in rows if row.split == "validation" and row.labelled and row.source_file_name]
        sources = sorted({groups[row.id] for row in held_out}, key=lambda one: (split_position(one, _ORDER), one))
        chosen = set(sources[: len(sources) // 2])
        counts[0] += len(chosen)
        counts[1] += len(sources) - len(chosen)
        for row in held_out:
            (deciding if groups[row.id] in chosen else testing).add((folder, row.id))
    if pairs == "half" and min(counts) >= LEAST:
        return HeldOutRoles(frozenset(deciding), frozenset(testing), *counts)
    both = frozenset(deciding | testing)
    return HeldOutRoles(both, both, sum(counts), sum(counts))


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
    ordered = sorted({groups[pair] for pair in train}, key=lambda one: (split_position(one, _HALVES_ORDER), one))
    first = set(ordered[: len(ordered) // 2])
    return {pair for pair in train if (groups[pair] in first) != (subset == "first half")}
