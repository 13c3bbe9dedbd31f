"""Content hashes and sizes of files, remembered between runs by size and time of change."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from ....ace.files import checksum
from ...dataset.disk.images import image_size
from ...errors import DatasetError, ImageError
from ..errors import DataError
from ..progress import Progress, silent_progress


@dataclass(frozen=True)
class FileInfo:
    """What identifies a file.

    Attributes:
        sha256: of its content.
        height, width: in pixels; 0 for files that are no pictures.
    """

    sha256: str
    height: int = 0
    width: int = 0


class FileIndex:
    """Looks files up by path; a file whose size or time of change differs is read again.

    Args:
        store: a JSON-lines file that keeps what was found; None keeps it in memory only.
    """

    def __init__(self, store: Path | None) -> None:
        self._store = store
        self._known: dict[str, tuple[tuple[int, int], FileInfo]] = {}
        self._fresh: list[str] = []
        if store is not None and store.is_file():
            self._read(store)

    def picture(self, path: Path) -> FileInfo:
        """Hash and size of a picture.

        Raises:
            ImageError: missing, or no picture.
        """
        return self._look_up(path, _read_picture)

    def checksum(self, path: Path) -> str:
        """SHA-256 of a file, or one over all files of a folder and their names."""
        if not path.is_dir():
            return self._look_up(path, _read_file).sha256
        import hashlib

        files = sorted(p for p in path.rglob("*") if p.is_file() and not p.name.startswith("."))
        parts = [f"{p.relative_to(path).as_posix()}:{self._look_up(p, _read_file).sha256}" for p in files]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    def scan(self, paths: Iterable[Path], progress: Progress = silent_progress) -> None:
        """Reads many pictures in several threads, so that :meth:`picture` finds them; it will also name what is wrong.

        Args:
            paths: of the pictures.
            progress: told how many are read; an exception it raises stops the work.
        """
        missing = [path for path in dict.fromkeys(paths) if not self._is_current(path)]
        if not missing:
            return

        def one(path: Path) -> None:
            try:
                self.picture(path)
            except DatasetError:
                return

        pool = ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1))
        try:
            for done, _ in enumerate(pool.map(one, missing), 1):
                progress("reading pictures", done, len(missing))
        finally:
            pool.shutdown(cancel_futures=True)
            self.save()

    def save(self) -> None:
        """Appends what is new to the store.

        Raises:
            DataError: it cannot be written.
        """
        if self._store is None or not self._fresh:
            return
        lines = []
        for key in self._fresh:
            stamp, info = self._known[key]
            lines.append(json.dumps([key, *stamp, info.sha256, info.height, info.width]) + "\n")
        self._fresh = []
        try:
            self._store.parent.mkdir(parents=True, exist_ok=True)
            with open(self._store, "a", encoding="utf-8", newline="\n") as file:
                file.write("".join(lines))
        except OSError as error:
            raise DataError(
                f"{self._store} cannot be written ({error.strerror or error}); free some space or choose another cache folder"
            ) from error

    def _look_up(self, path: Path, read) -> FileInfo:
        try:
            stamp = _stamp(path)
        except OSError as error:
            raise ImageError(f"{path} cannot be read: {error.strerror or error}.") from error
        key = os.path.abspath(path)
        known = self._known.get(key)
        if known is not None and known[0] == stamp:
            return known[1]
        info = read(path)
        self._known[key] = (stamp, info)
        self._fresh.append(key)
        return info

    def _is_current(self, path: Path) -> bool:
        known = self._known.get(os.path.abspath(path))
        try:
            return known is not None and known[0] == _stamp(path)
        except OSError:
            return False

    def _read(self, store: Path) -> None:
        for line in store.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                key, size, time, digest, height, width = json.loads(line)
                self._known[key] = ((size, time), FileInfo(digest, height, width))
            except (ValueError, TypeError):
                continue  # torn by a crash: the file is read again


def _stamp(path: Path) -> tuple[int, int]:
    status = os.stat(path)
    return status.st_size, status.st_mtime_ns


def _read_file(path: Path) -> FileInfo:
    return FileInfo(checksum(path))


def _read_picture(path: Path) -> FileInfo:
    height, width = image_size(path)
    return FileInfo(checksum(path), height, width)
