"""What a run tells the world: events for a caller, one JSON line a step, TensorBoard, a plot at the end."""

from __future__ import annotations

import json
import logging
import math
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ...ace.files import atomic_write
from .errors import TrainError

_log = logging.getLogger(__name__)
Event = dict[str, Any]
OnEvent = Callable[[Event], None]

METRICS = "metrics.jsonl"


def silent_event(_event: Event) -> None:
    """For callers who do not want to hear."""


def listening(on_event: OnEvent) -> OnEvent:
    """Passes events on; if the caller cannot be reached any more (a closed pipe), that is a TrainError."""

    def tell(event: Event) -> None:
        try:
            on_event(event)
        except OSError as error:
            raise TrainError(f"nobody listens to this run any more ({error.strerror or error})") from error

    return tell


class Reporter:
    """Writes the metrics of a run and passes every event on. Of several processes only the first one reports.

    Args:
        folder: of the run.
        step: the step the run goes on from; metrics of later steps, which a killed run left behind, are dropped.
        on_event: hears everything; an exception it raises stops the run.
    """

    def __init__(self, folder: Path, step: int, *, on_event: OnEvent, active: bool, tensorboard: bool) -> None:
        self.folder, self.on_event, self.active = folder, on_event, active
        self._file = self._board = None
        if not active:
            return
        try:
            _drop_later(folder / METRICS, step)
            self._file = open(folder / METRICS, "a", encoding="utf-8", buffering=1)  # noqa: SIM115
        except OSError as error:
            raise TrainError(f"{folder / METRICS} cannot be written ({error.strerror or error})") from error
        if tensorboard:
            self._board = self._open_board(step)

    def _open_board(self, step: int) -> Any:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            self.event("notice", text="no curves for TensorBoard: the package tensorboard is not installed")
            return None
        return SummaryWriter(str(self.folder / "tensorboard"), purge_step=step + 1)

    def event(self, kind: str, **values: Any) -> None:
        """Something a caller may want to show."""
        if self.active:
            self.on_event({"event": kind, **values})

    def silence(self) -> None:
        """From now on the caller hears nothing: a run that has failed has more to save than to say."""
        self.on_event = silent_event

    def metrics(self, kind: str, step: int, values: Mapping[str, Any]) -> None:
        """Numbers of a step: an event, a line, and curves.

        Raises:
            TrainError: the disk is full.
        """
        if not self.active:
            return
        record = {"event": kind, "step": step, **values}
        try:
            self._file.write(json.dumps(_finite(record)) + "\n")
            if self._board is not None:
                for name, value in _curves(kind, values):
                    self._board.add_scalar(name, value, step)
        except OSError as error:
            raise TrainError(f"the metrics in {self.folder} cannot be written ({error.strerror or error})") from error
        self.on_event(record)

    def picture(self, name: str, step: int, pixels: Any) -> None:
        """A picture (H, W, 3) uint8 for TensorBoard."""
        if self._board is not None:
            try:
                self._board.add_image(name, pixels, step, dataformats="HWC")
            except OSError as error:
                raise TrainError(
                    f"the curves in {self.folder} cannot be written ({error.strerror or error})"
                ) from error

    def close(self) -> None:
        """Never raises: every line was written when it was said, and the run's own error must not be hidden."""
        for sink in (self._file, self._board):
            if sink is not None:
                try:
                    sink.close()
                except OSError as error:
                    _log.warning("the metrics in %s cannot be closed: %s", self.folder, error)


def read_metrics(path: Path) -> list[Event]:
    """The lines of a metrics file that are an event of a step."""
    records = []
    if path.is_file():
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                record = json.loads(line)
            except ValueError:
                continue  # torn by a crash
            if isinstance(record, dict) and "event" in record and isinstance(record.get("step"), int):
                records.append(record)
    return records


def _drop_later(path: Path, step: int) -> None:
    """Keeps the lines up to a step."""
    if not path.exists():
        return
    text = path.read_text(encoding="utf-8", errors="replace")
    kept = [record for record in read_metrics(path) if record["step"] <= step]
    if len(kept) == len(text.splitlines()) and text[-1:] in ("", "\n"):
        return
    with atomic_write(path) as temporary:
        temporary.write_text("".join(json.dumps(record) + "\n" for record in kept), encoding="utf-8")


def _finite(value: Any) -> Any:
    """JSON has no NaN."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    return value


def _curves(kind: str, values: Mapping[str, Any]):
    """(name, number) for TensorBoard. A single step's losses by timestep are too few to make curves."""
    for name, value in values.items():
        if isinstance(value, Mapping) and kind != "step":
            yield from ((f"{kind}_{name}/{key}", number) for key, number in value.items())
        elif isinstance(value, (int, float)):
            yield f"{kind}/{name}", value


def touched(path: Path) -> bool:
    """Whether somebody has left a file with a request; it is taken away."""
    if not path.exists():
        return False
    try:
        os.unlink(path)
    except OSError:
        return False
    return True
