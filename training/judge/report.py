"""Is this judge any good? What can be seen from its answers alone, and against the artist's own order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ..dataset.disk.rows import PairRow
from ..dataset.store import Dataset
from .pixels import JUDGE, NAMES, Faults, faults_of, unusual_faults
from .ranking import artist_scores
from .scores import Judgement, Marks, overall_of
from .scoring import task_of
from .statistics import Correlation, correlate

MOST_ALIKE = 0.5  # share of one and the same answer
MOST_UNREAD = 0.2
LEAST_SWAPS_SEEN = 0.5
_FEWEST = 10  # answers from which their shares say anything
_FEWEST_SWAPS = 5
_FEWEST_RANKED = 8
_DONE, _UNDONE = 5.0, 3.0  # SC of an edit that succeeded, and of one that did not
_FAULT = 0.1  # beyond the usual, from which a pair counts as having it


@dataclass(frozen=True)
class JudgeReport:
    """One judge over one dataset.

    Attributes:
        judge: its name.
        scored, unscored: pairs.
        alike: the largest share of one and the same answer, over the questions.
        alike_answer: that answer, and to which question.
        at_least_8, at_least_9: shares of the scored pairs with an O so high.
        means: of SC, PQ and O.
        swaps: pairs that were also judged with source and result exchanged and whose edit it had called done.
        swaps_seen: the share of those whose exchange it marked down; None without any.
        ranking: rank correlation of O with the artist's own order.
        objections: why its scores should not decide what is learnt; none means that nothing speaks against it.
        remarks: what could not be checked.
        faults: how many pairs have each fault, for the judge that needs no model; None for others.
    """

    judge: str
    scored: int
    unscored: int
    alike: float
    alike_answer: str
    at_least_8: float
    at_least_9: float
    means: Mapping[str, float | None]
    swaps: int
    swaps_seen: float | None
    ranking: Correlation
    objections: tuple[str, ...]
    remarks: tuple[str, ...]
    faults: Mapping[str, int] | None = None

    @property
    def usable(self) -> bool:
        return not self.objections

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "usable": self.usable}


def report_on(dataset: Dataset, judge: str) -> JudgeReport:
    """What can be said of a judge whose marks stand in the rows. Raises `DatasetError` for rows that cannot be read."""
    return report_of(list(dataset.rows()), judge, artist_scores(dataset))


def report_of(rows: Sequence[PairRow], judge: str, artist: Mapping[str, float] | None = None) -> JudgeReport:
    """The same for rows, with the artist's order as strength by id."""
    judgements = {row.id: found for row in rows if (found := Judgement.from_scores(judge, row.scores.get(judge)))}
    if judgements:
        return make_report(judge, judgements, artist or {})
    overall = {row.id: score for row in rows if (score := overall_of(row.scores, judge)) is not None}
    return report_of_scores(judge, overall, artist or {}, unusual_in(rows) if judge == JUDGE else None)


def unusual_in(rows: Sequence[PairRow]) -> dict[str, Faults]:
    """What the pixels of pairs show beyond the usual of their tasks, by id; nothing of pairs not looked at."""
    measured = {row.id: faults for row in rows if (faults := faults_of(row.scores)) is not None}
    return unusual_faults(measured, {row.id: task_of(row) for row in rows})


def report_of_scores(
    judge: str, overall: Mapping[str, float], artist: Mapping[str, float], unusual: Mapping[str, Faults] | None = None
) -> JudgeReport:
    """Of a judge that gives O alone: the one that needs no model, or another program.

    Args:
        unusual: faults by id, of the judge that needs no model. It gives most pairs a 10, as it should, and knows nothing
            of taste: neither speaks against it.
    """
    ranking = _ranking(overall, artist)
    objections, remarks = _ranking_verdict(ranking)
    if unusual is not None:
        objections, remarks = [], ["It sees faults of the pixels, never whether the edit was done."]
    if not overall:
        objections.append("it has scored nothing")
    found = None if unusual is None else {name: _having(unusual.values(), name) for name in NAMES}
    return JudgeReport(
        judge=judge,
        scored=len(overall),
        unscored=0,
        alike=0.0,
        alike_answer="",
        at_least_8=_share(overall.values(), 8.0),
        at_least_9=_share(overall.values(), 9.0),
        means={"sc": None, "pq": None, "overall": _mean(list(overall.values()))},
        swaps=0,
        swaps_seen=None,
        ranking=ranking,
        objections=tuple(objections),
        remarks=tuple(remarks),
        faults=found,
    )


def make_report(judge: str, judgements: Mapping[str, Judgement], artist: Mapping[str, float]) -> JudgeReport:
    """The same for judgements by id."""
    scored = {pair: one for pair, one in judgements.items() if one.scored}
    overall = {pair: one.overall for pair, one in scored.items()}
    alike, answer = most_frequent_answer([one.passes[0] for one in scored.values()])
    ranking = _ranking(overall, artist)
    swaps = [one for one in scored.values() if one.swapped and one.sc >= _DONE]
    seen = None if not swaps else sum(_seen(one) for one in swaps) / len(swaps)
    objections, remarks = _verdict(len(scored), len(judgements) - len(scored), alike, answer, len(swaps), seen, ranking)
    return JudgeReport(
        judge=judge,
        scored=len(scored),
        unscored=len(judgements) - len(scored),
        alike=alike,
        alike_answer=answer,
        at_least_8=_share(overall.values(), 8.0),
        at_least_9=_share(overall.values(), 9.0),
        means={name: _mean([getattr(one, name) for one in scored.values()]) for name in ("sc", "pq", "overall")},
        swaps=len(swaps),
        swaps_seen=seen,
        ranking=ranking,
        objections=objections,
        remarks=remarks,
    )


def most_frequent_answer(marks: Sequence[Marks]) -> tuple[float, str]:
    """The largest share that one answer to one question has, and the answer in words; (0, "") without answers."""
    found = []
    for question in ("semantic", "quality"):
        counted = Counter(getattr(one, question) for one in marks)
        if counted:
            answer, count = counted.most_common(1)[0]
            given = "/".join(f"{mark:g}" for mark in answer)
            words = {"semantic": f"the edit {given}", "quality": f"the quality {given}"}[question]
            found.append((count / len(marks), words))
    return max(found, default=(0.0, ""))


def _seen(judgement: Judgement) -> bool:
    """Whether the edit undone was not taken for the edit."""
    swapped = min(judgement.swapped)
    return swapped <= _UNDONE or swapped <= judgement.sc - 3


def _verdict(
    scored: int, unscored: int, alike: float, answer: str, swaps: int, seen: float | None, ranking: Correlation
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    objections, remarks = [], []
    asked = scored + unscored
    if not scored:
        objections.append("it has scored nothing")
    if asked and unscored / asked > MOST_UNREAD:
        objections.append(f"{unscored} of {asked} answers could not be read")
    if scored >= _FEWEST and alike > MOST_ALIKE:
        objections.append(f"it gives one and the same answer ({answer}) to {alike:.0%} of the pairs")
    elif scored < _FEWEST:
        remarks.append(f"{scored} scored pairs are too few to see whether it tells good from bad.")
    if swaps >= _FEWEST_SWAPS and seen < LEAST_SWAPS_SEEN:
        objections.append(
            f"with source and result exchanged it still called the edit done in {1 - seen:.0%} of {swaps} pairs"
        )
    elif swaps < _FEWEST_SWAPS:
        remarks.append("Not checked with source and result exchanged (judge score --swaps 10).")
    against, unknown = _ranking_verdict(ranking)
    return (*objections, *against), (*remarks, *unknown)


def _ranking(overall: Mapping[str, float], artist: Mapping[str, float]) -> Correlation:
    ranked = [pair for pair in overall if pair in artist]
    return correlate([overall[pair] for pair in ranked], [artist[pair] for pair in ranked])


def _ranking_verdict(ranking: Correlation) -> tuple[list[str], list[str]]:
    """Objections and remarks."""
    if ranking.pairs < _FEWEST_RANKED:
        return [], ["Not compared with your own order (key C on the page of datasets, or judge compare)."]
    if ranking.certain:
        return [], []
    found = (
        "undefined" if ranking.rho is None else f"{ranking.rho:.2f}, between {ranking.low:.2f} and {ranking.high:.2f}"
    )
    return [f"it does not agree with your own order of {ranking.pairs} pairs (rank correlation {found})"], []


def _having(faults, name: str) -> int:
    return sum(getattr(one, name) >= _FAULT for one in faults)


def _share(values, limit: float) -> float:
    values = list(values)
    return sum(value >= limit for value in values) / len(values) if values else 0.0


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
