"""A benchmark of one's own: a dataset of this project, or any folder with a ``benchmark.jsonl``.

A line: ``{"instruction": …, "source": "a.png", "target": …, "mask": …, "source_caption": …, "target_caption": …,
"task": …, "references": [...], "lines": [{"text": …, "mask": …}], "session": …}``; all but the instruction may be missing.
Lines of one session are its turns, in order.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from ...dataset.disk.storage import METADATA
from ...dataset.store import Dataset
from ..errors import EvaluationError
from .sessions import Picture, Session, Turn, file_picture, numbered_lines, safe_id

_FILE = "benchmark.jsonl"


def read_folder(folder: Path) -> Iterator[Session]:
    """Raises `EvaluationError` or `DatasetError`."""
    if (folder / _FILE).is_file():
        yield from _own(folder)
    elif (folder / METADATA).is_file():
        yield from _dataset(Dataset(folder))
    else:
        raise EvaluationError(f"{folder} has neither {_FILE} nor the {METADATA} of a dataset")


def _own(folder: Path) -> Iterator[Session]:
    sessions: dict[str, list[Turn]] = {}
    for number, line in numbered_lines(folder / _FILE):
        try:
            item = json.loads(line)
            session = str(item.get("session", number))
            sessions.setdefault(session, []).append(_turn(item, folder, number))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise EvaluationError(f"{folder / _FILE} line {number} is no turn: {error!r}") from error
    yield from (Session(tuple(turns)) for turns in sessions.values())


def _turn(item: dict, folder: Path, number: int) -> Turn:
    def picture(name: str | None, *, mask: bool = False) -> Picture | None:
        return None if name is None else file_picture(folder, name, mask=mask)

    return Turn(
        id=safe_id(f"{number:05}", item.get("id", "")),
        instruction=item["instruction"],
        source=picture(item.get("source")),
        target=picture(item.get("target")),
        mask=picture(item.get("mask"), mask=True),
        source_caption=item.get("source_caption", ""),
        target_caption=item.get("target_caption", ""),
        task=item.get("task", ""),
        references=tuple(file_picture(folder, name) for name in item.get("references", ())),
        lines=tuple((line["text"], file_picture(folder, line["mask"], mask=True)) for line in item.get("lines", ())),
    )


def _dataset(dataset: Dataset) -> Iterator[Session]:
    """Held-out pairs, or all where none is held out; each on its own."""
    rows = list(dataset.rows("validation")) or list(dataset.rows())
    for row in rows:
        masks = row.masks_by_index
        yield Session(
            (
                Turn(
                    id=row.id,
                    instruction=row.instruction,
                    source=None if row.source_file_name is None else file_picture(dataset.folder, row.source_file_name),
                    target=file_picture(dataset.folder, row.target_file_name),
                    mask=file_picture(dataset.folder, masks[0], mask=True) if 0 in masks else None,
                    task=", ".join(row.tags),
                    references=tuple(file_picture(dataset.folder, name) for name in row.reference_file_names),
                ),
            )
        )
