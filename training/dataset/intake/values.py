"""Numbers and scores of a pair, checked as they come in."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from numbers import Real
from typing import Any

from ...errors import PairError
from ..disk.rows import is_byte_count, is_duration

SURROGATE = re.compile("[\ud800-\udfff]")


def read_seed(seed: Any) -> int | None:
    """A whole number or None. Raises `PairError`."""
    if seed is None:
        return None
    try:
        return int(seed)
    except (TypeError, ValueError) as error:
        raise PairError(f"seed is a whole number or None, got {seed!r:.80}.") from error


def read_weight(weight: Any) -> float:
    """At least 0. Raises `PairError`."""
    if isinstance(weight, bool) or not isinstance(weight, Real) or not math.isfinite(weight) or weight < 0:
        raise PairError(f"weight is a number of at least 0, got {weight!r:.80}.")
    return float(weight)


def read_seconds(seconds: Any) -> float | None:
    """Seconds, or None where nobody measured. Raises `PairError`."""
    if seconds is None:
        return None
    if not is_duration(seconds):
        raise PairError(f"teacher_seconds is a number of at least 0 or None, got {seconds!r:.80}.")
    return round(float(seconds), 4)


def read_bytes(size: Any) -> int | None:
    """A whole number of bytes, or None. Raises `PairError`."""
    if size is not None and not is_byte_count(size):
        raise PairError(f"teacher_memory is a whole number of bytes or None, got {size!r:.80}.")
    return size


def read_named_values(what: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Numbers and texts by name, nested by scorer; whole numbers become floats so that a column keeps one type."""
    result: dict[str, Any] = {}
    for key, value in values.items():
        if any(isinstance(text, str) and SURROGATE.search(text) for text in (key, value)):
            raise PairError(f"{what}[{key!a:.80}] holds half of a surrogate pair, which no text file can.")
        if isinstance(value, Mapping):
            result[str(key)] = read_named_values(what, value)
        elif isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value):
            result[str(key)] = float(value)
        elif isinstance(value, str):
            result[str(key)] = value
        else:
            raise PairError(f"{what}[{key!r}] is a finite number, a text or a group of them, got {value!r:.80}.")
    return result
