"""Equal and nearly equal files: found by bands of their hashes, then told to the shards that they are in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from ..cluster.centroids import mixed
from ..disk.columns import Columns, Tables, join, take, texts
from ..embed.duplicates import bands, better_rows
from ..engines.base import Counts, Resources
from .work import Shards, Work, digest_of, spread, write_with_counts

_PICTURES_PER_BUCKET = 50_000


@dataclass(frozen=True)
class BandRows:
    """Every picture under each of its bands."""

    shards: Shards
    nearly: bool
    buckets: int

    def __call__(self, item: str, buckets: frozenset[int]) -> Columns:
        nodes, found = self.shards.usable(item, ("key", "looks", "height", "width", "size", "path"))
        rows = {
            "node": nodes,
            "key": np.asarray(found["key"]),
            "looks": np.asarray(found["looks"]),
            "pixels": found["height"].astype(np.int64) * found["width"],
            "bytes": np.asarray(found["size"]),
            "path": found["path"],
        }
        parts = []
        for band in bands(rows, self.nearly):
            bucket = spread(mixed(band), self.buckets)
            parts.append(take({"bucket": bucket, "band": band, **rows}, np.isin(bucket, list(buckets))))
        return join(parts)


@dataclass(frozen=True)
class CopiesTask:
    """Which pictures of a bucket are copies."""

    out: Tables
    nearly: bool
    keeps: bool = False
    accelerated: bool = False

    def start(self, resources: Resources) -> Callable[[int, Columns], Counts]:
        def work(bucket: int, rows: Columns) -> Counts:
            better = better_rows(rows, self.nearly)
            copies = np.flatnonzero(better >= 0)
            return write_with_counts(
                self.out, str(bucket), _once(rows["node"][copies], rows["path"][better[copies]]), {}
            )

        return work


@dataclass(frozen=True)
class CopyRows:
    """Copies by the home of their shards. An item is a bucket of copies."""

    copies: Tables
    shards: Shards

    def __call__(self, item: str, buckets: frozenset[int]) -> Columns:
        found = self.copies.read(item)
        home = self.shards.home_of(np.asarray(found["node"]))
        return take({"bucket": home, **found}, np.isin(home, list(buckets)))


@dataclass(frozen=True)
class GoneTask:
    """The copies of a home, each once."""

    out: Tables
    keeps: bool = False
    accelerated: bool = False

    def start(self, resources: Resources) -> Callable[[int, Columns], Counts]:
        def work(bucket: int, rows: Columns) -> Counts:
            copies = _once(rows["node"], rows["of"])
            return write_with_counts(self.out, str(bucket), copies, {"copies": len(copies["node"])})

        return work


def _once(nodes: np.ndarray, of: np.ndarray) -> Columns:
    """Every copy once, with the path of what it is a copy of; of several the first by name, whatever their order."""
    found: dict[int, str] = {}
    for node, path in zip(nodes.tolist(), of, strict=True):
        found[node] = min(path, found.get(node, path))
    kept = sorted(found)
    return {"node": np.array(kept, dtype=np.int64), "of": texts(found[node] for node in kept)}


def find_copies(work: Work, shards: Shards, pictures: int, nearly: bool) -> tuple[Shards, str, int]:
    """Returns the shards without copies, a digest of what is left, and the number of copies."""
    digest = digest_of("copies-2", shards.embedded.place.root.rpartition("embedded-")[2], nearly, *shards.names)
    copies, gone = work.tables("copies", digest), work.tables("gone", digest)
    buckets = -(-pictures // _PICTURES_PER_BUCKET)
    work.shuffle(
        "looking for copies",
        BandRows(shards, nearly, buckets),
        shards.items,
        CopiesTask(copies, nearly),
        buckets,
        copies,
    )
    counts = work.shuffle(
        "setting copies aside", CopyRows(copies, shards), sorted(copies.names()), GoneTask(gone), shards.homes, gone
    )
    return replace(shards, gone=gone), digest, counts.get("copies", 0)
