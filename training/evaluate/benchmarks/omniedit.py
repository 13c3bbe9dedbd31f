"""OmniEdit-Bench (Wei et al. 2024) in parquet: edits without ground truth, for a judge to mark."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from ..errors import EvaluationError
from .sessions import Session, Turn, cell_picture, safe_id, table_rows

_SOURCES = ("src_img", "source_image", "image")
_WORDS = ("edited_prompt_list", "instruction", "prompt", "edit_prompt")


def read_omniedit(folder: Path) -> Iterator[Session]:
    """Rows in order; of several wordings the first. Raises `EvaluationError`."""
    for number, row in enumerate(table_rows(folder)):
        source = next((row[name] for name in _SOURCES if row.get(name) is not None), None)
        words = next((row[name] for name in _WORDS if row.get(name)), None)
        if source is None or words is None:
            raise EvaluationError(
                f"row {number} of {folder} has no {' or '.join(_SOURCES)}, or no {' or '.join(_WORDS)}: {sorted(row)}"
            )
        yield Session(
            (
                Turn(
                    id=safe_id(number, row.get("omni_edit_id") or row.get("id") or number),
                    instruction=_first(words),
                    source=cell_picture(source, folder),
                    task=str(row.get("task") or ""),
                ),
            )
        )


def _first(words: str | list[str]) -> str:
    if isinstance(words, str) and words.startswith("["):
        words = json.loads(words)
    return words if isinstance(words, str) else words[0]
