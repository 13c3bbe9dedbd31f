"""What a judge says of a pair, in numbers from 0 to 10, and how it stands in a row of the dataset.

VIEScore (Ku et al. 2024): semantic consistency SC is the smaller of its sub-scores, perceptual quality PQ likewise, and
the overall score is O = √(SC · PQ).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

MOST = 10.0
SCORED, UNSCORED = "scored", "unscored"


@dataclass(frozen=True)
class Marks:
    """One pass of one judge over one pair: raw sub-scores, as they came.

    Attributes:
        semantic: has the edit succeeded, and has it left the rest alone; one number for a picture made from text alone.
        quality: how natural the result looks, and how free of faults.
    """

    semantic: tuple[float, ...]
    quality: tuple[float, ...]

    @property
    def sc(self) -> float:
        return min(self.semantic)

    @property
    def pq(self) -> float:
        return min(self.quality)

    @property
    def overall(self) -> float:
        return math.sqrt(self.sc * self.pq)

    def text(self) -> str:
        """Such as "8 9|7 8"."""
        return "|".join(" ".join(f"{mark:g}" for mark in marks) for marks in (self.semantic, self.quality))

    @classmethod
    def from_text(cls, text: str) -> Marks | None:
        """None for what is no such text, or has a number out of range."""
        try:
            semantic, quality = (tuple(map(float, part.split())) for part in text.split("|"))
        except ValueError:
            return None
        every = (*semantic, *quality)
        return cls(semantic, quality) if semantic and quality and all(0 <= mark <= MOST for mark in every) else None


@dataclass(frozen=True)
class Judgement:
    """All that a judge says of one pair.

    Attributes:
        judge: the name under which it stands in the row.
        prompt: hash of the questions, so that answers to other questions are not mixed in.
        passes: one or more; empty means that no answer could be read: the pair is unscored, never guessed.
        semantic_reasoning, quality_reasoning: of the first pass.
        swapped: SC marks with source and result exchanged, which ought to be low; empty if that was not asked.
        instruction: the words that it was asked about; empty for the pair's own.
    """

    judge: str
    prompt: str
    passes: tuple[Marks, ...]
    semantic_reasoning: str = ""
    quality_reasoning: str = ""
    swapped: tuple[float, ...] = ()
    instruction: str = ""

    @property
    def scored(self) -> bool:
        return bool(self.passes)

    @property
    def sc(self) -> float | None:
        return _mean([marks.sc for marks in self.passes])

    @property
    def pq(self) -> float | None:
        return _mean([marks.pq for marks in self.passes])

    @property
    def overall(self) -> float | None:
        """Mean of the passes' O."""
        return _mean([marks.overall for marks in self.passes])

    def to_scores(self) -> dict[str, Any]:
        """The group under the judge's name in ``scores``, with the names that OmniEdit's tables use."""
        group: dict[str, Any] = {"status": SCORED if self.scored else UNSCORED, "prompt": self.prompt}
        if self.scored:
            first = self.passes[0]
            group |= {f"sc_score_{place}": mark for place, mark in enumerate(first.semantic, 1)}
            group |= {f"pq_score_{place}": mark for place, mark in enumerate(first.quality, 1)}
            group |= {"sc_score": self.sc, "pq_score": self.pq, "o_score": self.overall}
            group["raw"] = ";".join(marks.text() for marks in self.passes)
        reasons = {"sc_reasoning": self.semantic_reasoning, "pq_reasoning": self.quality_reasoning}
        group |= {name: text for name, text in reasons.items() if text}
        if self.swapped:
            group["swapped"] = " ".join(f"{mark:g}" for mark in self.swapped)
        if self.instruction:
            group["instruction"] = self.instruction
        return group

    @classmethod
    def from_scores(cls, judge: str, group: Any) -> Judgement | None:
        """What stands in a row; None where the group is not a judge's.

        Columns of other tools' tables (OmniEdit's sc_score_1, sc_score_2, pq_score, o_score) are understood, too.
        """
        if not isinstance(group, Mapping):
            return None
        raw = group.get("raw")
        if isinstance(raw, str):
            found = [Marks.from_text(text) for text in raw.split(";")]
            passes = () if None in found else tuple(found)
        else:
            marks = _from_columns(group)
            passes = () if marks is None else (marks,)
        if not passes and group.get("status") != UNSCORED:
            return None
        swapped = tuple(float(part) for part in str(group.get("swapped", "")).split())
        reasons = (str(group.get(name, "")) for name in ("sc_reasoning", "pq_reasoning"))
        return cls(judge, str(group.get("prompt", "")), passes, *reasons, swapped, str(group.get("instruction", "")))


def judges_of(scores: Mapping[str, Any]) -> list[str]:
    """Names of the judges that a row has anything of."""
    return [name for name, group in scores.items() if Judgement.from_scores(name, group) is not None]


def overall_of(scores: Mapping[str, Any], judge: str) -> float | None:
    """O of a row by a judge, or what another scorer calls o_score; None if the judge has not scored it."""
    group = scores.get(judge)
    judgement = Judgement.from_scores(judge, group)
    if judgement is not None:
        return judgement.overall
    value = group.get("o_score") if isinstance(group, Mapping) else None
    return float(value) if _is_mark(value) else None


def instruction_of(scores: Mapping[str, Any], judge: str) -> str:
    """The words that a judge was asked about a row in place of its own; empty if there are none."""
    judgement = Judgement.from_scores(judge, scores.get(judge))
    return "" if judgement is None else judgement.instruction


def _from_columns(group: Mapping[str, Any]) -> Marks | None:
    semantic = _numbered(group, "sc_score")
    quality = _numbered(group, "pq_score")
    return Marks(semantic, quality) if semantic and quality else None


def _numbered(group: Mapping[str, Any], name: str) -> tuple[float, ...]:
    """``name_1`` and ``name_2``, or ``name`` alone."""
    found = [group[key] for key in (f"{name}_1", f"{name}_2") if _is_mark(group.get(key))]
    if not found and _is_mark(group.get(name)):
        found = [group[name]]
    return tuple(map(float, found))


def _is_mark(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= MOST


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
