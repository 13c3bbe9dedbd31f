"""Indicators: the words that name condition images in an instruction.

``{image}`` is the first image, ``{image1}`` … ``{image9}`` the ones after it. Artists also write ``<image1>`` or
``{Image 1}``; those are normalized.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

MAX_IMAGES = 10
AUTO = "auto"  # in place of an indicator: the first one that no other picture of the unit has
INDICATORS = ("{image}", *(f"{{image{number}}}" for number in range(1, MAX_IMAGES)))

# Additional special tokens of the published tokenizer, in the order that gives ids 32100 … 32112 with a plain T5
# vocabulary. That they are special tokens is inferred from the published configuration; this is the one place to change.
SPECIAL_TOKENS = ("{image}", "{caption}", "{mask}", "{ref_image}", *INDICATORS[1:])

_WRITTEN = re.compile(r"\{\s*image\s*(\d*)\s*\}|<\s*image\s*(\d*)\s*>", re.IGNORECASE)
_SPECIAL = re.compile("|".join(re.escape(token) for token in SPECIAL_TOKENS))


def indicator(number: int) -> str:
    """The word for the image with this number; 0 is ``{image}``.

    Raises:
        ValueError: the number is not in 0 … 9.
    """
    if not 0 <= number < MAX_IMAGES:
        raise ValueError(f"ACE names images {INDICATORS[0]} to {INDICATORS[-1]}; there is no image number {number}")
    return INDICATORS[number]


def indicator_number(word: str) -> int:
    """The number of an indicator in any accepted spelling; ``{image}`` is 0.

    Raises:
        ValueError: not an indicator.
    """
    match = _WRITTEN.fullmatch(word.strip())
    if match is None:
        raise ValueError(f"{word!r} is not an image indicator; write {{image}}, {{image1}}, … or {{image9}}")
    return _number(match)


def _number(match: re.Match[str]) -> int:
    digits = match[1] or match[2] or ""
    number = int(digits) if digits else 0
    if digits and not 1 <= number < MAX_IMAGES:
        raise ValueError(
            f"{match[0]} is no image ACE knows: the first image is {{image}}, those after it {{image1}} to {{image9}}"
        )
    return number


def normalize_indicators(text: str) -> str:
    """Rewrites every indicator in its canonical spelling.

    Raises:
        ValueError: the text names an image beyond ``{image9}``, or ``{image0}``.
    """
    return _WRITTEN.sub(lambda match: indicator(_number(match)), text)


def mentioned_images(text: str) -> list[int]:
    """Numbers of the images a text names, in order of appearance, each once."""
    return list(dict.fromkeys(_number(match) for match in _WRITTEN.finditer(text)))


def renumber_indicators(text: str, numbers: Mapping[int, int]) -> str:
    """Renames all indicators at once; numbers without an entry stay.

    Raises:
        ValueError: a new number is beyond ``{image9}``.
    """
    return _WRITTEN.sub(lambda match: indicator(numbers.get(_number(match), _number(match))), text)


def without_indicators(text: str) -> str:
    """The text with its indicators as plain words, "{image1}" as "image1": whatever it says, it names no picture."""
    while _WRITTEN.search(text):
        text = _WRITTEN.sub(lambda match: match[0][1:-1].strip(), text)
    return text


def split_special_tokens(text: str) -> list[str]:
    """Cuts a text into special tokens and the pieces between them, dropping empty pieces."""
    pieces, at = [], 0
    for match in _SPECIAL.finditer(text):
        pieces += [text[at : match.start()], match[0]]
        at = match.end()
    return [piece for piece in (*pieces, text[at:]) if piece.strip()]
