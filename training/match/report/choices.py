"""What was struck out: files that the pages save, and names from the command line."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from ..disk.places import Place
from ..errors import MatchError
from ..steps.emitting import Choices

FORMAT = "ace-match-choices-1"
_REPORT = "report"


def read_choices(text: bytes, where: str, digest: str) -> Choices:
    """A file of choices.

    Raises:
        MatchError: it is none, or it belongs to sets that were found with other settings.
    """
    try:
        data = json.loads(text)
        if data["format"] != FORMAT:
            raise ValueError(f"format {data['format']!r}")
        run, sets, pictures = str(data["run"]), data["sets"], data["pictures"]
        choices = Choices(frozenset(map(number_of, sets)), frozenset(map(number_of, pictures)))
    except (ValueError, KeyError, TypeError) as error:
        raise MatchError(f"{where} is no file of choices that a page of this report saved ({error}).") from error
    if run != digest:
        raise MatchError(
            f"{where} strikes out sets that were found with other pictures or settings. Look at the new page and save "
            "the choices again, or delete the file."
        )
    return choices


def find_choices(output: str, digest: str) -> Choices:
    """All choices that lie in the run's folder or beside its pages, together."""
    found, place = [], Place.of(output)
    for folder in (place, place.child(_REPORT)):
        names = sorted(name for name in folder.names() if name.startswith("choices") and name.endswith(".json"))
        found += [read_choices(folder.read(name), folder.path(name), digest) for name in names]
    return together(found)


def given_choices(files: Sequence[Path], struck: Iterable[str], digest: str) -> Choices:
    """Choices of these files, and sets struck out by name.

    Raises:
        MatchError, OSError: a file cannot be read, or a name is none.
    """
    found = [read_choices(path.read_bytes(), str(path), digest) for path in files]
    try:
        found.append(Choices(frozenset(map(number_of, struck))))
    except ValueError as error:
        raise MatchError(
            f"A set is named by sixteen digits and letters a to f, as the pages show them ({error})."
        ) from error
    return together(found)


def together(choices: Iterable[Choices]) -> Choices:
    """What any of them strikes out."""
    listed = list(choices)
    return Choices(
        frozenset().union(*(one.sets for one in listed)), frozenset().union(*(one.pictures for one in listed))
    )


def number_of(name: str) -> int:
    """A set or picture by its sixteen digits.

    Raises:
        ValueError: these are none.
    """
    if len(name) != 16:
        raise ValueError(f"{name!r:.40} is no name")
    return int.from_bytes(bytes.fromhex(name), "big", signed=True)
