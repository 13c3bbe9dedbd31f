"""Judges a dataset: what is judged already is passed over, several pairs are asked about at once, a stop loses nothing."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from PIL import Image

from ..dataset.disk.perceptual_hash import PairPerceptualHash, PerceptualHashTable
from ..dataset.disk.rows import UNLABELLED_ADVICE, PairRow
from ..dataset.store import Dataset
from ..errors import DatasetError
from ..vision_language.answer import Usage
from ..vision_language.asking import ask_about
from .judges import Judge
from .pixels import JUDGE, VERSION, Faults, faults_of, measure_faults, pixel_scores
from .prompts import PairPictures, instruction_of_row
from .scores import Judgement

_log = logging.getLogger(__name__)
_SAVE_SECONDS = 15.0
_SIMILAR_BITS, _SIMILAR_COLOUR = 2, 3.0  # as of the check at the door
_MOST_COMPARED = 8  # earlier pairs


@dataclass(frozen=True)
class ScoringSettings:
    """What is judged.

    Attributes:
        split: "train", "validation" or None for both.
        limit: at most so many pairs; 0 for all.
        again: also pairs whose answer could not be read the last time.
        swaps: how many pairs are also judged with source and result exchanged.
        instruction: what the edit is in plain words, for datasets whose own words are a mere trigger.
    """

    split: str | None = None
    limit: int = 0
    again: bool = False
    swaps: int = 0
    instruction: str = ""


@dataclass(frozen=True)
class ScoringResult:
    """What became of it.

    Attributes:
        scored: pairs judged now.
        unscored: pairs whose answers could not be read, even asked twice.
        known: pairs that were judged before.
        failed: reason by id, for pairs that could not be asked about; they are tried again the next time.
        repeated: questions asked once more.
        usage: tokens.
        seconds: it took.
        finished: False after a stop.
    """

    scored: int
    unscored: int
    known: int
    failed: Mapping[str, str]
    repeated: int
    usage: Usage
    seconds: float
    finished: bool = True


Progress = Callable[[int, int, ScoringResult], None]


class _Run:
    """State of one run over a dataset."""

    def __init__(self, dataset: Dataset, judge: Judge, settings: ScoringSettings, known: int) -> None:
        self.dataset, self.judge, self.settings = dataset, judge, settings
        self.known = known
        self.fresh: dict[str, Judgement] = {}  # not in the rows yet
        self.scored = self.unscored = 0
        self.failed: dict[str, str] = {}
        self.started = self.saved = time.monotonic()
        self.save_cost = 0.0

    def result(self, finished: bool = True) -> ScoringResult:
        return ScoringResult(
            self.scored,
            self.unscored,
            self.known,
            dict(self.failed),
            self.judge.repeated,
            self.judge.usage,
            time.monotonic() - self.started,
            finished,
        )

    def take(self, row: PairRow, judgement: Judgement) -> None:
        """Counts one pair."""
        self.scored += judgement.scored
        self.unscored += not judgement.scored
        self.fresh[row.id] = judgement

    def save(self, *, now: bool = False) -> None:
        """Writes what is fresh into the rows; not too often, since all rows are written at once."""
        since = time.monotonic() - self.saved
        if not self.fresh or (not now and since < max(_SAVE_SECONDS, 10 * self.save_cost)):
            return
        started = time.monotonic()
        fresh = {pair: judgement.to_scores() for pair, judgement in self.fresh.items()}
        write_scores(self.dataset, self.judge.name, fresh)
        self.fresh.clear()
        self.saved = time.monotonic()
        self.save_cost = self.saved - started


def judge_dataset(
    dataset: Dataset,
    judge: Judge,
    settings: ScoringSettings | None = None,
    *,
    progress: Progress | None = None,
    should_stop: Callable[[], bool] = lambda: False,
) -> ScoringResult:
    """Judges all pairs that this judge, with these questions, has not judged yet.

    Pairs without an instruction are passed over, unless the settings give one for all: what could be asked about them?

    Args:
        progress: told pairs done, pairs to do, and what has come of it; an exception it raises stops the run.
        should_stop: asked between pairs.

    Raises:
        ModelError: the judge cannot be reached any more. What was judged before that is in the rows.
        DatasetError: the dataset cannot be read or written, or no pair has an instruction.
    """
    settings = settings or ScoringSettings()
    todo, known = _choose(dataset, judge, settings)
    run = _Run(dataset, judge, settings, known)
    tell = progress or (lambda *_: None)
    done = 0

    def tell_one() -> None:
        nonlocal done
        done += 1
        tell(done, len(todo), run.result())

    def take(item: tuple[PairRow, bool], judgement: Judgement) -> None:
        run.take(item[0], judgement)
        tell_one()

    def fail(item: tuple[PairRow, bool], error: Exception) -> None:
        run.failed[item[0].id] = str(error)
        tell_one()

    tell(0, len(todo), run.result())
    try:
        finished = ask_about(
            todo,
            lambda item: _judge_row(dataset, item[0], judge, settings, item[1]),
            parallel=judge.parallel,
            take=take,
            fail=fail,
            between=run.save,
            should_stop=should_stop,
        )
    finally:
        run.save(now=True)
    return run.result(finished)


def write_scores(dataset: Dataset, judge: str, groups: Mapping[str, Mapping[str, Any]]) -> int:
    """Puts a judge's groups into the rows, by id. Returns the rows changed.

    A swap check that was made before about the same words stays.
    """

    def change(row: PairRow) -> PairRow:
        group = groups.get(row.id)
        if group is None:
            return row
        before = row.scores.get(judge)
        same = isinstance(before, Mapping) and before.get("instruction") == group.get("instruction")
        kept = {"swapped": before["swapped"]} if same and "swapped" in before else {}
        return replace(row, scores={**row.scores, judge: {**kept, **group}})

    return dataset.rewrite(change)


def measure_pixels(dataset: Dataset, *, progress: Callable[[int, int], None] | None = None) -> int:
    """Has the judge that needs no model look at all pairs it has not seen. Returns how many those were.

    Their scores compare pairs of one task with each other, so all of them are formed anew. What was seen before an
    exception of ``progress`` is kept. Pairs whose pictures cannot be read are passed over and logged.
    """
    rows = list(dataset.rows())
    measured = {row.id: faults for row in rows if (faults := faults_of(row.scores)) is not None}
    todo = [row for row in rows if row.id not in measured]
    copies, known = _copies(dataset, rows), len(measured)
    try:
        for done, row in enumerate(todo, 1):
            found = _faults(dataset, row)
            if found is not None:
                measured[row.id] = found
            if progress is not None:
                progress(done, len(todo))
    finally:
        _write_pixels(dataset, rows, measured, copies)
    return len(measured) - known


def _faults(dataset: Dataset, row: PairRow) -> Faults | None:
    try:
        pair = dataset.load(row)
    except DatasetError as error:
        _log.warning("%s was not looked at: %s", row.id, error)
        return None
    return measure_faults(pair.source, pair.target, pair.masks[0] if pair.masks else None)


def _write_pixels(
    dataset: Dataset, rows: Iterable[PairRow], measured: Mapping[str, Faults], copies: Collection[str]
) -> None:
    measured = {pair: replace(faults, duplicate=float(pair in copies)) for pair, faults in measured.items()}
    scores = pixel_scores(measured, {row.id: task_of(row) for row in rows})
    groups = {pair: _pixel_group(faults, scores[pair]) for pair, faults in measured.items()}
    write_scores(dataset, JUDGE, groups)


def task_of(row: PairRow) -> str:
    """What a pair is an example of: its tags, else the workflow that made it."""
    return ", ".join(sorted(row.tags)) if row.tags else (row.workflow or "")[:12]


def pictures_of(dataset: Dataset, row: PairRow, instruction: str = "") -> PairPictures:
    """A pair as a judge sees it. Raises `DatasetError`."""
    pair = dataset.load(row)
    return PairPictures(
        source=None if pair.source is None else Image.fromarray(pair.source),
        result=Image.fromarray(pair.target),
        instruction=instruction_of_row(row, instruction),
        references=tuple(Image.fromarray(reference) for reference in pair.references),
    )


def _judge_row(dataset: Dataset, row: PairRow, judge: Judge, settings: ScoringSettings, swap: bool) -> Judgement:
    judgement = judge.judge(pictures_of(dataset, row, settings.instruction), swap=swap)
    return replace(judgement, instruction=settings.instruction)


def _choose(dataset: Dataset, judge: Judge, settings: ScoringSettings) -> tuple[list[tuple[PairRow, bool]], int]:
    """Rows to judge, each with whether its swap is asked, too; and the number of those judged already."""
    there = list(dataset.rows(settings.split))
    rows = [row for row in there if row.labelled or settings.instruction]
    if there and not rows:
        raise DatasetError(f"No pair of {dataset.folder} has an instruction yet. {UNLABELLED_ADVICE}")
    known = {row.id: found for row in rows if (found := _known(row, judge, settings)) is not None}
    swapped = sum(bool(judgement.swapped) for judgement in known.values())
    todo = []
    for row in rows:
        swap = row.source_file_name is not None and swapped < settings.swaps
        judged = row.id in known and (not swap or bool(known[row.id].swapped))
        if judged:
            continue
        swapped += swap
        todo.append((row, swap))
        if settings.limit and len(todo) == settings.limit:
            break
    return todo, len(known)


def _known(row: PairRow, judge: Judge, settings: ScoringSettings) -> Judgement | None:
    found = Judgement.from_scores(judge.name, row.scores.get(judge.name))
    if found is None or (found.prompt, found.instruction) != (judge.prompt, settings.instruction):
        return None  # it answers another question
    return None if settings.again and not found.scored else found


def _copies(dataset: Dataset, rows: Iterable[PairRow]) -> set[str]:
    """Ids of pairs that look like an earlier one of the same words, masks and references."""
    tables: dict[bytes, PerceptualHashTable] = {}
    earlier: dict[str, PairRow] = {}
    found = set()
    for row in rows:
        hashed = PairPerceptualHash.from_text(row.fingerprint)
        if hashed is None:
            continue
        table = tables.setdefault(hashed.group, PerceptualHashTable())
        similar = table.find_similar(hashed.hashes, _SIMILAR_BITS, _SIMILAR_COLOUR)[:_MOST_COMPARED]
        if any(_same_pair(dataset, row, earlier[pair]) for pair, _ in similar):
            found.add(row.id)
        table.add(row.id, hashed.hashes)
        earlier[row.id] = row
    return found


def _same_pair(dataset: Dataset, row: PairRow, other: PairRow) -> bool:
    """Two results of one source may differ in a small place alone, which their hashes do not see."""
    if row.source_hash != other.source_hash:
        return True
    try:
        one, two = (dataset.load(each).target for each in (row, other))
    except DatasetError:
        return False
    return one.shape == two.shape and measure_faults(one, two).unchanged > 0


def _pixel_group(faults: Faults, score: float) -> dict[str, Any]:
    return {"prompt": VERSION, "o_score": round(score, 3), **faults.as_dict()}
