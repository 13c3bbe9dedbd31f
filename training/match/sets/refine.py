"""A linked group of pictures, through the second turn, to sets and tested pairs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from ..disk.columns import Columns, join, take, texts
from ..link.relation import Vectors, Window
from ..similarity.base import Similarity
from .graphs import ListedGraph, feature_graph, nearest_pairs
from .looks import Looks, order_for_few
from .stars import Star, star_cover


@dataclass(frozen=True)
class SecondTurn:
    """similarity and window of the second turn. most: nearest pictures by features that each is compared with."""

    similarity: Similarity
    window: Window
    most: int


@dataclass(frozen=True)
class Limits:
    """smallest, largest: members of a set."""

    smallest: int = 2
    largest: int = 200


@dataclass
class Refined:
    """What the turns have left.

    Attributes:
        sets: one row a member; beyond: how many more passed with its set's centre.
        pairs: one row a pair that passed every turn.
        counts: for the report.
    """

    sets: list[Columns] = field(default_factory=list)
    pairs: list[Columns] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)

    def add(self, name: str, value: int) -> None:
        self.counts[name] = self.counts.get(name, 0) + int(value)


def refine_group(
    group: Columns,
    window: Window,
    second: SecondTurn | None,
    limits: Limits,
    result: Refined,
    device: str = "cpu",
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Adds the sets of one linked group to `result`.

    Args:
        group: key, feature, path, height, width, origin (a number for its folder); one row a picture.
        progress: is told (pictures in sets, in all).
    """
    done, count = 0, len(group["key"])
    if progress is not None:
        progress(done, count)
    group = take(group, np.argsort(group["key"], kind="stable"))
    vectors = Vectors(group["feature"], device)
    graph = feature_graph(vectors, window)
    compared: dict[tuple[int, int], float] = {}
    if second is not None:
        one, other = nearest_pairs(graph, vectors, second.most)
        kept, values = _second_turn(group, one, other, second, result)
        compared = dict(zip(zip(one[kept].tolist(), other[kept].tolist(), strict=True), values.tolist(), strict=True))
        graph = ListedGraph(count, one[kept], other[kept])
    passed = int(graph.degrees().sum()) // 2
    result.add("groups", 1)
    result.add("linked", count)
    result.add("passed", passed)
    result.counts["largest group"] = max(result.counts.get("largest group", 0), count)
    for star in star_cover(graph, group["key"], limits.largest, vectors.scores):
        members, done = star.members, done + len(star.members)
        if progress is not None:
            progress(done, count)
        if len(members) < limits.smallest:
            result.add("in too small sets", len(members))
            continue
        one, other = graph.among(members)
        scores = [vectors.scores(one, other)]
        if second is not None:
            scores.append(np.array([compared[pair] for pair in zip(one.tolist(), other.tolist(), strict=True)]))
        _append(result, group, star, one, other, np.stack(scores, axis=1))


def _append(
    result: Refined, group: Columns, star: Star, one: np.ndarray, other: np.ndarray, scores: np.ndarray
) -> None:
    """Writes one set down. It is named by its smallest key."""
    keys, members = group["key"], star.members
    name = keys[members].min()
    kept = take({column: group[column] for column in ("key", "path", "height", "width", "origin")}, members)
    numbers = {"place": np.arange(len(members), dtype=np.int32), "beyond": np.full(len(members), star.beyond, np.int32)}
    result.sets.append({"set": np.full(len(members), name), **numbers, **kept})
    result.pairs.append({"set": np.full(len(one), name), "one": keys[one], "other": keys[other], "scores": scores})
    result.add("sets", 1)
    result.add("pictures", len(members))
    result.add("pairs", len(one))
    result.add("possible pairs", len(members) * (len(members) - 1) // 2)


def _second_turn(
    group: Columns, one: np.ndarray, other: np.ndarray, second: SecondTurn, result: Refined
) -> tuple[np.ndarray, np.ndarray]:
    """Which pairs pass, and the similarities of those."""
    needed = np.unique(np.concatenate([one, other]))
    looks = Looks(second.similarity, group["path"])
    order = np.arange(len(one)) if looks.all_fit(needed) else order_for_few(one, other)
    values = np.full(len(one), -np.inf)
    for place, row, column in zip(order.tolist(), one[order].tolist(), other[order].tolist(), strict=True):
        left, right = looks[row], looks[column]
        if left is not None and right is not None:
            values[place] = round(second.similarity.compare(left, right), 6)
    result.add("compared", len(one))
    result.add("without look", len(looks.without))
    kept = second.window.admits(values)
    return np.flatnonzero(kept), values[kept]


def set_columns(result: Refined) -> Columns:
    """All sets as one table."""
    empty = {name: np.zeros(0, np.int64) for name in ("set", "key", "origin")}
    empty |= {name: np.zeros(0, np.int32) for name in ("place", "beyond", "height", "width")}
    return join(result.sets) if result.sets else {**empty, "path": texts(())}


def pair_columns(result: Refined, turns: int) -> Columns:
    """All pairs as one table; scores (M, turns)."""
    empty = {name: np.zeros(0, np.int64) for name in ("set", "one", "other")}
    return join(result.pairs) if result.pairs else {**empty, "scores": np.zeros((0, turns))}


def largest_of_each(sets: Columns) -> np.ndarray:
    """Which rows belong to the largest set of their folder (Han et al. 2024, App. B.4.2); equals by the set's name."""
    names, first, sizes = np.unique(sets["set"], return_index=True, return_counts=True)
    origin = sets["origin"][first]
    order = np.lexsort((names, -sizes, origin))
    lead = np.ones(len(order), dtype=bool)
    lead[1:] = origin[order][1:] != origin[order][:-1]
    return np.isin(sets["set"], names[order][lead])
