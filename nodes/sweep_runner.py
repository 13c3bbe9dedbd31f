"""A capture over a folder that runs beside ComfyUI's queue and fills it, prompt by prompt."""

from __future__ import annotations

import asyncio
import json
import logging
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..training.capture.errors import CaptureError, Undecided
from ..training.capture.report import Tally
from ..training.capture.sweep import Settings, capture
from ..training.errors import DatasetError

_LINES_SHOWN = 5
_STOPPED_BY_HAND = "the prompt was stopped on the server"
_TOLD = {
    "note": "{message}",
    "unusable": "set aside: {input}: {reason}",
    "quarantined": "set aside: {input}: {reason}",
    "failed": "failed for now: {input}: {reason}",
    "retry": "again: {input}: {reason}",
}


class SweepRunner:
    """One sweep at a time; its prompts wait in the queue like all others.

    A prompt that the artist cancels ends the sweep. The same settings go on where it was.
    """

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._lock = threading.Lock()
        self._listener: Callable[[str], None] = lambda text: None
        self.text = ""  # what was told last
        self._counts: dict[str, Any] = {}
        self._lines: deque[str] = deque(maxlen=_LINES_SHOWN)

    @property
    def running(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def start(self, prompt: Mapping[str, Any], settings: Settings, tell: Callable[[str], None]) -> None:
        """Begin. prompt: the graph to run, in API format; settings: its `workflow` is not read.

        Raises:
            RuntimeError: a sweep is running already.
        """
        with self._lock:
            if self.running:
                raise RuntimeError("a sweep is running already. Let it end, or stop it first.")
            self._listener, self._counts = tell, {}
            self._lines.clear()
            self._loop = self._stop = None
            self._thread = threading.Thread(
                target=self._run, args=(dict(prompt), settings), name="ace-sweep", daemon=True
            )
            self._thread.start()

    def stop(self) -> bool:
        """End the sweep after what is being written; False if none is running."""
        with self._lock:
            if not self.running or self._loop is None:
                return False
            self._loop.call_soon_threadsafe(self._stop.set)
            return True

    def _run(self, prompt: dict[str, Any], settings: Settings) -> None:
        try:
            # The graph may hold keys, so its folder is for this user alone, and the file goes as soon as it was read.
            with tempfile.TemporaryDirectory(prefix="ace-sweep-") as folder:
                path = Path(folder, "workflow.json")
                path.write_text(json.dumps(prompt), encoding="utf-8")
                tally = asyncio.run(self._capture(replace(settings, workflow=path)))
        except Undecided as error:
            choices = "\n".join(f"- {choice}" for choice in error.choices)
            self._tell(f"sweep: {error.question}\n{choices}\nSay so with Capture Source and Capture Result.")
        except (CaptureError, DatasetError) as error:
            self._tell(f"sweep: {error}")
            logging.error("ACE Edit: sweep: %s", error)
        except Exception as error:
            self._tell(f"sweep: {error!r}. The log has more.")
            logging.exception("ACE Edit: sweep")
        else:
            self._tell(self._text(_last_words(tally, settings.dry_run)))

    async def _capture(self, settings: Settings) -> Tally:
        stop = asyncio.Event()
        with self._lock:
            self._stop, self._loop = stop, asyncio.get_running_loop()

        def hear(event: str, data: dict[str, Any]) -> None:
            self._hear(event, data)
            if event == "start":
                settings.workflow.unlink(missing_ok=True)
            if event == "retry" and data["reason"] == _STOPPED_BY_HAND:
                stop.set()

        try:
            return await capture(settings, hear, stop=stop)
        finally:
            with self._lock:
                self._loop = None  # it is about to close, and must not be called any more

    def _hear(self, event: str, data: dict[str, Any]) -> None:
        if "total" in data:
            self._counts = data
        if event in _TOLD:
            self._lines.append(_TOLD[event].format(**data))
        elif event == "finished":
            self._lines.extend(f"rejected: {data['input']}: {reason}" for reason in data["reasons"])
        elif event == "job":
            self._lines.append(f"{data['input']}: {data['state']}")
        self._tell(self._text(_progress(self._counts)))

    def _tell(self, text: str) -> None:
        self.text = text
        self._listener(text)

    def _text(self, first: str) -> str:
        return "\n".join([first, *self._lines])


def _progress(counts: Mapping[str, Any]) -> str:
    if not counts:
        return "sweep: looking at the graph and the folder"
    done = counts["earlier"] + counts["finished"]
    eta = counts.get("eta_seconds")
    left = "" if eta is None else f", {_duration(eta)} left"
    return (
        f"sweep: {done} of {counts['total']}{left}\n"
        f"{counts['stored']} pairs, {counts['duplicates']} there already, {counts['rejected']} rejected, "
        f"{counts['quarantined'] + counts['unusable']} set aside"
    )


def _last_words(tally: Tally, dry_run: bool) -> str:
    if dry_run:
        return f"sweep: {tally.left} of {tally.total} would run; {tally.unusable} inputs would be set aside"
    end = "sweep: done" if not tally.left else f"sweep: stopped with {tally.left} left; queue again to go on"
    return (
        f"{end}\n{tally.stored} pairs, {tally.duplicates} there already, {tally.rejected} rejected, "
        f"{tally.earlier} done earlier, {tally.quarantined + tally.unusable} set aside, {tally.failed} failed"
    )


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min" if minutes else f"{rest} s"
