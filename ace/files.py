"""Atomic writes (files are whole or not there), free space and checksums."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def atomic_write(path: Path, size: int = 0) -> Iterator[Path]:
    """A temporary file name beside ``path``; the file takes the real name when the block ends well, else it vanishes.

    Args:
        path: the file to write or replace; its folder is made.
        size: bytes that will be written, checked against the free space beforehand.

    Raises:
        OSError: too little space, no permission, or whatever the block raised.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    require_free_space(path.parent, size)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        temporary.touch(exist_ok=False)
        mode = temporary.stat().st_mode
        yield temporary
        os.chmod(temporary, mode)  # some libraries (safetensors) make files that only their owner can read
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


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
