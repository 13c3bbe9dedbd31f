"""How few evaluations of the model a student needs.

A LoRA for one edit often needs no guidance, which halves the evaluations, and fewer steps than its base model: with little
left to choose, the result is decided early. So before a student is put to use, it is tried with fewer of both.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from html import escape
from pathlib import Path

from ...ace.files import atomic_write
from ...ace.pictures.resolution import Resolution
from ...ace.pipeline import ACEPipeline
from ...ace.weights.presets import RecommendedSampling
from ..trainer.progress import Progress, silent_progress
from .cases import CaseSettings, choose_rows
from .errors import NothingMeasuredError
from .evaluation import Evaluation
from .run import SamplerSettings, evaluate

STEPS = (20, 8, 6, 4)
_MOST_PAIRS, _LEAST_PAIRS = 8, 3  # as many are enough to tell settings apart; fewer decide nothing


@dataclass(frozen=True)
class Trial:
    """A student sampled in one way.

    Attributes:
        sampling: how.
        l1, gmsd: means over the pairs, against the teacher's results; 0 for equal pictures.
        source_l1: of the unedited sources; None where a pair has none.
        seconds: for a picture, the median.
    """

    sampling: RecommendedSampling
    l1: float
    gmsd: float
    source_l1: float | None
    seconds: float

    @property
    def score(self) -> float | None:
        """1 − L1(student, teacher) / L1(source, teacher); None without sources, or if the teacher changed nothing."""
        return 1.0 - self.l1 / self.source_l1 if self.source_l1 else None

    def is_near(self, other: Trial, loss: float) -> bool:
        """Whether no more than ``loss``, a share, of the other's score is lost.

        Where that has no score above 0, its L1 may grow by that share. L1 likes a blurred picture, which is what too few
        steps give, so GMSD, which sees edges, may not grow by more than that share either.
        """
        good = other.score is not None and other.score > 0
        allowed = loss * (other.source_l1 - other.l1 if good else other.l1)
        return self.l1 <= other.l1 + allowed and self.gmsd <= (1 + loss) * other.gmsd


@dataclass(frozen=True)
class FewStepSearch:
    """What trials with fewer evaluations have shown.

    Attributes:
        baseline: as the bundle samples.
        trials: cheaper ways, in the order of their evaluations.
        pairs: held-out pairs they were measured on.
        loss: share of the baseline's score that may be lost.
        failed: cheaper ways that gave no picture on one of the pairs.
    """

    baseline: Trial
    trials: tuple[Trial, ...]
    pairs: int
    loss: float
    failed: tuple[RecommendedSampling, ...] = ()

    @property
    def chosen(self) -> Trial:
        """The cheapest that is near enough to the baseline; the baseline itself if none is."""
        return next((trial for trial in self.trials if trial.is_near(self.baseline, self.loss)), self.baseline)

    @property
    def sentence(self) -> str:
        """What was found, for the artist."""
        before, after = self.baseline.sampling, self.chosen.sampling
        if after == before:
            return f"Samples as the model does, {before}: cheaper ways were not near enough."
        share = before.evaluations / after.evaluations
        return (
            f"Samples {after}: {share:.1f} times less work a picture than the model's own way, and within {self.loss:.0%} of "
            "its score."
        )

    def to_html(self) -> str:
        """A table for the report."""
        rows = [
            f"<tr{' class=chosen' if trial is self.chosen else ''}><th>{escape(str(trial.sampling))}</th>"
            f"<td>{trial.sampling.evaluations}</td><td>{'–' if trial.score is None else format(trial.score, '.3f')}</td>"
            f"<td>{trial.l1:.4f}</td><td>{trial.gmsd:.3f}</td><td>{trial.seconds:.2f} s</td></tr>"
            for trial in (self.baseline, *reversed(self.trials))
        ]
        rows += [
            f"<tr><th>{escape(str(way))}</th><td>{way.evaluations}</td>"
            "<td colspan=4>gave no picture on one of the pairs</td></tr>"
            for way in reversed(self.failed)
        ]
        head = "".join(f"<th>{name}</th>" for name in ("", "evaluations", "score", "L1", "GMSD", "a picture"))
        return (
            f"<style>.chosen {{ font-weight: bold; }}</style><p>{escape(self.sentence)} Measured on {self.pairs} "
            f"pairs:</p><table class=numbers><tr>{head}</tr>{''.join(rows)}</table>"
        )

    def write_json(self, path: Path) -> Path:
        """Writes everything, whole or not at all.

        Raises:
            OSError: the file cannot be written.
        """
        content = {**asdict(self), "chosen": asdict(self.chosen.sampling)}
        with atomic_write(path) as temporary:
            temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8", newline="\n")
        return path


def cheaper(own: RecommendedSampling) -> list[RecommendedSampling]:
    """Ways to sample with fewer evaluations than a bundle's own, without guidance and with it, the cheapest first."""
    scales = dict.fromkeys((1.0, own.guidance_scale))
    found = [replace(own, steps=steps, guidance_scale=scale) for steps in (*STEPS, own.steps) for scale in scales]
    found = [each for each in dict.fromkeys(found) if each.evaluations < own.evaluations]
    return sorted(found, key=lambda each: (each.evaluations, -each.steps))


def find_fewest_steps(
    pipeline: ACEPipeline,
    folders: Sequence[Path],
    *,
    own: RecommendedSampling | None = None,
    cases: CaseSettings,
    resolution: Resolution,
    loss: float = 0.05,
    progress: Progress = silent_progress,
) -> FewStepSearch | None:
    """Tries a student with fewer steps and without guidance.

    Args:
        pipeline: the student: a bundle, with its LoRA merged in.
        folders: of the datasets.
        own: how the student is meant to be sampled; the bundle's way if left out.
        cases: which pairs; of more than eight the first eight are taken.
        resolution: as in training.
        loss: share of the score, 0 … 1, that may be lost.
        progress: told how many pictures are done; an exception it raises stops the trials.

    Returns:
        What was found; None where its own way is the cheapest already, or pairs are too few to decide anything. Only
        pairs that its own way can be measured on count.

    Raises:
        EvaluationError: there is no pair to compare on, one cannot be used, or its own way gives no picture on any.
    """
    cases = replace(cases, max_pairs=min(cases.max_pairs or _MOST_PAIRS, _MOST_PAIRS))
    own = own or RecommendedSampling.of(pipeline.defaults)
    ways = [own, *cheaper(own)]
    pairs = len(choose_rows(folders, cases))
    if len(ways) == 1 or pairs < _LEAST_PAIRS:
        return None
    baseline: Evaluation | None = None
    trials, failed = [], []
    for number, way in enumerate(ways):

        def told(_what: str, done: int, total: int, number: int = number) -> None:
            progress("trying fewer steps", number * total + done, len(ways) * total)

        sampler = SamplerSettings(0, way.steps, way.guidance_scale, way.guidance_rescale)
        try:
            found = evaluate(
                pipeline, folders, cases=cases, sampler=sampler, resolution=resolution, detail=False, progress=told
            )
        except NothingMeasuredError:
            if baseline is None:
                raise
            failed.append(way)
            continue
        if baseline is None:
            baseline, pairs = found, pairs - len(found.failed)
            if pairs < _LEAST_PAIRS:
                return None
        if found.failed_names <= baseline.failed_names:
            trials.append(_trial(way, found.without(baseline.failed_names)))
        else:
            failed.append(way)
    return FewStepSearch(trials[0], tuple(trials[1:]), pairs, loss, tuple(failed))


def _trial(way: RecommendedSampling, found: Evaluation) -> Trial:
    student = found.mean("student")
    sources = [result.source for result in found.results]
    source_l1 = None if None in sources else found.mean("source").l1
    return Trial(way, student.l1, student.gmsd, source_l1, found.seconds)
