"""A shard of pictures embedded whole.

Columns of an embedded shard, one row a picture in the order of the paths:

    path      text
    key       int64, 64 bits of the file's SHA-256; 0 for pictures that are set aside
    looks     uint8 (209), by which nearly equal pictures are found
    height, width   int32, of the whole picture
    feature   float16 (D), unit length
    reason    text, "" for pictures that can be used
    size, modified   int64, of the file, by which an unchanged one is known again
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import islice

import numpy as np

from ..descriptors.base import Descriptor
from ..disk.columns import Columns, Tables, join, take, texts
from ..disk.pictures import PictureShard, expand
from ..disk.places import Entry
from ..errors import MatchError
from .readers import Readers
from .records import LOOKS_BYTES, Record

_BATCH = 64  # pictures described at once

Known = Callable[[Entry], Columns | None]


def embed_shard(shard: PictureShard, readers: Readers, descriptor: Descriptor, known: Known | None = None) -> Columns:
    """Reads and describes all pictures of a shard.

    Args:
        known: the row of a picture that was embedded before, or None.
    """
    entries = expand(shard)
    closed = [entry for entry in entries if entry.reason]
    opened = [entry for entry in entries if not entry.reason]
    old = {entry.path: row for entry in opened if known is not None and (row := known(entry)) is not None}
    fresh = [entry for entry in opened if entry.path not in old]
    parts = [_rows(fresh, readers, descriptor)] if fresh else []
    if closed or not entries:
        parts.append(_columns([Record(entry.path, reason=entry.reason) for entry in closed], closed, descriptor))
    parts += old.values()
    return _by_path(join(parts))


def _rows(entries: Sequence[Entry], readers: Readers, descriptor: Descriptor) -> Columns:
    records = readers.read([entry.path for entry in entries], descriptor.prepare, descriptor.side)
    parts = []
    rest = iter(entries)
    while batch := list(islice(records, _BATCH)):
        parts.append(_columns(batch, list(islice(rest, len(batch))), descriptor))
    return join(parts)


def _columns(records: list[Record], entries: list[Entry], descriptor: Descriptor) -> Columns:
    features = np.zeros((len(records), descriptor.dimension), dtype=np.float32)
    usable = [place for place, record in enumerate(records) if not record.reason]
    if usable:
        described = descriptor.describe([records[place].prepared for place in usable])
        if not np.isfinite(described).all():
            raise MatchError(f"{descriptor.name} gives values that are no numbers. Are its weights whole?")
        features[usable] = described
    looks = np.frombuffer(b"".join(record.looks for record in records), dtype=np.uint8)
    return {
        "path": texts(record.path for record in records),
        "key": np.array([record.key for record in records], dtype=np.int64),
        "looks": looks.reshape(-1, LOOKS_BYTES),
        "height": np.array([record.height for record in records], dtype=np.int32),
        "width": np.array([record.width for record in records], dtype=np.int32),
        "feature": features.astype(np.float16),
        "reason": texts(record.reason for record in records),
        "size": np.array([entry.size for entry in entries], dtype=np.int64),
        "modified": np.array([entry.modified for entry in entries], dtype=np.int64),
    }


def _by_path(columns: Columns) -> Columns:
    order = sorted(range(len(columns["path"])), key=columns["path"].__getitem__)
    return take(columns, np.array(order, dtype=np.int64))


class Memory:
    """What earlier runs have embedded: rows of unchanged files, by path, size and time of change."""

    def __init__(self, tables: Tables, names: Iterable[str]):
        self._tables = tables
        self._places: dict[tuple[str, int, int], tuple[str, int]] = {}
        self._open: tuple[str, Columns] | None = None
        for name in sorted(names):
            try:
                found = tables.read(name, ("path", "size", "modified"))
            except MatchError:
                continue  # damaged: those pictures are embedded again
            for row, entry in enumerate(zip(found["path"], found["size"], found["modified"], strict=True)):
                self._places[entry[0], int(entry[1]), int(entry[2])] = name, row

    def __call__(self, entry: Entry) -> Columns | None:
        place = self._places.get((entry.path, entry.size, entry.modified))
        if place is None:
            return None
        name, row = place
        if self._open is None or self._open[0] != name:
            self._open = name, self._tables.read(name)
        return take(self._open[1], slice(row, row + 1))
