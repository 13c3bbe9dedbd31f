"""The pairs of a dataset in memory, without their pictures: found, filtered and handed out by the page.

What other processes append is read on; what an edit replaced is read anew, but only the lines that changed are parsed.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from pathlib import Path
from typing import Literal

from ...errors import RowError, UnknownDatasetError, UnknownPairError
from ..disk.changes import HISTORY, line_digest
from ..disk.files import METADATA
from ..disk.line_tail import LineTail
from ..disk.rows import PairRow
from ..intake.rejections import REJECTED, Rejection, RejectionList
from .history import History, RemovedPair

Order = Literal["newest", "oldest", "words", "weight"]
ORDERS = ("newest", "oldest", "words", "weight")


@dataclass(frozen=True)
class Entry:
    """What is known of a stored pair without opening its row again.

    Attributes:
        id, instruction, split, weight, tags, created, history, content_hash, source_hash, group: as in ``PairRow``.
        images, masks: how many condition images and masks it has.
        digest: of its line: another one says that the pair was changed.
        offset: of its line in the metadata.
        words: what a search looks at, in folded case.
    """

    id: str
    instruction: str
    split: str
    weight: float
    tags: tuple[str, ...]
    created: str
    history: tuple[str, ...]
    content_hash: str
    source_hash: str
    group: str
    images: int
    masks: int
    digest: str
    offset: int
    words: str

    @classmethod
    def from_line(cls, offset: int, line: bytes, digest: str) -> Entry:
        """Parses a line of metadata.

        Raises:
            RowError: it is no row.
        """
        row = PairRow.from_json(line)
        return cls(
            id=row.id,
            instruction=row.instruction,
            split=row.split,
            weight=row.weight,
            tags=row.tags,
            created=row.created,
            history=row.history,
            content_hash=row.content_hash,
            source_hash=row.source_hash,
            group=row.group,
            images=len(row.image_files),
            masks=len(row.mask_file_names),
            digest=digest,
            offset=offset,
            words=search_words(row.id, row.instruction, row.prompt, row.tags),
        )


@dataclass(frozen=True)
class Query:
    """Which pairs are looked for.

    Attributes:
        text: words that must all stand in the instruction, the id or a tag, in any case and order.
        split: "train" or "validation", None for both.
        tag: that they must have, None for any.
        order: of the stored pairs.
    """

    text: str = ""
    split: str | None = None
    tag: str | None = None
    order: Order = "newest"

    def finds(self, words: str, split: str | None, tags: Sequence[str]) -> bool:
        """Whether a pair is looked for.

        Args:
            words: as ``search_words`` gives them.
            split: None where a pair has none, as rejected ones.
        """
        if self.split is not None and split is not None and split != self.split:
            return False
        return (self.tag is None or self.tag in tags) and all(word in words for word in self.text.casefold().split())


class Catalogue:
    """One dataset's pairs. Safe to share between threads.

    Attributes:
        folder: of the dataset.
        history: what was changed by hand.
        lock: held by those who ask several things that must belong together.
    """

    def __init__(self, folder: str | os.PathLike):
        """Opens a dataset; ``refresh`` reads it.

        Raises:
            UnknownDatasetError: there is none.
        """
        self.folder = Path(folder)
        if not (self.folder / METADATA).is_file():
            raise UnknownDatasetError(f"There is no dataset {self.folder.name!r} (any more).")
        self.history = History(self.folder)
        self.lock = threading.RLock()
        self._tail = LineTail(self.folder / METADATA)
        self._entries: dict[str, Entry] = {}
        self._rejections: tuple[Rejection, ...] = ()
        self._rejections_state = ""

    def refresh(self) -> None:
        """Reads what has changed on disk since the last call."""
        with self.lock:
            restarted, lines = self._tail.read()
            known = {entry.digest: entry for entry in self._entries.values()} if restarted else {}
            if restarted:
                self._entries = {}
            for offset, line in lines:
                self._add(offset, line, known)
            self.history.refresh()
            state = _state(self.folder / REJECTED)
            if state != self._rejections_state:
                self._rejections = tuple(RejectionList(self.folder))
                self._rejections_state = state

    def _add(self, offset: int, line: bytes, known: dict[str, Entry]) -> None:
        digest = line_digest(line)
        try:
            entry = replace(known[digest], offset=offset) if digest in known else Entry.from_line(offset, line, digest)
        except RowError:
            return  # for ``dataset check`` to tell
        self._entries.setdefault(entry.id, entry)  # a second row of an id has no files of its own

    @property
    def version(self) -> str:
        """Another text whenever anything of the dataset has changed on disk."""
        states = " ".join(_state(self.folder / name) for name in (METADATA, HISTORY, REJECTED))
        return hashlib.sha256(states.encode()).hexdigest()[:16]

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Entry]:
        """The stored pairs in the order of writing."""
        return iter(self._entries.values())

    def __contains__(self, pair_id: object) -> bool:
        return pair_id in self._entries

    def ids(self) -> list[str]:
        """Of the stored pairs, in the order of writing."""
        return list(self._entries)

    def entry(self, pair_id: str) -> Entry:
        """A stored pair.

        Raises:
            UnknownPairError: there is none of that id.
        """
        try:
            return self._entries[pair_id]
        except KeyError:
            gone = any(pair.row.id == pair_id for pair in self.history.removed.values())
            why = "It was deleted, and can be restored." if gone else "It may have been removed meanwhile: refresh."
            raise UnknownPairError(f"{self.folder.name!r} has no pair {pair_id!r:.100}. {why}") from None

    def row(self, pair_id: str) -> PairRow:
        """The whole metadata of a stored pair.

        Raises:
            UnknownPairError: there is none of that id, or the rows were replaced just now.
        """
        entry = self.entry(pair_id)
        with open(self.folder / METADATA, "rb") as file:
            file.seek(entry.offset)
            line = file.readline()
        if line_digest(line) != entry.digest:
            raise UnknownPairError(f"{self.folder.name!r} was changed while it was read; ask again.")
        return PairRow.from_json(line)

    def removed_pair(self, key: str) -> RemovedPair:
        """A deleted pair.

        Raises:
            UnknownPairError: there is none of that key.
        """
        try:
            return self.history.removed[key]
        except KeyError:
            raise UnknownPairError(
                f"No deleted pair {key!r:.100} is kept in {self.folder.name!r}: perhaps it has been restored already."
            ) from None

    def tags(self) -> Counter[str]:
        """Number of stored pairs by tag."""
        return Counter(tag for entry in self for tag in entry.tags)

    def select(self, query: Query, words: Callable[[Entry], str] = attrgetter("words")) -> list[Entry]:
        """The stored pairs that are looked for, in the order that is asked for.

        Args:
            words: what is looked at of a pair, as ``search_words`` gives it.
        """
        found = [entry for entry in self if query.finds(words(entry) if query.text else "", entry.split, entry.tags)]
        if query.order == "newest":
            found.reverse()
        elif query.order == "words":
            found.sort(key=lambda entry: (entry.instruction.casefold(), entry.offset))
        elif query.order == "weight":
            found.sort(key=lambda entry: (entry.weight, entry.offset))
        return found

    def select_removed(self, query: Query) -> list[RemovedPair]:
        """The deleted pairs that are looked for, the last one first."""
        pairs = reversed(self.history.removed.values())
        return [pair for pair in pairs if query.finds(_row_words(pair.row), pair.row.split, pair.row.tags)]

    def select_rejected(self, query: Query) -> list[tuple[int, Rejection]]:
        """The rejected pairs that are looked for with their numbers, the last one first; reasons are searched, too."""
        numbered = reversed(list(enumerate(self._rejections)))
        return [(n, r) for n, r in numbered if query.finds(_rejection_words(r), None, r.tags)]

    @property
    def rejections(self) -> Sequence[Rejection]:
        """The rejected pairs, oldest first."""
        return self._rejections


def search_words(*texts: str | Sequence[str]) -> str:
    """What a search looks at."""
    return "\n".join(text if isinstance(text, str) else "\n".join(text) for text in texts).casefold()


def _row_words(row: PairRow) -> str:
    return search_words(row.id, row.instruction, row.prompt, row.tags)


def _rejection_words(rejection: Rejection) -> str:
    return search_words(rejection.name, rejection.instruction, rejection.reason, rejection.tags)


def _state(path: Path) -> str:
    try:
        status = path.stat()
    except OSError:
        return "-"
    return f"{status.st_ino}:{status.st_size}:{status.st_mtime_ns}"
