"""``history.jsonl``: every change that was made by hand, and so also which deleted pairs can come back."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ...errors import RowError
from ..disk.changes import HISTORY
from ..disk.line_tail import LineTail
from ..disk.rows import PairRow

REMOVED = "removed"  # folder of the files of deleted pairs, a subfolder each
# The words of a pair that an edit can change, as a line of the history names them.
EDITABLE = (
    "instruction",
    "prompt",
    "weight",
    "split",
    "tags",
    "phrasings",
    "source_caption",
    "target_caption",
    "history",
)
_KEY = re.compile(r"([A-Za-z0-9-]+)(?:\.[0-9]+)?\Z")


@dataclass(frozen=True)
class RemovedPair:
    """A deleted pair that can come back.

    Attributes:
        key: names its folder below ``removed/``; an id that was deleted more than once has several.
        row: as it stood in the metadata.
        time: when it was deleted, ISO 8601 in UTC.
    """

    key: str
    row: PairRow
    time: str

    def file(self, name: str) -> str:
        """Where a file of the pair lies now, relative to the dataset."""
        folder, _, file = name.partition("/")
        return f"{REMOVED}/{self.key}/{folder}{Path(file).suffix}"


@dataclass(frozen=True)
class PastEdit:
    """What a pair was before one edit.

    Attributes:
        time: of the edit, ISO 8601 in UTC.
        before: the values that were changed, by key of the row.
    """

    time: str
    before: Mapping[str, Any]


class History:
    """Follows the history of one dataset.

    Attributes:
        removed: the deleted pairs by key, the oldest first.
        edits: what pairs were before, by id, the oldest first.
    """

    def __init__(self, folder: Path):
        self._tail = LineTail(folder / HISTORY)
        self.removed: dict[str, RemovedPair] = {}
        self.edits: dict[str, list[PastEdit]] = {}

    def refresh(self) -> None:
        """Reads what was added since the last call. Lines that say nothing of use are passed over."""
        restarted, lines = self._tail.read()
        if restarted:
            self.removed.clear()
            self.edits.clear()
        for _, line in lines:
            try:
                self._take(json.loads(line))
            except (ValueError, KeyError, TypeError, RecursionError):
                continue  # from another version, or another hand

    def _take(self, data: dict[str, Any]) -> None:
        action, time = data["action"], str(data["time"])
        if action == "edit":
            before = {key: value for key, value in data["before"].items() if key in EDITABLE}
            self.edits.setdefault(str(data["id"]), []).append(PastEdit(time, before))
        elif action == "delete":
            row = PairRow.from_json(json.dumps(data["row"]))
            self.removed[_check_key(data["key"], row)] = RemovedPair(data["key"], row, time)
        elif action == "restore":
            self.removed.pop(data["key"], None)


def edit_line(pair_id: str, before: PairRow, after: PairRow) -> str:
    """The history's line for an edit."""
    changed = [key for key in EDITABLE if getattr(before, key) != getattr(after, key)]
    values = [{key: getattr(row, key) for key in changed} for row in (before, after)]
    return _line("edit", id=pair_id, before=values[0], after=values[1])


def delete_line(key: str, row: PairRow) -> str:
    """The history's line for a deletion."""
    return _line("delete", id=row.id, key=key, row=json.loads(row.to_json()))


def restore_line(key: str, row: PairRow) -> str:
    """The history's line for a pair that came back."""
    return _line("restore", id=row.id, key=key)


def _line(action: str, **values: Any) -> str:
    time = datetime.now(timezone.utc).isoformat(timespec="microseconds")  # no two lines are the same
    return json.dumps({"time": time, "action": action, **values}, ensure_ascii=False, separators=(",", ":"))


def _check_key(key: Any, row: PairRow) -> str:
    found = _KEY.match(key)
    if found is None or found[1] != row.id:
        raise RowError(f"{key!r:.100} does not name a deleted pair {row.id}")
    return key
