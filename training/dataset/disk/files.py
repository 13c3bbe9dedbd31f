"""A dataset's own files: replaced whole, appended line by line, never written through a symbolic link."""

from __future__ import annotations

import errno
import json
import os
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import IO

from ....ace.files import long_path_advice, rename, replace_file
from ...errors import DatasetError, WriteError

METADATA = "metadata.jsonl"
PART = ".part"  # suffix of temporary files; no trainer's glob for pictures or captions matches it
ORPHANS = "orphans"  # folder of what was taken out of a dataset
TORN_LINES, DROPPED_ROWS = "torn-lines.txt", "dropped-rows.jsonl"  # in it


def as_write_error(error: OSError, place: Path) -> WriteError:
    """Turns an operating system's error into one that says what a person can do about it."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        advice = "The disk is full (or a size limit is reached). Free some space; every pair written so far is whole."
    elif error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        advice = "The folder cannot be written to. Change its permissions or choose another datasets folder."
    elif error.errno in (errno.ENOTDIR, errno.EEXIST):
        advice = "A file is where a folder should be. Move it away or choose another datasets folder."
    elif too_long := long_path_advice(error.filename):
        advice = f"{too_long}."
    else:
        advice = "Nothing half-written is left in the dataset."
    reason = error.strerror or str(error)
    return WriteError(f"Cannot write to {place}: {reason}. {advice}", reason)


def refuse_symlink(path: Path) -> None:
    """Checks that one of a dataset's own files is no symbolic link.

    Raises:
        DatasetError: it is one; what is written to it would go elsewhere.
    """
    if path.is_symlink():
        raise DatasetError(
            f"{path} is a symbolic link. Datasets keep their files in their own folders: remove the link."
        )


def open_no_follow(path: Path, flags: int) -> int:
    """Opens a file that the dataset itself keeps, for writing, as ``os.open`` does.

    Raises:
        DatasetError: it is a symbolic link, be it one put there just now.
    """
    refuse_symlink(path)
    try:
        return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0), 0o666)
    except OSError:
        refuse_symlink(path)
        raise


def make_folder(folder: Path, name: str) -> Path:
    """Makes a subfolder of the dataset, if it is not there.

    Raises:
        DatasetError: a symbolic link is in its place, and what is written would go elsewhere.
    """
    path = folder / name
    refuse_symlink(path)
    path.mkdir(exist_ok=True)
    return path


def write_atomic(path: Path, data: bytes) -> None:
    """Replaces a small file so that a reader sees the old or the new content."""
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:12]}{PART}")
    try:
        with open(temporary, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        replace_file(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Makes renames in a folder durable, where the system can."""
    if os.name == "nt":
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def append_line(path: Path, line: bytes) -> None:
    """Appends one line in one write and syncs it.

    Raises:
        OSError: the write failed or fell short; the file is as it was.
        DatasetError: the file is a symbolic link.
    """
    repair_last_line(path)
    handle = open_no_follow(path, os.O_RDWR | os.O_APPEND | os.O_CREAT)
    try:
        size = os.fstat(handle).st_size
        data = line + b"\n"
        try:
            if os.write(handle, data) != len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(handle)
        except OSError:
            os.ftruncate(handle, size)
            raise
    finally:
        os.close(handle)


def append_lines(path: Path, lines: Iterable[bytes]) -> None:
    """Appends lines to a file in ``orphans/``, which is not made for none."""
    lines = list(lines)
    if not lines:
        return
    with open(open_no_follow(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT), "ab") as file:
        file.write(b"".join(line + b"\n" for line in lines))


def repair_last_line(path: Path) -> None:
    """Moves an unfinished last line out of a line file (into ``orphans/torn-lines.txt``), or ends it if it is whole."""
    try:
        with open(open_no_follow(path, os.O_RDWR), "r+b") as file:
            if file.seek(0, os.SEEK_END) == 0:
                return
            file.seek(-1, os.SEEK_END)
            if file.read(1) == b"\n":
                return
            keep, tail = _split_tail(file)
            try:
                json.loads(tail)
            except ValueError:
                append_lines(make_folder(path.parent, ORPHANS) / TORN_LINES, [tail])
                file.truncate(keep)
            else:
                file.seek(0, os.SEEK_END)
                file.write(b"\n")
    except FileNotFoundError:
        return


def _split_tail(file: IO[bytes]) -> tuple[int, bytes]:
    """Length of the whole lines, and what follows the last line break."""
    end = file.seek(0, os.SEEK_END)
    tail = b""
    position = end
    while position > 0:
        step = min(65536, position)
        position -= step
        file.seek(position)
        block = file.read(step)
        cut = block.rfind(b"\n")
        if cut >= 0:
            return position + cut + 1, block[cut + 1 :] + tail
        tail = block + tail
    return 0, tail


def has_line(path: Path, line: bytes) -> bool:
    """Whether a line file has a whole line that says just this; an absent file has none."""
    try:
        with open(path, "rb") as file:
            return any(existing.rstrip(b"\n") == line and existing.endswith(b"\n") for existing in file)
    except FileNotFoundError:
        return False


def read_journal(path: Path) -> bytes | None:
    """What a process wrote down before a change that takes several steps; None if there is nothing to finish.

    Raises:
        WriteError: the disk refuses.
    """
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise as_write_error(error, path) from error


def move_to_orphans(folder: Path, relative: str) -> Path:
    """Moves a file of the dataset to ``orphans/``, under a name that is free there.

    Returns:
        Where it is now.
    """
    base = make_folder(folder, ORPHANS)
    target = base / relative.replace("/", "--")
    number = 1
    while os.path.lexists(target):
        number += 1
        target = base / f"{number}--{relative.replace('/', '--')}"
    rename(folder / relative, target)
    return target
