"""Follows a file of lines that other processes append to, as ``tail -f`` does."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path


class LineTail:
    """Reads the whole lines added since the last call; notices when the file was replaced or cut."""

    def __init__(self, path: Path):
        self._path = path
        self._forget()

    def _forget(self) -> None:
        self._identity: tuple[int, int] | None = None
        self._offset = 0
        self._last = b""

    def read(self) -> tuple[bool, list[tuple[int, bytes]]]:
        """Reads on. An unfinished last line is left for the next call.

        Returns:
            Whether the file is read from its beginning (again), and (byte offset, line) of each new line.
        """
        try:
            file = open(self._path, "rb")  # noqa: SIM115
        except FileNotFoundError:
            self._forget()
            return True, []
        with file:
            restarted = not self._continues(file)
            if restarted:
                self._forget()
                self._identity = _identity(file)
            file.seek(self._offset)
            return restarted, list(self._lines(file))

    def _lines(self, file) -> Iterator[tuple[int, bytes]]:
        for line in file:
            if not line.endswith(b"\n"):
                return
            yield self._offset, line
            self._offset += len(line)
            self._last = line

    def _continues(self, file) -> bool:
        """Whether this is still the file that was read, with the last line read still in its place."""
        if _identity(file) != self._identity or os.fstat(file.fileno()).st_size < self._offset:
            return False
        file.seek(self._offset - len(self._last))
        return file.read(len(self._last)) == self._last


def _identity(file) -> tuple[int, int]:
    status = os.fstat(file.fileno())
    return status.st_dev, status.st_ino
