"""What was struck out: files that the pages save, and names from the command line.

A browser keeps the file of an earlier save and numbers the next one, so a page can have several files: its newest counts.
A file names what was struck out on any page that its browser knew, and what was kept after all; of two pages the later
one decides.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ....ace.notices import Notify, silent
from ..disk.places import Place
from ..errors import MatchError
from ..steps.emitting import Choices

FORMAT = "ace-match-choices-1"
_REPORT = "report"


@dataclass(frozen=True)
class Saved:
    """A file of choices.

    Attributes:
        where: its path.
        page: which page saved it; the path for a file that does not say so.
        time: when, in milliseconds.
        struck, kept: what was struck out, and what was kept after it had been.
    """

    where: str
    page: str
    time: float
    struck: Choices
    kept: Choices


def read_choices(text: bytes, where: str, digest: str) -> Saved:
    """A file of choices.

    Raises:
        MatchError: it is none, or it belongs to sets that were found with other settings.
    """
    try:
        data = json.loads(text)
        if data["format"] != FORMAT:
            raise ValueError(f"format {data['format']!r}")
        run, kept = str(data["run"]), data.get("kept", {"sets": (), "pictures": ()})
        page, time = str(data.get("page", where)), float(data.get("saved", 0))
        saved = Saved(where, page, time, _named(data), _named(kept))
    except (ValueError, KeyError, TypeError) as error:
        raise MatchError(f"{where} is no file of choices that a page of this report saved ({error}).") from error
    if run != digest:
        raise MatchError(
            f"{where} strikes out sets that were found with other pictures or settings. Look at the new page and save "
            "the choices again, or delete the file."
        )
    return saved


def find_choices(
    output: str, digest: str, files: Sequence[Path] = (), struck: Iterable[str] = (), notify: Notify = silent
) -> Choices:
    """All choices: of files in the run's folder or beside its pages, of other files, and of sets struck out by name.

    Args:
        notify: is told which files were read, and which were passed over for a newer one of their page.

    Raises:
        MatchError, OSError: a file cannot be read, or a name is none.
    """
    found, place = [], Place.of(output)
    for folder in (place, place.child(_REPORT)):
        names = sorted(name for name in folder.names() if name.startswith("choices") and name.endswith(".json"))
        found += [read_choices(folder.read(name), folder.path(name), digest) for name in names]
    found += [read_choices(path.read_bytes(), str(path), digest) for path in files]
    sets, pictures = set(), set()
    for saved in _newest(found, notify):
        sets, pictures = sets - saved.kept.sets | saved.struck.sets, pictures - saved.kept.pictures
        pictures |= saved.struck.pictures
    try:
        sets |= set(map(number_of, struck))
    except ValueError as error:
        raise MatchError(
            f"A set is named by sixteen digits and letters a to f, as the pages show them ({error})."
        ) from error
    return Choices(frozenset(sets), frozenset(pictures))


def _newest(found: Iterable[Saved], notify: Notify) -> list[Saved]:
    """The newest file of each page, from the oldest on."""
    pages: dict[str, Saved] = {}
    for saved in sorted(found, key=lambda one: (one.time, one.where)):
        if (older := pages.pop(saved.page, None)) is not None:
            notify(f"choices not read: {older.where}, because {saved.where} is newer")
        pages[saved.page] = saved
    for saved in pages.values():
        notify(f"choices read: {saved.where}")
    return list(pages.values())


def _named(data: dict) -> Choices:
    return Choices(frozenset(map(number_of, data["sets"])), frozenset(map(number_of, data["pictures"])))


def number_of(name: str) -> int:
    """A set or picture by its sixteen digits.

    Raises:
        ValueError: these are none.
    """
    if len(name) != 16:
        raise ValueError(f"{name!r:.40} is no name")
    return int.from_bytes(bytes.fromhex(name), "big", signed=True)
