"""Events of a capture, as JSON lines for programs or as a progress bar and lines for people."""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TextIO

OnEvent = Callable[[str, dict[str, Any]], None]

_LINES = {
    "note": "{message}",
    "unusable": "set aside: {input}: {reason}",
    "quarantined": "set aside: {input}: {reason}",
    "failed": "failed for now: {input}: {reason}",
    "retry": "again: {input}: {reason}",
    "server": "{server} {state} {reason}",
}
_STATES = {"done": "done already", "quarantined": "set aside earlier"}
_JOBS_SHOWN = 10
_NOTES_SHOWN = 3  # of the same note


@dataclass
class CaptureProgress:
    """How far a capture is.

    Attributes:
        total: all jobs of the command.
        earlier: jobs that an earlier run had finished.
        finished: jobs that this run has finished, however they ended.
        stored, duplicates, rejected: pairs that came of them.
        quarantined: jobs that are set aside for good.
        failed: jobs that failed for now; the next run tries again.
        unusable: inputs of which no job could be made.
        started: when, on the monotonic clock, in seconds.
    """

    total: int = 0
    earlier: int = 0
    finished: int = 0
    stored: int = 0
    duplicates: int = 0
    rejected: int = 0
    quarantined: int = 0
    failed: int = 0
    unusable: int = 0
    started: float = field(default_factory=time.monotonic)

    @property
    def left(self) -> int:
        """Jobs that are still to be done."""
        return self.total - self.earlier - self.finished

    @property
    def eta(self) -> float | None:
        """Seconds until the end at the pace so far; None before the first job has ended."""
        if not self.finished:
            return None
        return (time.monotonic() - self.started) / self.finished * self.left

    @property
    def complete(self) -> bool:
        """Whether every input was captured (or rejected by a check, which is a result too)."""
        return not (self.left or self.quarantined or self.failed or self.unusable)

    def counts(self) -> dict[str, int]:
        """The numbers by name, for events."""
        names = (
            "total",
            "earlier",
            "finished",
            "stored",
            "duplicates",
            "rejected",
            "quarantined",
            "failed",
            "unusable",
        )
        return {name: getattr(self, name) for name in names}


class JsonReport:
    """One JSON object a line and an event, in ASCII, which every pipe takes."""

    def __init__(self, stream: TextIO | None = None):
        self._stream = stream or sys.stdout

    def __call__(self, event: str, data: dict[str, Any]) -> None:
        self._stream.write(json.dumps({"event": event, **data}) + "\n")
        self._stream.flush()

    def close(self) -> None:
        """Nothing to do."""


class ProgressBarReport:
    """At the start what is done with what; then a bar with the time left, and what needs attention on lines of its own.

    In a dry run the first jobs. Everything goes to the error stream.
    """

    def __init__(self, stream: TextIO | None = None):
        self._stream = stream or sys.stderr
        self._bar: Any = None
        self._jobs = 0  # of a dry run, so far
        self._notes: Counter[str] = Counter()

    def __call__(self, event: str, data: dict[str, Any]) -> None:
        if event == "start":
            for line in _start_lines(data):
                self._line(line)
            if not data.get("dry_run"):
                from tqdm import tqdm

                self._bar = tqdm(total=data["total"], unit="job", file=self._stream, disable=not self._stream.isatty())
        elif event == "job":
            self._jobs += 1
            if self._jobs <= _JOBS_SHOWN:
                seed = "" if data["seed"] is None else f" (seed {data['seed']})"
                self._line(f"{_STATES.get(data['state'], data['state'])}: {', '.join(data['files'])}{seed}")
        elif event == "skipped" and self._bar is not None:
            self._bar.total -= 1
            self._bar.refresh()
        elif event in ("finished", "quarantined", "failed") and self._bar is not None:
            self._bar.update()
            self._bar.set_postfix(pairs=data["stored"], rejected=data["rejected"], refresh=False)
        if event in _LINES:
            self._line(_LINES[event].format(**data))
        elif event == "finished":
            for reason in data["reasons"]:
                self._line(f"rejected: {data['input']}: {reason}")
            for note in data.get("notes", ()):
                self._say_once(f"note: {data['input']}: {note}", note)

    def _say_once(self, text: str, note: str) -> None:
        """Says a note for the first few inputs that it is about; ``close`` says how many there were."""
        self._notes[note] += 1
        if self._notes[note] <= _NOTES_SHOWN:
            self._line(text)

    def _line(self, text: str) -> None:
        if self._bar is not None:
            self._bar.write(text, file=self._stream)
        else:
            self._stream.write(text + "\n")

    def close(self) -> None:
        """Ends the bar."""
        for note, count in self._notes.items():
            if count > _NOTES_SHOWN:
                self._line(f"note: {count} inputs in all: {note}")
        if self._jobs > _JOBS_SHOWN:
            self._line(f"… and {self._jobs - _JOBS_SHOWN} more (--json lists all)")
        if self._bar is not None:
            self._bar.close()


def _start_lines(data: Mapping[str, Any]) -> Iterator[str]:
    """What a capture is about to do, for people to see whether it is what they mean."""
    yield f"dataset: {data['dataset']}"
    for role, what in data["cast"].items():
        yield f"{role}: {what}"
    yield f"instruction: {data['instruction']}"
    if data["tags"]:
        yield f"tags: {', '.join(data['tags'])}"
    if data["checks"]:
        yield f"checks: {', '.join(f'{name}={value}' for name, value in data['checks'].items())}"
