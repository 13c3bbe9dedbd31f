"""The disk: a lock between processes, files that appear whole, and a commit that a crash cannot split.

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
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO

from ...errors import DatasetError, RowError, WriteError
from .rows import PairRow

METADATA = "metadata.jsonl"
JOURNAL = ".pending.json"
LOCK = ".lock"
PART = ".part"  # no trainer's glob for pictures or captions matches it
ORPHANS = "orphans"
TORN_LINES, DROPPED_ROWS = "torn-lines.txt", "dropped-rows.jsonl"  # in it
LOCK_TIMEOUT = 120.0  # seconds


@contextlib.contextmanager
def locked(folder: Path, timeout: float = LOCK_TIMEOUT) -> Iterator[None]:
    """Hold the dataset against all other writers, of this process or another, on this machine.

    The operating system drops the lock when its holder dies. Unfinished commits of the dead are completed first.
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


def as_write_error(error: OSError, place: Path) -> WriteError:
    """An operating system's error, with what a person can do about it."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        advice = "The disk is full (or a size limit is reached). Free some space; every pair written so far is whole."
    elif error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        advice = "The folder cannot be written to. Change its permissions or choose another datasets folder."
    elif error.errno in (errno.ENOTDIR, errno.EEXIST):
        advice = "A file is where a folder should be. Move it away or choose another datasets folder."
    else:
        advice = "Nothing half-written is left in the dataset."
    reason = error.strerror or str(error)
    return WriteError(f"Cannot write to {place}: {reason}. {advice}", reason)


def check_writable(folder: Path) -> None:
    """Raise `WriteError` where it is plain, before anything is written, that a dataset cannot be written to or made.

    A disk that is merely full is not seen; that only a write can tell.
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
    """Write a file under a temporary name beside its final place and sync it. Returns the temporary relative name."""
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


def make_folder(folder: Path, name: str) -> Path:
    """A real subfolder of the dataset; a link in its place is refused, so that nothing is written elsewhere."""
    path = folder / name
    refuse_symlink(path)
    path.mkdir(exist_ok=True)
    return path


def refuse_symlink(path: Path) -> None:
    """Raise `DatasetError` if one of a dataset's own files is a link: what is written to it would go elsewhere."""
    if path.is_symlink():
        raise DatasetError(f"{path} is a link. Datasets keep their files in their own folders: remove the link.")


def open_no_follow(path: Path, flags: int) -> int:
    """`os.open` of a file that the dataset itself keeps, for writing; a link is refused, also one just put there."""
    refuse_symlink(path)
    try:
        return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0), 0o666)
    except OSError:
        refuse_symlink(path)
        raise


def append_lines(path: Path, lines: Iterable[bytes]) -> None:
    """Append lines to a file of the side folder, which is not made for none."""
    lines = list(lines)
    if not lines:
        return
    with open(open_no_follow(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT), "ab") as file:
        file.write(b"".join(line + b"\n" for line in lines))


def delete_files(folder: Path, names: list[str]) -> None:
    for name in names:
        with contextlib.suppress(OSError):
            (folder / name).unlink(missing_ok=True)


def delete_unless_pending(folder: Path, names: list[str]) -> None:
    """Delete temporary files, except those that an interrupted commit will still need."""
    try:
        needed = {temporary for temporary, _ in json.loads((folder / JOURNAL).read_bytes())["moves"]}
    except (OSError, ValueError, KeyError, TypeError):
        needed = set()
    delete_files(folder, [name for name in names if name not in needed])


def safe_file(folder: Path, relative: str) -> Path:
    """Path of a dataset's file; refuses links, which could lead anywhere."""
    path = folder / relative
    if path.is_symlink() or path.parent.is_symlink():
        raise DatasetError(f"{path} is a link. Datasets hold real files: copy what it points to.")
    return path


def commit(folder: Path, moves: list[tuple[str, str]], row: PairRow) -> None:
    """Make staged files and their row visible. The lock must be held and no final name may exist.

    moves: (temporary, final) relative names in the order in which they shall appear.
    """
    journal = {"moves": [list(move) for move in moves], "row": row.to_json()}
    journal["row"].encode()  # what cannot be written must fail now and not between the steps
    try:
        write_atomic(folder / JOURNAL, json.dumps(journal).encode())
        _finish(folder, journal, row_known_missing=True)
    except OSError as error:
        _roll_back(folder, journal)
        raise as_write_error(error, folder) from error
    except DatasetError:  # a link where the row or a torn line should go
        _roll_back(folder, journal)
        raise


def recover(folder: Path) -> None:
    """Complete the commit that a dead process had begun, if there is one. The lock must be held."""
    path = folder / JOURNAL
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return
    except OSError as error:
        raise as_write_error(error, path) from error
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
            os.replace(folder / temporary, folder / final)
    for name in {Path(final).parent for _, final in journal["moves"]}:
        sync_folder(folder / name)
    line = journal["row"].encode()
    if row_known_missing or not _has_line(folder / METADATA, line):
        append_line(folder / METADATA, line)
    (folder / JOURNAL).unlink(missing_ok=True)


def _roll_back(folder: Path, journal: dict) -> None:
    """Undo a commit that failed while its process lives on. If even that fails, the journal stays for `recover`."""
    if _has_line(folder / METADATA, journal["row"].encode()):
        return
    with contextlib.suppress(OSError):
        # The journal goes first: without it the moved files are at worst orphans, with it they would come back.
        (folder / JOURNAL).unlink(missing_ok=True)
        delete_files(folder, [final for _, final in journal["moves"]])


def append_line(path: Path, line: bytes) -> None:
    """Append one line in one write and sync it; a write that fails or falls short leaves the file as it was."""
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


def repair_last_line(path: Path) -> None:
    """Move an unfinished last line out of a line file (into `orphans/torn-lines.txt`), or end it if it is whole."""
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


def _has_line(path: Path, line: bytes) -> bool:
    try:
        with open(path, "rb") as file:
            return any(existing.rstrip(b"\n") == line and existing.endswith(b"\n") for existing in file)
    except FileNotFoundError:
        return False


def _inside(relative: str) -> bool:
    parts = Path(relative).parts
    return len(parts) == 2 and ".." not in parts and not Path(relative).is_absolute()


def write_atomic(path: Path, data: bytes) -> None:
    """Replace a small file so that a reader sees the old or the new content."""
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:12]}{PART}")
    try:
        with open(temporary, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def move_to_orphans(folder: Path, relative: str) -> Path:
    """Move a file of the dataset to the side folder, under a name that is free there. Returns where it is."""
    base = make_folder(folder, ORPHANS)
    target = base / relative.replace("/", "--")
    number = 1
    while os.path.lexists(target):
        number += 1
        target = base / f"{number}--{relative.replace('/', '--')}"
    os.rename(folder / relative, target)
    return target


def sync_folder(path: Path) -> None:
    """Make renames in a folder durable, where the system can."""
    if os.name == "nt":
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
