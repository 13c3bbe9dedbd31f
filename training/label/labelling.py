"""Labels a dataset: what is labelled already is passed over, several pairs are asked about at once, a stop loses nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ..dataset.disk.rows import PairRow
from ..dataset.store import Dataset
from ..vision_language.answer import Usage
from ..vision_language.asking import ask_about
from .applying import hash_of_words
from .journal import ACCEPTED, REJECTED, LabelJournal
from .labeller import Labelled, Labeller
from .labels import Label
from .sets import find_sets
from .settings import LabelSettings, shown_pair

Progress = Callable[[int, int, "LabellingResult"], None]


@dataclass
class LabellingResult:
    """What became of it.

    Attributes:
        proposed: pairs that got texts.
        unlabelled: pairs that got none, by reason.
        known: pairs that had a label before.
        decided: pairs that somebody decided on while the run was under way, so that nothing was asked about them.
        failed: reason by id, for pairs that could not be asked about; they are tried again the next time.
        invented: pairs shown twice in which the model saw a difference, of all that were shown so.
        shown_twice: how many those are.
        repeated: questions asked once more.
        usage: tokens.
        seconds: it took.
        finished: False after a stop.
    """

    proposed: int = 0
    unlabelled: dict[str, int] = field(default_factory=dict)
    known: int = 0
    decided: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    invented: int = 0
    shown_twice: int = 0
    repeated: int = 0
    usage: Usage = field(default_factory=Usage)
    seconds: float = 0.0
    finished: bool = True

    def take(self, labelled: Labelled | None) -> None:
        """Counts one pair; None is one that was decided on."""
        if labelled is None:
            self.decided += 1
            return
        label = labelled.label
        self.usage = self.usage + labelled.usage
        self.repeated += labelled.repeated
        if "identical" in label.checks:
            self.shown_twice += 1
            self.invented += label.reason.startswith("identical")
        if label.proposed:
            self.proposed += 1
        else:
            reason = label.reason.split(":")[0]
            self.unlabelled[reason] = self.unlabelled.get(reason, 0) + 1

    @property
    def left(self) -> int:
        """Pairs without a text."""
        return sum(self.unlabelled.values())


def choose_pairs(
    dataset: Dataset, journal: LabelJournal, labeller: Labeller, settings: LabelSettings
) -> tuple[list[PairRow], int]:
    """Rows to label, and the number of those that have a label of these questions already.

    What a person or the checks accepted, and what a person rejected, is never asked about again by itself: `again` asks
    about rejected pairs and about those that wait or were left, but leaves accepted ones.
    """
    todo, known = [], 0
    rows = list(dataset.rows(settings.split))
    asked_of_sets = settings.sets and labeller.model  # without a model there is nobody to ask
    in_sets = {pair for ids in find_sets(rows).values() for pair in ids} if asked_of_sets else set()
    for row in rows:
        state = journal[row.id]
        if state.decision in (ACCEPTED, REJECTED) or _is_known(state.label, labeller, row.id in in_sets):
            known += 1
            if not settings.again or state.decision == ACCEPTED:
                continue
        todo.append(row)
        if settings.limit and len(todo) == settings.limit:
            break
    return todo, known


def label_dataset(
    dataset: Dataset,
    labeller: Labeller,
    settings: LabelSettings | None = None,
    *,
    shared: Mapping[str, Sequence[str]] | None = None,
    progress: Progress | None = None,
    should_stop: Callable[[], bool] = lambda: False,
) -> LabellingResult:
    """Proposes texts for all pairs that have none of these questions; no row is changed.

    Args:
        shared: what all pictures of a pair's set have in common, by id.
        progress: told pairs done, pairs to do, and what has come of it; an exception it raises stops the run.
        should_stop: asked between pairs.

    Raises:
        ModelError: the model cannot be reached any more. What was labelled before that is kept.
        DatasetError: the dataset cannot be read or written.
    """
    settings = settings or labeller.settings
    journal = LabelJournal(dataset.folder)
    todo, known = choose_pairs(dataset, journal, labeller, settings)
    decided = {row.id: journal[row.id].decided for row in todo}
    edits = [row.id for row in todo if row.source_file_name is not None]
    twice = set(edits[: settings.identical])
    result, started, done = LabellingResult(known=known), time.monotonic(), 0
    tell = progress or (lambda *_: None)

    def tell_one() -> None:
        nonlocal done
        done += 1
        result.seconds = time.monotonic() - started
        tell(done, len(todo), result)

    def ask(row: PairRow) -> Labelled | None:
        given = {"identical": row.id in twice, "shared": (shared or {}).get(row.id)}
        return _label_undecided(dataset, labeller, journal, row, decided[row.id], **given)

    def take(row: PairRow, labelled: Labelled | None) -> None:
        if labelled is not None:
            journal.add_label(replace(labelled.label, row=hash_of_words(row)), decided[row.id])
        result.take(labelled)
        tell_one()

    def fail(row: PairRow, error: Exception) -> None:
        result.failed[row.id] = str(error)
        tell_one()

    tell(0, len(todo), result)
    try:
        result.finished = ask_about(
            todo, ask, parallel=labeller.parallel, take=take, fail=fail, should_stop=should_stop
        )
    finally:
        result.seconds = time.monotonic() - started
    return result


def _label_undecided(
    dataset: Dataset, labeller: Labeller, journal: LabelJournal, row: PairRow, decided: int, **given: Any
) -> Labelled | None:
    """None where somebody has decided since the run began: asking would be for nothing."""
    journal.refresh()
    state = journal[row.id]
    if state.decided != decided:
        return None
    return labeller.label(row.id, shown_pair(dataset, row), rejected=state.rejected, **given)


def _is_known(label: Label | None, labeller: Labeller, in_set: bool) -> bool:
    """Whether a label answers what would be asked now. What the pixels tell needs no model, no judge and no set."""
    if label is None:
        return False
    if label.model and not labeller.model:
        return True  # without a model there is nothing more to say of it
    if label.asked != labeller.asked:
        return False
    if label.task:
        return True
    judged = labeller.judged_by in ("", label.judge)
    return label.model == labeller.model and judged and (label.in_set or not in_set)
