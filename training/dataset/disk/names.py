"""Names that come from outside: a dataset's name from a workflow of a stranger, a file stem from a camera.

A name is one folder name below the datasets folder and nothing else. What is refused is refused with the reason and,
where there is an obvious one, a name that would do.
"""

from __future__ import annotations

import os
import re
import unicodedata
from pathlib import Path

from ...errors import DatasetNameError

MAX_CHARACTERS = 64
MAX_BYTES = 180  # file systems stop at 255 bytes; temporary names beside the folder need room
_RESERVED = {"CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$", "CLOCK$"}
_RESERVED |= {f"{port}{digit}" for port in ("COM", "LPT") for digit in "0123456789¹²³"}
_METADATA = "metadata.jsonl"
_PUNCTUATION = set(" -_.")


def check_dataset_name(name: str, what: str = "dataset name") -> str:
    """Checks that a name is safe as a folder name on every system.

    Letters, marks and digits of any script are allowed, and space, hyphen, underscore and dot inside the name.
    Separators, control and format characters (direction overrides, zero-width joiners), look-alike characters that
    change under NFKC, names that Windows reserves and names too long for common file systems are not.

    Args:
        what: the name names, for the message.

    Returns:
        The name, unchanged.

    Raises:
        DatasetNameError: it is not safe; the message says why and proposes another.
    """
    if not isinstance(name, str):
        raise DatasetNameError(f"A {what} is text, got {type(name).__name__}.")
    problem = _problem(name)
    if problem:
        shown = ascii(name if len(name) <= 80 else name[:77] + "...")
        hint = slug(name, fallback="")
        hint = f" For example: {hint!r}." if hint and hint != name and _problem(hint) is None else ""
        raise DatasetNameError(f"The {what} {shown} cannot be used: {problem}.{hint}")
    return name


def resolve_dataset(root: str | os.PathLike, name: str) -> Path:
    """Folder of the dataset ``name`` below ``root``, which need not exist yet.

    Raises:
        DatasetNameError: the name is unsafe, differs from another dataset's in capitals alone, or what lies there is a
            symbolic link that leads somewhere else.
    """
    check_dataset_name(name)
    base = Path(os.path.realpath(root))
    folder = base / _spelled(base, name)
    if folder.is_symlink() or not _same_path(os.path.realpath(folder), folder):
        raise DatasetNameError(
            f"The dataset {name!r} in {base} is a symbolic link to another place. Links are not followed out of the "
            "datasets folder: move the dataset itself there, or open its real folder."
        )
    return folder


def list_datasets(root: str | os.PathLike) -> list[str]:
    """Names of the datasets in ``root``, sorted; an absent folder has none."""
    base = Path(root)
    if not base.is_dir():
        return []
    found = []
    for entry in os.scandir(base):
        name = unicodedata.normalize("NFC", entry.name)  # disks of old Macs take letters apart from their accents
        if entry.is_symlink() or not entry.is_dir() or _problem(name):
            continue
        if os.path.isfile(os.path.join(entry.path, _METADATA)):
            found.append(name)
    return sorted(found)


def slug(text: str, *, fallback: str = "pair", limit: int = 40) -> str:
    """Lower-case ASCII letters, digits and single hyphens made from ``text``; ``fallback`` if nothing is left."""
    plain = unicodedata.normalize("NFKD", text)
    plain = plain.encode("ascii", "ignore").decode().lower()
    plain = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:limit].strip("-")
    if not plain or plain.upper() in _RESERVED:
        return fallback
    return plain


def is_reserved(name: str) -> bool:
    """Whether Windows keeps this file name, with or without an extension, for a device."""
    return name.split(".")[0].rstrip(" ").upper() in _RESERVED


def _problem(name: str) -> str | None:
    """Why ``name`` cannot be a folder name, or None."""
    if not name or not name.strip():
        return "it is empty"
    if len(name) > MAX_CHARACTERS or len(name.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        return f"it is longer than {MAX_CHARACTERS} characters or {MAX_BYTES} bytes"
    if "/" in name or "\\" in name or ":" in name:
        return "it has a path separator or a drive; it names one folder or file, it is not a path"
    if name[0] in _PUNCTUATION or name[-1] in " .":
        return "it starts with a dot, space, hyphen or underscore, or ends with a dot or space"
    if ".." in name:
        return "it has two dots in a row"
    for character in name:
        if character not in _PUNCTUATION and unicodedata.category(character)[0] not in "LMN":
            label = unicodedata.name(character, f"U+{ord(character):04X}")
            return f"it has {label}; use letters, digits, space, hyphen, underscore and dot"
    if unicodedata.normalize("NFKC", name) != name:
        return "it has characters that only look like others and change when normalised (NFKC)"
    if is_reserved(name):
        return "Windows reserves it for a device"
    return None


def _spelled(base: Path, name: str) -> str:
    """The name as the disk has it, where one that it takes for the same is there already.

    Raises:
        DatasetNameError: there is one that this disk tells apart from it, but Windows' and macOS' would not.
    """
    try:
        there = os.listdir(base)
    except OSError:
        return name
    alike = [other for other in there if _fold(other) == _fold(name)]
    if name in alike or not alike:
        return name
    if os.path.lexists(base / name):
        return alike[0]
    datasets = [other for other in alike if os.path.isfile(base / other / _METADATA)]
    if datasets:
        raise DatasetNameError(
            f"There is a dataset {datasets[0]!r} already, and {name!r} differs from it in capitals alone, which Windows "
            "and macOS take for the same. Write it as it is there, or choose another name."
        )
    return name


def _same_path(left: str, right: Path) -> bool:
    """Equal paths, allowing for file systems that ignore case or store names decomposed."""
    return _fold(left) == _fold(str(right))


def _fold(path: str) -> str:
    return unicodedata.normalize("NFC", os.path.normcase(path)).casefold()
