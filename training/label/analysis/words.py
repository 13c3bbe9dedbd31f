"""Colours, numbers and directions in a text, in English and Chinese, and how new a wording is."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

from ....ace.lcu.indicators import mentioned_images
from ...errors import DatasetError

MOST_ALIKE = 85.0  # rapidfuzz's token_set_ratio, 0 to 100, from which two wordings are the same
_WORD = re.compile(r"[a-z]+(?:'[a-z]+)?|\d+(?:[.,]\d+)?|[一-鿿]")
_GREY = {"gray": "grey"}
_COLOURS = frozenset(
    re.findall(
        r"\S+",
        "red orange yellow green blue purple violet pink brown black white grey gold golden silver beige cyan magenta "
        "turquoise teal navy maroon crimson scarlet olive lavender cream ivory tan "
        "红 橙 黄 绿 蓝 紫 粉 棕 褐 黑 白 灰 金 银 青",
    )
)
_NUMBERS = frozenset(
    re.findall(r"\S+", "two three four five six seven eight nine ten eleven twelve both half twice double")
)
_DIRECTIONS = frozenset(
    re.findall(
        r"\S+",
        "left right leftmost rightmost top bottom upper lower above below behind foreground background clockwise "
        "counterclockwise",
    )
)
_MIRRORED = {
    "left": "right",
    "leftmost": "rightmost",
    "leftward": "rightward",
    "leftwards": "rightwards",
    "clockwise": "counterclockwise",
    "左": "右",
}
_SIDES = {**dict.fromkeys(("left", "leftmost", "左"), "left"), **dict.fromkeys(("right", "rightmost", "右"), "right")}
# "一" and "上" are in very many Chinese words that say nothing of number or place, so only these compounds count.
_ZH_PLACES = re.compile(r"[左右上下前后](?:侧|边|方|面|角|部)|[左右]")
_ZH_COUNTS = re.compile(r"[一二两三四五六七八九十半双](?=[个只条位张朵棵匹辆座件名头把])")


def words_of(text: str) -> list[str]:
    """Words in lower case; of Chinese, the characters."""
    return [_GREY.get(word, word) for word in _WORD.findall(text.lower())]


def colours(text: str) -> frozenset[str]:
    """Colours that a text names."""
    return frozenset(word for word in words_of(text) if word in _COLOURS)


def numbers(text: str) -> frozenset[str]:
    """Numbers in digits or words; the digits of {image1} are none."""
    bare = re.sub(r"\{[^}]*\}", " ", text)
    found = {word for word in words_of(bare) if word[0].isdigit() or word in _NUMBERS}
    return frozenset(found) | frozenset(_ZH_COUNTS.findall(bare))


def directions(text: str) -> frozenset[str]:
    """Left, right, above …"""
    found = {word for word in words_of(text) if word in _DIRECTIONS}
    return frozenset(found) | frozenset(word[0] for word in _ZH_PLACES.findall(text))


def sides(text: str) -> frozenset[str]:
    """ "left" and "right", as far as a text says them in either language."""
    return frozenset(_SIDES[word] for word in words_of(text) if word in _SIDES)


def without_sides(text: str) -> str:
    """A text with left and right left out."""
    return " ".join(word for word in words_of(text) if word not in _SIDES)


def sidedness(texts: Iterable[str]) -> int:
    """How much more often texts say left than right; mirroring must turn its sign."""
    counts = Counter(word for text in texts for word in words_of(text))
    return sum(counts[left] - counts[right] for left, right in _MIRRORED.items())


def names_sides(texts: Iterable[str]) -> bool:
    """Whether left or right is said at all."""
    said = {word for text in texts for word in words_of(text)}
    return any(left in said or right in said for left, right in _MIRRORED.items())


def says(text: str, thing: str) -> bool:
    """Whether a text names a thing, by the last word of its name; an ending of the plural does not count."""
    if re.search("[一-鿿]", thing):
        return thing in text or thing[-2:] in text
    heads = words_of(thing)
    return not heads or _stem(heads[-1]) in {_stem(word) for word in words_of(text)}


def comparable(text: str) -> str:
    """A text as it is held against others for being the same one: case and the stop at its end do not count."""
    return " ".join(text.casefold().split()).rstrip(" .!。！")


def alike(text: str, others: Iterable[str]) -> float:
    """How like the likeliest of others a text is, 0 to 100; by words, whatever their order.

    Raises:
        DatasetError: the package rapidfuzz is not installed.
    """
    try:
        from rapidfuzz import fuzz
    except ImportError as error:
        raise DatasetError(
            f"labelling compares texts with the package rapidfuzz: pip install rapidfuzz ({error})"
        ) from error
    return max((fuzz.token_set_ratio(_spaced(text), _spaced(other)) for other in others), default=0.0)


def same_said(text: str, other: str) -> bool:
    """Whether two texts say the same, as far as words, colours and numbers tell."""
    return alike(text, [other]) >= MOST_ALIKE and colours(text) == colours(other) and numbers(text) == numbers(other)


def keeps(text: str, first: str, things: Iterable[str]) -> str:
    """Why another wording does not say the same as the first one; empty if it does as far as words tell.

    Args:
        things: names of what the first one is about.
    """
    lost = [thing for thing in things if says(first, thing) and not says(text, thing)]
    if lost:
        return f"it does not name {', '.join(lost)}"
    for what, find in (("colours", colours), ("numbers", numbers), ("directions", directions)):
        before, after = find(first), find(text)
        if before != after:
            return f"its {what} are {_listed(after)}, not {_listed(before)}"
    if sorted(mentioned_images(text)) != sorted(mentioned_images(first)):
        return "it names other pictures"
    return ""


def _listed(found: Iterable[str]) -> str:
    return ", ".join(sorted(found)) or "none"


def _stem(word: str) -> str:
    for ending in ("es", "s"):
        if len(word) > 3 and word.endswith(ending) and not word.endswith("ss"):
            return word[: -len(ending)].rstrip("e")
    return word.rstrip("e")


def _spaced(text: str) -> str:
    return " ".join(words_of(re.sub(r"\{[^}]*\}", " ", text)))
