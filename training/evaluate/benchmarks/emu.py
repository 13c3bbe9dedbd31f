"""Emu Edit's test set (Sheynin et al. 2024) as published in parquet: independent edits with captions before and after."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ..errors import EvaluationError
from .sessions import Session, Turn, cell_picture, safe_id, table_rows

# Mirrors of the set name test and validation the other way round; the report tells when the number of edits is another.
_SPLIT = "test"


def read_emu(folder: Path) -> Iterator[Session]:
    """Rows of the test split, or all of them where the rows do not say. Raises `EvaluationError`."""
    for number, row in enumerate(table_rows(folder)):
        if row.get("split") not in (None, _SPLIT):
            continue
        try:
            yield Session(
                (
                    Turn(
                        id=safe_id(row.get("idx", number), row.get("hash") or number),
                        instruction=row["instruction"],
                        source=cell_picture(row["image"], folder),
                        source_caption=row.get("input_caption") or "",
                        target_caption=row.get("output_caption") or "",
                        task=row.get("task") or "",
                    ),
                )
            )
        except KeyError as error:
            raise EvaluationError(
                f"row {number} of {folder} has no column {error}; Emu Edit has instruction, image, input_caption, "
                "output_caption, task"
            ) from error
