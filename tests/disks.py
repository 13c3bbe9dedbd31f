"""Disks that refuse: a small one of its own that can be filled and made read-only."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


class SmallDisk:
    """A file system in memory, mounted at `path`."""

    def __init__(self, path: Path):
        self.path = path
        self._filler = path / "filler"

    def fill(self, left: int = 0) -> None:
        """Take all space but so many bytes."""
        self._filler.unlink(missing_ok=True)
        with open(self._filler, "wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(b"\0" * 4096)
        os.truncate(self._filler, max(0, self._filler.stat().st_size - left))

    def empty(self) -> None:
        """Give the space back."""
        self._filler.unlink()

    def set_read_only(self, read_only: bool) -> None:
        _run("mount", "-o", f"remount,{'ro' if read_only else 'rw'}", self.path)


@contextmanager
def small_disk(path: Path, megabytes: int = 4) -> Iterator[SmallDisk]:
    """Skips the test where the system does not let us mount anything."""
    path.mkdir(parents=True, exist_ok=True)
    try:
        _run("mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", path)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"needs to mount a file system in memory, which takes root on Linux: {error}")
    try:
        yield SmallDisk(path)
    finally:
        _run("umount", "-l", path)


def _run(*command: object) -> None:
    subprocess.run([str(part) for part in command], check=True, capture_output=True)
