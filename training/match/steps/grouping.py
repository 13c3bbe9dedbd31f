"""Linked groups to sets and tested pairs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from ..cluster.centroids import mixed
from ..disk.columns import Columns, Tables, take
from ..embed.duplicates import runs
from ..engines.base import Counts, Resources
from ..link.relation import Window
from ..sets.graphs import MOST_LISTED
from ..sets.refine import Limits, Refined, SecondTurn, largest_of_each, pair_columns, refine_group, set_columns
from ..similarity.registry import make_similarity
from .clusters import Neighbourhoods
from .linking import folder_numbers
from .work import Shards, Work, digest_of, spread, write_with_counts

_PICTURES_PER_BUCKET, _COMPARED_PER_BUCKET = 50_000, 1_000  # the second if pictures are opened again


@dataclass(frozen=True)
class GroupSettings:
    """How groups become sets.

    Attributes:
        window: of the first turn.
        similarity, second_window, most_compared: of the second turn, None without one; see ``SecondTurn``.
        limits: of the sizes of sets.
        keep_largest: keep the largest set of each folder alone.
        most_together: a larger group is divided by its pictures' nearest clusters, so that one machine can hold it.
    """

    window: Window
    similarity: str | None = None
    second_window: Window | None = None
    most_compared: int = 32
    limits: Limits = field(default_factory=Limits)
    keep_largest: bool = False
    most_together: int = 50_000


@dataclass(frozen=True)
class SizeRows:
    """The labels of an item, which is a home."""

    labels: Tables
    buckets: int

    def __call__(self, item: str, buckets: frozenset[int]) -> Columns:
        found = np.asarray(self.labels.read(item, ("label",))["label"])
        bucket = spread(mixed(found), self.buckets)
        return take({"bucket": bucket, "label": found}, np.isin(bucket, list(buckets)))


@dataclass(frozen=True)
class SizeTask:
    """The groups that are too large to stay together."""

    out: Tables
    most: int
    keeps: bool = False
    accelerated: bool = False

    def start(self, resources: Resources) -> Callable[[int, Columns], Counts]:
        def work(bucket: int, rows: Columns) -> Counts:
            labels, sizes = np.unique(rows["label"], return_counts=True)
            large = labels[sizes > self.most]
            return write_with_counts(self.out, str(bucket), {"label": large}, {"large": large.tolist()})

        return work


@dataclass(frozen=True)
class GroupRows:
    """The linked pictures of a shard with all that refining needs."""

    shards: Shards
    labels: Tables
    places: Neighbourhoods
    large: tuple[int, ...]
    by_folder: bool
    buckets: int

    def __call__(self, item: str, buckets: frozenset[int]) -> Columns:
        wanted = ("key", "feature", "path", "height", "width")
        nodes, found = self.shards.usable(item, wanted)
        home = str(int(item.split(":")[0]) % self.shards.homes)
        if home not in self.labels.names():
            return {}
        known = self.labels.read(home)
        places = np.searchsorted(known["node"], nodes)
        places = np.minimum(places, len(known["node"]) - 1)
        linked = known["node"][places] == nodes
        labels = np.asarray(known["label"][places])
        if self.large:
            nearest = self.places.assigned.read(item.split(":")[0], ("nearest",))["nearest"].astype(np.int64)
            divided = np.isin(labels, self.large)
            labels = np.where(divided, (mixed(labels) ^ mixed(nearest)).view(np.int64), labels)
        origin = folder_numbers(found["path"])
        bucket = spread(mixed(origin if self.by_folder else labels), self.buckets)
        rows = np.flatnonzero(linked & np.isin(bucket, list(buckets)))
        columns = {name: found[name][rows] for name in wanted}
        return {"bucket": bucket[rows], "label": labels[rows], "origin": origin[rows], **columns}


@dataclass(frozen=True)
class GroupTask:
    """The sets of a bucket. Their pairs are written first: where the sets are, the pairs are, too.

    on_large: is told (pictures of a large group in sets, in all), in this process only.
    """

    sets: Tables
    pairs: Tables
    settings: GroupSettings
    keeps: bool
    accelerated: bool = True
    on_large: Callable[[int, int], None] | None = None

    def start(self, resources: Resources) -> Callable[[int, Columns], Counts]:
        settings, second = self.settings, None
        if settings.similarity is not None:
            similarity = make_similarity(settings.similarity, resources.device)
            second = SecondTurn(similarity, settings.second_window, settings.most_compared)

        def work(bucket: int, rows: Columns) -> Counts:
            result = Refined()
            order = np.lexsort((rows["key"], rows["label"]))
            for start, end in runs(rows["label"][order]):
                if end - start > 1:
                    group = take(rows, order[start:end])
                    tell = self.on_large if end - start > MOST_LISTED else None
                    refine_group(group, settings.window, second, settings.limits, result, resources.device, tell)
            sets, pairs = set_columns(result), pair_columns(result, 1 if second is None else 2)
            if settings.keep_largest:
                largest = largest_of_each(sets)
                result.add("in smaller sets", np.count_nonzero(~largest))
                sets = take(sets, largest)
                pairs = take(pairs, np.isin(pairs["set"], sets["set"]))
            self.pairs.write(str(bucket), pairs)
            counts = {**result.counts, **_sizes(sets, pairs), "largest allowed": settings.limits.largest}
            return write_with_counts(self.sets, str(bucket), sets, counts)

        return work


def _sizes(sets: Columns, pairs: Columns) -> Counts:
    """How many sets of each size there are, and what is left of the rest."""
    names, sizes = np.unique(sets["set"], return_counts=True)
    beyond = sets["beyond"][sets["place"] == 0]
    histogram = Counter(sizes.tolist())
    return {
        "sets": len(names),
        "pictures": len(sets["set"]),
        "pairs": len(pairs["set"]),
        "possible pairs": int((sizes * (sizes - 1) // 2).sum()),
        "largest set": int(sizes.max(initial=0)),
        "full sets": int((beyond > 0).sum()),
        "beyond the limit": int(beyond.sum()),
        **{f"sets of {size}": count for size, count in histogram.items()},
    }


def group(
    work: Work, shards: Shards, places: Neighbourhoods, labels: Tables, linked: int, settings: GroupSettings
) -> tuple[Tables, Tables, str, Counts]:
    """Tables of sets and of pairs, a digest of all that decides them, and counts."""
    large: tuple[int, ...] = ()
    digest = digest_of(labels.place.root.rpartition("labels-")[2], "sets-2", _identity(settings))
    buckets = max(1, -(-linked // (_PICTURES_PER_BUCKET if settings.similarity is None else _COMPARED_PER_BUCKET)))
    if places.kind == "clusters":
        sizes = work.tables("sizes", digest)
        task, parts = SizeTask(sizes, settings.most_together), max(1, linked // (20 * _PICTURES_PER_BUCKET))
        found = work.shuffle("measuring groups", SizeRows(labels, parts), sorted(labels.names()), task, parts, sizes)
        large = tuple(sorted(found.get("large", [])))
    sets, pairs = work.tables("sets", digest), work.tables("pairs", digest)
    source = GroupRows(shards, labels, places, large, settings.keep_largest, buckets)
    step = "dividing a very large group (the window is probably too wide)"
    on_large = (lambda done, of: work.on_progress(step, done, of)) if work.engine.name == "local" else None
    task = GroupTask(sets, pairs, settings, keeps=settings.similarity is not None, on_large=on_large)
    counts = work.shuffle("testing sets", source, shards.items, task, buckets, sets)
    return sets, pairs, digest, {"divided groups": len(large), **counts}


def _identity(settings: GroupSettings) -> str:
    """All of the settings, and the similarity by what it is and not by what it is called."""
    name = "" if settings.similarity is None else make_similarity(settings.similarity).identity
    return f"{settings} {name}"
