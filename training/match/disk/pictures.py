"""Finding pictures in folders and tar archives, in shards of a bounded number, and reading the bytes of one.

A picture is named by its path or address; one inside an archive by ``archive.tar#START+SIZE/name``, so that it can be
read again without reading the archive.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from ....ace.pictures.files.picture_folders import PICTURE_SUFFIXES
from ..errors import MatchError
from .places import Entry, Place, is_address, open_path, read_bytes

_MEMBER = re.compile(r"(?P<archive>.*\.tar)#(?P<start>\d+)\+(?P<size>\d+)/(?P<name>.*)\Z", re.DOTALL | re.IGNORECASE)


@dataclass(frozen=True)
class PictureShard:
    """Pictures that are embedded together. name: follows from what is in it, so that a changed file has another."""

    name: str
    entries: tuple[Entry, ...]


def find_shards(folders: Sequence[str], size: int, exclude: Sequence[str] = ()) -> list[PictureShard]:
    """The pictures of folders, at most `size` a shard, in the order of their paths; an archive is a shard of its own.

    A folder or file that cannot be looked into is among them, with the reason.

    Args:
        exclude: folders, of this machine or addresses, that are passed over where they lie inside of others.

    Raises:
        MatchError: a folder is not there, or there is no picture anywhere.
    """
    files: dict[str, Entry] = {}
    for folder in folders:
        place = Place.of(folder)
        if place.local is not None and not place.local.is_dir():
            raise MatchError(f"{folder} is no folder. Give the folders (or addresses) that hold the pictures.")
        passed_over = _inside(place, exclude)
        files.update((entry.path, entry) for entry in place.walk() if not entry.path.startswith(passed_over))
    listed = sorted(files.values(), key=lambda entry: entry.path)
    pictures = [entry for entry in listed if entry.reason or _suffix(entry.path) in PICTURE_SUFFIXES]
    archives = [entry for entry in listed if not entry.reason and _suffix(entry.path) == ".tar"]
    if not pictures and not archives:
        raise MatchError(
            f"There is no picture in {', '.join(folders)}: looked for {', '.join(PICTURE_SUFFIXES)}, and .tar with such."
        )
    groups = [tuple(pictures[start : start + size]) for start in range(0, len(pictures), size)]
    groups += [(archive,) for archive in archives]
    return [PictureShard(_shard_name(group), group) for group in groups]


def expand(shard: PictureShard) -> list[Entry]:
    """The pictures of a shard; an archive is opened and its members listed, and itself with the reason if it is broken."""
    [first, *more] = shard.entries
    if not more and not first.reason and _suffix(first.path) == ".tar":
        return list(_members(first))
    return list(shard.entries)


def read_picture(path: str) -> bytes:
    """The encoded picture.

    Raises:
        OSError: it cannot be read.
    """
    member = _MEMBER.match(path)
    if member is None:
        return read_bytes(path)
    return read_bytes(member["archive"], int(member["start"]), int(member["size"]))


def folder_of(path: str) -> str:
    """The folder that a picture lies in; inside an archive, the archive and the folder in it."""
    member = _MEMBER.match(path)
    if member is not None:
        return f"{member['archive']}/{PurePosixPath(member['name']).parent}"
    return path.rpartition("/")[0] if is_address(path) else str(Path(path).parent)


def short_name(path: str) -> str:
    """The picture's file name alone."""
    member = _MEMBER.match(path)
    if member is not None:
        return PurePosixPath(member["name"]).name
    return path.rpartition("/")[2] if is_address(path) else Path(path).name


def _inside(place: Place, folders: Iterable[str]) -> tuple[str, ...]:
    """How the paths in those of `folders` begin that lie inside of a place."""
    end = "/" if place.local is None else os.sep
    begin = place.whole_path.rstrip(end) + end
    roots = (Place.of(folder).whole_path.rstrip(end) + end for folder in folders)
    return tuple(root for root in roots if root.startswith(begin) and root != begin)


def _members(archive: Entry) -> Iterator[Entry]:
    """Those before the place where a broken archive breaks, and then the archive."""
    try:
        with open_path(archive.path) as opened, tarfile.open(fileobj=io.BufferedReader(opened), mode="r:") as tar:
            for member in tar:
                if member.isfile() and _suffix(member.name) in PICTURE_SUFFIXES:
                    path = f"{archive.path}#{member.offset_data}+{member.size}/{member.name}"
                    yield Entry(path, member.size, archive.modified)
            tar.fileobj.seek(tar.offset)
            if tar.fileobj.read(tarfile.BLOCKSIZE).strip(b"\0"):  # what is no header counts as the end
                raise tarfile.InvalidHeaderError("damaged in the middle")
    except tarfile.TarError as error:
        yield replace(archive, reason=f"cannot be read as a tar archive ({error}): repair it or take it away")
    except OSError as error:
        yield replace(archive, reason=f"cannot be opened: {error.strerror or error}")


def _suffix(path: str) -> str:
    return PurePosixPath(path.replace("\\", "/")).suffix.lower()


def _shard_name(entries: Sequence[Entry]) -> str:
    digest = hashlib.sha256()
    for entry in entries:
        said = f"{entry.path}\0{entry.size}\0{entry.modified}\n{entry.reason}"
        digest.update(said.encode("utf-8", "surrogateescape"))
    return digest.hexdigest()[:20]
