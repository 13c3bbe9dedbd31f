"""Training beside ComfyUI: a process of its own, whose events become progress on the node."""

from __future__ import annotations

import json
import logging
import os
import queue
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import comfy.model_management
import folder_paths

PACK = Path(__file__).resolve().parents[2]
_POLL_SECONDS = 0.25
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


def run_command(arguments: Sequence[str], folder: Path, on_event: Callable[[Event], None]) -> Event:
    """Runs ``comfyui-ace ARGUMENTS`` until it has said "distilled".

    An interrupt of ComfyUI asks the process to save and stop, and waits for it; a second one ends it at once.

    Args:
        arguments: of the command line.
        folder: of the run, where the request to stop is left.
        on_event: called with every event.

    Returns:
        The last event, also of a run that was interrupted and has saved.

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
        return last
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
