"""From labels to rows: the accepted words become instruction, phrasings and captions; and the way back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

from ..dataset.curation.catalogue import Catalogue
from ..dataset.curation.edits import PairEdit, edit_each
from ..dataset.disk.rows import PairRow
from ..dataset.store import Dataset
from ..errors import DatasetError, ImageError, PairError, UnknownPairError
from .journal import ACCEPTED, OPEN, LabelJournal, PairLabels, Words, Writing, new_run
from .labels import Label

_BATCH = 100  # rows that are written together
CHECKS, PERSON = "checks", "person"


@dataclass(frozen=True)
class Planned:
    """What would come into one row."""

    row: PairRow
    words: Words


@dataclass
class Applied:
    """What was written.

    Attributes:
        changed: rows.
        failed: reason by id, for pairs that keep their old words.
        finished: False after a stop.
    """

    changed: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    finished: bool = True


def words_of_row(row: PairRow) -> Words:
    """All words of a row."""
    return Words(row.instruction, row.phrasings, row.source_caption, row.target_caption)


def words_of_label(label: Label, language: str = "en") -> Words | None:
    """What a label proposes in one language; None if it has no text in it."""
    texts = label.words(language)
    return Words(texts[0], texts[1:], label.source_caption, label.target_caption) if texts else None


def plan(dataset: Dataset, journal: LabelJournal, language: str = "en") -> list[Planned]:
    """What the labels that wait would change, in the order of the rows; nothing is written."""
    planned = []
    for row in dataset.rows():
        state = journal[row.id]
        words = words_of_label(state.label, language) if state.waits else None
        if words is not None:
            planned.append(Planned(row, words))
    return planned


def apply_labels(
    dataset: Dataset,
    journal: LabelJournal,
    planned: Sequence[Planned],
    *,
    progress: Callable[[int, int], None] | None = None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Applied:
    """Writes texts that passed all checks into their rows; `undo` goes back.

    Raises:
        WriteError: the disk refuses. Rows that were written before are whole, the others as they were.
    """
    catalogue = Catalogue(dataset.folder)
    recover(catalogue, journal)
    result, run, done, waiting = Applied(), new_run(), 0, iter(planned)
    while batch := list(islice(waiting, _BATCH)):
        writings = {one.row.id: Writing(words_of_row(one.row), one.words, ACCEPTED, CHECKS) for one in batch}
        changed, failed = _write(catalogue, journal, writings, run)
        result.changed += len(changed)
        result.failed |= failed
        done += len(batch)
        if progress is not None:
            progress(done, len(planned))
        if should_stop():
            result.finished = done == len(planned)
            break
    return result


def undo(dataset: Dataset, journal: LabelJournal) -> Applied:
    """Brings back what rows had before the last run that wrote into them; rows that were changed since stay.

    Raises:
        DatasetError: there is nothing to undo.
    """
    catalogue = Catalogue(dataset.folder)
    recover(catalogue, journal)
    catalogue.refresh()
    accepted = {pair: state for pair, state in journal.items() if _by_checks(state)}
    runs = [run for run in journal.runs if any(state.run == run for state in accepted.values())]
    if not runs:
        raise DatasetError(f"no label was written into the rows of {dataset.name!r}, or all of that is undone already")
    result = Applied()
    writings = {}
    for pair, state in accepted.items():
        if state.run != runs[-1]:
            continue
        if pair not in catalogue or words_of_row(catalogue.row(pair)) != state.writing.after:
            result.failed[pair] = "it was changed since"
            continue
        writings[pair] = Writing(state.writing.after, state.writing.before, OPEN, CHECKS)
    run = new_run()
    for batch in _batches(writings):
        changed, failed = _write(catalogue, journal, batch, run)
        result.changed += len(changed)
        result.failed |= failed
    return result


def decide(
    catalogue: Catalogue,
    journal: LabelJournal,
    pair: str,
    version: str,
    words: Words,
    decision: str = ACCEPTED,
) -> dict[str, str]:
    """A person accepts words for one pair, as proposed or changed by hand; or takes that back with the earlier words.

    Args:
        version: digest of the row as the person saw it.
        decision: "accepted", or "open" to take it back.

    Returns:
        Digest before the change by id, as ``edit_each``; empty where the row had these words already.

    Raises:
        StalePairError, UnknownPairError, PairError, WriteError: as ``edit_each``; nothing has changed then.
    """
    journal.refresh()
    state = journal[pair]
    catalogue.refresh()
    if catalogue.entry(pair).digest != version:
        edit_each(catalogue, {pair: version}, {})  # raises, in the usual words
    proposed = None if state.label is None else [words_of_label(state.label, language) for language in ("en", "zh")]
    edited = decision == ACCEPTED and words not in (proposed or ())
    writing = Writing(words_of_row(catalogue.row(pair)), words, decision, PERSON, edited)
    run = new_run()
    journal.begin({pair: writing}, run)
    try:
        changed = edit_each(catalogue, {pair: version}, {pair: _edit(words)})
    except Exception:
        journal.finish(run, [pair])
        raise
    journal.finish(run)
    return changed


def recover(catalogue: Catalogue, journal: LabelJournal) -> int:
    """Finishes what a process that ended had begun to write. Returns the rows changed."""
    journal.refresh()
    total = 0
    for run, writings in journal.pending.items():
        catalogue.refresh()
        still = {
            pair: writing
            for pair, writing in writings.items()
            if pair in catalogue and words_of_row(catalogue.row(pair)) == writing.before
        }
        gone = [
            pair for pair, writing in writings.items() if pair not in still and not _is_there(catalogue, pair, writing)
        ]
        changed, failed = _edit_rows(catalogue, still)
        journal.finish(run, [*gone, *failed])
        total += len(changed)
    return total


def _write(
    catalogue: Catalogue, journal: LabelJournal, writings: Mapping[str, Writing], run: str
) -> tuple[dict[str, str], dict[str, str]]:
    """Writes down, changes rows, writes down that it is done. Returns what changed, and why others did not."""
    journal.begin(writings, run)
    changed, failed = _edit_rows(catalogue, writings)
    journal.finish(run, list(failed))
    return changed, failed


def _edit_rows(catalogue: Catalogue, writings: Mapping[str, Writing]) -> tuple[dict[str, str], dict[str, str]]:
    """All rows at once; if one of them cannot be changed, one after the other."""
    catalogue.refresh()
    there = {pair: catalogue.entry(pair).digest for pair in writings if pair in catalogue}
    failed = {pair: "it is not there any more" for pair in writings if pair not in there}
    edits = {pair: _edit(writings[pair].after) for pair in there}
    try:
        return edit_each(catalogue, there, edits), failed
    except (PairError, ImageError):
        changed: dict[str, str] = {}
        for pair, digest in there.items():
            try:
                changed |= edit_each(catalogue, {pair: digest}, {pair: edits[pair]})
            except (PairError, ImageError, UnknownPairError) as error:
                failed[pair] = str(error)
        return changed, failed


def _edit(words: Words) -> PairEdit:
    return PairEdit(
        instruction=words.instruction,
        phrasings=words.phrasings,
        source_caption=words.source_caption,
        target_caption=words.target_caption,
        unlabelled=not words.instruction,
    )


def _is_there(catalogue: Catalogue, pair: str, writing: Writing) -> bool:
    return pair in catalogue and words_of_row(catalogue.row(pair)) == writing.after


def _by_checks(state: PairLabels) -> bool:
    return state.decision == ACCEPTED and state.writing is not None and state.writing.by == CHECKS


def _batches(writings: Mapping[str, Writing]) -> Iterator[dict[str, Writing]]:
    waiting = iter(writings.items())
    while batch := dict(islice(waiting, _BATCH)):
        yield batch
