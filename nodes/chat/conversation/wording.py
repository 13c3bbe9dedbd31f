"""An instruction out of words and pictures: a picture is named by what it is, never by what somebody typed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from ....ace.lcu.indicators import indicator, without_indicators

# Words, or the number of a picture among those of the turn.
Part = str | int

_INDICATOR = re.compile(r"\{image(\d?)\}")


def instruction(parts: Iterable[Part], pictures: int) -> str:
    """The text that ACE reads.

    Args:
        parts: words and numbers of pictures, in order. Words that look like an indicator lose their brackets.
        pictures: how many the turn has. The first is put before a text that does not mention it.
    """
    parts = joined(parts)
    text = "".join(indicator(part) if isinstance(part, int) else without_indicators(part) for part in parts).strip()
    return f"{indicator(0)} {text}".strip() if pictures and 0 not in parts else text


def plain(parts: Iterable[Part]) -> str:
    """For titles, searches and file names: the words alone, on one line."""
    return " ".join("".join(part if isinstance(part, str) else " " for part in parts).split())


def joined(parts: Iterable[Part]) -> list[Part]:
    """The same with neighbouring words as one text, so that nothing is hidden in a gap between two."""
    found: list[Part] = []
    for part in parts:
        if isinstance(part, str) and found and isinstance(found[-1], str):
            found[-1] += part
        else:
            found.append(part)
    return [part for part in found if part != ""]


def parts_of(text: str, pictures: int) -> list[Part]:
    """Words and pictures of a text in which indicators stand, such as a phrasing.

    Args:
        text: indicators in their canonical spelling.
        pictures: how many there are; indicators beyond them are left out.
    """
    found: list[Part] = []
    at = 0
    for match in _INDICATOR.finditer(text):
        number = int(match[1] or 0)
        found += [text[at : match.start()], *([number] if number < pictures else [])]
        at = match.end()
    return joined([*found, text[at:]])


def mentioned(parts: Sequence[Part]) -> set[int]:
    """Numbers of the pictures that are named."""
    return {part for part in parts if isinstance(part, int)}
