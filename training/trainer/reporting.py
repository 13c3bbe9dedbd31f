"""What a run reports: events for a callback, one JSON line a step, TensorBoard; and the flag files it looks for."""

from __future__ import annotations

import json
import logging
import math
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...ace.files import atomic_write
from .errors import TrainError

if TYPE_CHECKING:
    import numpy as np

_log = logging.getLogger(__name__)
Event = dict[str, Any]
OnEvent = Callable[[Event], None]

METRICS = "metrics.jsonl"


def silent_event(_event: Event) -> None:
    """For callers who want no events."""


def with_train_errors(on_event: OnEvent) -> OnEvent:
    """The same callback, whose OSError (a closed pipe) becomes a TrainError."""

    def call(event: Event) -> None:
        try:
            on_event(event)
        except OSError as error:
            raise TrainError(
                f"the program that started this run no longer takes its reports ({error.strerror or error})"
            ) from error

    return call


class Reporter:
    """Writes the metrics of a run and passes every event on. Of several processes only the main one reports.

    Args:
        folder: of the run.
        step: the step the run goes on from; metrics of later steps, which a killed run left behind, are dropped.
        on_event: gets every event; an exception it raises stops the run.
        active: whether this process reports.
        tensorboard: also write an event file for TensorBoard.

    Raises:
        TrainError: the metrics cannot be written.
    """

    def __init__(self, folder: Path, step: int, *, on_event: OnEvent, active: bool, tensorboard: bool) -> None:
        self.folder, self.on_event, self.active = folder, on_event, active
        self._file = self._board = None
        if not active:
            return
        try:
            _drop_later(folder / METRICS, step)
            self._file = open(folder / METRICS, "a", encoding="utf-8", newline="\n", buffering=1)  # noqa: SIM115
        except OSError as error:
            raise TrainError(f"{folder / METRICS} cannot be written ({error.strerror or error})") from error
        if tensorboard:
            self._board = self._open_board(step)

    def _open_board(self, step: int) -> Any:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            self.event("notice", text="no curves for TensorBoard: the package tensorboard is not installed", minor=True)
            return None
        return SummaryWriter(str(self.folder / "tensorboard"), purge_step=step + 1)

    def event(self, kind: str, **values: Any) -> None:
        """Passes on something that a caller may want to show."""
        if self.active:
            self.on_event({"event": kind, **values})

    def silence(self) -> None:
        """From now on the caller gets no events: a run that has failed has more to save than to say."""
        self.on_event = silent_event

    def metrics(self, kind: str, step: int, values: Mapping[str, Any]) -> None:
        """Numbers of a step: an event, a line of the metrics, and scalars for TensorBoard.

        Raises:
            TrainError: the disk is full.
        """
        if not self.active:
            return
        record = {"event": kind, "step": step, **values}
        try:
            self._file.write(json.dumps(_finite(record)) + "\n")
            if self._board is not None:
                for name, value in _scalars(kind, values):
                    self._board.add_scalar(name, value, step)
        except OSError as error:
            raise TrainError(f"the metrics in {self.folder} cannot be written ({error.strerror or error})") from error
        self.on_event(record)

    def image(self, name: str, step: int, pixels: np.ndarray) -> None:
        """A picture (H, W, 3) uint8 for TensorBoard.

        Raises:
            TrainError: the disk is full.
        """
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
        temporary.write_text("".join(json.dumps(record) + "\n" for record in kept), encoding="utf-8", newline="\n")


def _finite(value: Any) -> Any:
    """JSON has no NaN."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    return value


def _scalars(kind: str, values: Mapping[str, Any]):
    """(name, number) for TensorBoard. A single step's losses by timestep are too few to make a curve."""
    for name, value in values.items():
        if isinstance(value, Mapping) and kind != "step":
            yield from ((f"{kind}_{name}/{key}", number) for key, number in value.items())
        elif isinstance(value, (int, float)):
            yield f"{kind}/{name}", value


def pop_flag_file(path: Path) -> bool:
    """Whether somebody has left a file of this name as a request; it is deleted."""
    if not path.exists():
        return False
    try:
        os.unlink(path)
    except OSError:
        return False
    return True
