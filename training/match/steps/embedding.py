"""Pictures to features."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np

from ..descriptors.registry import make_descriptor
from ..disk.columns import Tables, texts
from ..disk.pictures import PictureShard, find_shards
from ..disk.places import Entry
from ..embed.shards import Memory, embed_shard
from ..engines.base import Counts, Resources, add_counts
from .work import Shards, Work, digest_of, read_counts, write_with_counts


@dataclass(frozen=True)
class EmbedTask:
    """An item is a shard's name in `listing`; for each, `earlier` are tables of earlier runs that may hold its files."""

    listing: Tables
    out: Tables
    descriptor: str
    earlier: dict[str, tuple[str, ...]]
    keeps: bool = True
    accelerated: bool = True

    def start(self, resources: Resources) -> Callable[[str], Counts]:
        descriptor = make_descriptor(self.descriptor, resources.device)

        def work(name: str) -> Counts:
            listed = self.listing.read(name)
            numbers = (listed[column].tolist() for column in ("size", "modified"))
            entries = zip(listed["path"], *numbers, listed["reason"], strict=True)
            shard = PictureShard(name, tuple(Entry(*entry) for entry in entries))
            known = Memory(self.out, self.earlier[name]) if name in self.earlier else None
            columns = embed_shard(shard, resources.readers, descriptor, known)
            aside = int((columns["reason"] != "").sum())
            return write_with_counts(
                self.out,
                name,
                columns,
                {"files": len(columns["key"]), "set aside": aside, "embedded": len(columns["key"]) - aside},
            )

        return work


def list_pictures(
    work: Work, folders: Sequence[str], size: int, exclude: Sequence[str]
) -> tuple[Tables, tuple[str, ...]]:
    """Finds the pictures and writes their shards down. Returns the tables and the shards' names, in order."""
    work.on_progress("looking for pictures", 0, 0)
    shards = find_shards(folders, size, exclude)
    tables = work.tables("listing", digest_of("listing-2"))
    there = tables.names()
    for shard in shards:
        if shard.name not in there:
            columns = {
                "path": texts(entry.path for entry in shard.entries),
                "size": np.array([entry.size for entry in shard.entries], dtype=np.int64),
                "modified": np.array([entry.modified for entry in shard.entries], dtype=np.int64),
                "reason": texts(entry.reason for entry in shard.entries),
            }
            tables.write(shard.name, columns)
    return tables, tuple(shard.name for shard in shards)


def embed(work: Work, listing: Tables, names: tuple[str, ...], descriptor: str, identity: str) -> tuple[Shards, Counts]:
    """Embeds all shards that are not yet there.

    Args:
        identity: of the descriptor; features of another one are kept apart.
    """
    out = work.tables("embedded", digest_of("embedded-1", identity))
    there = out.names()
    pending = [name for name in names if name not in there]
    if pending:
        task = EmbedTask(listing, out, descriptor, _overlapping(listing, pending, there - set(names)))
        for _ in work.engine.map(task, pending, work.progress("embedding")):
            pass
    return Shards(names, out), add_counts(read_counts(out, names))


def _overlapping(listing: Tables, names: Sequence[str], earlier: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """For each shard those of earlier runs that have paths between its first and its last.

    One new file moves all shards behind it by one picture, so that nearly all have another name and are in two old ones.
    """
    listed = listing.names()
    spans = sorted((*_span(listing, name), name) for name in earlier if name in listed)
    firsts = [first for first, *_ in spans]
    furthest = list(accumulate((last for _, last, _ in spans), max))
    found = {}
    for name in names if spans else ():
        first, last = _span(listing, name)
        near = spans[bisect_left(furthest, first) : bisect_right(firsts, last)]
        if chosen := tuple(old for _, end, old in near if end >= first):
            found[name] = chosen
    return found


def _span(listing: Tables, name: str) -> tuple[str, str]:
    paths = listing.read(name, ("path",))["path"]
    return min(paths), max(paths)
