"""Changes of what is stored: rows replaced, taken out or brought back together with their files, which no crash can split.

A change is written down in a small journal first. Files that arrive come before their rows and files that leave after
them, so that a row never stands without its pictures; the line in the history comes last. Whoever takes the lock next
finishes what a dead process left.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from ....ace.files import replace_file
from ...errors import DatasetError, RowError, WriteError
from .files import (
    METADATA,
    append_line,
    as_write_error,
    has_line,
    make_folder,
    move_to_orphans,
    read_journal,
    refuse_symlink,
    sync_folder,
    write_atomic,
)
from .rows import PairRow

JOURNAL = ".change.json"
HISTORY = "history.jsonl"
_DIGEST = re.compile(r"[0-9a-f]{64}\Z")


@dataclass(frozen=True)
class Change:
    """Rows and files that change together.

    Attributes:
        replaced: (digest of the old line, new line or None to take it out).
        added: new lines.
        arrivals: (from, to) relative names, moved before the rows change; nothing may be there yet.
        moves: (from, to) relative names, moved when the rows have changed; what is there is replaced.
        history: lines for ``history.jsonl``.
    """

    replaced: tuple[tuple[str, str | None], ...] = ()
    added: tuple[str, ...] = ()
    arrivals: tuple[tuple[str, str], ...] = ()
    moves: tuple[tuple[str, str], ...] = ()
    history: tuple[str, ...] = ()


def line_digest(line: bytes) -> str:
    """SHA-256 by which a line of metadata is known, its line break left out."""
    return hashlib.sha256(line.strip()).hexdigest()


def apply_change(folder: Path, change: Change) -> None:
    """Carries a change out, whole. The dataset's lock must be held.

    Raises:
        WriteError: the disk refuses. Before the rows have changed, nothing has; after that, the rest follows by itself.
        DatasetError: a symbolic link is in the way; nothing has changed.
    """
    done: list[tuple[str, str]] = []
    try:
        write_atomic(folder / JOURNAL, json.dumps(asdict(change)).encode())
        for move in change.arrivals:
            _move(folder, *move)
            done.append(move)
        _change_rows(folder, change)
    except OSError as error:
        _roll_back(folder, done)
        raise as_write_error(error, folder) from error
    except DatasetError:
        _roll_back(folder, done)
        raise
    _finish(folder, change)


def recover_change(folder: Path) -> None:
    """Completes the change that a dead process had begun, if there is one. The lock must be held.

    Raises:
        WriteError: the disk refuses.
    """
    text = read_journal(folder / JOURNAL)
    if text is None:
        return
    try:
        change = _read(text)
    except (ValueError, KeyError, TypeError, RecursionError):
        move_to_orphans(folder, JOURNAL)  # a file like any other: somebody else may have written it
        return
    try:
        for move in change.arrivals:
            _move(folder, *move)
        _change_rows(folder, change)
    except OSError as error:
        raise as_write_error(error, folder) from error
    _finish(folder, change)


def _roll_back(folder: Path, done: Sequence[tuple[str, str]]) -> None:
    """Moves back what has arrived already."""
    with contextlib.suppress(OSError):
        # The journal goes first: with it, what is moved back would be moved once more.
        (folder / JOURNAL).unlink(missing_ok=True)
        for source, target in reversed(done):
            if os.path.lexists(folder / target):
                replace_file(folder / target, folder / source)


def _finish(folder: Path, change: Change) -> None:
    """What follows by itself once the rows have changed."""
    try:
        for move in change.moves:
            _move(folder, *move)
        for line in change.history:
            if not has_line(folder / HISTORY, line.encode()):
                append_line(folder / HISTORY, line.encode())
        (folder / JOURNAL).unlink(missing_ok=True)
    except OSError as error:
        problem = as_write_error(error, folder)
        said = f"{problem} The change itself is kept, and is finished as soon as that works."
        raise WriteError(said, problem.reason) from error


def _change_rows(folder: Path, change: Change) -> None:
    """Replaces and appends rows; those that were before are passed over."""
    if change.replaced:
        new = dict(change.replaced)
        lines = []
        for line in (folder / METADATA).read_bytes().splitlines(keepends=True):
            digest = line_digest(line)
            if digest not in new:
                lines.append(line)
            elif (text := new[digest]) is not None:
                lines.append(text.encode() + b"\n")
        write_atomic(folder / METADATA, b"".join(lines))
    for line in change.added:
        if not has_line(folder / METADATA, line.encode()):
            append_line(folder / METADATA, line.encode())


def _move(folder: Path, source: str, target: str) -> None:
    """Moves a file inside the dataset; one that has been moved is passed over."""
    refuse_symlink((folder / source).parent)
    *folders, _ = Path(target).parts
    place = folder
    for name in folders:
        place = make_folder(place, name)
    if os.path.lexists(folder / source):
        replace_file(folder / source, folder / target)
        sync_folder(place)
        sync_folder((folder / source).parent)


def _read(text: bytes) -> Change:
    """A change from its journal, which must name nothing outside the dataset and no rows that are none.

    Raises:
        ValueError, KeyError, TypeError: it does.
    """
    data = json.loads(text)
    change = Change(**{key: tuple(_tuples(value)) for key, value in data.items()})
    for digest, line in change.replaced:
        if not _DIGEST.match(digest):
            raise ValueError("no digest")
        if line is not None:
            _check_line(line)
    for line in change.added:
        _check_line(line)
    if not all(_inside(name) for move in (*change.arrivals, *change.moves) for name in move):
        raise ValueError("a name that leads out of the dataset")
    if any("\n" in line or not isinstance(json.loads(line), dict) for line in change.history):
        raise ValueError("no line of a history")
    return change


def _tuples(values: Iterable) -> Iterable:
    return (tuple(value) if isinstance(value, list) else value for value in values)


def _check_line(line: str) -> None:
    if "\n" in line:
        raise RowError("more than one line")
    PairRow.from_json(line)


def _inside(name: str) -> bool:
    parts = name.split("/")
    return len(parts) in (2, 3) and not any(p in ("", ".", "..") or "\\" in p or ":" in p for p in parts)
