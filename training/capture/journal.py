"""What became of every job, one line each, so that the same command goes on where it was stopped.

``capture.jsonl`` in the dataset's folder is only ever appended to and synced. A job is noted before it is queued and when
it is finished; a line torn by a crash is set aside.
"""

from __future__ import annotations

import contextlib
import json
import uuid
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Literal

from ..dataset.disk.files import append_line, refuse_symlink
from ..dataset.disk.storage import as_write_error, check_writable
from ..errors import WriteError
from .errors import CaptureError

JOURNAL = "capture.jsonl"
LOCK = ".capture.lock"
State = Literal["queued", "done", "quarantined", "failed"]
_STATES = ("queued", "done", "quarantined", "failed")


@dataclass(frozen=True)
class JournalEntry:
    """The latest that is known of a job.

    Attributes:
        state: "queued", "done", "quarantined" (set aside for good) or "failed" (for now).
        attempt: number of the attempt under which it is, or will be, queued.
        prompt_id, server: where it was queued.
        reason: why it was set aside or failed.
        pairs: ids of what came of it.
        rejected: whether some of it was rejected.
        checks: with what changes to the quality checks.
    """

    state: State
    attempt: int = 0
    prompt_id: str | None = None
    server: str | None = None
    reason: str = ""
    pairs: tuple[str, ...] = ()
    rejected: bool = False
    checks: Mapping[str, Any] = field(default_factory=dict)

    def up_to_date(self, kept: Container[str], checks: Mapping[str, Any]) -> bool:
        """Whether another run could give nothing new: all pairs are still there, and what was rejected would be again.

        Old records do not say with which checks they were made; they count as made without changes.

        Args:
            kept: ids of the dataset.
            checks: changes to the quality checks now.
        """
        return self.state == "done" and all(pair in kept for pair in self.pairs) and not self._may_pass(checks)

    def _may_pass(self, checks: Mapping[str, Any]) -> bool:
        return self.rejected and dict(self.checks) != dict(checks)


class Journal:
    """The journal of one dataset. Open it with ``open_journal``, which keeps other captures out.

    Attributes:
        entries: by key of the job.
        succeeded: hashes of graphs that have given a result.
        id: of the journal, a UUID.
    """

    def __init__(self, folder: Path):
        self._path = folder / JOURNAL
        self.entries: dict[str, JournalEntry] = {}
        self.succeeded: set[str] = set()
        self.id = ""
        for record in _records(self._path):
            self._take(record)
        if not self.id:
            self.id = str(uuid.uuid4())
            self._write({"journal": 1, "id": self.id})

    def __getitem__(self, key: str) -> JournalEntry | None:
        return self.entries.get(key)

    def prompt_id(self, key: str, attempt: int) -> str:
        """The id under which an attempt at a job is queued: the same in every process that uses this journal."""
        return str(uuid.uuid5(uuid.UUID(self.id), f"{key}:{attempt}"))

    def queued(self, key: str, *, attempt: int, prompt_id: str, server: str, source: str, seed: int | None) -> None:
        """Notes that a job is about to be queued.

        Raises:
            CaptureError: the journal cannot be written; so do the three below.
        """
        place = {"attempt": attempt, "prompt_id": prompt_id, "server": server}
        self._note(key, "queued", **place, source=source, seed=seed)

    def done(
        self, key: str, *, workflow: str, pairs: list[str], rejected: list[str], checks: Mapping[str, Any] | None = None
    ) -> None:
        """Notes that a job's pairs are in the dataset or listed as rejected.

        Args:
            workflow: hash of the graph.
            pairs: ids of those in the dataset.
            rejected: reasons of the others.
            checks: changes to the quality checks.
        """
        with_what = {"checks": dict(checks)} if rejected and checks else {}
        self._note(key, "done", workflow=workflow, pairs=pairs, rejected=rejected, **with_what)

    def quarantined(self, key: str, reason: str) -> None:
        """Notes that a job is set aside for good."""
        self._note(key, "quarantined", reason=reason)

    def failed(self, key: str, reason: str) -> None:
        """Notes that a job failed for now; the next run tries again."""
        self._note(key, "failed", reason=reason)

    def _note(self, key: str, state: State, **details: Any) -> None:
        record = {
            "key": key,
            "state": state,
            **details,
            "time": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        }
        self._write(record)
        self._take(record)

    def _take(self, record: Mapping[str, Any]) -> None:
        _take(self.entries, record)
        if record.get("state") == "done":
            self.succeeded.add(str(record.get("workflow")))
        if "journal" in record:
            with contextlib.suppress(ValueError):
                self.id = str(uuid.UUID(str(record.get("id"))))

    def _write(self, record: Mapping[str, Any]) -> None:
        try:
            append_line(self._path, json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode())
        except OSError as error:
            raise CaptureError(
                f"The journal {self._path} cannot be written: {error.strerror or error}. Free some space or fix the "
                "permissions; the same command then goes on."
            ) from error


def read_entries(folder: Path) -> dict[str, JournalEntry]:
    """The latest that is known of each job, by key; empty where there is no journal.

    Raises:
        CaptureError: the journal cannot be read.
    """
    entries: dict[str, JournalEntry] = {}
    for record in _records(folder / JOURNAL):
        _take(entries, record)
    return entries


def _take(entries: dict[str, JournalEntry], record: Mapping[str, Any]) -> None:
    key, state = record.get("key"), record.get("state")
    if not isinstance(key, str) or state not in _STATES:
        return
    before = entries.get(key, JournalEntry("failed"))
    attempt = record.get("attempt", before.attempt)
    pairs, checks = record.get("pairs"), record.get("checks")
    entries[key] = JournalEntry(
        state=state,
        # After a failure the next attempt needs an id that no server has seen.
        attempt=(attempt if isinstance(attempt, int) else 0) + (state == "failed"),
        prompt_id=_text(record.get("prompt_id")),
        server=_text(record.get("server")),
        reason=str(record.get("reason", "")),
        pairs=tuple(pair for pair in pairs if isinstance(pair, str)) if isinstance(pairs, list) else before.pairs,
        rejected=bool(record.get("rejected")),
        checks=checks if isinstance(checks, Mapping) else {},
    )


@contextlib.contextmanager
def open_journal(folder: Path) -> Iterator[Journal]:
    """Opens the journal in a dataset's folder, for this process alone.

    Raises:
        CaptureError: another capture has it open, or it cannot be read or written.
    """
    import filelock

    refuse_symlink(folder / LOCK)
    lock = filelock.FileLock(str(folder / LOCK), timeout=0)
    try:
        check_writable(folder)
        lock.acquire()
    except filelock.Timeout as error:
        raise CaptureError(
            f"Another capture is writing to {folder}. Let it end, or capture into a dataset of another name."
        ) from error
    except WriteError as error:
        raise CaptureError(str(error)) from error
    except OSError as error:
        raise CaptureError(str(as_write_error(error, folder))) from error
    try:
        yield Journal(folder)
    finally:
        lock.release()


def _records(path: Path) -> Iterator[dict[str, Any]]:
    """The lines that can be read; one torn in the middle is no JSON."""
    try:
        file = open(path, "rb")  # noqa: SIM115
    except FileNotFoundError:
        return
    except OSError as error:
        raise CaptureError(
            f"The journal {path} cannot be read: {error.strerror or error}. Fix its permissions; the same command then "
            "goes on."
        ) from error
    with file:
        for line in file:
            with contextlib.suppress(ValueError, RecursionError):
                record = json.loads(line)
                if isinstance(record, dict):
                    yield record


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
