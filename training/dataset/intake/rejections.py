"""The list of rejections: every pair that was rejected, with the reason, the numbers and a thumbnail."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..disk.files import append_line, make_folder, write_atomic
from ..disk.images import side_by_side
from ..disk.line_tail import LineTail
from ..disk.names import slug

if TYPE_CHECKING:
    from ...errors import ImageError, PairError
    from .checks import Finding
    from .prepare import Pair, PreparedPair

REJECTED = "rejected.jsonl"
THUMBNAILS = "rejected"
THUMBNAIL_SIDE = 128
INVALID_PAIR = "unfit"  # stands for a check's name where a pair is invalid, so that no check could judge it


@dataclass(frozen=True)
class Rejection:
    """One pair that was not stored.

    Attributes:
        created: when, ISO 8601 in UTC.
        name: the hint from which its id would have been made.
        reason: the findings in words.
        findings: dictionaries with check, value, limit and message. A pair that makes no sense has the one check
            ``INVALID_PAIR`` with nothing but a message.
        instruction, seed, tags, workflow: as in ``Pair``.
        source_hash: of its source; "" for a pair that makes no sense.
        content_hash: by which the same pair is recognised.
        thumbnail: file in the dataset with source and result side by side; None for a pair that makes no sense.
    """

    created: str
    name: str
    reason: str
    findings: tuple[dict, ...]
    instruction: str
    seed: int | None
    tags: tuple[str, ...]
    workflow: str | None
    source_hash: str
    content_hash: str
    thumbnail: str | None


class RejectionList:
    """``rejected.jsonl`` of one dataset. The same pair rejected for the same reasons is listed once."""

    def __init__(self, folder: Path):
        self._folder = folder
        self._tail = LineTail(folder / REJECTED)
        self._known: set[tuple[str, tuple[str, ...]]] = set()
        self.by_check: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._known)

    def refresh(self) -> None:
        """Reads what other processes have added since the last call."""
        restarted, lines = self._tail.read()
        if restarted:
            self._known.clear()
            self.by_check.clear()
        for _, line in lines:
            entry = _parse(line)
            if entry is not None and _key(entry) not in self._known:
                self._known.add(_key(entry))
                self.by_check.update({finding["check"] for finding in entry.findings})

    def add(self, pair: PreparedPair, findings: tuple[Finding, ...]) -> Rejection:
        """Records a rejection by checks. The dataset's lock must be held.

        Raises:
            OSError: the disk refuses.
        """
        entry = Rejection(
            created=_now(),
            name=pair.name,
            reason="; ".join(finding.message for finding in findings),
            findings=tuple(finding.to_dict() for finding in findings),
            instruction=pair.instruction,
            seed=pair.seed,
            tags=pair.tags,
            workflow=pair.workflow,
            source_hash=pair.source_hash,
            content_hash=pair.content_hash,
            thumbnail=f"{THUMBNAILS}/{pair.content_hash[:16]}.jpg",
        )
        self.refresh()
        if _key(entry) in self._known:
            return entry
        picture = self._folder / entry.thumbnail
        make_folder(self._folder, THUMBNAILS)
        if not picture.exists():
            write_atomic(picture, _thumbnail(pair.source, pair.target))
        return self._append(entry)

    def add_invalid(self, pair: Pair, error: PairError | ImageError) -> Rejection:
        """Records a pair that could not be prepared. The dataset's lock must be held.

        Raises:
            OSError: the disk refuses.
        """
        content = _given_hash(pair, str(error))
        entry = Rejection(
            created=_now(),
            name=slug(pair.name),
            reason=str(error),
            findings=({"check": INVALID_PAIR, "message": str(error)},),
            instruction=str(pair.instruction),
            seed=pair.seed if isinstance(pair.seed, int) else None,
            tags=tuple(map(str, pair.tags)),
            workflow=pair.workflow,
            source_hash="",
            content_hash=content,
            thumbnail=None,
        )
        self.refresh()
        return entry if _key(entry) in self._known else self._append(entry)

    def _append(self, entry: Rejection) -> Rejection:
        append_line(self._folder / REJECTED, json.dumps(asdict(entry), ensure_ascii=False).encode())
        self.refresh()
        return entry

    def __iter__(self) -> Iterator[Rejection]:
        """Oldest first; lines that cannot be read are skipped."""
        try:
            file = open(self._folder / REJECTED, "rb")  # noqa: SIM115
        except FileNotFoundError:
            return
        with file:
            yield from (entry for entry in map(_parse, file) if entry is not None)


def _now() -> str:
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def _given_hash(pair: Pair, reason: str) -> str:
    """A hash for pairs that could not be prepared, of what was handed over."""
    digest = hashlib.sha256(f"{reason}\x00{pair.instruction}\x00{pair.name}".encode())
    for picture in (pair.target, *pair.images, *pair.masks):
        digest.update(_given_bytes(picture))
    return digest.hexdigest()


def _given_bytes(picture: Any) -> bytes:
    try:
        array = np.asarray(picture)
        return b"" if array.dtype == object else array.tobytes()
    except Exception:  # a file that is damaged, or anything else that is no picture: that is why it is here
        return b""


def _key(entry: Rejection) -> tuple[str, tuple[str, ...]]:
    return entry.content_hash, tuple(finding["check"] for finding in entry.findings)


def _parse(line: bytes) -> Rejection | None:
    try:
        data = json.loads(line)
        data["findings"] = tuple({"check": str(f["check"]), **f} for f in data["findings"])
        data["tags"] = tuple(data["tags"])
        entry = Rejection(**data)
        texts = (entry.created, entry.name, entry.reason, entry.instruction, entry.content_hash, entry.thumbnail or "")
        return entry if all(isinstance(text, str) for text in texts) else None
    except (ValueError, TypeError, KeyError):
        return None


def _thumbnail(source: np.ndarray | None, target: np.ndarray) -> bytes:
    """Source and target side by side as a small JPEG."""
    return side_by_side([pixels for pixels in (source, target) if pixels is not None], THUMBNAIL_SIDE)
