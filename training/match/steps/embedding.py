"""Pictures to features."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

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
    """An item is a shard's name in `listing`; `earlier` are tables of earlier runs in which unchanged files are found."""

    listing: Tables
    out: Tables
    descriptor: str
    earlier: tuple[str, ...]
    keeps: bool = True
    accelerated: bool = True

    def start(self, resources: Resources) -> Callable[[str], Counts]:
        descriptor = make_descriptor(self.descriptor, resources.device)
        memory = Memory(self.out, self.earlier) if self.earlier else None

        def work(name: str) -> Counts:
            listed = self.listing.read(name)
            entries = zip(listed["path"], listed["size"].tolist(), listed["modified"].tolist(), strict=True)
            shard = PictureShard(name, tuple(Entry(*entry) for entry in entries))
            columns = embed_shard(shard, resources.readers, descriptor, memory)
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
    tables = work.tables("listing", digest_of("listing-1"))
    there = tables.names()
    for shard in shards:
        if shard.name not in there:
            columns = {
                "path": texts(entry.path for entry in shard.entries),
                "size": np.array([entry.size for entry in shard.entries], dtype=np.int64),
                "modified": np.array([entry.modified for entry in shard.entries], dtype=np.int64),
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
    earlier = tuple(sorted(there - set(names))) if work.place.local is not None and not set(names) <= there else ()
    task = EmbedTask(listing, out, descriptor, earlier)
    pending = [name for name in names if name not in there]
    if pending:
        for _ in work.engine.map(task, pending, work.progress("embedding")):
            pass
    return Shards(names, out), add_counts(read_counts(out, names))
