"""What came out of an evaluation, pair by pair and all together."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from ...ace.files import atomic_write
from .measures import Distances, mean

COMPARED = ("student", "source", "other_seed", "ceiling")


@dataclass(frozen=True, eq=False)
class Answer:
    """One pair. The distances are those to the teacher's result, at the size the model works at.

    Attributes:
        id, dataset, instruction: the pair's.
        masked: only the masked part is the student's; the rest is the source.
        student: of the student's result.
        source: of the unedited source; None for a picture made from text alone.
        other_seed: of the teacher's result for another seed, where the dataset has one.
        ceiling: of the teacher's own result after the VAE's round trip, which no student on this VAE can better much.
        seconds: the student took, encoding and decoding included.
        teacher_seconds, teacher_memory: as the row records them, or None.
        pictures: labelled, small.
    """

    id: str
    dataset: str
    instruction: str
    masked: bool
    student: Distances
    source: Distances | None
    other_seed: Distances | None
    ceiling: Distances
    seconds: float
    teacher_seconds: float | None
    teacher_memory: int | None
    pictures: tuple[tuple[str, Image.Image], ...] = field(default=(), repr=False)

    def as_dict(self) -> dict[str, Any]:
        compared = {name: getattr(self, name) for name in COMPARED}
        return {
            "id": self.id,
            "dataset": self.dataset,
            "instruction": self.instruction,
            "masked": self.masked,
            **{name: None if distances is None else distances.as_dict() for name, distances in compared.items()},
            "score": score(self.student, self.source),
            "ceiling_score": score(self.ceiling, self.source),
            "seconds": self.seconds,
            "teacher_seconds": self.teacher_seconds,
            "teacher_memory_bytes": self.teacher_memory,
        }


@dataclass(frozen=True, eq=False)
class Evaluation:
    """All pairs.

    Attributes:
        student: name of bundle and LoRA.
        split: which pairs; those of "train" flatter.
        sampler: steps, cfg and guidance_rescale.
        peak_memory: bytes while sampling, or None where the system does not tell.
    """

    answers: tuple[Answer, ...]
    student: str
    datasets: tuple[str, ...]
    split: str
    sampler: Mapping[str, float]
    device: str
    peak_memory: int | None

    def mean(self, name: str) -> Distances | None:
        """Mean distances of ``name``, one of COMPARED, over the pairs that have it."""
        found = (getattr(answer, name) for answer in self.answers)
        return mean([distances for distances in found if distances is not None])

    def _score(self, name: str) -> float | None:
        """Over the mean distances, so that pairs that hardly change do not outweigh the others."""
        edits = [answer for answer in self.answers if answer.source is not None]
        return score(mean([getattr(answer, name) for answer in edits]), mean([answer.source for answer in edits]))

    @property
    def score(self) -> float | None:
        """1 − L1(student, teacher) / L1(source, teacher): 0 is no better than not editing, 1 is the teacher."""
        return self._score("student")

    @property
    def ceiling_score(self) -> float | None:
        """The score of the teacher's own results after the VAE's round trip."""
        return self._score("ceiling")

    @property
    def share(self) -> float | None:
        """The score as a share of the ceiling's; None where the VAE loses more than the edit changes."""
        return self.score / self.ceiling_score if self.ceiling_score and self.ceiling_score > 0 else None

    @property
    def seconds(self) -> float:
        """Median over the pairs."""
        return statistics.median(answer.seconds for answer in self.answers)

    @property
    def teacher_seconds(self) -> float | None:
        """Median over the pairs that record it."""
        found = [answer.teacher_seconds for answer in self.answers if answer.teacher_seconds is not None]
        return statistics.median(found) if found else None

    @property
    def teacher_memory(self) -> int | None:
        """The most of all pairs that record it."""
        return max(
            (answer.teacher_memory for answer in self.answers if answer.teacher_memory is not None), default=None
        )

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        means = {name: self.mean(name) for name in COMPARED}
        return {
            "student": self.student,
            "datasets": list(self.datasets),
            "split": self.split,
            "pairs": len(self.answers),
            "score": self.score,
            "ceiling_score": self.ceiling_score,
            "share_of_ceiling": self.share,
            **{name: None if distances is None else distances.as_dict() for name, distances in means.items()},
            "seconds": self.seconds,
            "teacher_seconds": self.teacher_seconds,
            "peak_memory_bytes": self.peak_memory,
            "teacher_memory_bytes": self.teacher_memory,
            "device": self.device,
            "sampler": dict(self.sampler),
            "by_pair": [answer.as_dict() for answer in self.answers],
        }

    def write_json(self, path: Path) -> Path:
        """Raises OSError if the file cannot be written."""
        with atomic_write(path) as temporary:
            temporary.write_text(json.dumps(self.as_dict(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        return path


def score(distances: Distances | None, source: Distances | None) -> float | None:
    """The normalised score; None without a source, or if the teacher changed nothing."""
    if distances is None or source is None or source.l1 == 0:
        return None
    return 1.0 - distances.l1 / source.l1
