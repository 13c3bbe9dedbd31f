"""Writes captured pairs beside the running graph, so that the graph does not wait for the disk.

A disk that refuses (full, read-only, unplugged) costs the graph nothing: its pairs are held in memory and tried again with
the next run, in order. Only where memory has no more room for them, or the process is ending, are pairs given up; they
are counted and reported. A pair that makes no sense is rejected with the reason, and those after it are kept.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ...training.dataset.disk.names import resolve_dataset
from ...training.dataset.intake.checks import CheckSettings
from ...training.dataset.provenance.provenance import save_graph
from ...training.dataset.store import AppendResult, Dataset, Pair
from ...training.errors import (
    DatasetError,
    ImageError,
    PairError,
    WriteError,
)
from .outcome import describe_closing, describe_failure, describe_held, describe_stored

# Pictures that may wait in memory. A graph that is faster than the disk waits here.
MAX_BYTES = 512 << 20
_EXIT_SECONDS = 60.0
_RETRY_SECONDS = 10.0
_POLL_SECONDS = 0.25
_REASONS_SHOWN = 3
_SHUTTING_DOWN = WriteError("The server is ending and takes no more pairs.", "the server is ending")
_NICENESS = 5  # of 19: computing the graph goes first, but a busy machine does not keep pairs waiting for long


@dataclass(frozen=True)
class Capture:
    """The pairs of one marker in one run.

    Attributes:
        folder: of the dataset.
        pairs: in the order of the results.
        checks: which each pair must pass.
        graph: in API format.
        varying: inputs (node id, name) that differ from pair to pair.
        host: versions of ComfyUI, PyTorch and node packs.
        size: bytes of the pictures.
        notify: shows a text on the marker.
    """

    folder: Path
    pairs: tuple[Pair, ...]
    checks: CheckSettings
    graph: Mapping[str, Any]
    varying: tuple[tuple[str, str], ...] = ()
    host: Mapping[str, Any] = field(default_factory=dict)
    size: int = 0
    notify: Callable[[str], None] = lambda text: None


@dataclass
class _DatasetEntry:
    """One dataset as the recorder knows it.

    Attributes:
        dataset: once it could be opened.
        held: captures that the disk refused.
        write_error: why it refused; None while they wait for another try.
        lost: pairs given up.
        failed: whether the last write failed for another reason than the disk.
        generation: see `Recorder.generation`.
        reasons: why the last pairs were rejected.
    """

    dataset: Dataset | None = None
    held: deque[Capture] = field(default_factory=deque)
    write_error: WriteError | None = None
    lost: int = 0
    failed: bool = False
    generation: int = 0
    reasons: deque[str] = field(default_factory=lambda: deque(maxlen=_REASONS_SHOWN))


class Recorder:
    """One worker thread that writes the pairs of all markers. What cannot be written shows on the marker.

    Args:
        max_bytes: of pictures that may wait in memory.
    """

    def __init__(self, max_bytes: int = MAX_BYTES):
        self._max_bytes = max_bytes
        self._condition = threading.Condition()
        self._waiting: deque[Capture] = deque()
        self._writing: Capture | None = None
        self._bytes = 0  # of what waits, is being written, or is held
        self._thread: threading.Thread | None = None
        self._entries: dict[Path, _DatasetEntry] = {}
        self._closing = False

    # -- what the nodes call ------------------------------------------------------------------------------------

    def open(self, root: Path, name: str) -> Path:
        """The folder of a dataset, made if it is not there and the disk allows it.

        Raises:
            DatasetError: the name leads elsewhere, or something else than a dataset is there.
        """
        folder = resolve_dataset(root, name)
        entry = self._entry(folder)
        if self._was_deleted(folder, entry):
            self._reset(entry)
        if entry.dataset is None:
            with contextlib.suppress(WriteError):  # the writer meets it again, while the graph goes on
                entry.dataset = Dataset.open_or_create(root, name)
        return folder

    def generation(self, folder: Path | None) -> int:
        """A number that changes when pairs were lost, so that a result that ComfyUI has in its cache must run again.

        Args:
            folder: of the dataset; None for any dataset.
        """
        if folder is None:
            return sum(map(self.generation, list(self._entries)))
        entry = self._entry(folder)
        if self._was_deleted(folder, entry):
            self._reset(entry)
        return entry.generation

    def submit(self, capture: Capture, check: Callable[[], None] = lambda: None) -> None:
        """Queues pairs to be written; blocks while too much is waiting already.

        A disk that refuses is no error here.

        Args:
            capture: nobody else changes its pictures any more.
            check: called again and again while it blocks. What it raises ends that; these pairs are then not queued.

        Raises:
            DatasetError: the last pairs of this dataset could not be kept for another reason, and neither can these.
        """
        entry = self._entry(capture.folder)
        if entry.failed and not self._closing:
            self.flush()
            with self._condition:
                self._bytes += capture.size
            self._write(capture)
            return
        with self._condition:
            self._retry(*self._entries.values())
            while not self._condition.wait_for(
                lambda: self._closing or self._has_room(capture.size) or self._idle, _POLL_SECONDS
            ):
                check()
            if self._has_room(capture.size) and not self._closing:
                self._waiting.append(capture)
                self._bytes += capture.size
                self._wake_worker()
                return
            write_error = self._no_room_error(entry)
            self._discard(entry, capture, write_error)
            if self._closing:
                message = describe_closing(write_error, lost=entry.lost)
            else:
                message = self._describe_held(capture.folder, entry, write_error)
        capture.notify(message)

    def write_problem(self, folder: Path) -> str:
        """Why nothing can be written to a dataset now, or ""; what is held is tried again first."""
        entry = self._entry(folder)
        with self._condition:
            if not entry.held:
                return ""
            self._retry(entry)
            self._condition.wait_for(lambda: not any(one.folder == folder for one in self._unwritten), _RETRY_SECONDS)
            return "" if entry.write_error is None else self._describe_held(folder, entry, entry.write_error)

    def counts(self) -> dict[str, int]:
        """Pairs that are not on disk: "waiting" to be written, "held" because the disk refused them, "lost" for good."""
        with self._condition:
            entries = self._entries.values()
            return {
                "waiting": _count_pairs(self._unwritten),
                "held": sum(_count_pairs(entry.held) for entry in entries),
                "lost": sum(entry.lost for entry in entries),
            }

    def flush(self, timeout: float | None = None) -> bool:
        """Waits until everything is written or refused; False if that took longer than ``timeout`` seconds."""
        with self._condition:
            return self._condition.wait_for(lambda: self._idle, timeout)

    def finish(self) -> None:
        """Takes no more pairs, writes what waits, tries once more what is held, and logs what is lost.

        To be called before the process ends.
        """
        with self._condition:
            self._closing = True
            self._retry(*self._entries.values())
            self._condition.notify_all()  # who waits for room waits in vain
        self.flush(_EXIT_SECONDS)
        left = self.counts()
        missing = left["waiting"] + left["held"]
        if missing:
            reasons = "; ".join(
                dict.fromkeys(str(entry.write_error) for entry in self._entries.values() if entry.write_error)
            )
            logging.error("ACE Edit: %d captured pair(s) were not kept. %s", missing, reasons or "The time was up.")

    def resume(self) -> None:
        """Takes pairs again, where the process did not end after all."""
        self._closing = False

    # -- the queue; the lock must be held -----------------------------------------------------------------------

    @property
    def _unwritten(self) -> list[Capture]:
        """What waits or is being written; not what is held."""
        return [*self._waiting, *([] if self._writing is None else [self._writing])]

    @property
    def _idle(self) -> bool:
        return not self._unwritten

    def _has_room(self, size: int) -> bool:
        return not self._bytes or self._bytes + size <= self._max_bytes

    def _wake_worker(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="ace-capture", daemon=True)
            self._thread.start()
            atexit.register(self.finish)
        self._condition.notify_all()

    def _retry(self, *entries: _DatasetEntry) -> None:
        """Puts what is held at the head of the queue again."""
        for entry in entries:
            if entry.held:
                self._waiting.extendleft(reversed(entry.held))
                entry.held.clear()
                entry.write_error = None
                self._wake_worker()

    def _no_room_error(self, entry: _DatasetEntry) -> WriteError:
        """Why there is no room: the process is ending, or what was refused again just now fills the memory."""
        if self._closing:
            return _SHUTTING_DOWN
        others = (other.write_error for other in self._entries.values() if other.write_error)
        return entry.write_error or next(
            others, WriteError("There is no memory left for more pairs.", "no memory left")
        )

    def _discard(self, entry: _DatasetEntry, capture: Capture, reason: Exception) -> None:
        entry.lost += len(capture.pairs)
        entry.generation += 1
        logging.error("ACE Edit: %d captured pair(s) were not kept: %s", len(capture.pairs), reason)

    # -- the worker ---------------------------------------------------------------------------------------------

    def _work(self) -> None:
        if sys.platform == "linux":  # elsewhere the rank is that of the whole process
            with contextlib.suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
        while True:
            with self._condition:
                self._condition.wait_for(lambda: self._waiting)
                self._writing = self._waiting.popleft()
            try:
                self._write(self._writing)
            except DatasetError:
                pass  # shown and logged
            except Exception:  # a bug must not end the thread that others wait for
                logging.exception("ACE Edit: a pair was not kept")
            finally:
                with self._condition:
                    self._writing = None
                    self._condition.notify_all()

    def _write(self, capture: Capture) -> None:
        """Writes the pairs, or holds those that the disk refuses.

        Raises:
            Exception: whatever else is wrong; the pairs that are not written are given up.
        """
        entry = self._entry(capture.folder)
        results: list[AppendResult] = []
        try:
            if entry.write_error is not None:  # the disk refused the pair before this one just now
                raise WriteError(str(entry.write_error), entry.write_error.reason)
            dataset = self._dataset(capture.folder, entry)
            graph = save_graph(capture.folder, capture.graph, varying=capture.varying, host=capture.host)
            for pair in capture.pairs:
                results.append(_append_or_reject(dataset, replace(pair, workflow=graph.hash), capture.checks))
        except Exception as error:
            rest = replace(capture, pairs=capture.pairs[len(results) :])
            with self._condition:
                if isinstance(error, WriteError):
                    if entry.write_error is None:
                        logging.error("ACE Edit: captured pairs wait in memory: %s", error)
                    entry.held.append(rest)
                    entry.write_error = error
                    message = self._describe_held(capture.folder, entry, error)
                else:
                    self._bytes -= capture.size
                    entry.failed = True
                    self._discard(entry, rest, error)
                    message = describe_failure(error)
            capture.notify(message)
            if not isinstance(error, WriteError):
                raise
            return
        with self._condition:
            self._bytes -= capture.size
            entry.failed = False
            waiting = _count_pairs(one for one in self._waiting if one.folder == capture.folder)
        entry.reasons.extend(result.reason for result in results if result.status == "rejected")
        capture.notify(
            describe_stored(dataset, results, waiting=waiting, lost=entry.lost, reasons=reversed(entry.reasons))
        )

    # -- datasets -----------------------------------------------------------------------------------------------

    def _entry(self, folder: Path) -> _DatasetEntry:
        with self._condition:
            return self._entries.setdefault(folder, _DatasetEntry())

    def _dataset(self, folder: Path, entry: _DatasetEntry) -> Dataset:
        if entry.dataset is None:
            entry.dataset = Dataset.open_or_create(folder.parent, folder.name)
        elif not folder.is_dir():
            if not folder.parent.is_dir():
                raise WriteError(
                    f"Cannot write to {folder.parent}: it is gone. Connect its disk again.", "the disk is gone"
                )
            raise DatasetError(f"The dataset {folder} is gone. Queue again to start it anew.")
        return entry.dataset

    def _describe_held(self, folder: Path, entry: _DatasetEntry, error: WriteError) -> str:
        return describe_held(folder.name, error, held=_count_pairs(entry.held), lost=entry.lost)

    def _was_deleted(self, folder: Path, entry: _DatasetEntry) -> bool:
        """Whether somebody deleted the dataset (and not the whole disk went away)."""
        return entry.dataset is not None and not folder.is_dir() and folder.parent.is_dir()

    def _reset(self, entry: _DatasetEntry) -> None:
        with self._condition:
            entry.dataset = None
            entry.generation += 1
            entry.reasons.clear()


def _append_or_reject(dataset: Dataset, pair: Pair, checks: CheckSettings) -> AppendResult:
    """Stores a pair or rejects it, also where it makes no sense: the rest of its batch may."""
    try:
        return dataset.append(pair, checks=checks)
    except (PairError, ImageError) as error:
        logging.warning("ACE Edit: a pair of %s was rejected: %s", dataset.folder.name, error)
        return dataset.reject(pair, error)


def _count_pairs(captures: Iterable[Capture]) -> int:
    return sum(len(capture.pairs) for capture in captures)
