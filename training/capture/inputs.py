"""Input files: several folders matched by file stem, decoded, and what is sent to a server instead of the file.

Servers get lossless 8-bit pictures of the very pixels that are stored in the pair, so a source and what the workflow saw
of it cannot differ by a decoder, a rotation or a colour depth.
"""

from __future__ import annotations

import hashlib
import io
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from ...ace.pictures.files.decoding import MAX_FILE_BYTES
from ...ace.pictures.files.picture_folders import PICTURE_SUFFIXES, FolderListing, list_folder
from ..dataset.disk.images import (
    MAX_PIXELS,
    PNG_OPTIONS,
    image_size,
    read_image,
    read_mask,
)
from ..errors import ImageError
from .errors import CaptureError

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PNG_RGB8 = b"\x08\x02"  # bit depth and colour type, at offset 24


@dataclass(frozen=True)
class InputGroup:
    """Files that belong together.

    Attributes:
        name: their common stem.
        files: one an input folder.
        masks: one a file, None where it has no mask file; empty where none has.
    """

    name: str
    files: tuple[Path, ...]
    masks: tuple[Path | None, ...] = ()

    @property
    def paths(self) -> tuple[Path, ...]:
        """All files, then all masks."""
        return (*self.files, *(mask for mask in self.masks if mask is not None))

    @property
    def label(self) -> str:
        """What messages call the input."""
        return self.files[0].name


@dataclass(frozen=True)
class UnusableInput:
    """An input that is set aside, and why.

    Attributes:
        label: what messages call it.
        reason: in words.
    """

    label: str
    reason: str


@dataclass(frozen=True)
class LoadedPicture:
    """A decoded input.

    Attributes:
        pixels: (H, W, 3) uint8.
        mask: (H, W) uint8, white = may change, from a mask file or the file's transparency.
        png: the file's own bytes, where they are a PNG of just these pixels.
        notes: how a mask's file was read where it could mean something else.
    """

    pixels: np.ndarray
    mask: np.ndarray | None = None
    png: bytes | None = None
    notes: tuple[str, ...] = ()


class FoundInputs(NamedTuple):
    """What input folders hold.

    Attributes:
        groups: files that belong together.
        unusable: files without partners or with several.
        passed_over: what is not used, a line a folder.
    """

    groups: list[InputGroup]
    unusable: list[UnusableInput]
    passed_over: list[str]


def group_by_stem(
    folders: Sequence[Path], mask_folders: Mapping[int, Path], *, subfolders: bool = False
) -> FoundInputs:
    """Matches the files of several folders by their stems, in natural order of the first folder.

    Args:
        folders: of the condition images, in indicator order.
        mask_folders: folder by the index of the input folder whose masks it holds.
        subfolders: whether to look into subfolders, too; files are then matched by their paths.

    Raises:
        CaptureError: a folder cannot be read, or holds no pictures.
    """
    listings = {folder: _list(folder, subfolders) for folder in dict.fromkeys((*folders, *mask_folders.values()))}
    by_stem = {folder: _by_stem(folder, listing) for folder, listing in listings.items()}
    listed = [by_stem[folder] for folder in folders]
    listed_masks = {index: by_stem[folder] for index, folder in mask_folders.items()}
    groups: list[InputGroup] = []
    unusable: list[UnusableInput] = []
    for stem, first in sorted(listed[0].items(), key=lambda item: natural_key(item[0])):
        places = [(folder, files.get(stem, [])) for folder, files in zip(folders, listed, strict=True)]
        places += [(mask_folders[index], files.get(stem, [])) for index, files in listed_masks.items()]
        reason = _mismatch(stem, places)
        if reason:
            unusable.append(UnusableInput(first[0].name, reason))
            continue
        files = tuple(found[0] for _, found in places[: len(folders)])
        masks = tuple(listed_masks[i][stem][0] if i in listed_masks else None for i in range(len(folders)))
        groups.append(InputGroup(stem, files, masks))
    others = [*zip(folders[1:], listed[1:], strict=True), *((mask_folders[i], listed_masks[i]) for i in mask_folders)]
    for folder, files in others:
        unmatched = sorted((stem for stem in files if stem not in listed[0]), key=natural_key)
        unusable += [
            UnusableInput(files[stem][0].name, f"{folder} has it, {folders[0]} does not") for stem in unmatched
        ]
    passed = {folder: listing.passed_over(used=(".txt",)) for folder, listing in listings.items()}
    return FoundInputs(
        groups, unusable, [f"passed over in {folder}: {what}" for folder, what in passed.items() if what]
    )


def _mismatch(stem: str, places: list[tuple[Path, list[Path]]]) -> str | None:
    for folder, found in places:
        if not found:
            return f"{folder} has no file named {stem!r}"
        if len(found) > 1:
            return f"{folder} has several files named {stem!r} ({', '.join(path.name for path in found)})"
    return None


def _by_stem(folder: Path, listing: FolderListing) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {}
    for path in listing.pictures:
        stem = path.relative_to(folder).with_suffix("").as_posix()
        found.setdefault(unicodedata.normalize("NFC", stem), []).append(path)
    if not found:
        raise CaptureError(f"{folder} holds no pictures ({', '.join(PICTURE_SUFFIXES)}). {listing.inventory()}")
    return found


def _list(folder: Path, subfolders: bool) -> FolderListing:
    try:
        return list_folder(folder, subfolders=subfolders)
    except OSError as error:
        raise CaptureError(f"The input folder {folder} cannot be read: {error.strerror or error}.") from error


def natural_key(text: str) -> tuple:
    """Sort key for natural order: img2 before img10."""
    parts = re.split(r"(\d+)", text.casefold())
    return tuple((0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts if part), text


def file_hash(path: Path) -> str:
    """SHA-256 of a file's bytes.

    Raises:
        ImageError: it cannot be read or is too large.
    """
    digest = hashlib.sha256()
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise ImageError(f"{path.name} has more than {MAX_FILE_BYTES / 1e9:.1f} GB.")
        with open(path, "rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    except OSError as error:
        raise ImageError(f"{path.name} cannot be read: {error.strerror or error}.") from error
    return digest.hexdigest()


def check_headers(group: InputGroup, max_pixels: int = MAX_PIXELS) -> str | None:
    """What is wrong with a group as far as file headers show, without decoding; None where they are fine."""
    try:
        for path in group.paths:
            image_size(path, max_pixels=max_pixels)
    except ImageError as error:
        return str(error)
    return None


def load_group(
    group: InputGroup, use_alpha: Sequence[bool], max_pixels: int = MAX_PIXELS, mask_from: str = "auto"
) -> tuple[LoadedPicture, ...]:
    """Decodes a group. Transparent pixels keep their colour, as core's Load Image has it.

    Args:
        use_alpha: for each file, whether its transparency is its mask where it has no mask file.
        max_pixels: larger pictures are refused.
        mask_from: what of a mask's file is the mask; a key of ``ace.pictures.files.mask_reading.MASK_READINGS``.

    Raises:
        ImageError: a file cannot be read or is too large, or a mask has another size than its picture.
    """
    pictures = []
    masks = group.masks or (None,) * len(group.files)
    for path, mask_path, alpha in zip(group.files, masks, use_alpha, strict=True):
        data = _read(path, max_pixels)
        loaded = read_image(_named(data, path), max_pixels=max_pixels, alpha="drop")
        mask, notes = None, ()
        if mask_path is not None:
            mask, notes = _mask(mask_path, max_pixels, mask_from)
            if mask.shape != loaded.pixels.shape[:2]:
                (height, width), (mask_height, mask_width) = loaded.pixels.shape[:2], mask.shape
                raise ImageError(f"the mask is {mask_width}x{mask_height}, its picture is {width}x{height}")
        elif alpha and loaded.alpha is not None:
            mask = 255 - loaded.alpha
        unchanged = data.startswith(_PNG_SIGNATURE) and data[24:26] == _PNG_RGB8 and not loaded.notes
        pictures.append(LoadedPicture(loaded.pixels, mask, data if unchanged else None, notes))
    return tuple(pictures)


def _mask(path: Path, max_pixels: int, mask_from: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """A mask file's (H, W) uint8, and notes. One that marks nothing is spoken of where the pair is stored."""
    loaded = read_mask(_named(_read(path, max_pixels), path), max_pixels=max_pixels, reading=mask_from)
    return loaded.pixels, tuple(f"its mask: {note}" for note in loaded.notes)


def _read(path: Path, max_pixels: int) -> bytes:
    """A file's bytes, its size in pixels checked first; everything else is made of these bytes."""
    image_size(path, max_pixels=max_pixels)
    try:
        return path.read_bytes()
    except OSError as error:
        raise ImageError(f"{path.name} cannot be read: {error.strerror or error}.") from error


def _named(data: bytes, path: Path) -> io.BytesIO:
    """Bytes that messages call by their file's name."""
    file = io.BytesIO(data)
    file.name = path.name
    return file


def encode_picture(picture: LoadedPicture, *, with_mask: bool) -> bytes:
    """PNG of a picture.

    Args:
        with_mask: its mask goes into the alpha channel, where core's Load Image looks for it (transparent = may change).
    """
    if picture.mask is None or not with_mask:
        return picture.png or _png(picture.pixels)
    return _png(np.dstack([picture.pixels, 255 - picture.mask]))


def encode_mask(mask: np.ndarray) -> bytes:
    """PNG of a mask (H, W) uint8.

    Core's Load Image (as Mask) reads the same from each of its channels, and Load Image has it at its mask output.
    """
    return _png(np.dstack([mask, mask, mask, 255 - mask]))


def _png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", **PNG_OPTIONS)
    return buffer.getvalue()
