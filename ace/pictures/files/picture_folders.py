"""Which files of a folder are pictures: the one list of formats for every way in, and what else lies there."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

PICTURE_FORMATS = {
    "PNG": (".png", ".apng"),
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "MPO": (),  # a JPEG with further ones behind it, as some phones write; its ending is that of a JPEG
    "WEBP": (".webp",),
    "AVIF": (".avif",),
    "TIFF": (".tif", ".tiff"),
    "BMP": (".bmp", ".dib"),
    "GIF": (".gif",),
    "TGA": (".tga",),
    "PPM": (".ppm", ".pgm", ".pnm"),
    "JPEG2000": (".jp2",),
}
"""Pillow's names of the formats that are read, and their endings. Those that run programs (EPS) are not among them."""
PICTURE_SUFFIXES = tuple(suffix for suffixes in PICTURE_FORMATS.values() for suffix in suffixes)

_ADVICE = {
    (".heic", ".heif"): "convert them to JPEG, which the phone or its photo program exports",
    (".psd", ".xcf", ".kra", ".afphoto"): "save them as PNG",
    (".dng", ".cr2", ".cr3", ".nef", ".arw", ".raf", ".orf", ".rw2"): "develop them to JPEG or PNG",
    (".mp4", ".mov", ".avi", ".mkv", ".webm"): "take their frames as pictures",
    (".zip", ".7z", ".rar", ".tar", ".gz"): "unpack them",
}
_SYSTEM = {"thumbs.db", "desktop.ini", "__macosx"}  # hidden ones (.DS_Store) are passed over without a word, too
_SHOWN = 6


@dataclass
class FolderListing:
    """What lies in a folder.

    Attributes:
        pictures: sorted by path.
        others: how many other files there are, by ending in lower case ("" for none).
        subfolders: names of those that were not looked into, sorted.
    """

    pictures: list[Path] = field(default_factory=list)
    others: Counter[str] = field(default_factory=Counter)
    subfolders: list[str] = field(default_factory=list)

    def passed_over(self, *, used: Collection[str] = ()) -> str:
        """What was passed over, in words, and what to do about it; "" if nothing was.

        Args:
            used: endings that are no pictures and are read all the same, such as captions.
        """
        counts = {suffix: count for suffix, count in self.others.most_common() if suffix not in used}
        parts = [f"{count} {suffix or 'without an ending'}" for suffix, count in counts.items()][:_SHOWN]
        if len(counts) > _SHOWN:
            parts.append(f"{sum(list(counts.values())[_SHOWN:])} other files")
        if self.subfolders:
            names = ", ".join(self.subfolders[:_SHOWN]) + (" …" if len(self.subfolders) > _SHOWN else "")
            parts.append(f"{len(self.subfolders)} subfolder(s): {names}")
        advice = [
            f"{', '.join(found)}: {text}"
            for suffixes, text in _ADVICE.items()
            if (found := counts.keys() & set(suffixes))
        ]
        if self.subfolders:
            advice.append("subfolders are read with --subfolders")
        return ", ".join(parts) + (f" ({'; '.join(advice)})" if advice else "")

    def inventory(self) -> str:
        """A sentence on what the folder holds, for people whose pictures were not found in it."""
        pictures = [f"{len(self.pictures)} picture(s)"] if self.pictures else []
        others = self.passed_over()
        return (
            f"There: {', '.join([*pictures, *([others] if others else [])])}." if pictures or others else "It is empty."
        )


def list_folder(folder: str | os.PathLike, *, subfolders: bool = False) -> FolderListing:
    """Lists a folder; hidden files and those of systems are left out.

    Args:
        folder: to look into.
        subfolders: whether to look into its subfolders, too; a link that leads back up is not followed.

    Raises:
        OSError: it cannot be read.
    """
    listing = FolderListing()
    seen = {os.path.realpath(folder)}
    waiting = [folder]
    while waiting:
        for entry in _entries(waiting.pop()):
            if entry.is_dir():
                if not subfolders:
                    listing.subfolders.append(entry.name)
                elif (real := os.path.realpath(entry.path)) not in seen:
                    seen.add(real)
                    waiting.append(entry.path)
            elif is_picture(entry.name):
                listing.pictures.append(Path(entry.path))
            else:
                listing.others[Path(entry.name).suffix.lower()] += 1
    listing.pictures.sort()
    listing.subfolders.sort()
    return listing


def is_picture(name: str | os.PathLike) -> bool:
    """Whether a file's name ends like that of a picture that is read, in whatever case."""
    return os.fspath(name).lower().endswith(PICTURE_SUFFIXES)


def _entries(folder: str | os.PathLike) -> Iterator[os.DirEntry]:
    with os.scandir(folder) as entries:
        yield from (entry for entry in entries if not entry.name.startswith(".") and entry.name.lower() not in _SYSTEM)
