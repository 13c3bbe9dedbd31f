"""Train or validation, decided by the source so that variants of one picture never stand on both sides."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable
from typing import Protocol


class Divisible(Protocol):
    """What of a pair decides where it must stand; see ``PairRow``."""

    @property
    def id(self) -> str: ...
    @property
    def source_hash(self) -> str: ...
    @property
    def history(self) -> tuple[str, ...]: ...
    @property
    def group(self) -> str: ...


def split_position(source_hash: str, seed: int) -> float:
    """Position of a source in [0, 1), which depends on its content and the seed alone."""
    digest = hashlib.sha256(f"{seed}:{source_hash}".encode()).digest()
    return int.from_bytes(digest[:7], "big") / 2**56


def split_of(source_hash: str, fraction: float, seed: int = 0) -> str:
    """ "validation" for about ``fraction`` of all sources, else "train"."""
    return "validation" if split_position(source_hash, seed) < fraction else "train"


def split_groups(rows: Iterable[Divisible]) -> dict[str, str]:
    """Groups of pairs that must not be divided: variants of one source and rounds of one history.

    Pairs of one named group are together, and with them all that shares a source with one of them.

    Args:
        rows: in the order of writing, earlier rounds first.

    Returns:
        Group by id of the pair: the hash of its source or of its first round's source, or where that is not known the
        pair's own id. Of what is joined, the first name stands for all.
    """
    own: dict[str, str] = {}
    united: dict[str, str] = {}

    def root(name: str) -> str:
        while (above := united.get(name, name)) != name:
            united[name] = united.get(above, above)
            name = above
        return name

    for row in rows:
        name = row.source_hash or row.id
        own[row.id] = own.get(row.history[0], name) if row.history else name
        if row.group:
            first, second = sorted((root(own[row.id]), root(row.group)))
            united[second] = first
    return {pair_id: root(name) for pair_id, name in own.items()}


def choose_validation(
    groups: Iterable[str], fraction: float, seed: int, first: Collection[str] = frozenset()
) -> set[str]:
    """Chooses the groups to hold out: as near to ``fraction`` of them as whole numbers allow.

    A fraction above 0 holds out at least one group and below 1 leaves at least one for training, given two or more.

    Args:
        groups: as ``split_groups`` gives them, each as often as it has pairs.
        fraction: 0 to 1.
        seed: which groups.
        first: groups that are chosen before any other.
    """
    ordered = sorted(set(groups), key=lambda group: (group not in first, split_position(group, seed), group))
    count = round(fraction * len(ordered))
    if len(ordered) >= 2:
        count = max(count, 1) if fraction > 0 else count
        count = min(count, len(ordered) - 1) if fraction < 1 else count
    return set(ordered[:count])
