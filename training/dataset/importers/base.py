"""What all imports share: items that are built one by one, and a runner that never stops at a bad one."""

from __future__ import annotations

import os
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any

from ....ace.pictures.files.picture_folders import PICTURE_SUFFIXES, list_folder
from ....ace.text_files import TextEncodingError, read_text
from ...errors import DatasetError, PairError
from ..disk.images import AlphaPolicy, LoadedImage, read_image, read_mask
from ..intake.checks import CheckSettings
from ..intake.prepare import Pair
from ..intake.wording import one_line
from ..store import Dataset


@dataclass(frozen=True)
class ImportOptions:
    """How to import.

    Attributes:
        instruction: for pairs without one of their own.
        source, target, mask: names of folders or columns where they are not the usual ones.
        references: likewise, in order.
        tags: given to every pair.
        alpha: what stands behind transparent pixels; None is as the dataset has it.
        subfolders: whether pictures in subfolders count, too; they are matched by their paths.
        encoding: what text files are in that are not UTF-8; None refuses them.
        mask_from: what of a mask's file is the mask; a key of ``ace.pictures.files.mask_readings.MASK_READINGS``.
    """

    instruction: str = ""
    source: str | None = None
    target: str | None = None
    mask: str | None = None
    references: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    alpha: AlphaPolicy | None = None
    mask_from: str = "auto"
    encoding: str | None = None
    subfolders: bool = False

    @property
    def alpha_policy(self) -> AlphaPolicy:
        """What stands behind transparent pixels."""
        return self.alpha or "white"

    def picture(self, file: str | os.PathLike | IO[bytes]) -> LoadedImage:
        """Decodes a picture as the options have it.

        Raises:
            ImageError: it cannot be read.
        """
        return read_image(file, alpha=self.alpha_policy)

    def mask_picture(self, file: str | os.PathLike | IO[bytes]) -> LoadedImage:
        """Decodes a mask as the options have it.

        Raises:
            ImageError: it cannot be read.
        """
        return read_mask(file, reading=self.mask_from)

    def text(self, path: Path) -> str:
        """Reads a text file as the options have it.

        Raises:
            DatasetError: it cannot be read, or its encoding is not certain.
        """
        try:
            return read_text(path, self.encoding)
        except OSError as error:
            raise DatasetError(f"{path} cannot be read: {error.strerror or error}.") from error
        except TextEncodingError as error:
            option = ", or say what it is in, for example --encoding cp1252" if self.encoding is None else ""
            raise DatasetError(f"{error}{option}.") from error

    def choose_instruction(self, *given: Any) -> str:
        """The first of the values that is a text with words in it, else the instruction for pairs without one."""
        texts = (one_line(text) for text in given if isinstance(text, str))
        return next((text for text in texts if text), self.instruction)


@dataclass(frozen=True)
class Item:
    """One pair to import.

    Attributes:
        label: what messages call it.
        build: decodes it.
        key: identifies a round, for later rounds of the same picture.
        follows: keys of the earlier rounds, oldest first.
    """

    label: str
    build: Callable[[], Pair]
    key: str | None = None
    follows: tuple[str, ...] = ()


@dataclass(frozen=True)
class Problem:
    """Something of the source that cannot be a pair, found before anything is decoded (a picture without partner)."""

    label: str
    reason: str


@dataclass(frozen=True)
class Note:
    """Something that the person who imports should know and that is no failure."""

    text: str


@dataclass
class ImportResult:
    """What was imported.

    Attributes:
        stored, duplicates, rejected: how many pairs.
        by_check: rejections by the check that rejected them.
        rejection: why the first of these was.
        failed: (label, reason) of what could not be read or made no sense.
        notes: what the person who imports should know.
    """

    stored: int = 0
    duplicates: int = 0
    rejected: int = 0
    by_check: Counter[str] = field(default_factory=Counter)
    rejection: str = ""
    failed: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def run_import(
    dataset: Callable[[], Dataset],
    items: Iterable[Item | Problem | Note],
    *,
    checks: CheckSettings | None = None,
    tags: tuple[str, ...] = (),
    progress: Callable[[int], None] | None = None,
    looked_for: str = "pairs",
) -> ImportResult:
    """Appends item after item. A bad one is listed and skipped; running the same import again adds nothing twice.

    Args:
        dataset: opens or makes it; called once there is a pair, so that an import that fails leaves no empty dataset.
        looked_for: what messages call that which should have been there.
        checks: quality checks in place of the dataset's own.
        tags: given to every pair.
        progress: called with the number of items done.

    Raises:
        DatasetError: the source as a whole cannot be read or holds nothing, or the dataset cannot be written.
    """
    result = ImportResult()
    ids: dict[str, str] = {}
    loose = 0
    remarks: Counter[str] = Counter()
    for done, item in enumerate(items, 1):
        if isinstance(item, Problem):
            result.failed.append((item.label, item.reason))
            continue
        if isinstance(item, Note):
            result.notes.append(item.text)
            continue
        try:
            pair = item.build()
            history = tuple(ids[key] for key in item.follows if key in ids)
            if len(history) < len(item.follows):
                history, loose = (), loose + 1
            pair = replace(pair, history=history, tags=(*pair.tags, *tags))
            outcome = dataset().append(pair, checks=checks)
        except (ValueError, LookupError, TypeError, AttributeError) as error:  # its own faults; a full disk ends it all
            result.failed.append((item.label, str(error) or repr(error)))
            continue
        remarks.update(outcome.notes)
        if outcome.status == "rejected":
            result.rejected += 1
            result.rejection = result.rejection or outcome.reason
            result.by_check.update({finding.check for finding in outcome.findings})
        else:
            result.stored += outcome.stored
            result.duplicates += not outcome.stored
            if item.key is not None:
                ids[item.key] = outcome.id
        if progress is not None:
            progress(done)
    if not (result.stored or result.duplicates or result.rejected or result.failed):
        raise DatasetError("\n".join([f"There is nothing to import: no {looked_for}.", *result.notes]))
    result.notes += [f"{count} pair(s): {remark}" for remark, count in remarks.items()]
    if loose:
        result.notes.append(f"{loose} later round(s) stand alone, because an earlier round of theirs was not kept")
    return result


class PictureFolder:
    """The pictures of one folder.

    Attributes:
        path: of the folder.
        pictures: by stem, sorted, with the names of subfolders before it where those are looked into. Stems are composed
            (NFC): what is one name to people may be two spellings of it, by the system it was copied from.
        notes: what was passed over.
        inventory: a sentence on what the folder holds.
    """

    def __init__(self, path: Path, options: ImportOptions, extension: str = ".txt"):
        """Looks for the pictures of a folder.

        Args:
            extension: of the captions, which are not passed over.

        Raises:
            DatasetError: two files have one stem, so that it is unclear which is meant; or the folder cannot be read.
        """
        self.path = path
        try:
            listing = list_folder(path, subfolders=options.subfolders)
        except OSError as error:
            raise DatasetError(f"{path} cannot be read: {error.strerror or error}.") from error
        self.inventory = listing.inventory()
        self.pictures: dict[str, Path] = {}
        for picture in listing.pictures:
            stem = unicodedata.normalize("NFC", picture.relative_to(path).with_suffix("").as_posix())
            if stem in self.pictures:
                raise DatasetError(f"{path} has two pictures named {stem!r}: keep one of them.")
            self.pictures[stem] = picture
        passed_over = listing.passed_over(used=(extension.lower(), ".txt"))
        none = "" if self.pictures else f" holds no pictures ({', '.join(PICTURE_SUFFIXES)})"
        self.notes: tuple[Note, ...] = ()
        if passed_over or none:
            self.notes = (
                Note(f"{path}{none}{'; passed over: ' if none else ': passed over: '}{passed_over or 'nothing'}"),
            )


def read_caption(options: ImportOptions, *paths: Path | None, extension: str = ".txt") -> str:
    """Caption in the text file beside the first of these pictures that has one, on one line; "" if none has.

    Its ending may be in capitals, as cameras and old programs write it.

    Raises:
        PairError: it cannot be read, or its encoding is not certain.
    """
    for path in paths:
        endings = dict.fromkeys((extension, extension.lower(), extension.upper(), extension.title()))
        for caption in (path.with_suffix(ending) for ending in endings) if path is not None else ():
            if caption.is_file():
                try:
                    return one_line(options.text(caption))
                except DatasetError as error:
                    raise PairError(str(error)) from error
    return ""
