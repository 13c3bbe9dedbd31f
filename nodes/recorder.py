"""Writes captured pairs beside the running graph, so that the graph does not wait for the disk."""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..training.checks import CheckSettings
from ..training.errors import DatasetError
from ..training.names import resolve_dataset
from ..training.pairs import AppendResult, Dataset, Pair
from ..training.provenance import save_graph

# Pictures that may wait in memory. A graph that is faster than the disk waits here.
MOST_BYTES = 512 << 20
_EXIT_SECONDS = 60.0
_REASONS_SHOWN = 3
_NICENESS = 5  # of 19: computing the graph goes first, but a busy machine does not keep pairs waiting for long


@dataclass(frozen=True)
class Capture:
    """The pairs of one marker in one run.

    folder: of the dataset. graph: API format; varying: inputs that differ from pair to pair. size: bytes of pictures.
    tell: shows a text on the marker.
    """

    folder: Path
    pairs: tuple[Pair, ...]
    checks: CheckSettings
    graph: Mapping[str, Any]
    varying: tuple[tuple[str, str], ...] = ()
    host: Mapping[str, Any] = field(default_factory=dict)
    size: int = 0
    tell: Callable[[str], None] = lambda text: None


class Recorder:
    """One worker thread for all markers. A failure shows on the marker, and the next pair of that dataset is written while
    its graph waits, so that a run never goes on over a full disk."""

    def __init__(self, most_bytes: int = MOST_BYTES):
        self._most_bytes = most_bytes
        self._state = threading.Condition()
        self._waiting: deque[Capture] = deque()
        self._bytes = 0  # of what waits and what is being written
        self._busy = False
        self._thread: threading.Thread | None = None
        self._datasets: dict[Path, Dataset] = {}
        self._failed: set[Path] = set()
        self._reasons: dict[Path, deque[str]] = {}
        self._generation: dict[Path, int] = {}

    def open(self, root: Path, name: str) -> Path:
        """The folder of a dataset, made if it is not there. Raises `DatasetError`, also for names that lead elsewhere."""
        folder = resolve_dataset(root, name)
        with self._state:
            known = self._datasets.get(folder)
        if known is None or not known.folder.is_dir():
            dataset = Dataset.open_or_create(root, name)
            with self._state:
                self._datasets[folder] = dataset
                self._reasons[folder] = deque(maxlen=_REASONS_SHOWN)
        return folder

    def generation(self, folder: Path) -> int:
        """A number that changes when pairs of this dataset were lost, so that a result that ComfyUI kept must run again."""
        with self._state:
            if folder in self._datasets and not folder.is_dir():
                self._forget(folder)
            return self._generation.get(folder, 0)

    def submit(self, capture: Capture) -> None:
        """Hand over pairs whose pictures nobody else changes. Waits while too much is waiting already.

        Raises `DatasetError` where the last write to this dataset failed and this one fails, too.
        """
        with self._state:
            retry = capture.folder in self._failed
        if retry:
            self.flush()
            self._write(capture)
            return
        with self._state:
            self._state.wait_for(lambda: not self._bytes or self._bytes + capture.size <= self._most_bytes)
            self._waiting.append(capture)
            self._bytes += capture.size
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="ace-capture", daemon=True)
                self._thread.start()
                atexit.register(self.flush, _EXIT_SECONDS)
            self._state.notify_all()

    def flush(self, timeout: float | None = None) -> bool:
        """Wait until everything is written; False if that took too long."""
        with self._state:
            return self._state.wait_for(lambda: not self._waiting and not self._busy, timeout)

    def _work(self) -> None:
        if sys.platform == "linux":  # elsewhere the rank is that of the whole process
            with contextlib.suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
        while True:
            with self._state:
                self._state.wait_for(lambda: self._waiting)
                capture = self._waiting.popleft()
                self._busy = True
            try:
                self._write(capture)
            except DatasetError as error:
                logging.error("ACE Edit: a pair was not kept: %s", error)
            except Exception:  # a bug must not end the thread that others wait for
                logging.exception("ACE Edit: a pair was not kept")
            finally:
                with self._state:
                    self._busy = False
                    self._bytes -= capture.size
                    self._state.notify_all()

    def _write(self, capture: Capture) -> None:
        try:
            dataset = self._dataset(capture.folder)
            graph = save_graph(capture.folder, capture.graph, varying=capture.varying, host=capture.host)
            results = [
                dataset.append(replace(pair, workflow=graph.hash), checks=capture.checks) for pair in capture.pairs
            ]
        except Exception as error:
            with self._state:
                self._failed.add(capture.folder)
                self._generation[capture.folder] = self._generation.get(capture.folder, 0) + 1
            capture.tell(f"NOT KEPT: {error}")
            raise
        with self._state:
            self._failed.discard(capture.folder)
            waiting = sum(len(one.pairs) for one in self._waiting if one.folder == capture.folder)
        capture.tell(self._report(dataset, results, waiting))

    def _dataset(self, folder: Path) -> Dataset:
        with self._state:
            dataset = self._datasets.get(folder)
        if dataset is None or not folder.is_dir():
            raise DatasetError(f"{folder} is gone. Queue again to begin it anew.")
        return dataset

    def _forget(self, folder: Path) -> None:
        """A dataset that somebody deleted. The lock must be held."""
        del self._datasets[folder]
        self._generation[folder] = self._generation.get(folder, 0) + 1

    def _report(self, dataset: Dataset, results: list[AppendResult], waiting: int) -> str:
        """What an artist wants to know, in a few lines."""
        counts = dataset.counts()
        reasons = self._reasons[dataset.folder]
        reasons.extend(result.reason for result in results if result.status == "rejected")
        # A node shows two or three lines before it has to be scrolled.
        plural = "" if counts.pairs == 1 else "s"
        lines = [
            f"{dataset.name}: {counts.pairs} pair{plural}, {counts.rejected} rejected",
            f"now {_outcomes(results)}",
        ]
        if waiting:
            lines.append(f"{waiting} more being written")
        lines += [f"rejected: {reason}" for reason in reversed(reasons)]
        lines.append(f"{counts.train} to train on, {counts.validation} held out, in {dataset.folder}")
        lines += dict.fromkeys(f"note: {note}" for result in results for note in result.notes)
        return "\n".join(lines)


def _outcomes(results: list[AppendResult]) -> str:
    if len(results) == 1:
        result = results[0]
        return f"kept as {result.id}" if result.stored else f"known: {result.reason}" if result.id else "rejected"
    parts = []
    for status, word in (("stored", "kept"), ("duplicate", "there already"), ("rejected", "rejected")):
        count = sum(result.status == status for result in results)
        if count:
            parts.append(f"{count} {word}")
    return ", ".join(parts)
