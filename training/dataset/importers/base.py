"""What all imports share: items that are built one by one, and a runner that never stops at a bad one."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ...errors import DatasetError
from ..disk.images import IMAGE_SUFFIXES, AlphaPolicy
from ..intake.checks import CheckSettings
from ..intake.prepare import Pair, one_line
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
    """

    instruction: str = ""
    source: str | None = None
    target: str | None = None
    mask: str | None = None
    references: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    alpha: AlphaPolicy | None = None

    @property
    def alpha_policy(self) -> AlphaPolicy:
        """What stands behind transparent pixels."""
        return self.alpha or "white"

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
        failed: (label, reason) of what could not be read or made no sense.
        notes: what the person who imports should know.
    """

    stored: int = 0
    duplicates: int = 0
    rejected: int = 0
    by_check: Counter[str] = field(default_factory=Counter)
    failed: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def run_import(
    dataset: Callable[[], Dataset],
    items: Iterable[Item | Problem | Note],
    *,
    checks: CheckSettings | None = None,
    tags: tuple[str, ...] = (),
    progress: Callable[[int], None] | None = None,
) -> ImportResult:
    """Appends item after item. A bad one is listed and skipped; running the same import again adds nothing twice.

    Args:
        dataset: opens or makes it; called once there is a pair, so that an import that fails leaves no empty dataset.
        checks: quality checks in place of the dataset's own.
        tags: given to every pair.
        progress: called with the number of items done.

    Raises:
        DatasetError: the source as a whole cannot be read, or the dataset cannot be written.
    """
    result = ImportResult()
    ids: dict[str, str] = {}
    loose = 0
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
        if outcome.status == "rejected":
            result.rejected += 1
            result.by_check.update({finding.check for finding in outcome.findings})
        else:
            result.stored += outcome.stored
            result.duplicates += not outcome.stored
            if item.key is not None:
                ids[item.key] = outcome.id
        if progress is not None:
            progress(done)
    if loose:
        result.notes.append(f"{loose} later round(s) stand alone, because an earlier round of theirs was not kept")
    return result


def list_pictures(folder: Path) -> dict[str, Path]:
    """Picture files by stem, sorted.

    Stems are composed (NFC): what is one name to people may be two spellings of it, by the system it was copied from.

    Raises:
        DatasetError: two files have one stem, so that it is unclear which is meant.
    """
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith("."):
            stem = normalized_stem(path)
            if stem in found:
                raise DatasetError(f"{folder} has two pictures named {stem!r}: keep one of them.")
            found[stem] = path
    return found


def normalized_stem(path: Path) -> str:
    """Stem of a file name, composed (NFC)."""
    return unicodedata.normalize("NFC", path.stem)


def read_caption(*paths: Path | None, extension: str = ".txt") -> str:
    """Caption in the text file beside the first of these pictures that has one, on one line; "" if none has."""
    for path in paths:
        if path is not None and path.with_suffix(extension).is_file():
            return one_line(path.with_suffix(extension).read_text(encoding="utf-8-sig", errors="replace"))
    return ""
