"""Runs a capture over a folder in a thread beside ComfyUI's queue, which it fills prompt by prompt."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ...training.capture.errors import AmbiguousRoleError, CaptureError
from ...training.capture.report import CaptureProgress
from ...training.capture.sweep import CaptureSettings, capture
from ...training.errors import DatasetError

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
_STOPPED_BY_HAND = "the prompt was stopped on the server"
_EVENT_TEXTS = {
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
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._lock = threading.Lock()
        self._on_change: Callable[[State], None] = lambda state: None
        self._state: State = {"running": False, "stopping": False, "text": "", "node": ""}
        self._counts: dict[str, Any] = {}
        self._lines: deque[str] = deque(maxlen=_LINES_SHOWN)

    @property
    def state(self) -> State:
        """A copy of the state, as it is sent to pages.

        Keys: "running"; "stopping", whether it was asked to end; "text", the lines on the node; "node", id of the node
        that started it.
        """
        return dict(self._state)

    def start(
        self, prompt: Mapping[str, Any], settings: CaptureSettings, node: str, on_change: Callable[[State], None]
    ) -> None:
        """Starts a sweep in a thread of its own.

        Args:
            prompt: the graph to run, in API format.
            settings: of the capture; its ``workflow`` is not read.
            node: id of the node that starts it.
            on_change: called with each new state, from any thread.

        Raises:
            RuntimeError: a sweep is running already.
        """
        with self._lock:
            if self._state["running"]:
                raise RuntimeError("a sweep is running already. Let it end, or stop it first.")
            self._on_change, self._counts = on_change, {}
            self._lines.clear()
            self._loop = self._stop = None
            self._state.update(running=True, stopping=False, node=node, text=_progress({}))
        on_change(self.state)
        threading.Thread(target=self._run, args=(dict(prompt), settings), name="ace-sweep", daemon=True).start()

    def stop(self) -> bool:
        """Ends the sweep once what is being written is written; False if none is running."""
        with self._lock:
            if self._loop is None:
                return False
            self._loop.call_soon_threadsafe(self._stop.set)
            self._state["stopping"] = True
        self._on_change(self.state)
        return True

    def _run(self, prompt: dict[str, Any], settings: CaptureSettings) -> None:
        text = self._run_to_end(prompt, settings)
        with self._lock:
            self._state.update(running=False, stopping=False, text=text)
        self._on_change(self.state)

    def _run_to_end(self, prompt: dict[str, Any], settings: CaptureSettings) -> str:
        """Runs the capture and returns the closing text."""
        try:
            # The graph may hold keys, so its folder is for this user alone, and the file goes as soon as it was read.
            with tempfile.TemporaryDirectory(prefix="ace-sweep-") as folder:
                path = Path(folder, "workflow.json")
                path.write_text(json.dumps(prompt), encoding="utf-8")
                progress = asyncio.run(self._capture(replace(settings, workflow=path)))
        except AmbiguousRoleError as error:
            choices = "\n".join(f"- {choice}" for choice in error.choices)
            advice = f"Write the number of the node into “{_to_widget_names(error.flag)}”, and queue again."
            return f"sweep: {_to_widget_names(error.question)}\n{choices}\n{advice}"
        except (CaptureError, DatasetError) as error:
            logging.error("ACE Edit: sweep: %s", error)
            return f"sweep: {_to_widget_names(str(error))}"
        except Exception as error:
            logging.exception("ACE Edit: sweep")
            return f"sweep: {error!r}. The log has more."
        return self._text(_summary(progress, settings.dry_run))

    async def _capture(self, settings: CaptureSettings) -> CaptureProgress:
        stop = asyncio.Event()
        with self._lock:
            self._stop, self._loop = stop, asyncio.get_running_loop()

        def on_event(event: str, data: dict[str, Any]) -> None:
            self._handle_event(event, data)
            if event == "start":
                settings.workflow.unlink(missing_ok=True)
            if event == "retry" and data["reason"] == _STOPPED_BY_HAND:
                stop.set()

        try:
            return await capture(settings, on_event, stop=stop)
        finally:
            with self._lock:
                self._loop = None  # it is about to close, and must not be called any more

    def _handle_event(self, event: str, data: dict[str, Any]) -> None:
        if "total" in data:
            self._counts = data
        if event in _EVENT_TEXTS:
            self._lines.append(_EVENT_TEXTS[event].format(**data))
        elif event == "finished":
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
    return (
        f"sweep: {done} of {counts['total']}{left}\n"
        f"{counts['stored']} pairs, {counts['duplicates']} there already, {counts['rejected']} rejected, "
        f"{counts['quarantined'] + counts['unusable']} set aside"
    )


def _summary(progress: CaptureProgress, dry_run: bool) -> str:
    if dry_run:
        return f"sweep: {progress.left} of {progress.total} would run; {progress.unusable} inputs would be set aside"
    end = "sweep: done" if not progress.left else f"sweep: stopped with {progress.left} left; queue again to go on"
    return (
        f"{end}\n{progress.stored} pairs, {progress.duplicates} there already, {progress.rejected} rejected, "
        f"{progress.earlier} done earlier, {progress.quarantined + progress.unusable} set aside, {progress.failed} failed"
    )


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min" if minutes else f"{rest} s"
