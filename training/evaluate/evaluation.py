"""What came out of an evaluation, pair by pair and all together."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from PIL import Image

from ...ace.files import atomic_write
from ..judge.scores import Judgement
from .metrics.image_metrics import ImageMetrics, mean_metrics

COMPARED = ("student", "with_detail", "source", "other_seed", "ceiling")
_LEAST_PAIRS, _LEAST_GAIN, _STANDARD_ERRORS = 3, 0.03, 2.0  # for Keep Detail to be worth while


@dataclass(frozen=True, eq=False)
class PairResult:
    """The result of one pair. The metrics compare with the teacher's result, at the size the model works at.

    Attributes:
        id, dataset, instruction: the pair's.
        masked: only the masked part is the student's; the rest is the source.
        student: of the student's result.
        source: of the unedited source; None for a picture made from text alone.
        other_seed: of the teacher's result for another seed, where the dataset has one.
        ceiling: of the teacher's own result after the VAE's round trip, which no student on this VAE can better much.
        seconds: what the student took, encoding and decoding included.
        teacher_seconds, teacher_memory: as the row records them, or None.
        pictures: labelled, small.
        student_marks, teacher_marks: what a judge says of both; None where none was asked.
        with_detail: of the student's result after Keep Detail; None without a source, or if it was not asked for.
    """

    id: str
    dataset: str
    instruction: str
    masked: bool
    student: ImageMetrics
    source: ImageMetrics | None
    other_seed: ImageMetrics | None
    ceiling: ImageMetrics
    seconds: float
    teacher_seconds: float | None
    teacher_memory: int | None
    pictures: tuple[tuple[str, Image.Image], ...] = field(default=(), repr=False)
    student_marks: Judgement | None = None
    teacher_marks: Judgement | None = None
    with_detail: ImageMetrics | None = None

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        compared = {name: getattr(self, name) for name in COMPARED}
        return {
            "id": self.id,
            "dataset": self.dataset,
            "instruction": self.instruction,
            "masked": self.masked,
            **{name: None if metrics is None else metrics.as_dict() for name, metrics in compared.items()},
            "score": score(self.student, self.source),
            "score_with_detail": score(self.with_detail, self.source),
            "ceiling_score": score(self.ceiling, self.source),
            "seconds": self.seconds,
            "teacher_seconds": self.teacher_seconds,
            "teacher_memory_bytes": self.teacher_memory,
            "student_marks": None if self.student_marks is None else self.student_marks.to_scores(),
            "teacher_marks": None if self.teacher_marks is None else self.teacher_marks.to_scores(),
        }


@dataclass(frozen=True)
class FailedPair:
    """A pair on which the student gave no picture.

    Attributes:
        id, dataset: the pair's.
        reason: for people.
    """

    id: str
    dataset: str
    reason: str


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The results of all pairs, and what they come to.

    Attributes:
        results: one a pair that could be measured; at least one.
        student: name of bundle and LoRA.
        datasets: their names.
        split: which pairs; those of "train" the student has learnt from, so their score is too good.
        sampler: steps, cfg and guidance_rescale.
        device: where the student ran.
        peak_memory: bytes while sampling, or None where the system does not tell.
        judge: name of the judge that marked student and teacher; empty where none was asked.
        failed: pairs that are in none of the numbers, because the student gave no picture on them.
    """

    results: tuple[PairResult, ...]
    student: str
    datasets: tuple[str, ...]
    split: str
    sampler: Mapping[str, float]
    device: str
    peak_memory: int | None
    judge: str = ""
    failed: tuple[FailedPair, ...] = ()

    def marks(self, who: str) -> dict[str, float] | None:
        """Mean SC, PQ and O of "student" or "teacher" over the pairs of which both could be read; None without any."""
        both = [result for result in self.results if result.student_marks and result.teacher_marks]
        read = [result for result in both if result.student_marks.scored and result.teacher_marks.scored]
        found = [getattr(result, f"{who}_marks") for result in read]
        if not found:
            return None
        columns = {"SC": "sc", "PQ": "pq", "O": "overall"}
        return {key: sum(getattr(one, name) for one in found) / len(found) for key, name in columns.items()}

    def mean(self, name: str) -> ImageMetrics | None:
        """Mean metrics of ``name``, one of COMPARED, over the pairs that have them."""
        found = (getattr(result, name) for result in self.results)
        return mean_metrics([metrics for metrics in found if metrics is not None])

    def _score(self, name: str) -> float | None:
        """Of the mean metrics, so that pairs that hardly change do not outweigh the others."""
        edits = [result for result in self.results if result.source is not None]
        found = [getattr(result, name) for result in edits]
        return None if None in found else score(mean_metrics(found), mean_metrics([result.source for result in edits]))

    @property
    def score(self) -> float | None:
        """1 − L1(student, teacher) / L1(source, teacher): 0 is no better than not editing, 1 is the teacher."""
        return self._score("student")

    @property
    def score_with_detail(self) -> float | None:
        """The score after Keep Detail; None if it was not asked for."""
        return self._score("with_detail")

    @property
    def detail_helps(self) -> bool:
        """Whether Keep Detail brings the student so much nearer to the teacher that it is no chance.

        On at least three pairs the mean L1 falls by at least 3 %, and by at least twice the standard error of its fall
        from pair to pair; and the mean SSIM does not fall.
        """
        both = [(each.student, each.with_detail) for each in self.results if each.with_detail is not None]
        if len(both) < _LEAST_PAIRS:
            return False
        gains = [without.l1 - kept.l1 for without, kept in both]
        gain, error = statistics.fmean(gains), statistics.stdev(gains) / math.sqrt(len(gains))
        least = max(_LEAST_GAIN * statistics.fmean(without.l1 for without, _ in both), _STANDARD_ERRORS * error)
        return gain >= least > 0 and sum(kept.ssim - without.ssim for without, kept in both) >= 0

    @property
    def ceiling_score(self) -> float | None:
        """The score of the teacher's own results after the VAE's round trip."""
        return self._score("ceiling")

    @property
    def share_of_ceiling(self) -> float | None:
        """The score as a share of the ceiling's; None where the VAE loses more than the edit changes."""
        return self.score / self.ceiling_score if self.ceiling_score and self.ceiling_score > 0 else None

    @property
    def seconds(self) -> float:
        """What the student took for a pair, the median."""
        return statistics.median(result.seconds for result in self.results)

    @property
    def teacher_seconds(self) -> float | None:
        """What the teacher took for a pair, the median over the pairs that record it."""
        found = [result.teacher_seconds for result in self.results if result.teacher_seconds is not None]
        return statistics.median(found) if found else None

    @property
    def teacher_memory(self) -> int | None:
        """Bytes, the most of all pairs that record it."""
        return max(
            (result.teacher_memory for result in self.results if result.teacher_memory is not None), default=None
        )

    def by_dataset(self) -> dict[str, Evaluation]:
        """The same of each dataset alone, the weakest first; empty where there is but one."""
        names = dict.fromkeys(result.dataset for result in self.results)
        parts = {name: self._of_dataset(name) for name in names} if len(names) > 1 else {}
        return dict(sorted(parts.items(), key=lambda part: math.inf if part[1].score is None else part[1].score))

    def _of_dataset(self, name: str) -> Evaluation:
        results = tuple(result for result in self.results if result.dataset == name)
        failed = tuple(pair for pair in self.failed if pair.dataset == name)
        return replace(self, results=results, datasets=(name,), failed=failed)

    @property
    def failed_names(self) -> set[tuple[str, str]]:
        """Dataset and id of the pairs on which the student gave no picture."""
        return {(pair.dataset, pair.id) for pair in self.failed}

    def without(self, names: Collection[tuple[str, str]]) -> Evaluation:
        """The same without some pairs, to be compared with an evaluation in which these have failed."""
        return replace(self, results=tuple(one for one in self.results if (one.dataset, one.id) not in names))

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        means = {name: self.mean(name) for name in COMPARED}
        return {
            "student": self.student,
            "datasets": list(self.datasets),
            "split": self.split,
            "pairs": len(self.results),
            "failed": [asdict(pair) for pair in self.failed],
            "score": self.score,
            "score_with_detail": self.score_with_detail,
            "detail_helps": self.detail_helps,
            "ceiling_score": self.ceiling_score,
            "share_of_ceiling": self.share_of_ceiling,
            "judge": self.judge,
            "marks": {who: self.marks(who) for who in ("student", "teacher")},
            **{name: None if metrics is None else metrics.as_dict() for name, metrics in means.items()},
            "seconds": self.seconds,
            "teacher_seconds": self.teacher_seconds,
            "peak_memory_bytes": self.peak_memory,
            "teacher_memory_bytes": self.teacher_memory,
            "device": self.device,
            "sampler": dict(self.sampler),
            "by_dataset": {
                name: {
                    "pairs": len(part.results),
                    "score": part.score,
                    "score_with_detail": part.score_with_detail,
                    "ceiling_score": part.ceiling_score,
                    "share_of_ceiling": part.share_of_ceiling,
                }
                for name, part in self.by_dataset().items()
            },
            "by_pair": [result.as_dict() for result in self.results],
        }

    def write_json(self, path: Path) -> Path:
        """Writes :meth:`as_dict`, whole or not at all.

        Raises:
            OSError: the file cannot be written.
        """
        with atomic_write(path) as temporary:
            temporary.write_text(
                json.dumps(self.as_dict(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8", newline="\n"
            )
        return path


def score(metrics: ImageMetrics | None, source: ImageMetrics | None) -> float | None:
    """1 − L1 / L1(source, teacher); None without a source, or if the teacher changed nothing."""
    if metrics is None or source is None or source.l1 == 0:
        return None
    return 1.0 - metrics.l1 / source.l1
