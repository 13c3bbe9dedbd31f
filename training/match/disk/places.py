"""Folders, on this machine or in an object store (any address that fsspec knows, such as ``s3://bucket/folder``)."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from ....ace.files import atomic_write
from ..optional import optional

_DISKS = frozenset(("file", "local", "sftp", "ssh", "smb", "ftp", "hdfs", "webhdfs", "webdav"))
_ADDRESS = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]+://|[a-z0-9]+::")  # a drive letter is no protocol


def is_address(text: str) -> bool:
    """Whether a text names a place that fsspec must open, as opposed to a path of this machine."""
    return bool(_ADDRESS.match(text))


@dataclass(frozen=True)
class Entry:
    """A file that was found.

    Attributes:
        path: as it can be opened again.
        modified: any number that changes with the file.
        reason: why it, or the folder or archive that it is, cannot be looked into; "" if it can.
    """

    path: str
    size: int
    modified: int
    reason: str = ""


@dataclass(frozen=True)
class Place:
    """A folder. It can be sent to another process or machine; nothing is open in it."""

    root: str

    @classmethod
    def of(cls, path: str | os.PathLike) -> Place:
        """From a path, which becomes absolute, or an address."""
        text = os.fspath(path)
        return cls(text.rstrip("/") if is_address(text) else os.path.abspath(text))

    @property
    def local(self) -> Path | None:
        """The path, if it is on this machine."""
        return None if is_address(self.root) else Path(self.root)

    def child(self, name: str) -> Place:
        return Place(f"{self.root}/{name}" if self.local is None else str(self.local / name))

    def path(self, name: str) -> str:
        return self.child(name).root

    def exists(self, name: str) -> bool:
        return self._system().exists(self.path(name)) if self.local is None else (self.local / name).exists()

    def names(self) -> set[str]:
        """Names of the files and folders in it, without unfinished ones; empty where it is not there."""
        if self.local is not None:
            found = os.listdir(self.local) if self.local.is_dir() else []
        else:
            try:
                found = [path.rstrip("/").rpartition("/")[2] for path in self._system().ls(self.root, detail=False)]
            except FileNotFoundError:
                found = []
        return {name for name in found if not name.startswith(".")}

    def open(self, name: str) -> AbstractContextManager[IO[bytes]]:
        """A file to read parts of, here or in an object store; use it in a `with`."""
        return open_path(self.path(name))

    def read(self, name: str) -> bytes:
        return read_bytes(self.path(name))

    def write(self, name: str, data: bytes) -> None:
        """Writes a file so that a reader sees all of it or nothing. Object stores do so by themselves."""
        if self.local is not None:
            with atomic_write(self.local / name, len(data)) as temporary:
                temporary.write_bytes(data)
            return
        system, path = self._system(), self.path(name)
        if not _is_disk(system):
            self._put(system, path, data)
            return
        temporary = self.path(f".{name}.{uuid.uuid4().hex[:8]}.tmp")
        try:
            self._put(system, temporary, data)
            _move(system, temporary, path)
        except BaseException:
            with contextlib.suppress(OSError):
                system.rm_file(temporary)
            raise

    def _put(self, system, path: str, data: bytes) -> None:
        try:
            file = system.open(path, "wb")
        except FileNotFoundError:  # stores have no folders; others do
            system.makedirs(self.root, exist_ok=True)
            file = system.open(path, "wb")
        with file:
            file.write(data)

    def clear(self) -> None:
        """Removes the folder and all that is in it."""
        if self.local is not None:
            shutil.rmtree(self.local, ignore_errors=True)
        elif self._system().exists(self.root):
            self._system().rm(self.root, recursive=True)

    @property
    def whole_path(self) -> str:
        """As the paths begin that `walk` finds in it: one place of a store can be written in several ways."""
        if self.local is not None:
            return self.root
        system, path = optional("fsspec", f"Opening {self.root}").core.url_to_fs(self.root)
        return system.unstrip_protocol(path)

    def walk(self) -> Iterator[Entry]:
        """All files below it, in any order, and with the reason what cannot be looked into.

        Hidden files and folders are passed over, links to folders not followed.
        """
        if self.local is not None:
            yield from _walk_local(self.local)
            return
        system = self._system()
        if _is_disk(system):
            yield from _walk_disk(system, self.root)
            return
        for path, info in system.find(self.root, detail=True).items():
            if not any(part.startswith(".") for part in path.split("/")):
                yield _entry(system, path, info)

    def _system(self):
        return optional("fsspec", f"Opening {self.root}").core.url_to_fs(self.root)[0]


def read_bytes(path: str, start: int | None = None, size: int | None = None) -> bytes:
    """A file, or `size` bytes of it from `start` on; path: of this machine, or an address."""
    with open_path(path) as file:
        if start is not None:
            file.seek(start)
        return file.read() if size is None else file.read(size)


def open_path(path: str) -> AbstractContextManager[IO[bytes]]:
    """A file to read, of this machine or at an address; use it in a `with`."""
    return optional("fsspec", f"Opening {path}").open(path, "rb") if is_address(path) else open(path, "rb")


def _is_disk(system) -> bool:
    """Whether it is a shared disk behind an address, where a file grows as it is written."""
    names = (system.protocol,) if isinstance(system.protocol, str) else system.protocol
    return not _DISKS.isdisjoint(names)


def _move(system, one: str, other: str) -> None:
    try:
        system.mv(one, other)
    except OSError:  # some servers do not replace a file
        if not system.exists(other):
            raise
        system.rm_file(other)
        system.mv(one, other)


def _entry(system, path: str, info: dict) -> Entry:
    modified = info.get("ETag") or info.get("LastModified") or info.get("mtime") or info.get("created") or 0
    number = int.from_bytes(str(modified).encode()[-7:], "big")
    return Entry(system.unstrip_protocol(path), int(info["size"]), number)


def _closed(path: str, error: OSError) -> Entry:
    return Entry(path, 0, 0, f"cannot be opened: {error.strerror or error}")


def _walk_disk(system, root: str) -> Iterator[Entry]:
    waiting = [root]
    while waiting:
        folder = waiting.pop()
        try:
            found = system.ls(folder, detail=True)
        except FileNotFoundError:
            continue
        except OSError as error:
            yield _closed(system.unstrip_protocol(folder), error)
            continue
        for info in found:
            if info["name"].rstrip("/").rpartition("/")[2].startswith("."):
                continue
            if info["type"] == "directory" and not info.get("islink"):
                waiting.append(info["name"])
            elif info["type"] != "directory":
                yield _entry(system, info["name"], info)


def _walk_local(folder: Path) -> Iterator[Entry]:
    waiting = [str(folder)]
    while waiting:
        here = waiting.pop()
        try:
            with os.scandir(here) as entries:
                found = [entry for entry in entries if not entry.name.startswith(".")]
        except FileNotFoundError:  # taken away meanwhile
            continue
        except OSError as error:
            yield _closed(here, error)
            continue
        for entry in found:
            try:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
                elif entry.is_file():
                    status = entry.stat()
                    yield Entry(entry.path, status.st_size, status.st_mtime_ns)
            except OSError as error:
                yield _closed(entry.path, error)
