"""What more steps and more pairs would bring, in sentences, as far as it was measured."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean, pstdev
from typing import TYPE_CHECKING

from .evaluate.evaluation import Evaluation, PairResult
from .trainer.config import TrainConfig
from .trainer.engine.early_stopping import ScoredStep

if TYPE_CHECKING:
    from .trainer.run import TrainResult

_STANDARD_ERRORS = 2.0
_LATE = 0.75  # share of the measurements after which a rise counts as one that goes on
_LEAST_RISE = 2.0  # times min_delta


def outlook_of_steps(trained: TrainResult, config: TrainConfig) -> list[str]:
    """Why a run with early stopping ended where it did, and whether more steps would bring anything; else nothing."""
    best, most = trained.best, config.steps
    if best is None:
        return []
    taken = (
        f"the weights of step {best.step}, whose pictures were nearest to the teacher's, were taken (score {best.score:.3f} "
        "on the pairs that decide)"
    )
    if trained.step < most:
        return [f"It stopped at step {trained.step} of at most {most}: {taken}. More steps would bring nothing."]
    rise = late_rise(trained.scores, config.early_stopping.min_delta)
    if rise is None:
        return [f"It took all {most} steps: {taken}. More steps would bring nothing that shows."]
    return [
        f"It took all {most} steps and was still rising at the end, by {rise:.3f} over the last quarter: {taken}. More steps "
        "would bring more."
    ]


def late_rise(scores: Sequence[ScoredStep], min_delta: float) -> float | None:
    """What the last quarter of a run has gained over all before; None where that is no more than chance.

    Args:
        scores: in the order of the steps.
        min_delta: what chance makes of a single measurement; twice that is believed, and only if one of the last two
            measurements is the best.
    """
    values = [one.score for one in scores]
    early = math.ceil(_LATE * len(values))
    if not 0 < early < len(values):
        return None
    rise = max(values[-2:]) - max(values[:early])
    return rise if rise > _LEAST_RISE * min_delta and max(values[-2:]) == max(values) else None


def outlook_of_decision(decided: bool) -> list[str]:
    """That a score flatters, where the length was chosen by it."""
    if not decided:
        return []
    return [
        "The length of the training was chosen on the same held-out pairs, as there are too few for both: the score is "
        "probably a little too good."
    ]


def outlook_of_pairs(full: Evaluation, halves: Sequence[Evaluation], pairs: int) -> str:
    """What twice as many pairs would bring, from students of each half of them.

    The gain from half to all counts if it is twice its standard error: that over the held-out pairs, and that of a student,
    which two students of as many pairs tell. How it goes on is not known from two points, and a gain gets smaller, so what
    is said is a bound: the distance to what the VAE allows shrinks by no more than the same share again.

    Args:
        full: of the student of all pairs.
        halves: of the two students of half of the pairs each, on the same held-out pairs.
        pairs: that the former learnt from.
    """
    scores = [half.score for half in halves]
    if full.score is None or None in scores:
        return "What more pairs would bring cannot be said, since there is no score."
    before, gain = fmean(scores), full.score - fmean(scores)
    told = (
        f"With half of the {pairs} pairs the score is {before:.3f} ({' and '.join(format(one, '.3f') for one in scores)}), "
        f"with all {full.score:.3f}"
    )
    if gain <= _STANDARD_ERRORS * _standard_error(full, halves):
        return f"{told}: no more than chance, so more pairs of this kind would hardly show."
    ceiling = full.ceiling_score if full.ceiling_score is not None else 1.0
    left, left_before = ceiling - full.score, ceiling - before
    if left <= 0:
        return f"{told}, which is all that this model can paint."
    reached = ceiling - left * left / left_before
    return f"{told}. Twice as many pairs may bring up to about {reached:.2f}."


def _standard_error(full: Evaluation, halves: Sequence[Evaluation]) -> float:
    """Of the difference between the score of all pairs and the mean score of the halves."""
    source = fmean(result.source.l1 for result in full.results)
    known = [{_name(result): result.student.l1 for result in half.results} for half in halves]
    gains = [
        (fmean(one[_name(result)] for one in known) - result.student.l1) / source
        for result in full.results
        if all(_name(result) in one for one in known)
    ]
    over_pairs = pstdev(gains) / math.sqrt(max(1, len(gains) - 1))
    # Of one student by itself: two of the same number of pairs differ by the root of two times as much, and there are
    # three here, of which two are averaged.
    spread = abs(halves[0].score - halves[1].score) / math.sqrt(2)
    return math.hypot(over_pairs, spread * math.sqrt(1.5))


def _name(result: PairResult) -> tuple[str, str]:
    return result.dataset, result.id
