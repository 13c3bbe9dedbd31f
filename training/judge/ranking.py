"""The artist's own order of some thirty pairs, made by choosing the better of two, again and again.

A page that shows two pairs needs two functions: :func:`next_comparison` says which, :func:`record_choice` keeps the
answer. The order is the strengths of Bradley and Terry (1952) that make the choices likeliest.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Protocol

from ..dataset.disk.files import append_line, make_folder
from ..dataset.disk.storage import as_write_error, locked
from ..errors import DatasetError

FOLDER = "judge"
FILE = f"{FOLDER}/comparisons.jsonl"
PAIRS = 30
ROUNDS = 4  # comparisons a pair takes part in, about: 60 clicks for 30 pairs
_STEPS = 200


class Pairs(Protocol):
    """What is ranked: a dataset, or the page's catalogue of one."""

    folder: Path

    def __contains__(self, pair_id: object) -> bool: ...

    def ids(self) -> Sequence[str]: ...


@dataclass(frozen=True)
class Comparison:
    """Two pairs, and which of them is better; None if the artist sees no difference."""

    first: str
    second: str
    better: str | None


def comparisons(dataset: Pairs) -> list[Comparison]:
    """All choices so far, of pairs that are still there; of several about the same two the last one counts.

    A line that cannot be read is passed over.
    """
    path = dataset.folder / FILE
    if not path.is_file():
        return []
    found: dict[frozenset[str], Comparison] = {}
    for line in path.read_bytes().splitlines():
        try:
            value = json.loads(line)
            one = Comparison(value["first"], value["second"], value["better"])
        except (ValueError, KeyError, TypeError):
            continue
        if one.first in dataset and one.second in dataset:
            found[frozenset((one.first, one.second))] = one
    return list(found.values())


def next_comparison(dataset: Pairs, pairs: int = PAIRS, rounds: int = ROUNDS) -> tuple[str, str] | None:
    """Ids of the two pairs to show next, or None when enough were compared (or there are fewer than two pairs).

    The pair that was seen least meets the one whose strength is nearest among those it has not met.
    """
    made = comparisons(dataset)
    chosen = _choose(dataset, pairs, made)
    met = {frozenset((one.first, one.second)) for one in made}
    seen = {pair: sum(pair in (one.first, one.second) for one in made) for pair in chosen}
    strength = strengths(made, chosen)
    for pair in sorted(chosen, key=lambda pair: (seen[pair], chosen.index(pair))):
        if seen[pair] >= rounds:
            return None
        others = [other for other in chosen if other != pair and frozenset((pair, other)) not in met]
        if others:
            other = min(others, key=lambda other: (abs(strength[other] - strength[pair]), seen[other]))
            return _shuffled(pair, other)
    return None


def record_choice(dataset: Pairs, first: str, second: str, better: str | None) -> None:
    """Keeps one choice. One about two pairs that were compared before takes its place.

    Args:
        first, second: ids of the pairs shown.
        better: the id of one of them, or None for no difference.

    Raises:
        DatasetError: there are no such pairs, or the file cannot be written.
    """
    missing = [pair for pair in (first, second) if pair not in dataset]
    if missing or first == second or better not in (first, second, None):
        raise DatasetError(
            f"a choice is between two pairs of {dataset.folder.name!r} and names one of them or neither; got {first!r}, "
            f"{second!r} and {better!r}" + (f"; there is no {', '.join(missing)}" if missing else "")
        )
    now = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    line = json.dumps({"first": first, "second": second, "better": better, "created": now})
    with locked(dataset.folder):
        try:
            make_folder(dataset.folder, FOLDER)
            append_line(dataset.folder / FILE, line.encode())
        except OSError as error:
            raise as_write_error(error, dataset.folder) from error


def progress(dataset: Pairs, pairs: int = PAIRS, rounds: int = ROUNDS) -> tuple[int, int]:
    """Choices made and choices wanted."""
    made = comparisons(dataset)
    chosen = _choose(dataset, pairs, made)
    return len(made), -(-len(chosen) * min(rounds, max(0, len(chosen) - 1)) // 2)


def artist_scores(dataset: Pairs) -> dict[str, float]:
    """Strength by id of every pair that was compared; the higher, the better."""
    made = comparisons(dataset)
    return strengths(made, list(dict.fromkeys(pair for one in made for pair in (one.first, one.second))))


def strengths(made: Sequence[Comparison], pairs: Sequence[str]) -> dict[str, float]:
    """Logarithms of the Bradley-Terry strengths, by Hunter's (2004) MM steps.

    No difference counts as half a win each. Every pair also has half a win and half a loss against a pair of strength 1,
    so that one that always won stays finite.
    """
    value = dict.fromkeys(pairs, 1.0)
    meetings = [(one.first, one.second) for one in made if one.first in value and one.second in value]
    wins = dict.fromkeys(pairs, 0.5)
    for one in made:
        for pair in (one.first, one.second):
            if pair in wins:
                wins[pair] += 0.5 if one.better is None else float(one.better == pair)
    for _ in range(_STEPS):
        load = {pair: 1.0 / (value[pair] + 1.0) for pair in pairs}
        for first, second in meetings:
            share = 1.0 / (value[first] + value[second])
            load[first] += share
            load[second] += share
        value = {pair: wins[pair] / load[pair] for pair in pairs}
    return {pair: math.log(strength) for pair, strength in value.items()}


def _choose(dataset: Pairs, count: int, made: Sequence[Comparison]) -> list[str]:
    """The pairs to rank: those compared already, then others spread over the dataset in an order that stays."""
    begun = list(dict.fromkeys(pair for one in made for pair in (one.first, one.second)))
    rest = sorted((pair for pair in dataset.ids() if pair not in begun), key=_lot)
    return [*begun, *rest][: max(count, len(begun))]


def _lot(pair: str) -> str:
    return hashlib.sha256(pair.encode()).hexdigest()


def _shuffled(one: str, other: str) -> tuple[str, str]:
    """Left and right by lot, so that a habit of clicking on one side does not count."""
    return (one, other) if _lot(one + other) < _lot(other + one) else (other, one)
