"""A lock between processes, and a commit that a crash cannot split.

A pair is committed in three steps under the dataset's lock. Its files are complete and synced under temporary names;
a small journal says how they are to be renamed and which row follows; then the renames and the row happen. Whoever
takes the lock next finishes what a dead process left, so that a reader sees a pair whole or not at all.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from ....ace.files import replace_file
from ...errors import DatasetError, RowError, WriteError
from .changes import recover_change
from .files import (
    METADATA,
    PART,
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

JOURNAL = ".pending.json"
LOCK = ".lock"
LOCK_TIMEOUT = 120.0  # seconds


@contextlib.contextmanager
def locked(folder: Path, timeout: float = LOCK_TIMEOUT) -> Iterator[None]:
    """Holds the dataset against all other writers, of this process or another, on this machine.

    The operating system drops the lock when its holder dies. Commits that a dead process left unfinished are completed
    first.

    Args:
        timeout: seconds to wait for another writer.

    Raises:
        WriteError: another process holds the lock for too long, or the disk refuses.
        DatasetError: there is no dataset, or its file system knows no locks.
    """
    import filelock

    if not folder.is_dir():
        raise DatasetError(f"There is no dataset at {folder}.")
    refuse_symlink(folder / LOCK)
    lock = filelock.FileLock(str(folder / LOCK), timeout=timeout)
    try:
        lock.acquire()
    except filelock.Timeout as error:
        raise WriteError(
            f"{folder} has been busy for {timeout:.0f} s: another process is writing to it. Wait for it, or stop it.",
            "another process is writing to the dataset",
        ) from error
    except NotImplementedError as error:
        raise DatasetError(
            f"{folder} lies on a file system without locks, where two writers could destroy each other's rows. "
            "Keep datasets on a local disk."
        ) from error
    except OSError as error:
        raise as_write_error(error, folder) from error
    try:
        recover(folder)
        yield
    finally:
        lock.release()


def check_writable(folder: Path) -> None:
    """Checks, before anything is written, that a dataset can be written to or made.

    A disk that is merely full is not seen; that only a write can tell.

    Raises:
        WriteError: the folder is read-only, or a file is in its place.
    """
    place = next(place for place in (folder, *folder.parents) if os.path.lexists(place))
    if not place.is_dir():
        code = errno.ENOTDIR
    elif os.access(place, os.W_OK | os.X_OK):
        return
    else:
        read_only = hasattr(os, "statvfs") and os.statvfs(place).f_flag & os.ST_RDONLY
        code = errno.EROFS if read_only else errno.EACCES
    raise as_write_error(OSError(code, os.strerror(code)), place)


def stage(folder: Path, relative: str, write: Callable[[IO[bytes]], None]) -> str:
    """Writes a file under a temporary name beside its final place and syncs it.

    Args:
        relative: final name, relative to the dataset.
        write: writes the content to the open file.

    Returns:
        The temporary name, relative to the dataset.
    """
    final = folder / relative
    make_folder(folder, final.parent.name)
    temporary = final.with_name(f".{final.name}.{uuid.uuid4().hex[:12]}{PART}")
    try:
        with open(temporary, "xb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return temporary.relative_to(folder).as_posix()


def delete_files(folder: Path, names: list[str]) -> None:
    """Deletes files by their relative names; what cannot be deleted, or is gone, is passed over."""
    for name in names:
        with contextlib.suppress(OSError):
            (folder / name).unlink(missing_ok=True)


def delete_unless_pending(folder: Path, names: list[str]) -> None:
    """Deletes temporary files, except those that an interrupted commit still needs."""
    try:
        needed = {temporary for temporary, _ in json.loads((folder / JOURNAL).read_bytes())["moves"]}
    except (OSError, ValueError, KeyError, TypeError):
        needed = set()
    delete_files(folder, [name for name in names if name not in needed])


def safe_file(folder: Path, relative: str) -> Path:
    """Path of a dataset's file, by its relative name.

    Raises:
        DatasetError: the file or its folder is a symbolic link, which could lead anywhere.
    """
    path = folder / relative
    if path.is_symlink() or path.parent.is_symlink():
        raise DatasetError(f"{path} is a symbolic link. Datasets hold real files: copy what it points to.")
    return path


def commit(folder: Path, moves: list[tuple[str, str]], row: PairRow) -> None:
    """Makes staged files and their row visible. The lock must be held and no final name may exist.

    Args:
        moves: (temporary, final) relative names in the order in which they shall appear.

    Raises:
        WriteError: the disk refuses; the commit is rolled back.
        DatasetError: a file of the dataset is a symbolic link; the commit is rolled back.
    """
    journal = {"moves": [list(move) for move in moves], "row": row.to_json()}
    journal["row"].encode()  # what cannot be written must fail now and not between the steps
    try:
        write_atomic(folder / JOURNAL, json.dumps(journal).encode())
        _finish(folder, journal, row_known_missing=True)
    except OSError as error:
        _roll_back(folder, journal)
        raise as_write_error(error, folder) from error
    except DatasetError:  # a symbolic link where the row or a torn line should go
        _roll_back(folder, journal)
        raise


def recover(folder: Path) -> None:
    """Completes the commit and the change that a dead process had begun, if there are any. The lock must be held.

    Raises:
        WriteError: the disk refuses.
    """
    recover_change(folder)
    text = read_journal(folder / JOURNAL)
    if text is None:
        return
    try:
        journal = json.loads(text)
        # The journal is a file like any other: its row passes the same checks, its moves stay inside the folder.
        row = PairRow.from_json(journal["row"])
        finals = {final for _, final in journal["moves"]}
        plain = all(_inside(temporary) and temporary.endswith(PART) for temporary, _ in journal["moves"])
        if finals != set(row.all_files) or not plain:
            raise RowError("the journal's files are not those of its row")
        lost = [f for t, f in journal["moves"] if not (folder / t).exists() and not (folder / f).exists()]
        if lost:
            raise RowError(f"files are gone: {', '.join(lost)}")
    except (ValueError, KeyError, TypeError, RowError):
        move_to_orphans(folder, JOURNAL)
        return
    try:
        _finish(folder, journal, row_known_missing=False)
    except OSError as error:
        raise as_write_error(error, folder) from error


def pending_files(folder: Path) -> set[str]:
    """Final names that an unfinished commit is about to fill; a checker leaves them alone."""
    try:
        journal = json.loads((folder / JOURNAL).read_bytes())
        return {str(final) for _, final in journal["moves"]}
    except (OSError, ValueError, KeyError, TypeError):
        return set()


def _finish(folder: Path, journal: dict, *, row_known_missing: bool) -> None:
    for temporary, final in journal["moves"]:
        if (folder / temporary).exists():
            replace_file(folder / temporary, folder / final)
    for name in {Path(final).parent for _, final in journal["moves"]}:
        sync_folder(folder / name)
    line = journal["row"].encode()
    if row_known_missing or not has_line(folder / METADATA, line):
        append_line(folder / METADATA, line)
    (folder / JOURNAL).unlink(missing_ok=True)


def _roll_back(folder: Path, journal: dict) -> None:
    """Undoes a commit that failed while its process lives on. If even that fails, the journal stays for ``recover``."""
    if has_line(folder / METADATA, journal["row"].encode()):
        return
    with contextlib.suppress(OSError):
        # The journal goes first: without it the moved files are at worst orphans, with it they would come back.
        (folder / JOURNAL).unlink(missing_ok=True)
        delete_files(folder, [final for _, final in journal["moves"]])


def _inside(relative: str) -> bool:
    parts = Path(relative).parts
    return len(parts) == 2 and ".." not in parts and not Path(relative).is_absolute()
