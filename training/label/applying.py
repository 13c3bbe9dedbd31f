"""From labels to rows: the accepted words become instruction, phrasings and captions; and the way back."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

from ..dataset.curation.catalogue import Catalogue
from ..dataset.curation.edits import PairEdit, edit_each
from ..dataset.disk.rows import PairRow
from ..dataset.intake.wording import distinct_phrasings, one_line
from ..dataset.store import Dataset
from ..errors import DatasetError, ImageError, PairError, StalePairError, UnknownPairError
from .journal import ACCEPTED, OPEN, LabelJournal, PairLabels, Words, Writing, new_run
from .labels import Label
from .settings import LANGUAGES

_BATCH = 100  # rows that are written together
CHECKS, PERSON = "checks", "person"


@dataclass(frozen=True)
class Planned:
    """What would come into one row.

    Attributes:
        changed: instruction or captions of the row are others than when the label was made, so somebody meant them.
    """

    row: PairRow
    words: Words
    changed: bool = False

    def left(self, overwrite: bool) -> str:
        """Why the row keeps its words; empty if it does not."""
        return "its words were changed since the label was made" if self.changed and not overwrite else ""


@dataclass
class Applied:
    """What was written.

    Attributes:
        changed: rows.
        failed: reason by id, for pairs that keep their old words.
        left: reason by id, for pairs whose words are somebody's own.
        finished: False after a stop.
    """

    changed: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    left: dict[str, str] = field(default_factory=dict)
    finished: bool = True


def words_of_row(row: PairRow) -> Words:
    """All words of a row."""
    return Words(row.instruction, row.phrasings, row.source_caption, row.target_caption)


def as_in_row(words: Words) -> Words:
    """The same words as a row keeps them: each text on one line and once."""
    first = one_line(words.instruction)
    captions = one_line(words.source_caption), one_line(words.target_caption)
    return Words(first, distinct_phrasings(words.phrasings, first), *captions)


def words_of_label(label: Label, row: PairRow, language: str = "en") -> Words | None:
    """What a row would have with a label's texts in one language; None if there is no text in it.

    Further phrasings of the row stay, and captions where the label has none in this language.
    """
    texts = label.words(language)
    if not texts:
        return None
    captions = (label.source_caption, label.target_caption) if label.texts[0].language == language else ("", "")
    return as_in_row(
        Words(
            texts[0],
            (*texts[1:], *row.phrasings),
            captions[0] or row.source_caption,
            captions[1] or row.target_caption,
        )
    )


def hash_of_words(row: PairRow) -> str:
    """Of what a label takes the place of; further phrasings stay, so they do not count."""
    words = json.dumps([row.instruction, row.source_caption, row.target_caption])
    return hashlib.sha256(words.encode()).hexdigest()[:16]


def plan(dataset: Dataset, journal: LabelJournal, language: str = "en") -> list[Planned]:
    """What the labels that wait would change, in the order of the rows; nothing is written."""
    planned = []
    for row in dataset.rows():
        state = journal[row.id]
        words = words_of_label(state.label, row, language) if state.waits else None
        if words is not None:
            planned.append(Planned(row, words, bool(state.label.row) and state.label.row != hash_of_words(row)))
    return planned


def apply_labels(
    dataset: Dataset,
    journal: LabelJournal,
    planned: Sequence[Planned],
    *,
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Applied:
    """Writes texts that passed all checks into their rows; `undo` goes back.

    Args:
        overwrite: also where somebody has changed the row's words since the label was made.

    Raises:
        WriteError: the disk refuses. Rows that were written before are whole, the others as they were.
    """
    catalogue = Catalogue(dataset.folder)
    recover(catalogue, journal)
    result, run, done, waiting = Applied(), new_run(), 0, iter(planned)
    while batch := list(islice(waiting, _BATCH)):
        journal.refresh()
        writings = {}
        for one in batch:
            if reason := one.left(overwrite):
                result.left[one.row.id] = reason
            elif not journal[one.row.id].waits:
                result.left[one.row.id] = "somebody has decided on it meanwhile"
            else:
                writings[one.row.id] = Writing(words_of_row(one.row), one.words, ACCEPTED, CHECKS)
        _write(catalogue, journal, writings, run, result)
        done += len(batch)
        if progress is not None:
            progress(done, len(planned))
        if should_stop():
            result.finished = done == len(planned)
            break
    return result


def undo(dataset: Dataset, journal: LabelJournal) -> Applied:
    """Brings back what rows had before the last run that wrote into them; rows that were changed since stay.

    A run of which nothing can be brought back does not stand in the way of the one before it.

    Raises:
        DatasetError: there is nothing to undo.
    """
    catalogue = Catalogue(dataset.folder)
    recover(catalogue, journal)
    catalogue.refresh()
    written: dict[str, dict[str, Writing]] = {}
    for pair, state in journal.items():
        if _by_checks(state):
            written.setdefault(state.run, {})[pair] = state.writing
    if not written:
        raise DatasetError(f"no label was written into the rows of {dataset.name!r}, or all of that is undone already")
    result, run = Applied(), new_run()
    for earlier in dict.fromkeys(reversed(journal.runs)):
        back = {}
        for pair, writing in written.get(earlier, {}).items():
            if pair not in catalogue:
                result.left[pair] = "it is not there any more"
            elif words_of_row(catalogue.row(pair)) != writing.after:
                result.left[pair] = "it was changed since"
            else:
                back[pair] = Writing(writing.after, writing.before, OPEN, CHECKS)
        for batch in _batches(back):
            _write(catalogue, journal, batch, run, result)
        if result.changed:
            break
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
    row, words = catalogue.row(pair), as_in_row(words)
    proposed = [] if state.label is None else [words_of_label(state.label, row, language) for language in LANGUAGES]
    edited = decision == ACCEPTED and words not in proposed
    writing = Writing(words_of_row(row), words, decision, PERSON, edited)
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
    catalogue: Catalogue, journal: LabelJournal, writings: Mapping[str, Writing], run: str, result: Applied
) -> None:
    """Writes down, changes rows, writes down that it is done."""
    if not writings:
        return
    journal.begin(writings, run)
    changed, failed = _edit_rows(catalogue, writings)
    journal.finish(run, list(failed))
    result.changed += len(changed)
    result.failed |= failed


def _edit_rows(catalogue: Catalogue, writings: Mapping[str, Writing]) -> tuple[dict[str, str], dict[str, str]]:
    """All rows at once; if one of them cannot be changed, one after the other. Says what changed, and why others not."""
    catalogue.refresh()
    there, failed = {}, {}
    for pair, writing in writings.items():
        if pair not in catalogue:
            failed[pair] = "it is not there any more"
        elif words_of_row(catalogue.row(pair)) != writing.before:
            failed[pair] = "its words were changed meanwhile"
        else:
            there[pair] = catalogue.entry(pair).digest
    edits = {pair: _edit(writings[pair].after) for pair in there}
    try:
        return edit_each(catalogue, there, edits), failed
    except (PairError, ImageError, UnknownPairError, StalePairError):
        changed: dict[str, str] = {}
        for pair, digest in there.items():
            try:
                changed |= edit_each(catalogue, {pair: digest}, {pair: edits[pair]})
            except (PairError, ImageError, UnknownPairError, StalePairError) as error:
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
