"""What is already in a dataset, kept in memory and brought up to date from the end of ``metadata.jsonl``.

Other processes append to the same file; only the lines added since the last refresh are read.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from ...errors import DatasetError, RowError
from .line_tail import LineTail
from .perceptual_hash import PairPerceptualHash, PerceptualHashTable
from .rows import PairRow
from .storage import METADATA

_TRIES = 20  # each needs a whole file written in the instant between two reads


class PairIndex:
    """Ids, content hashes, splits by source, and perceptual hashes of the kept pairs. Holds no pictures and no rows.

    Attributes:
        offsets: byte offset of each row by id.
        tags: number of pairs by tag.
        splits: number of pairs by split.
        unreadable: number of lines that are no rows.
        version: changes whenever the content of the index does.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.version = 0
        self._tail = LineTail(folder / METADATA)
        self._reset()

    def _reset(self) -> None:
        self.offsets: dict[str, int] = {}
        self.tags: Counter[str] = Counter()
        self.splits: Counter[str] = Counter()
        self.unreadable = 0
        self._split_by_id: dict[str, str] = {}
        self._by_content: dict[bytes, str] = {}
        self._split_of_source: dict[bytes, str] = {}
        self._split_of_group: dict[str, str] = {}
        self._tables: dict[bytes, PerceptualHashTable] = {}

    def __len__(self) -> int:
        return len(self.offsets)

    def __contains__(self, pair_id: str) -> bool:
        return pair_id in self.offsets

    def refresh(self) -> None:
        """Reads what was appended since the last call; starts over if the file was rewritten."""
        restarted, lines = self._tail.read()
        self.version += restarted or bool(lines)
        if restarted:
            self._reset()
        for offset, line in lines:
            if line.strip():
                self._add(offset, line)

    def _add(self, offset: int, line: bytes) -> None:
        try:
            row = PairRow.from_json(line)
        except RowError:
            self.unreadable += 1
            return
        self.offsets[row.id] = offset
        self._split_by_id[row.id] = row.split
        self.tags.update(row.tags)
        self.splits[row.split] += 1
        if row.content_hash:
            self._by_content.setdefault(bytes.fromhex(row.content_hash), row.id)
        if row.source_hash:
            self._split_of_source.setdefault(bytes.fromhex(row.source_hash), row.split)
        if row.group:
            self._split_of_group.setdefault(row.group, row.split)
        perceptual = PairPerceptualHash.from_text(row.fingerprint)
        if perceptual is not None:
            self._tables.setdefault(perceptual.group, PerceptualHashTable()).add(row.id, perceptual.hashes)

    def duplicate_of(self, content_hash: str) -> str | None:
        """Id of the kept pair with the same content."""
        return self._by_content.get(bytes.fromhex(content_hash))

    def split_for(self, source_hash: str, history: tuple[str, ...], group: str = "") -> str | None:
        """Split that a new pair must follow: that of its first round, of other pairs with its source, of its group."""
        if history:
            return self._split_by_id.get(history[0])
        return self._split_of_source.get(bytes.fromhex(source_hash)) or self._split_of_group.get(group)

    def find_similar(self, wanted: PairPerceptualHash, max_bits: int, max_colour: float) -> list[tuple[str, int]]:
        """Ids of similar pairs and their distances in bits; see ``PerceptualHashTable.find_similar``."""
        table = self._tables.get(wanted.group)
        return [] if table is None else table.find_similar(wanted.hashes, max_bits, max_colour)

    def row(self, pair_id: str) -> PairRow:
        """The metadata of a pair, read from its place.

        Another process may have put a new file in the old one's place since the last ``refresh``. Then anything can stand
        where the row stood, and the index is read again.

        Raises:
            DatasetError: there is no such pair (any more).
        """
        for _ in range(_TRIES):
            if pair_id not in self.offsets:
                raise DatasetError(f"The dataset {self.folder.name!r} has no pair {pair_id!r}.")
            row = self._row_at(self.offsets[pair_id])
            if row is not None and row.id == pair_id:
                return row
            self.refresh()
        raise DatasetError(
            f"The dataset {self.folder.name!r} is rewritten faster than it can be read; try again later."
        )

    def _row_at(self, offset: int) -> PairRow | None:
        with open(self.folder / METADATA, "rb") as file:
            file.seek(offset)
            try:
                return PairRow.from_json(file.readline())
            except RowError:
                return None
