"""Judged pairs as a fine-tuning set for a smaller judge, as OmniEdit (§3.3) taught InternVL2 what GPT-4o said.

A student gets the very questions that a judge asks here, and as answers the reasons and the marks that stand in the rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..dataset.disk.rows import PairRow
from ..dataset.store import Dataset
from ..errors import DatasetError
from ..vision_language.fine_tuning import Example, Format, pictures_in_set, write_examples
from .prompts import quality_question, semantic_question
from .scores import Judgement
from .scoring import pictures_of

_NAME = "ace_judge"


@dataclass(frozen=True)
class Exported:
    """What was written: conversations, pairs, and pairs left out because they have no marks or no reasons."""

    folder: Path
    conversations: int
    pairs: int
    left_out: int


def export_judgements(
    dataset: Dataset, judge: str, folder: Path, style: Format, *, split: str | None = None
) -> Exported:
    """Writes a fine-tuning set.

    Args:
        judge: whose marks.
        folder: a new one; pictures are copied into it, so that it can go to another machine.
        split: of pairs that validate the student judge nothing should be learnt.

    Raises:
        DatasetError: the judge has marked none of the pairs, or the folder is there or cannot be written.
    """
    rows = list(dataset.rows(split))
    judged = [(row, found) for row in rows if (found := _worth(row, judge)) is not None]
    if not judged:
        raise DatasetError(
            f"{judge!r} has marked no pair of {dataset.name!r} with reasons: there is nothing to learn from"
        )
    examples = (example for row, judgement in judged for example in _examples(dataset, row, judgement))
    return Exported(folder, write_examples(folder, _NAME, examples, style), len(judged), len(rows) - len(judged))


def _worth(row: PairRow, judge: str) -> Judgement | None:
    found = Judgement.from_scores(judge, row.scores.get(judge))
    whole = found is not None and found.scored and found.semantic_reasoning and found.quality_reasoning
    return found if whole else None


def _examples(dataset: Dataset, row: PairRow, judgement: Judgement) -> Iterator[Example]:
    shown = pictures_of(dataset, row, judgement.instruction)
    marks = judgement.passes[0]
    result = row.target_file_name
    first = (row.source_file_name, result) if row.source_file_name else (result,)
    about = (
        (semantic_question(shown), marks.semantic, judgement.semantic_reasoning, (*first, *row.reference_file_names)),
        (quality_question(shown.result), marks.quality, judgement.quality_reasoning, (result,)),
    )
    for question, given, reasons, files in about:
        if len(given) == len(question.marks):
            named = zip(question.marks, map(round, given), strict=True)
            yield Example(
                question.request, {"reasoning": reasons, **dict(named)}, pictures_in_set(dataset.folder, files)
            )
