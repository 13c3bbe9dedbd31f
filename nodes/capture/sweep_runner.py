"""Runs a capture over a folder in a thread beside ComfyUI's queue, which it fills prompt by prompt."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ...training.capture.errors import AmbiguousRoleError, CaptureError
from ...training.capture.failures import STOPPED_ON_SERVER
from ...training.capture.report import CaptureProgress
from ...training.capture.sweep import CaptureSettings, capture
from ...training.dataset.disk.images import side_by_side
from ...training.dataset.store import Dataset
from ...training.errors import DatasetError
from ..host.messages import counted

State = dict[str, Any]
# What the command line's options are called on the node.
_WIDGETS = {
    "--source NODE": "loader",
    "--mask NODE": "mask_loader",
    "--result NODE": "result",
    "--seed NODE.INPUT": "seed_input",
    "--dataset NAME": "dataset",
    "--inputs-1": "second_folder",
    "--inputs": "folder",
    "--masks": "masks",
}
_OPTION = re.compile("|".join(map(re.escape, _WIDGETS)))  # the longer ones come first
_LINES_SHOWN = 5
_PICTURE_SIDE, _PICTURE_GAP = 256, 4  # pixels, of the pictures of the last pair
_BEGIN_SECONDS = 60.0  # a busy server describes its nodes slowly; after that the sweep begins on its own
_POLL_SECONDS = 0.1
_EVENT_TEXTS = {
    "note": "{message}",
    "unusable": "could not be used: {input}: {reason}",
    "quarantined": "could not be used: {input}: {reason}",
    "failed": "failed, and is tried again with the next run: {input}: {reason}",
    "retry": "again: {input}: {reason}",
}


_NOTHING_DONE = {"done": 0, "total": 0, "pair": "", "failed": False}


class _SweepError(Exception):
    """A sweep that could not begin or go on; the text is for the artist."""


class SweepRunner:
    """One sweep at a time; its prompts wait in the queue like all others.

    A prompt that the artist cancels ends the sweep. The same settings go on where it was.
    """

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._lock = threading.Lock()
        self._on_change: Callable[[State], None] = lambda state: None
        self._state: State = {
            "running": False,
            "stopping": False,
            "text": "",
            "node": "",
            "folder": "",
            **_NOTHING_DONE,
        }
        self._counts: dict[str, Any] = {}
        self._begun = threading.Event()
        self._problem: str | None = None  # why it could not begin
        self._folder: Path | None = None  # of the dataset
        self._dataset: Dataset | None = None  # as pages are shown it
        self._drawing = threading.Lock()
        self._lines: deque[str] = deque(maxlen=_LINES_SHOWN)

    @property
    def state(self) -> State:
        """A copy of the state, as it is sent to pages.

        Keys: "running"; "stopping", whether it was asked to end; "text", the lines on the node; "node", id of the node
        that started it, and "folder", the one chosen on it, by which another workflow's node of that number is told from it;
        "done" and "total", in pictures; "pair", id of the last pair; "failed", whether something went
        wrong that the artist should look at.
        """
        return dict(self._state)

    def start(
        self,
        prompt: Mapping[str, Any],
        settings: CaptureSettings,
        node: str,
        on_change: Callable[[State], None],
        folder: str = "",
    ) -> None:
        """Starts a sweep in a thread of its own.

        Args:
            prompt: the graph to run, in API format.
            settings: of the capture; its ``workflow`` is not read.
            node: id of the node that starts it.
            on_change: called with each new state, from any thread.
            folder: chosen on that node.

        Raises:
            RuntimeError: a sweep is running already.
        """
        with self._lock:
            if self._state["running"]:
                raise RuntimeError("a sweep is running already. Let it end, or stop it first.")
            self._on_change, self._counts = on_change, {}
            self._lines.clear()
            self._loop = self._stop = self._problem = self._folder = None
            self._begun.clear()
            self._state.update(
                running=True, stopping=False, node=node, folder=folder, text=_progress({}), **_NOTHING_DONE
            )
        on_change(self.state)
        threading.Thread(target=self._run, args=(dict(prompt), settings), name="ace-sweep", daemon=True).start()

    def wait_until_begun(self, check: Callable[[], None]) -> str | None:
        """Waits until the graph and the folder were looked at, and says why the sweep could not begin, if it could not.

        Args:
            check: called again and again while it waits. What it raises ends the wait and the sweep.
        """
        deadline = time.monotonic() + _BEGIN_SECONDS
        try:
            while not self._begun.wait(_POLL_SECONDS) and time.monotonic() < deadline:
                check()
        except BaseException:  # the host's interruption is no Exception
            self.stop()
            raise
        return self._problem

    def draw_last_pair(self) -> bytes | None:
        """The last pair, its pictures from left to right, as a JPEG; None where there is none (any more)."""
        folder, pair_id = self._folder, self._state["pair"]
        if folder is None or not pair_id:
            return None
        try:
            with self._drawing:
                if self._dataset is None or self._dataset.folder != folder:
                    self._dataset = Dataset(folder)  # kept: it reads of a growing dataset only what is new
                pair = self._dataset.load(pair_id)
        except (DatasetError, OSError, KeyError):
            return None
        pictures = (pair.source, *pair.references, pair.target)
        return side_by_side([pixels for pixels in pictures if pixels is not None], _PICTURE_SIDE, _PICTURE_GAP)

    def stop(self) -> bool:
        """Ends the sweep once what is being written is written; False if none is running."""
        with self._lock:
            if not self._state["running"]:
                return False
            self._state["stopping"] = True
            if self._loop is not None:
                self._loop.call_soon_threadsafe(self._stop.set)
        self._on_change(self.state)
        return True

    def _run(self, prompt: dict[str, Any], settings: CaptureSettings) -> None:
        try:
            text, failed = self._run_to_end(prompt, settings)
        except _SweepError as error:
            text, failed = str(error), True
        if not self._begun.is_set():
            self._problem = text if failed else None
        with self._lock:
            self._state.update(running=False, stopping=False, text=text, failed=failed)
        self._begun.set()
        self._on_change(self.state)

    def _run_to_end(self, prompt: dict[str, Any], settings: CaptureSettings) -> tuple[str, bool]:
        """Runs the capture; returns the closing text, and whether something went wrong.

        Raises:
            _SweepError: it could not begin or go on.
        """
        try:
            # The graph may hold keys, so its folder is for this user alone, and the file goes as soon as it was read.
            with tempfile.TemporaryDirectory(prefix="ace-sweep-") as folder:
                path = Path(folder, "workflow.json")
                path.write_text(json.dumps(prompt), encoding="utf-8", newline="\n")
                progress = asyncio.run(self._capture(replace(settings, workflow=path)))
        except AmbiguousRoleError as error:
            choices = "\n".join(f"- {choice}" for choice in error.choices)
            advice = f"Write the number of the node into “{_to_widget_names(error.flag)}”, and queue again."
            raise _SweepError(f"sweep: {_to_widget_names(error.question)}\n{choices}\n{advice}") from error
        except (CaptureError, DatasetError) as error:
            logging.error("ACE Edit: sweep: %s", error)
            raise _SweepError(f"sweep: {_to_widget_names(str(error))}") from error
        except Exception as error:
            logging.exception("ACE Edit: sweep")
            raise _SweepError(f"sweep: {error!r}. The log has more.") from error
        if progress is None:
            return "sweep: stopped before anything was run; queue again to start it", False
        self._state.update(done=progress.total - progress.left, total=progress.total)
        wrong = progress.quarantined + progress.unusable + progress.failed
        return self._text(_summary(progress, settings.dry_run)), bool(wrong) or _kept_nothing(progress)

    async def _capture(self, settings: CaptureSettings) -> CaptureProgress | None:
        """Runs the capture; None if it was stopped before anything was run."""
        stop = asyncio.Event()
        with self._lock:
            self._stop, self._loop = stop, asyncio.get_running_loop()
            if self._state["stopping"]:
                stop.set()

        def on_event(event: str, data: dict[str, Any]) -> None:
            self._handle_event(event, data)
            if event == "start":
                settings.workflow.unlink(missing_ok=True)
                self._folder = Path(data["dataset"])
                self._begun.set()
            if event == "retry" and data["reason"] == STOPPED_ON_SERVER:
                stop.set()

        work, stopped = asyncio.create_task(capture(settings, on_event, stop=stop)), asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({work, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if settings.dry_run or not self._begun.is_set():  # else it writes first what it is at
                work.cancel()
            return await work
        except asyncio.CancelledError:
            return None
        finally:
            stopped.cancel()
            with self._lock:
                self._loop = None  # it is about to close, and must not be called any more

    def _handle_event(self, event: str, data: dict[str, Any]) -> None:
        if "total" in data:
            self._counts = data
            self._state.update(done=data["earlier"] + data["finished"], total=data["total"])
        if event in _EVENT_TEXTS:
            self._lines.append(_EVENT_TEXTS[event].format(**data))
        elif event == "finished":
            if data["pairs"]:
                self._state["pair"] = data["pairs"][-1]
            self._lines.extend(f"rejected: {data['input']}: {reason}" for reason in data["reasons"])
        elif event == "job":
            self._lines.append(f"{data['input']}: {data['state']}")
        self._state["text"] = self._text(_progress(self._counts))
        self._on_change(self.state)

    def _text(self, first: str) -> str:
        return "\n".join([first, *self._lines])


def _to_widget_names(text: str) -> str:
    """A text of the command line, its options replaced by the names of the node's widgets."""
    return _OPTION.sub(lambda match: _WIDGETS[match.group()], text)


def _progress(counts: Mapping[str, Any]) -> str:
    if not counts:
        return "sweep: looking at the graph and the folder"
    done = counts["earlier"] + counts["finished"]
    eta = counts.get("eta_seconds")
    left = "" if eta is None else f", {_duration(eta)} left"
    unused = counts["quarantined"] + counts["unusable"]
    told = _counted(counts["stored"], counts["duplicates"], counts["rejected"], unused=unused, failed=counts["failed"])
    return f"sweep: {done} of {counts['total']}{left}" + (f"\n{told}" if told else "")


def _kept_nothing(progress: CaptureProgress) -> bool:
    """Whether pairs were made and none is in the dataset."""
    return bool(progress.rejected) and not (progress.stored or progress.duplicates or progress.earlier)


def _summary(progress: CaptureProgress, dry_run: bool) -> str:
    unused = progress.quarantined + progress.unusable
    if dry_run:
        told = f"; {progress.unusable} pictures could not be used" if progress.unusable else ""
        return f"sweep: {progress.left} of {progress.total} would run{told}"
    wrong = unused + progress.failed
    if progress.left:
        end = f"sweep: stopped with {progress.left} left; queue again to go on"
    elif wrong:
        end = f"sweep: done, but {wrong} of {progress.total + progress.unusable} gave no pair"
    elif _kept_nothing(progress):
        end = f"sweep: done, but all {progress.rejected} pairs were rejected"
    elif progress.total and progress.earlier == progress.total:
        end = f"sweep: done; all {progress.total} were captured earlier, and there is nothing new in the folder"
    else:
        end = "sweep: done"
    counts = (progress.stored, progress.duplicates, progress.rejected, progress.earlier)
    told = _counted(*counts, unused=unused, failed=progress.failed)
    return end + (f"\n{told}" if told else "")


def _counted(stored: int, duplicates: int, rejected: int, earlier: int = 0, *, unused: int = 0, failed: int = 0) -> str:
    """What is not zero, in words."""
    return counted(
        {
            f"{stored} pair{'' if stored == 1 else 's'} kept": stored,
            f"{duplicates} there already": duplicates,
            f"{rejected} rejected": rejected,
            f"{earlier} done earlier": earlier,
            f"{unused} could not be used": unused,
            f"{failed} failed": failed,
        }
    )


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min" if minutes else f"{rest} s"
