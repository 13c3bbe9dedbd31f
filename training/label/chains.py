"""Pairs that follow one another become rounds: contexts of several turns, as ACE is trained on (Han et al. 2024, App. B.9).

Where the result of one pair is the source of another, the second goes on from the first. The rows get the ids of their
earlier rounds, oldest first; the trainer makes a long context of them, in which every round has its own instruction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from ...ace.lcu.indicators import indicator
from ..dataset.curation.catalogue import Catalogue
from ..dataset.curation.edits import PairEdit, edit_each
from ..dataset.disk.images import pixel_hash
from ..dataset.disk.rows import PairRow
from ..dataset.store import Dataset
from ..errors import DatasetError


@dataclass(frozen=True)
class Chain:
    """Ids of pairs, each of which begins where the one before it ended."""

    ids: tuple[str, ...]

    @property
    def histories(self) -> dict[str, tuple[str, ...]]:
        """Earlier rounds by id."""
        return {pair: self.ids[:place] for place, pair in enumerate(self.ids)}


def find_chains(dataset: Dataset, ids: Sequence[str] = ()) -> list[Chain]:
    """Pairs that follow one another; each pair is in one chain at most, and none comes back to a picture it had.

    Args:
        ids: of the pairs that may be linked, in this order; all of the dataset if left out. Pairs of different sets are
            never linked.

    Raises:
        DatasetError: there is no such pair, or a picture cannot be read.
    """
    rows = [dataset.row(pair) for pair in ids] if ids else list(dataset.rows())
    edits = [row for row in rows if row.source_file_name is not None]
    targets = {row.id: pixel_hash(dataset.load(row).target) for row in edits}
    waiting: dict[tuple[str, str], list[str]] = {}
    for row in edits:
        waiting.setdefault((row.group, row.source_hash), []).append(row.id)
    following: dict[str, str] = {}
    leading: dict[str, str] = {}
    sources = {row.id: row.source_hash for row in edits}
    for row in edits:
        had = {sources[pair] for pair in _walk(row.id, leading)} | {targets[row.id]}
        for other in waiting.get((row.group, targets[row.id]), []):
            # An edit that undoes an earlier one would lead round in a circle, from which nothing else could go on.
            if other not in leading and had.isdisjoint(targets[pair] for pair in _walk(other, following)):
                following[row.id], leading[other] = other, row.id
                break
    starts = [row.id for row in edits if row.id in following and row.id not in leading]
    return [Chain(tuple(_walk(start, following))) for start in starts]


def chain_of(dataset: Dataset, ids: Sequence[str]) -> Chain:
    """The chain that somebody names: every pair must begin with what the one before it made.

    Raises:
        DatasetError: two of them do not follow one another.
    """
    rows = [dataset.row(pair) for pair in ids]
    for row, other in pairwise(rows):
        if pixel_hash(dataset.load(row).target) != other.source_hash:
            raise DatasetError(
                f"{other.id} does not go on from {row.id}: its source is another picture than that result"
            )
    return Chain(tuple(ids))


def write_chains(dataset: Dataset, chains: Sequence[Chain], *, captions: bool = False) -> int:
    """Writes the earlier rounds into the rows. Rounds of a chain belong to one split. Returns the rows changed.

    Args:
        captions: each round may also be asked for by what its result shows: its caption becomes a further phrasing.

    Raises:
        PairError: a pair would be an earlier round of itself, or equal another one.
        WriteError: the disk refuses; chains before that are written whole.
    """
    catalogue = Catalogue(dataset.folder)
    changed = 0
    for chain in chains:
        catalogue.refresh()
        seen = {pair: catalogue.entry(pair).digest for pair in chain.ids}
        split = catalogue.row(chain.ids[0]).split
        edits = {
            pair: PairEdit(history=history, split=split, phrasings=_phrasings(catalogue.row(pair), captions))
            for pair, history in chain.histories.items()
        }
        changed += len(edit_each(catalogue, seen, edits))
    return changed


def _phrasings(row: PairRow, captions: bool) -> tuple[str, ...] | None:
    """With the caption of the result as the last one, where that is known; None leaves them."""
    return (*row.phrasings, f"{indicator(0)} {row.target_caption}") if captions and row.target_caption else None


def _walk(start: str, links: Mapping[str, str]) -> list[str]:
    ids = [start]
    while ids[-1] in links:
        ids.append(links[ids[-1]])
    return ids
