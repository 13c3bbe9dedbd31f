"""Small helps for making sentences."""

from __future__ import annotations

import re
from collections.abc import Mapping

_BEFORE_VOWEL = re.compile(r"\b([Aa]) (?=[aeiou])")


def with_articles(sentence: str) -> str:
    """ "a orange" becomes "an orange"."""
    return _BEFORE_VOWEL.sub(r"\1n ", sentence)


def filled(phrasing: str, slots: Mapping[str, str]) -> str:
    """A phrasing with words for its ``[slots]``."""
    for slot, words in slots.items():
        phrasing = phrasing.replace(f"[{slot}]", words)
    return phrasing
