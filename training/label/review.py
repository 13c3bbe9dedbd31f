"""Labels as a person goes through them: what waits, what was said about it, and a decision on one pair."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from ..dataset.curation.catalogue import Catalogue, Entry
from ..dataset.disk.rows import PairRow
from ..errors import PairError
from .applying import decide, recover, words_of_label, words_of_row
from .journal import ACCEPTED, OPEN, LabelJournal, Words
from .labels import Label
from .report import state_of
from .settings import LANGUAGES


def open_journal(catalogue: Catalogue) -> LabelJournal:
    """The labels of a dataset; what a process that ended had begun to write is finished first."""
    journal = LabelJournal(catalogue.folder)
    if journal.pending:
        recover(catalogue, journal)
    return journal


def waiting(journal: LabelJournal, entries: Sequence[Entry]) -> list[Entry]:
    """Those of the pairs that have texts on which nobody has decided."""
    return [entry for entry in entries if journal[entry.id].waits]


def proposed_texts(journal: LabelJournal, pair: str) -> Sequence[str]:
    """The texts that would become a pair's instruction and its further phrasings; empty where there are none."""
    label = journal[pair].label
    return () if label is None else label.words(_language(label))


def _language(label: Label) -> str:
    """Of the texts that a person would accept."""
    return next((name for name in LANGUAGES if label.words(name)), LANGUAGES[0])


def label_item(journal: LabelJournal, row: PairRow) -> dict[str, Any]:
    """All that a page shows of a pair's label; empty where there is none.

    What a person would accept is in one language, the first of ``LANGUAGES`` that there is; texts in others are only
    shown. The row's own further phrasings and captions are among it, for accepting them again or striking them out.
    """
    state = journal[row.id]
    if state.label is None:
        return {}
    label = state.label
    language = _language(label)
    words = words_of_label(label, row, language) or words_of_row(row)
    return {
        "state": state_of(state),
        "waits": state.waits,
        "reason": label.reason,
        "words": {
            "texts": [words.instruction, *words.phrasings],
            "source_caption": words.source_caption,
            "target_caption": words.target_caption,
        },
        "others": [text for name in LANGUAGES if name != language for text in label.words(name)],
        "texts": [asdict(text) for text in label.texts],
        "checks": dict(label.checks),
        "dropped": [list(each) for each in label.dropped],
        "model": label.model,
        "task": label.task,
        "time": label.time,
    }


def accept(
    catalogue: Catalogue, journal: LabelJournal, pair: str, version: str, texts: Sequence[str], captions: Sequence[str]
) -> Words:
    """A person accepts texts, as proposed or as they changed them. Returns the words before, for the way back.

    Raises:
        PairError: there is no text, or one is none for this pair.
        StalePairError, UnknownPairError, WriteError: as ``edit_each``.
    """
    found = [text for text in texts if text.strip()]
    if not found:
        raise PairError("Accepting needs a text: write one, or reject what was proposed.")
    source, target = captions
    catalogue.refresh()
    before = words_of_row(catalogue.row(pair))
    decide(catalogue, journal, pair, version, Words(found[0], tuple(found[1:]), source, target))
    return before


def reject(journal: LabelJournal, pair: str) -> None:
    """A person wants none of the texts; the row stays as it is.

    Raises:
        PairError: nothing was proposed.
    """
    if journal[pair].label is None:
        raise PairError(f"Nothing was proposed for {pair}.")
    journal.add_rejection(pair)


def take_back(catalogue: Catalogue, journal: LabelJournal, pair: str, version: str, before: Words | None) -> None:
    """What `accept` or `reject` did is undone, and the texts wait again.

    Args:
        before: what `accept` gave; None after a rejection.

    Raises:
        StalePairError, UnknownPairError, PairError, WriteError: as ``edit_each``.
    """
    if before is None:
        journal.add_reopening(pair)
    elif journal[pair].decision == ACCEPTED:
        decide(catalogue, journal, pair, version, before, OPEN)
