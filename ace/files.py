"""Atomic writes (files are whole or not there), free space and checksums."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

WINDOWS = os.name == "nt"
MAX_WINDOWS_PATH = 259  # characters, where its long paths are not switched on
_HELD = (5, 32, 33, 1224)  # Windows' numbers: access denied, sharing, lock, a file that is mapped into memory
_PAUSES = (0.05, 0.1, 0.2, 0.4, 0.8)  # seconds
_HELD_ADVICE = (
    "Another program has the file open: close it (ComfyUI keeps models and LoRAs open while they are loaded), or choose "
    "another name"
)
_ADVICE = {
    errno.ENOSPC: "The disk is full: make room and try again",
    errno.EDQUOT: "Your share of the disk is used up: make room and try again",
    errno.EFBIG: "The disk or a limit allows no file of this size: use another disk (FAT holds 4 GB a file)",
    errno.EACCES: "You may not write or read there, or another program has the file open: close it, change the "
    "permissions, or choose another folder",
    errno.EPERM: "The system forbids it: change the permissions, or choose another folder",
    errno.EROFS: "The disk is read-only: choose another folder",
    errno.ENOENT: "Check the name and the folder",
    errno.EISDIR: "It is a folder: name a file",
    errno.ENOTDIR: "A file is where a folder should be: move it away or choose another folder",
    errno.EEXIST: "It is there already: choose another name",
    errno.ENAMETOOLONG: "The name is too long for the disk: choose a shorter one",
    errno.EMFILE: "Too many files are open: raise the limit (ulimit -n) or run less at a time",
    errno.EIO: "The disk failed to read or write: check it",
}


@contextlib.contextmanager
def atomic_write(path: Path, size: int = 0) -> Iterator[Path]:
    """A temporary file name beside ``path``; the file takes the real name when the block ends well, else it vanishes.

    Args:
        path: the file to write or replace; its folder is made.
        size: bytes that will be written, checked against the free space beforehand.

    Raises:
        OSError: too little space, no permission, or whatever the block raised; the message names the file.
    """
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        with _temporary(path, size, temporary):
            yield temporary
    except OSError as error:
        if error.errno is None or isinstance(error, FileError):
            raise
        if error.filename == os.fspath(temporary):
            error.filename = os.fspath(path)
        raise FileError(error, path) from error


@contextlib.contextmanager
def _temporary(path: Path, size: int, temporary: Path) -> Iterator[None]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), error.filename) from error
    require_free_space(path.parent, size)
    try:
        temporary.touch(exist_ok=False)
        mode = temporary.stat().st_mode
        yield
        os.chmod(temporary, mode)  # some libraries (safetensors) make files that only their owner can read
        replace_file(temporary, path)
    finally:
        with contextlib.suppress(OSError):  # a scanner may have it open; what went wrong before is what matters
            temporary.unlink(missing_ok=True)


def require_writable(path: Path) -> None:
    """Checks that a file can be made or replaced, before the work whose result it takes; nothing is left behind.

    Raises:
        OSError: it cannot; the message names the file and says what to do.
    """
    folder = next(parent for parent in path.absolute().parents if os.path.lexists(parent))
    try:
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        with tempfile.TemporaryFile(dir=folder, prefix=".ace-") as file:
            file.write(b"\0" * 4096)  # a full disk takes names, but no bytes
    except OSError as error:
        raise FileError(OSError(error.errno, error.strerror), path) from error


def replace_file(source: Path, target: Path) -> None:
    """``os.replace`` that waits a moment for programs which hold a file open on Windows, such as virus scanners.

    Raises:
        OSError: it cannot be replaced.
    """
    _patiently(lambda: os.replace(source, target))


def rename(source: Path, target: Path) -> None:
    """``os.rename`` to a name that is free, with the patience of :func:`replace_file`.

    A scanner that has one file of a folder open holds the folder, too.

    Raises:
        OSError: it cannot be renamed.
    """
    _patiently(lambda: os.rename(source, target))


def remove_folder(folder: Path) -> None:
    """``shutil.rmtree`` with the patience of :func:`replace_file`.

    Raises:
        OSError: something in it cannot be removed.
    """
    _patiently(lambda: shutil.rmtree(folder))


def _patiently(action: Callable[[], None]) -> None:
    for pause in (*_PAUSES, None) if WINDOWS else (None,):
        try:
            action()
            return
        except OSError as error:
            held = isinstance(error, PermissionError) or getattr(error, "winerror", None) in _HELD
            if pause is None or not held:
                raise
            time.sleep(pause)


def relative_path(file: Path, folder: Path) -> str:
    """A path relative to a folder, with slashes; absolute where none leads there, as between drives of Windows."""
    try:
        return Path(os.path.relpath(file, folder)).as_posix()
    except ValueError:
        return Path(file).absolute().as_posix()


class FileError(OSError):
    """An operating system's error as a sentence that names the file and says what to do.

    Args:
        error: it.
        path: the file that was being written or read, where the error does not say.
    """

    def __init__(self, error: OSError, path: str | os.PathLike | None = None) -> None:
        super().__init__(error.errno, error.strerror, error.filename or (None if path is None else os.fspath(path)))
        self._held = getattr(error, "winerror", None) in _HELD[1:]

    def __str__(self) -> str:
        what = f"{self.filename}: {self.strerror}" if self.filename else str(self.strerror)
        return f"{what}. {self._advice()}"

    def _advice(self) -> str:
        too_long = long_path_advice(self.filename)
        if too_long:
            return too_long
        if self._held:
            return _HELD_ADVICE
        return _ADVICE.get(self.errno, "Check the disk, the folder and its permissions")


def long_path_advice(path: str | os.PathLike | None) -> str:
    """What to do about a path that Windows says is not there because it is too long; "" for others."""
    length = len(os.path.abspath(path)) if WINDOWS and path else 0
    if length <= MAX_WINDOWS_PATH:
        return ""
    return (
        f"The path has {length} characters, and Windows takes {MAX_WINDOWS_PATH} unless long paths are switched on: "
        "choose a folder nearer to the root of the drive"
    )


def require_free_space(folder: Path, size: int) -> None:
    """Checks that the disk of an existing folder has at least ``size`` bytes free.

    Raises:
        OSError: it has not.
    """
    free = shutil.disk_usage(folder).free
    if free < size:
        raise OSError(
            f"{format_size(size)} are needed in {folder}, but only {format_size(free)} are free; make room and try again"
        )


def format_size(size: int) -> str:
    """A number of bytes for people: "1.22 GB"."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= scale:
            return f"{size / scale:.3g} {unit}"
    return f"{size} bytes"


def checksum(path: Path, algorithm: str = "sha256", prefix: bytes = b"") -> str:
    """Hex digest of a file, read in blocks of 4 MiB.

    Args:
        path: the file.
        algorithm: a name that hashlib knows.
        prefix: bytes hashed before the file's own.
    """
    digest = hashlib.new(algorithm, prefix)
    with path.open("rb") as file:
        while block := file.read(1 << 22):
            digest.update(block)
    return digest.hexdigest()
