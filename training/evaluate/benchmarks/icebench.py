"""ICE-Bench (Pan et al. 2025): ``data.jsonl`` and pictures by their paths, as unpacked from its archive."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from ..errors import EvaluationError
from .sessions import Picture, Session, Turn, file_picture, numbered_lines, safe_id

_FILE = "data.jsonl"


def read_icebench(folder: Path) -> Iterator[Session]:
    """Items in the order of their file.

    Paths in it begin with the folder's own name or lie below it; both are found.

    Raises:
        EvaluationError: the file is missing, or an item says something else.
    """
    path = next((place for place in (folder / _FILE, folder / "dataset" / _FILE) if place.is_file()), None)
    if path is None:
        raise EvaluationError(f"{folder} has no {_FILE}; unpack the benchmark's data.zip and give the folder dataset")
    for number, line in numbered_lines(path):
        try:
            yield Session((_turn(json.loads(line), path.parent),))
        except (ValueError, KeyError, TypeError) as error:
            raise EvaluationError(f"{path} line {number} is no item of ICE-Bench: {error!r}") from error


def _turn(item: dict, folder: Path) -> Turn:
    source, mask = item.get("SourceImage"), item.get("SourceMask")
    references = tuple(_picture(folder, name) for name in item.get("ReferenceImages") or ())
    words = item["Instruction"].replace("<SOURCE>", "{image}" if source else "").strip()
    for number in range(1, len(references) + 1):
        words = words.replace(f"<REF_{number}>", f"{{image{number}}}" if source else f"{{image{number - 1 or ''}}}")
    return Turn(
        id=safe_id(item["ItemID"]),
        instruction=words,
        source=_picture(folder, source) if source else None,
        mask=_picture(folder, mask, mask=True) if mask else None,
        target_caption=item.get("TargetCaption") or "",
        task=item["Task"],
        references=references,
    )


def _picture(folder: Path, name: str, *, mask: bool = False) -> Picture:
    """By its path from the folder, or from the one above, as the items have it."""
    inside = folder / name
    return file_picture(folder if inside.is_file() else folder.parent, name, mask=mask)
