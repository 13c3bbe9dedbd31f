"""From an answer to marks. What cannot be read is None: no default, no middle of the scale, no guess."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from ..vision_language.answer import Answer
from .scores import MOST

_NUMBER = re.compile(r"(\d+(?:\.\d+)?)(?:\s*/\s*(\d+))?\Z")
_REASONS = ("reasoning", "reason", "explanation")


def read_marks(answer: Answer, names: Sequence[str], most: float = MOST) -> tuple[tuple[float, ...], str] | None:
    """The marks in the order of ``names`` and the reasons, or None.

    Read are: an object with these names; one with VIEScore's ``score`` list of just as many numbers; numbers written as
    text, alone or as "7/10". Refused are: a missing or additional number, one outside 0 … ``most``, an answer that was
    cut off before its JSON ended, and numbers in running text, where nobody can tell what they belong to.
    """
    value = answer.json()
    if value is None:
        return None
    listed = value.get("score")
    if isinstance(listed, list) and not any(name in value for name in names):
        found = [_mark(mark, most) for mark in listed] if len(listed) == len(names) else [None]
    else:
        found = [_mark(value.get(name), most) for name in names]
    if None in found:
        return None
    return tuple(found), _reasons(value)


def _mark(value: Any, most: float) -> float | None:
    if isinstance(value, str):
        match = _NUMBER.match(value.strip())
        value = float(match.group(1)) if match and float(match.group(2) or most) == most else None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if math.isfinite(value) and 0 <= value <= most else None


def _reasons(value: Mapping[str, Any]) -> str:
    for name in _REASONS:
        if isinstance(value.get(name), str):
            # A lone half of a surrogate pair is no character, and no file of rows may hold one.
            return value[name].encode("utf-8", "replace").decode().strip()
    return ""
