"""Equal and nearly equal files: found by bands of their hashes, then told to the shards that they are in.

Which of them stay is decided where all are together that are alike by any number of steps: a picture that goes takes
nobody with it, so a band of hashes alone cannot tell.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from ..cluster.centroids import mixed
from ..disk.columns import Columns, Tables, join, take
from ..embed.duplicates import alike_rows, bands, settle
from ..engines.base import Counts, Resources
from .linking import label
from .work import Shards, Work, digest_of, spread, write_with_counts

_PICTURES_PER_BUCKET, _LINKS_PER_BUCKET = 50_000, 1_000_000


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
class AlikeTask:
    """Which pictures of a bucket are alike, the worse and the better one of each two."""

    out: Tables
    nearly: bool
    keeps: bool = False
    accelerated: bool = False

    def start(self, resources: Resources) -> Callable[[int, Columns], Counts]:
        def work(bucket: int, rows: Columns) -> Counts:
            worse, better, equal = alike_rows(rows, self.nearly)
            columns = {"one": rows["node"][worse], "other": rows["node"][better], "equal": equal}
            columns["path"] = rows["path"][better]
            return write_with_counts(self.out, str(bucket), columns, {"links": len(worse)})

        return work


@dataclass(frozen=True)
class ByHome:
    """Rows by the home of the picture in one column. An item is a table of these rows."""

    tables: Tables
    shards: Shards
    column: str

    def __call__(self, item: str, buckets: frozenset[int]) -> Columns:
        found = self.tables.read(item)
        home = self.shards.home_of(np.asarray(found[self.column]))
        return take({"bucket": home, **found}, np.isin(home, list(buckets)))


@dataclass(frozen=True)
class LabelledTask:
    """What is alike in a home, with the label that all have in common that are alike by any number of steps."""

    labels: Tables
    out: Tables
    keeps: bool = False
    accelerated: bool = False

    def start(self, resources: Resources) -> Callable[[int, Columns], Counts]:
        def work(bucket: int, rows: Columns) -> Counts:
            known = self.labels.read(str(bucket))
            labels = known["label"][np.searchsorted(known["node"], rows["one"])]
            columns = {name: rows[name] for name in ("one", "other", "equal", "path")}
            return write_with_counts(self.out, str(bucket), {"label": labels, **columns}, {})

        return work


@dataclass(frozen=True)
class LabelledRows:
    """What is alike, by label. An item is a home."""

    labelled: Tables
    buckets: int

    def __call__(self, item: str, buckets: frozenset[int]) -> Columns:
        found = self.labelled.read(item)
        bucket = spread(mixed(np.asarray(found["label"])), self.buckets)
        return take({"bucket": bucket, **found}, np.isin(bucket, list(buckets)))


@dataclass(frozen=True)
class SettleTask:
    """Which pictures of a bucket go."""

    out: Tables
    keeps: bool = False
    accelerated: bool = False

    def start(self, resources: Resources) -> Callable[[int, Columns], Counts]:
        def work(bucket: int, rows: Columns) -> Counts:
            gone = settle(*(rows[name] for name in ("one", "other", "equal", "path")))
            return write_with_counts(self.out, str(bucket), gone, {"copies": len(gone["node"])})

        return work


@dataclass(frozen=True)
class GoneTask:
    """The copies of a home."""

    out: Tables
    keeps: bool = False
    accelerated: bool = False

    def start(self, resources: Resources) -> Callable[[int, Columns], Counts]:
        def work(bucket: int, rows: Columns) -> Counts:
            order = np.argsort(rows["node"])
            return write_with_counts(self.out, str(bucket), take({n: rows[n] for n in ("node", "of")}, order), {})

        return work


def find_copies(
    work: Work, shards: Shards, pictures: int, nearly: bool, most_in_memory: int
) -> tuple[Shards, str, int]:
    """Returns the shards without copies, a digest of what is left, and the number of copies.

    Args:
        most_in_memory: links that are united on this machine at once.
    """
    digest = digest_of("copies-3", shards.embedded.place.root.rpartition("embedded-")[2], nearly, *shards.names)
    alike, labelled, copies, gone = (work.tables(step, digest) for step in ("alike", "labelled", "copies", "gone"))
    buckets = -(-pictures // _PICTURES_PER_BUCKET)
    source = BandRows(shards, nearly, buckets)
    found = work.shuffle("looking for copies", source, shards.items, AlikeTask(alike, nearly), buckets, alike)
    if not found.get("links"):
        return shards, digest, 0
    labels, _ = label(work, shards, alike, found, most_in_memory)
    by_home, names = ByHome(alike, shards, "one"), sorted(alike.names())
    work.shuffle("uniting copies", by_home, names, LabelledTask(labels, labelled), shards.homes, labelled)
    parts = max(1, found["links"] // _LINKS_PER_BUCKET)
    by_label, names = LabelledRows(labelled, parts), sorted(labelled.names())
    counts = work.shuffle("choosing which copies stay", by_label, names, SettleTask(copies), parts, copies)
    by_home, names = ByHome(copies, shards, "node"), sorted(copies.names())
    work.shuffle("setting copies aside", by_home, names, GoneTask(gone), shards.homes, gone)
    return replace(shards, gone=gone), digest, counts.get("copies", 0)
