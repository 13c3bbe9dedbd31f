"""Training beside ComfyUI: a process of its own, whose events become progress on the node."""

from __future__ import annotations

import json
import logging
import os
import queue
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import comfy.model_management
import comfy.utils
import folder_paths

from ..host.messages import show_on_node

PACK = Path(__file__).resolve().parents[2]
_POLL_SECONDS = 0.25
_TEXT_SECONDS = 0.5
_SHEET_SIDE = 1024  # pixels of a preview
_ERROR_LINES = 200
_ERROR_PREFIX = "comfyui-ace: "

Event = dict[str, Any]


class TrainingProcessError(RuntimeError):
    """The process ended without a result; the text is its own explanation."""


def free_host_memory() -> None:
    """Unloads ComfyUI's models, so that the training has their memory."""
    comfy.model_management.unload_all_models()
    comfy.model_management.soft_empty_cache()


def host_device() -> str:
    """The trainer's word for what the host runs on: "cpu" or "auto"."""
    return "cpu" if comfy.model_management.cpu_state == comfy.model_management.CPUState.CPU else "auto"


def run_command(arguments: Sequence[str], folder: Path, on_event: Callable[[Event], None]) -> tuple[Event, bool]:
    """Runs ``comfyui-ace ARGUMENTS`` until it has said "distilled".

    An interrupt of ComfyUI asks the process to save and stop, and waits for it; a second one ends it at once.

    Args:
        arguments: of the command line.
        folder: of the run, where the request to stop is left.
        on_event: called with every event.

    Returns:
        The last event, and whether the run was interrupted.

    Raises:
        TrainingProcessError: it failed; the message is the process's.
        InterruptProcessingException: it was interrupted before there was anything to save.
    """
    from ...training.trainer.engine.loop import STOP_NOW

    folder.mkdir(parents=True, exist_ok=True)
    (folder / STOP_NOW).unlink(missing_ok=True)
    interrupt = comfy.model_management.InterruptProcessingException
    process = _start(arguments)
    errors: deque[str] = deque(maxlen=_ERROR_LINES)
    last: Event | None = None
    interrupted: Exception | None = None
    try:
        for event in _events(process, errors):
            try:
                comfy.model_management.throw_exception_if_processing_interrupted()
                if event is not None:
                    last = event if event["event"] == "distilled" else last
                    on_event(event)
            except interrupt as error:
                if interrupted is not None:
                    raise
                interrupted = error
                logging.info("ACE Edit: the training is asked to save and stop")
                (folder / STOP_NOW).touch()
    finally:
        _end(process)
    if last is not None:
        return last, interrupted is not None
    if interrupted is not None:
        raise interrupted
    raise TrainingProcessError(
        f"{_explanation(errors, process.returncode)}\nThe run is kept in {folder}; another name on the node starts anew"
    )


def _start(arguments: Sequence[str]) -> subprocess.Popen:
    environment = {**os.environ, "PYTHONIOENCODING": "utf-8", "PYTHONUNBUFFERED": "1"}
    return subprocess.Popen(
        [sys.executable, str(PACK), *arguments],
        cwd=folder_paths.base_path,  # what relative paths in a configuration count from
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        errors="replace",
    )


def _events(process: subprocess.Popen, errors: deque[str]) -> Iterator[Event | None]:
    """The process's events as they come, and None whenever nothing came for a moment."""
    lines: queue.Queue[str | None] = queue.Queue()

    def read() -> None:
        for line in process.stdout:
            lines.put(line)
        lines.put(None)

    readers = [
        threading.Thread(target=read, name="ace-training", daemon=True),
        threading.Thread(target=lambda: errors.extend(process.stderr), name="ace-training-errors", daemon=True),
    ]
    for reader in readers:
        reader.start()
    while True:
        try:
            line = lines.get(timeout=_POLL_SECONDS)
        except queue.Empty:
            yield None
            continue
        if line is None:
            break
        try:
            event = json.loads(line)
        except ValueError:
            continue  # a library that prints
        if isinstance(event, dict) and "event" in event:
            yield event
    process.wait()
    for reader in readers:
        reader.join()


def _end(process: subprocess.Popen) -> None:
    """Ends the process if it still runs."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _explanation(errors: Sequence[str], code: int) -> str:
    """What the command said last, or the end of what it printed."""
    text = "".join(errors)
    _, found, message = text.rpartition(_ERROR_PREFIX)
    return message.strip() if found else f"the training ended with code {code}:\n{text[-2000:].strip()}"


class NodeDisplay:
    """Shows a run on a node: progress bar, a line of text, and sample sheets. Called with every event.

    Args:
        node_id: the node to write on; None shows nothing.

    Attributes:
        sheet: the latest sample sheet, or None.
    """

    def __init__(self, node_id: str | None) -> None:
        self.node_id = node_id
        self.sheet: Path | None = None
        self._bar = comfy.utils.ProgressBar(1)
        self._steps = 1
        self._held_out: float | None = None
        self._last_written = 0.0
        self._notices: list[str] = []

    def __call__(self, event: Event) -> None:
        getattr(self, f"_on_{event['event']}", self._on_other)(event)

    def write(self, text: str) -> None:
        """Writes a text on the node, below the trainer's notices."""
        if self.node_id is not None:
            show_on_node("\n".join([*self._notices, text]), self.node_id)

    def _on_progress(self, event: Event) -> None:
        self._bar.update_absolute(event["done"], max(1, event["total"]))
        self._write_throttled(f"{event['what']}: {event['done']} of {event['total']}")

    def _on_start(self, event: Event) -> None:
        self._steps = event["steps"]
        self.write(f"{event['pairs']} pairs, {event['held_out']} held out, on {event['device']}")

    def _on_step(self, event: Event) -> None:
        self._bar.update_absolute(event["step"], self._steps)
        parts = [f"step {event['step']} of {self._steps}", f"loss {event['loss']:.4f}"]
        if self._held_out is not None:
            parts.append(f"held out {self._held_out:.4f}")
        parts.append(f"{event['seconds_left'] / 60:.1f} min left")
        self._write_throttled(" · ".join(parts))

    def _on_validation(self, event: Event) -> None:
        self._held_out = event["loss"]

    def _on_samples(self, event: Event) -> None:
        from PIL import Image

        self.sheet = Path(event["path"])
        with Image.open(self.sheet) as sheet:
            self._bar.update_absolute(event["step"], self._steps, ("JPEG", sheet.convert("RGB"), _SHEET_SIDE))

    def _on_notice(self, event: Event) -> None:
        logging.info("ACE Edit: %s", event["text"])
        self._notices.append(event["text"])

    def _on_other(self, event: Event) -> None:
        """Everything else is in the run's folder."""

    def _write_throttled(self, text: str) -> None:
        now = time.monotonic()
        if now - self._last_written >= _TEXT_SECONDS:
            self._last_written = now
            self.write(text)
