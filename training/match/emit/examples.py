"""Which pairs of a set become examples, and in which direction.

Only pairs that passed every turn themselves are ever used. All choices follow from the pictures' keys and a seed, so the
same collection gives the same examples, whatever was computed where.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

from ..errors import MatchError
from .walks import links_of, walks

POLICIES = {
    "all": "every tested pair of a set",
    "star": "the middle of each set with every other",
    "chain": "from each picture to the nearest that was not yet used",
    "series": "one picture as the target, 3 to 8 others as references",
    "rounds": "a walk through the set, each step a round with the earlier ones as its history",
}
DIRECTIONS = {"balanced": "one of the two, such that each picture is a source as often as a target", "both": "both"}
Scored = tuple[int, int, tuple[float, ...]]


@dataclass(frozen=True)
class EmitSettings:
    """How examples are made of sets.

    Attributes:
        policy, direction: keys of ``POLICIES`` and ``DIRECTIONS``.
        per_set, per_picture: most pairs (series: targets) of a set, and of a picture.
        references: fewest and most references of a series (Han et al. 2024, App. B.8.1: 3 to 8).
        rounds: most rounds of a history.
        seed: of what is left to chance.
    """

    policy: str = "all"
    direction: str = "balanced"
    per_set: int = 40
    per_picture: int = 8
    references: tuple[int, int] = (3, 8)
    rounds: int = 4
    seed: int = 0

    def __post_init__(self) -> None:
        if self.policy not in POLICIES or self.direction not in DIRECTIONS:
            raise MatchError(
                f"The policy is one of {', '.join(POLICIES)} and the direction one of {', '.join(DIRECTIONS)}; "
                f"got {self.policy!r} and {self.direction!r}."
            )
        low, high = self.references
        if not 1 <= low <= high <= 10:
            raise MatchError(f"A series has LOW-HIGH references with 1 <= LOW <= HIGH <= 10, got {low}-{high}.")
        if min(self.per_set, self.per_picture, self.rounds) < 1:
            raise MatchError("The numbers of pairs a set, pairs a picture and rounds are at least 1.")


@dataclass(frozen=True)
class Example:
    """One row of a dataset to be: pictures by their keys.

    Attributes:
        sources: condition pictures, the one whose shape the target has first.
        scores: of the pair (first source, target), one a turn.
        follows: index, in its set's examples, of the round before; None for a first or only round.
    """

    target: int
    sources: tuple[int, ...]
    scores: tuple[float, ...]
    follows: int | None = None


def make_examples(centre: int, pairs: Iterable[Scored], settings: EmitSettings) -> list[Example]:
    """The examples of one set.

    Args:
        centre: the key of its middle. pairs: keys and scores of all that passed.
    """
    listed = sorted(pairs)
    if settings.policy == "series":
        return _series(listed, settings)
    if settings.policy == "rounds":
        return _rounds(listed, settings)
    if settings.policy == "star":
        listed = [pair for pair in listed if centre in pair[:2]]
    elif settings.policy == "chain":
        scores = {pair[:2]: pair for pair in listed}
        steps = [step for walk in _walks(listed, len(listed) + 1) for step in pairwise(walk)]
        listed = [scores[min(step), max(step)] for step in steps]
    if settings.policy != "chain":
        listed.sort(key=lambda pair: _draw(settings.seed, *pair[:2]))
    return _directed(_capped(listed, settings, centre if settings.policy == "star" else None), settings)


def _capped(pairs: list[Scored], settings: EmitSettings, centre: int | None) -> list[Scored]:
    """The first pairs that no cap forbids; a star's centre is in all of its pairs and has no cap of its own."""
    used: Counter[int] = Counter()
    kept = []
    for pair in pairs:
        if len(kept) == settings.per_set:
            break
        ends = [end for end in pair[:2] if end != centre]
        if all(used[end] < settings.per_picture for end in ends):
            used.update(ends)
            kept.append(pair)
    return kept


def _directed(pairs: list[Scored], settings: EmitSettings) -> list[Example]:
    surplus: Counter[int] = Counter()  # times a source less times a target
    found = []
    for one, other, scores in pairs:
        if surplus[one] != surplus[other]:
            source, target = (one, other) if surplus[one] < surplus[other] else (other, one)
        else:
            source, target = (one, other) if _draw(settings.seed, other, one) % 2 else (other, one)
        surplus[source] += 1
        surplus[target] -= 1
        found.append(Example(target, (source,), scores))
        if settings.direction == "both":
            found.append(Example(source, (target,), scores))
    return found


def _series(pairs: list[Scored], settings: EmitSettings) -> list[Example]:
    """One picture as target, some of those it passed with as references (App. B.8.1: chosen at random)."""
    links: dict[int, dict[int, tuple[float, ...]]] = {}
    for one, other, scores in pairs:
        links.setdefault(one, {})[other] = scores
        links.setdefault(other, {})[one] = scores
    low, high = settings.references
    used: Counter[int] = Counter()
    found = []
    for target in sorted(links, key=lambda key: _draw(settings.seed, key)):
        free = [key for key in links[target] if used[key] < settings.per_picture]
        if len(free) < low or len(found) == settings.per_set:
            continue
        free.sort(key=lambda key: _draw(settings.seed, target, key))
        count = low + _draw(settings.seed, target, target) % (min(high, len(free)) - low + 1)
        chosen = tuple(free[:count])
        used.update(chosen)
        found.append(Example(target, chosen, links[target][chosen[0]]))
    return found


def _rounds(pairs: list[Scored], settings: EmitSettings) -> list[Example]:
    """Every walk is a history: the result of a round is the source of the next (App. B.9)."""
    scores = {pair[:2]: pair[2] for pair in pairs}
    found: list[Example] = []
    for walk in _walks(pairs, settings.rounds + 1):
        if len(found) + len(walk) - 1 > settings.per_set:
            break
        for step, (source, target) in enumerate(pairwise(walk)):
            before = len(found) - 1 if step else None
            found.append(Example(target, (source,), scores[min(source, target), max(source, target)], before))
    return found


def _walks(pairs: list[Scored], most: int) -> list[list[int]]:
    return walks(links_of([(one, other, scores[-1]) for one, other, scores in pairs]), most)


def _draw(seed: int, *keys: int) -> int:
    """A number that depends on nothing but these."""
    return int.from_bytes(hashlib.sha256(repr((seed, *keys)).encode()).digest()[:8], "big")
