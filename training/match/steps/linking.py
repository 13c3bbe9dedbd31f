"""Pairs that pass the first turn, and the groups of pictures that they link."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..cluster.centroids import mixed
from ..disk.columns import Columns, Tables, take
from ..disk.pictures import folder_of
from ..embed.duplicates import runs
from ..engines.base import Counts, Resources
from ..link.components import components, large_star, small_star, unique_links
from ..link.links import links_within
from ..link.relation import Vectors, Window
from .clusters import Neighbourhoods
from .work import Shards, Work, digest_of, spread, write_with_counts

_BYTES_PER_BUCKET = 256 << 20
_LINKS_PER_BUCKET = 4_000_000
_MOST_ROUNDS = 60  # of label propagation; each at least halves what is left


@dataclass(frozen=True)
class NeighbourRows:
    """Every picture in each of its neighbourhoods."""

    shards: Shards
    places: Neighbourhoods
    buckets: int

    def __call__(self, item: str, buckets: frozenset[int]) -> Columns:
        columns = ("feature", "path") if self.places.kind == "folder" else ("feature",)
        nodes, found = self.shards.usable(item, columns)
        if self.places.kind == "clusters":
            clusters = self.places.assigned.read(item.split(":")[0], ("clusters",))["clusters"]
            bucket = clusters.astype(np.int64) % self.buckets
            rows, places = np.isin(bucket, list(buckets)).nonzero()
            cluster = clusters[rows, places].astype(np.int64)
            several = {"clusters": clusters[rows]}
            bucket = bucket[rows, places]
        else:
            cluster = folder_numbers(found["path"]) if self.places.kind == "folder" else np.zeros(len(nodes), np.int64)
            bucket = spread(mixed(cluster), self.buckets)
            rows = np.isin(bucket, list(buckets)).nonzero()[0]
            cluster, bucket, several = cluster[rows], bucket[rows], {}
        return {"bucket": bucket, "cluster": cluster, "node": nodes[rows], "feature": found["feature"][rows], **several}


def folder_numbers(paths: np.ndarray) -> np.ndarray:
    """For each path a number of its folder."""
    names, inverse = np.unique([folder_of(path) for path in paths], return_inverse=True)
    hashes = [hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest()[:8] for name in names]
    return np.frombuffer(b"".join(hashes), dtype="<i8")[inverse] if len(names) else np.zeros(0, np.int64)


@dataclass(frozen=True)
class LinksTask:
    """The links of the neighbourhoods in a bucket. on_block: is told (blocks of pairs done, in all), in this process only."""

    out: Tables
    window: Window
    on_block: Callable[[int, int], None] | None = None
    keeps: bool = False
    accelerated: bool = True

    def start(self, resources: Resources) -> Callable[[int, Columns], Counts]:
        def work(bucket: int, rows: Columns) -> Counts:
            order = np.lexsort((rows["node"], rows["cluster"]))
            found, pairs = [], 0
            for start, end in runs(rows["cluster"][order]):
                inside = order[start:end]
                if len(inside) < 2:
                    continue
                nodes = rows["node"][inside]
                vectors = Vectors(rows["feature"][inside], resources.device)
                clusters = rows["clusters"][inside] if "clusters" in rows else None
                links = links_within(vectors, self.window, clusters, int(rows["cluster"][inside[0]]), self.on_block)
                found.append(nodes[links.links])
                pairs += links.pairs
            joined = np.concatenate(found) if found else np.zeros((0, 2), np.int64)
            return write_links(self.out, str(bucket), joined[:, 0], joined[:, 1], {"pairs": pairs})

        return work


def write_links(out: Tables, name: str, one: np.ndarray, other: np.ndarray, counts: Counts) -> Counts:
    return write_with_counts(out, name, {"one": one, "other": other}, {"links": len(one), **counts})


def link(
    work: Work, shards: Shards, places: Neighbourhoods, pictures: int, size: int, window: Window
) -> tuple[Tables, Counts]:
    """The links of all neighbourhoods.

    Args:
        size: bytes of a feature.
    """
    out = work.tables("links", digest_of(places.digest, "links-1", window))
    buckets = 1
    if places.kind != "all":
        buckets = max(1, -(-pictures * size * places.memberships // _BYTES_PER_BUCKET))
    # All pictures are one bucket, whose blocks are what there is to tell of; a worker elsewhere has nobody to tell.
    told = places.kind == "all" and work.engine.name == "local"
    task = LinksTask(out, window, (lambda done, of: work.on_progress("comparing", done, of)) if told else None)
    return out, work.shuffle("comparing", NeighbourRows(shards, places, buckets), shards.items, task, buckets, out)


@dataclass(frozen=True)
class LinkRows:
    """Links by one of their ends. both: under either end. An item is a table of links."""

    links: Tables
    buckets: int
    both: bool

    def __call__(self, item: str, buckets: frozenset[int]) -> Columns:
        found = self.links.read(item, ("one", "other"))
        one, other = np.asarray(found["one"]), np.asarray(found["other"])
        one, other = np.maximum(one, other), np.minimum(one, other)
        if self.both:
            one, other = np.concatenate([one, other]), np.concatenate([other, one])
        bucket = spread(mixed(one), self.buckets)
        return take({"bucket": bucket, "one": one, "other": other}, np.isin(bucket, list(buckets)))


@dataclass(frozen=True)
class StarTask:
    """One operation of label propagation on the nodes of a bucket."""

    out: Tables
    large: bool
    keeps: bool = False
    accelerated: bool = False

    def start(self, resources: Resources) -> Callable[[int, Columns], Counts]:
        operation = large_star if self.large else small_star

        def work(bucket: int, rows: Columns) -> Counts:
            one, other = unique_links(*operation(*unique_links(rows["one"], rows["other"])))
            # A sum of mixed links: equal sums of two rounds mean that nothing changed.
            total = int(mixed(one * 3 + mixed(other).view(np.int64)).sum() >> np.uint64(1))
            return write_links(self.out, str(bucket), one, other, {"total": total})

        return work


@dataclass(frozen=True)
class LabelRows:
    """Labels by the home of their pictures; a group's first picture is its own label."""

    links: Tables
    shards: Shards

    def __call__(self, item: str, buckets: frozenset[int]) -> Columns:
        found = self.links.read(item)
        nodes = np.concatenate([found["one"], np.unique(found["other"])])
        labels = np.concatenate([found["other"], np.unique(found["other"])])
        home = self.shards.home_of(nodes)
        return take({"bucket": home, "node": nodes, "label": labels}, np.isin(home, list(buckets)))


@dataclass(frozen=True)
class LabelTask:
    """The labels of a home, each picture's once."""

    out: Tables
    keeps: bool = False
    accelerated: bool = False

    def start(self, resources: Resources) -> Callable[[int, Columns], Counts]:
        def work(bucket: int, rows: Columns) -> Counts:
            nodes, first = np.unique(rows["node"], return_index=True)
            columns = {"node": nodes, "label": rows["label"][first]}
            return write_with_counts(self.out, str(bucket), columns, {"linked": len(nodes)})

        return work


def label(work: Work, shards: Shards, links: Tables, counts: Counts, most_in_memory: int) -> tuple[Tables, Counts]:
    """The group of every linked picture, by home: its smallest node.

    Args:
        links: tables with the columns one and other; counts: theirs.
        most_in_memory: links that are united on this machine at once; more go through rounds of label propagation.
    """
    digest = links.place.root.rpartition("-")[2]
    out = work.tables("labels", digest_of(digest, "labels-1"))
    if work.is_done(out):
        stars = links  # not read again
    elif counts.get("links", 0) <= most_in_memory:
        stars = _united_here(work, links, digest)
    else:
        stars = _united_by_rounds(work, links, counts["links"], digest)
    found = work.shuffle("grouping", LabelRows(stars, shards), sorted(stars.names()), LabelTask(out), shards.homes, out)
    return out, found


def _united_here(work: Work, links: Tables, digest: str) -> Tables:
    out = work.tables("stars", digest_of(digest, "memory"))
    if not work.is_done(out):
        work.on_progress("uniting", 0, 0)
        parts = [links.read(name, ("one", "other")) for name in sorted(links.names())]
        joined = np.concatenate([np.stack([part["one"], part["other"]], axis=1) for part in parts])
        nodes, labels = components(joined)
        rest = nodes != labels
        work.finish(out, [write_links(out, "0", nodes[rest], labels[rest], {})])
    return out


def _united_by_rounds(work: Work, links: Tables, count: int, digest: str) -> Tables:
    """Large-star and small-star in turns, until a round changes nothing."""
    buckets = -(-count // _LINKS_PER_BUCKET)
    state, before = links, None
    for number in range(_MOST_ROUNDS):
        for large in (True, False):
            out = work.tables(f"stars-{number}{'a' if large else 'b'}", digest)
            source = LinkRows(state, buckets, both=large)
            counts = work.shuffle(
                f"uniting, round {number + 1}", source, sorted(state.names()), StarTask(out, large), buckets, out
            )
            state = out
        now = counts.get("links", 0), counts.get("total", 0)
        if now == before:
            return state
        before = now
    raise RuntimeError(f"label propagation has not ended after {_MOST_ROUNDS} rounds; please report it")
