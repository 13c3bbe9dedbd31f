"""Neighbourhoods in which pairs are looked for: all pictures at once, one for each folder, or clusters by k-means."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..cluster.assign import assign
from ..cluster.centroids import cluster_count, fit_centroids, in_sample, sample_share
from ..cluster.probe import QUERIES, Queries, choose_queries, count_met
from ..disk.columns import Tables, join, take
from ..engines.base import Counts, Resources
from ..link.relation import Vectors, Window
from .work import Shards, Work, digest_of, write_with_counts


@dataclass(frozen=True)
class Neighbourhoods:
    """How pictures are divided.

    Attributes:
        kind: "all", "folder" or "clusters".
        count: of clusters, else 1.
        memberships: clusters of a picture.
        assigned: for "clusters", by shard: clusters (N, P) and the nearest (N,) of its usable pictures.
        digest: of all that decides it.
    """

    kind: str
    count: int
    memberships: int
    assigned: Tables | None
    digest: str


@dataclass(frozen=True)
class SampleTask:
    """The pictures of a shard that are in the sample, their features and, where these are given, their clusters."""

    shards: Shards
    out: Tables
    share: float
    assigned: Tables | None = None
    keeps: bool = False
    accelerated: bool = False

    def start(self, resources: Resources) -> Callable[[str], Counts]:
        def work(item: str) -> Counts:
            nodes, found = self.shards.usable(item, ("key", "feature"))
            rows = np.flatnonzero(in_sample(found["key"], self.share))
            number = item.split(":")[0]
            columns = {"node": nodes[rows], "key": found["key"][rows], "feature": found["feature"][rows]}
            if self.assigned is not None:
                columns["clusters"] = np.asarray(self.assigned.read(number, ("clusters",))["clusters"])[rows]
            return write_with_counts(self.out, number, columns, {"sample": len(rows)})

        return work


@dataclass(frozen=True)
class AssignTask:
    """The clusters of a shard's pictures."""

    shards: Shards
    out: Tables
    centroids: Tables
    memberships: int
    keeps: bool = True
    accelerated: bool = True

    def start(self, resources: Resources) -> Callable[[str], Counts]:
        centroids = np.array(self.centroids.read("centroids")["centroid"])

        def work(item: str) -> Counts:
            _, found = self.shards.usable(item, ("feature",))
            clusters, nearest = assign(Vectors(found["feature"], resources.device), centroids, self.memberships)
            columns = {"clusters": clusters, "nearest": nearest}
            return write_with_counts(self.out, item.split(":")[0], columns, {"assigned": len(nearest)})

        return work


@dataclass(frozen=True)
class ProbeTask:
    """How many pairs of the queries with a shard's pictures there are, and how many share a cluster."""

    shards: Shards
    assigned: Tables
    queries: Tables
    out: Tables
    window: Window
    keeps: bool = True
    accelerated: bool = True

    def start(self, resources: Resources) -> Callable[[str], Counts]:
        asked = self.queries.read("queries")
        queries = Queries(*(np.asarray(asked[name]) for name in ("key", "feature", "clusters")))

        def work(item: str) -> Counts:
            number = item.split(":")[0]
            _, found = self.shards.usable(item, ("key", "feature"))
            clusters = self.assigned.read(number, ("clusters",))["clusters"]
            pairs, met = count_met(queries, found["key"], found["feature"], clusters, self.window, resources.device)
            counts = {"pairs": pairs, "met": met}
            return write_with_counts(self.out, number, {"pairs": np.array([pairs, met])}, counts)

        return work


def divide(
    work: Work,
    shards: Shards,
    pictures: int,
    *,
    digest: str,
    by_folder: bool,
    exact_up_to: int,
    clusters: int | None,
    memberships: int,
) -> Neighbourhoods:
    """Decides on neighbourhoods, and clusters large collections.

    Args:
        pictures: that are neither set aside nor copies.
        clusters: their number; None takes what costs least.
    """
    if by_folder:
        return Neighbourhoods("folder", 1, 1, None, digest_of(digest, "folder"))
    if pictures <= exact_up_to:
        return Neighbourhoods("all", 1, 1, None, digest_of(digest, "all"))
    count = min(clusters or cluster_count(pictures, memberships), pictures)
    digest = digest_of(digest, "clusters-1", count)
    sample, centroids = work.tables("sample", digest), work.tables("centroids", digest)
    numbers = [item.split(":")[0] for item in shards.items]
    if not centroids.place.exists(f"centroids{centroids.suffix}"):
        task = SampleTask(shards, sample, sample_share(pictures, count))
        work.map("drawing a sample", task, shards.items, sample, numbers)
        drawn = join([sample.read(number, ("key", "feature")) for number in numbers])
        work.on_progress("clustering", 0, 0)
        centroids.write("centroids", {"centroid": fit_centroids(drawn["feature"], drawn["key"], count)})
    found = len(centroids.read("centroids")["centroid"])
    memberships = min(memberships, found)
    digest = digest_of(digest, memberships)
    assigned = work.tables("assigned", digest)
    task = AssignTask(shards, assigned, centroids, memberships)
    work.map("assigning clusters", task, shards.items, assigned, numbers)
    return Neighbourhoods("clusters", found, memberships, assigned, digest)


def probe_borders(
    work: Work, shards: Shards, places: Neighbourhoods, pictures: int, window: Window
) -> dict[str, float] | None:
    """Pairs of some pictures found by exact search, and how many of them share a cluster; None without clusters."""
    if places.kind != "clusters":
        return None
    digest = digest_of(places.digest, "probe-1", window)
    tables, out = work.tables("queries", digest), work.tables("probe", digest)
    numbers = [item.split(":")[0] for item in shards.items]
    if not tables.place.exists(f"queries{tables.suffix}"):
        candidates = work.tables("candidates", digest)
        task = SampleTask(shards, candidates, min(1.0, 4 * QUERIES / pictures), places.assigned)
        work.map("drawing pictures to probe", task, shards.items, candidates, numbers)
        drawn = join([candidates.read(number, ("key", "feature", "clusters")) for number in numbers])
        tables.write("queries", take(drawn, choose_queries(drawn["key"])))
    counts = work.map(
        "probing the borders", ProbeTask(shards, places.assigned, tables, out, window), shards.items, out, numbers
    )
    queries = len(tables.read("queries", ("key",))["key"])
    return {"queries": queries, **counts, "lost": 1 - counts["met"] / counts["pairs"] if counts["pairs"] else 0.0}
