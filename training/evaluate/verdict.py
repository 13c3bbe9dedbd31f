"""Whether a student can take its teacher's place, in one sentence, from all the numbers there are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from .evaluation import Evaluation, PairResult

FEWEST = 8  # held-out pairs from which a sentence is more than an impression
_GOOD_SHARE, _POOR_SHARE = 0.8, 0.5  # of what the VAE allows
_GOOD_DETAIL, _POOR_DETAIL = 0.85, 0.65  # of the teacher's detail after the VAE's round trip
_CLOSE = 0.5  # marks of 10 by which the student may stay behind the teacher
_FAR = 1.5
_DRAWS = 2000


@dataclass(frozen=True)
class Verdict:
    """The answer and why.

    Attributes:
        answer: "yes", "nearly" (look at the pictures), "no", or "unknown" (it was not measured on what would tell).
        sentence: for people.
    """

    answer: Literal["yes", "nearly", "no", "unknown"]
    sentence: str


def give_verdict(evaluation: Evaluation) -> Verdict:
    """Weighs up what there is. The judge's marks come first where there are enough, detail and distance always count."""
    if evaluation.split != "validation":
        return Verdict(
            "unknown",
            "Whether the student can take the teacher's place cannot be said: it was measured on pairs it was trained on.",
        )
    count = len(evaluation.results)
    if count < FEWEST:
        return Verdict(
            "unknown",
            f"Whether the student can take the teacher's place cannot be said from {count} held-out "
            f"pair{'' if count == 1 else 's'}; {FEWEST} or more are needed.",
        )
    against, doubts, favour = _reasons(evaluation)
    if against:
        return Verdict("no", f"The student cannot take the teacher's place: {_and(against)}.")
    if doubts:
        return Verdict(
            "nearly", f"The student may take the teacher's place, but look at the pictures first: {_and(doubts)}."
        )
    if favour:
        return Verdict("yes", f"The student can take the teacher's place: {_and(favour)}.")
    return Verdict(
        "unknown",
        "Whether the student can take the teacher's place cannot be said by distances alone, since these pairs have no "
        "source; have a judge look at them.",
    )


def detail_share(evaluation: Evaluation) -> float | None:
    """The student's fine detail as a share of that of the teacher's results after the VAE's round trip."""
    student, ceiling = evaluation.mean("student"), evaluation.mean("ceiling")
    if student is None or ceiling is None or ceiling.detail <= 0:
        return None
    return student.detail / ceiling.detail


def mark_difference(results: Sequence[PairResult]) -> tuple[float, float, float] | None:
    """Student's O less teacher's: mean and 95 % interval by bootstrap over the pairs; None if too few were judged."""
    both = [result for result in results if result.student_marks is not None and result.teacher_marks is not None]
    differences = [
        result.student_marks.overall - result.teacher_marks.overall
        for result in both
        if result.student_marks.scored and result.teacher_marks.scored
    ]
    if len(differences) < FEWEST:
        return None
    values = np.asarray(differences)
    draws = np.random.default_rng(0).integers(0, len(values), (_DRAWS, len(values)))
    low, high = np.quantile(values[draws].mean(axis=1), [0.025, 0.975])
    return float(values.mean()), float(low), float(high)


def _reasons(evaluation: Evaluation) -> tuple[list[str], list[str], list[str]]:
    """What speaks against it, what is in doubt, what speaks for it."""
    against: list[str] = []
    doubts: list[str] = []
    favour: list[str] = []
    if evaluation.failed:
        asked = len(evaluation.failed) + len(evaluation.results)
        against.append(f"it gave no picture on {len(evaluation.failed)} of {asked} pairs")
    difference = mark_difference(evaluation.results)
    if difference is not None:
        mean, low, _high = difference
        words = f"the judge gives it {abs(mean):.1f} marks {'more' if mean > 0 else 'less'} than the teacher"
        _sort(mean >= -_CLOSE and low >= -2 * _CLOSE, mean < -_FAR, words, against, doubts, favour)
    score, share = evaluation.score, evaluation.share_of_ceiling
    if score is not None and score <= 0:
        against.append("it is no nearer to the teacher than the unedited source")
    elif share is not None:
        words = f"it goes {share:.0%} of the way from the unedited picture to the best that this model can paint"
        # A result may be as good as the teacher's and another one, which a judge sees and a distance does not.
        _sort(share >= _GOOD_SHARE, share < _POOR_SHARE and difference is None, words, against, doubts, favour)
    detail = detail_share(evaluation)
    if detail is not None:
        if detail < _GOOD_DETAIL:
            words = f"it is softer: {detail:.0%} of the fine detail that its VAE can paint"
        elif detail > 1 / _POOR_DETAIL:
            words = f"it is grainier: {detail:.0%} of the fine detail that its VAE can paint"
        else:
            words = _kept_detail(evaluation.mean("ceiling").detail) if favour else ""
        bad = detail < _POOR_DETAIL
        if words:
            _sort(_GOOD_DETAIL <= detail <= 1 / _POOR_DETAIL, bad, words, against, doubts, favour)
    return against, doubts, favour


def _kept_detail(ceiling: float) -> str:
    """Of a student that paints all the fine detail its VAE can: that may be little of what the teacher has."""
    if ceiling >= _GOOD_DETAIL:
        return "fine detail is kept"
    return f"it has all the fine detail that its VAE can paint ({ceiling:.0%} of the teacher's)"


def _sort(good: bool, bad: bool, words: str, against: list[str], doubts: list[str], favour: list[str]) -> None:
    (favour if good else against if bad else doubts).append(words)


def _and(reasons: Sequence[str]) -> str:
    return reasons[0] if len(reasons) == 1 else f"{', '.join(reasons[:-1])} and {reasons[-1]}"
