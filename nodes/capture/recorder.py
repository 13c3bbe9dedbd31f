"""Writes captured pairs beside the running graph, so that the graph does not wait for the disk.

A disk that refuses (full, read-only, unplugged) costs the graph nothing: its pairs are held in memory and tried again with
the next run, in order. Only where memory has no more room for them, or the process is ending, are pairs given up; they
are counted and told. A pair that makes no sense is listed as rejected with the reason, and those after it are kept.
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

# Pictures that may wait in memory. A graph that is faster than the disk waits here.
MOST_BYTES = 512 << 20
_EXIT_SECONDS = 60.0
_RETRY_SECONDS = 10.0
_REASONS_SHOWN = 3
_ENDING = WriteError("The server is ending and takes no more pairs.", "the server is ending")
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


@dataclass
class _Place:
    """One dataset as the recorder knows it.

    held: captures that the disk refused; trouble: why, None while they wait for another try. lost: pairs given up.
    faulty: the last write failed, and not because of the disk. generation: see `Recorder.generation`.
    """

    dataset: Dataset | None = None
    held: deque[Capture] = field(default_factory=deque)
    trouble: WriteError | None = None
    lost: int = 0
    faulty: bool = False
    generation: int = 0
    reasons: deque[str] = field(default_factory=lambda: deque(maxlen=_REASONS_SHOWN))


class Recorder:
    """One worker thread for all markers. What cannot be written shows on the marker."""

    def __init__(self, most_bytes: int = MOST_BYTES):
        self._most_bytes = most_bytes
        self._state = threading.Condition()
        self._waiting: deque[Capture] = deque()
        self._writing: Capture | None = None
        self._bytes = 0  # of what waits, is being written, or is held
        self._thread: threading.Thread | None = None
        self._places: dict[Path, _Place] = {}
        self._ending = False

    # -- what the nodes call ------------------------------------------------------------------------------------

    def open(self, root: Path, name: str) -> Path:
        """The folder of a dataset, made if it is not there and the disk allows it.

        Raises:
            DatasetError: the name leads elsewhere, or something else than a dataset is there.
        """
        folder = resolve_dataset(root, name)
        place = self._place(folder)
        if self._vanished(folder, place):
            self._forget(place)
        if place.dataset is None:
            with contextlib.suppress(WriteError):  # the writer meets it again, while the graph goes on
                place.dataset = Dataset.open_or_create(root, name)
        return folder

    def generation(self, folder: Path | None) -> int:
        """A number that changes when pairs of this dataset were lost, so that a result that ComfyUI kept must run again.

        None: of any dataset.
        """
        if folder is None:
            return sum(map(self.generation, list(self._places)))
        place = self._place(folder)
        if self._vanished(folder, place):
            self._forget(place)
        return place.generation

    def submit(self, capture: Capture) -> None:
        """Hand over pairs whose pictures nobody else changes. Waits while too much is waiting already.

        A disk that refuses is no error here. Raises `DatasetError` where the last pairs of this dataset could not be kept
        for another reason, and neither can these.
        """
        place = self._place(capture.folder)
        if place.faulty and not self._ending:
            self.flush()
            with self._state:
                self._bytes += capture.size
            self._write(capture)
            return
        with self._state:
            self._try_again(*self._places.values())
            self._state.wait_for(lambda: self._ending or self._has_room(capture.size) or self._idle)
            if self._has_room(capture.size) and not self._ending:
                self._waiting.append(capture)
                self._bytes += capture.size
                self._run()
                return
            trouble = self._why_not(place)
            self._give_up(place, capture, trouble)
            told = _given_up(place) if self._ending else _refused(capture.folder, place, trouble)
        capture.tell(told)

    def refusal(self, folder: Path) -> str:
        """Why nothing can be written to a dataset now, after another try with what is held; "" if nothing is known."""
        place = self._place(folder)
        with self._state:
            if not place.held:
                return ""
            self._try_again(place)
            self._state.wait_for(lambda: not any(one.folder == folder for one in self._at_work), _RETRY_SECONDS)
            return "" if place.trouble is None else _refused(folder, place, place.trouble)

    def counts(self) -> dict[str, int]:
        """Pairs that are not on disk: "waiting" to be written, "held" because the disk refused them, "lost" for good."""
        with self._state:
            places = self._places.values()
            return {
                "waiting": _pairs(self._at_work),
                "held": sum(_pairs(place.held) for place in places),
                "lost": sum(place.lost for place in places),
            }

    def flush(self, timeout: float | None = None) -> bool:
        """Wait until everything is written or refused; False if that took too long."""
        with self._state:
            return self._state.wait_for(lambda: self._idle, timeout)

    def finish(self) -> None:
        """Before the process ends: take no more pairs, write what waits, try once more what is held, and say in the log
        what is lost."""
        with self._state:
            self._ending = True
            self._try_again(*self._places.values())
            self._state.notify_all()  # who waits for room waits in vain
        self.flush(_EXIT_SECONDS)
        left = self.counts()
        missing = left["waiting"] + left["held"]
        if missing:
            reasons = "; ".join(dict.fromkeys(str(place.trouble) for place in self._places.values() if place.trouble))
            logging.error("ACE Edit: %d captured pair(s) were not kept. %s", missing, reasons or "The time was up.")

    def resume(self) -> None:
        """Take pairs again: the process did not end after all."""
        self._ending = False

    # -- the queue; the lock must be held -----------------------------------------------------------------------

    @property
    def _at_work(self) -> list[Capture]:
        return [*self._waiting, *([] if self._writing is None else [self._writing])]

    @property
    def _idle(self) -> bool:
        return not self._at_work

    def _has_room(self, size: int) -> bool:
        return not self._bytes or self._bytes + size <= self._most_bytes

    def _run(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="ace-capture", daemon=True)
            self._thread.start()
            atexit.register(self.finish)
        self._state.notify_all()

    def _try_again(self, *places: _Place) -> None:
        """Put what is held back at the head of the queue."""
        for place in places:
            if place.held:
                self._waiting.extendleft(reversed(place.held))
                place.held.clear()
                place.trouble = None
                self._run()

    def _why_not(self, place: _Place) -> WriteError:
        """Why there is no room: the process is ending, or what was refused again just now fills the memory."""
        if self._ending:
            return _ENDING
        others = (other.trouble for other in self._places.values() if other.trouble)
        return place.trouble or next(others, WriteError("There is no memory left for more pairs.", "no memory left"))

    def _give_up(self, place: _Place, capture: Capture, reason: Exception) -> None:
        place.lost += len(capture.pairs)
        place.generation += 1
        logging.error("ACE Edit: %d captured pair(s) were not kept: %s", len(capture.pairs), reason)

    # -- the worker ---------------------------------------------------------------------------------------------

    def _work(self) -> None:
        if sys.platform == "linux":  # elsewhere the rank is that of the whole process
            with contextlib.suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
        while True:
            with self._state:
                self._state.wait_for(lambda: self._waiting)
                self._writing = self._waiting.popleft()
            try:
                self._write(self._writing)
            except DatasetError:
                pass  # told and logged
            except Exception:  # a bug must not end the thread that others wait for
                logging.exception("ACE Edit: a pair was not kept")
            finally:
                with self._state:
                    self._writing = None
                    self._state.notify_all()

    def _write(self, capture: Capture) -> None:
        """Write the pairs, or hold those that the disk refuses. Raises what else is wrong with the dataset."""
        place = self._place(capture.folder)
        results: list[AppendResult] = []
        try:
            if place.trouble is not None:  # the disk refused the pair before this one just now
                raise WriteError(str(place.trouble), place.trouble.reason)
            dataset = self._dataset(capture.folder, place)
            graph = save_graph(capture.folder, capture.graph, varying=capture.varying, host=capture.host)
            for pair in capture.pairs:
                results.append(_keep(dataset, replace(pair, workflow=graph.hash), capture.checks))
        except Exception as error:
            rest = replace(capture, pairs=capture.pairs[len(results) :])
            with self._state:
                if isinstance(error, WriteError):
                    if place.trouble is None:
                        logging.error("ACE Edit: captured pairs wait in memory: %s", error)
                    place.held.append(rest)
                    place.trouble = error
                    told = _refused(capture.folder, place, place.trouble)
                else:
                    self._bytes -= capture.size
                    place.faulty = True
                    self._give_up(place, rest, error)
                    told = f"NOT KEPT: {error}"
            capture.tell(told)
            if not isinstance(error, WriteError):
                raise
            return
        with self._state:
            self._bytes -= capture.size
            place.faulty = False
            waiting = _pairs(one for one in self._waiting if one.folder == capture.folder)
        capture.tell(_report(dataset, place, results, waiting))

    # -- datasets -----------------------------------------------------------------------------------------------

    def _place(self, folder: Path) -> _Place:
        with self._state:
            return self._places.setdefault(folder, _Place())

    def _dataset(self, folder: Path, place: _Place) -> Dataset:
        if place.dataset is None:
            place.dataset = Dataset.open_or_create(folder.parent, folder.name)
        elif not folder.is_dir():
            if not folder.parent.is_dir():
                raise WriteError(
                    f"Cannot write to {folder.parent}: it is gone. Connect its disk again.", "the disk is gone"
                )
            raise DatasetError(f"{folder} is gone. Queue again to begin it anew.")
        return place.dataset

    def _vanished(self, folder: Path, place: _Place) -> bool:
        """Whether somebody deleted the dataset (and not the whole disk went away)."""
        return place.dataset is not None and not folder.is_dir() and folder.parent.is_dir()

    def _forget(self, place: _Place) -> None:
        with self._state:
            place.dataset = None
            place.generation += 1
            place.reasons.clear()


def _keep(dataset: Dataset, pair: Pair, checks: CheckSettings) -> AppendResult:
    """Keep a pair or list it as rejected, also where it makes no sense: the rest of its batch may."""
    try:
        return dataset.append(pair, checks=checks)
    except (PairError, ImageError) as error:
        logging.warning("ACE Edit: a pair of %s was rejected: %s", dataset.folder.name, error)
        return dataset.reject(pair, error)


def _pairs(captures: Iterable[Capture]) -> int:
    return sum(len(capture.pairs) for capture in captures)


def _refused(folder: Path, place: _Place, trouble: WriteError) -> str:
    """What an artist is told while the disk refuses; a node shows the first two or three lines."""
    waiting = f"{_counted(_pairs(place.held))} of “{folder.name}” in memory."
    lines = [
        f"NOT KEPT: {trouble.reason}",
        f"{waiting} Mend it and queue again: what waits is written first.",
        *_lost(place),
        str(trouble),
    ]
    return "\n".join(lines)


def _given_up(place: _Place) -> str:
    """What an artist is told of pairs that come when the process is ending."""
    return "\n".join([f"NOT KEPT: {_ENDING.reason}", *_lost(place)])


def _lost(place: _Place) -> list[str]:
    return [f"{_counted(place.lost)} given up, so run them again."] if place.lost else []


def _counted(pairs: int) -> str:
    return f"{pairs} pair{'' if pairs == 1 else 's'}"


def _report(dataset: Dataset, place: _Place, results: list[AppendResult], waiting: int) -> str:
    """What an artist wants to know, in a few lines."""
    counts = dataset.counts()
    place.reasons.extend(result.reason for result in results if result.status == "rejected")
    # A node shows two or three lines before it has to be scrolled.
    lines = [
        f"{dataset.name}: {_counted(counts.pairs)}, {counts.rejected} rejected",
        f"now {_outcomes(results)}",
        *_lost(place),
    ]
    if waiting:
        lines.append(f"{waiting} more being written")
    lines += [f"rejected: {reason}" for reason in reversed(place.reasons)]
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
