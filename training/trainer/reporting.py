"""What a run tells the world: events for a caller, one JSON line a step, TensorBoard, a plot at the end."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ...ace.files import whole_file
from .errors import TrainError

Event = dict[str, Any]
OnEvent = Callable[[Event], None]

METRICS = "metrics.jsonl"


def silent_event(_event: Event) -> None:
    """For callers who do not want to hear."""


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
        _drop_later(folder / METRICS, step)
        self._file = open(folder / METRICS, "a", encoding="utf-8", buffering=1)  # noqa: SIM115
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
        except OSError as error:
            raise TrainError(f"{self.folder / METRICS} cannot be written ({error.strerror or error})") from error
        if self._board is not None:
            for name, value in _curves(kind, values):
                self._board.add_scalar(name, value, step)
        self.on_event(record)

    def picture(self, name: str, step: int, pixels: Any) -> None:
        """A picture (H, W, 3) uint8 for TensorBoard."""
        if self._board is not None:
            self._board.add_image(name, pixels, step, dataformats="HWC")

    def close(self) -> None:
        for sink in (self._file, self._board):
            if sink is not None:
                sink.close()


def read_metrics(path: Path) -> list[Event]:
    """All whole lines of a metrics file."""
    records = []
    if path.is_file():
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                records.append(json.loads(line))
            except ValueError:
                continue  # torn by a crash
    return records


def _drop_later(path: Path, step: int) -> None:
    """Keeps the lines up to a step."""
    records = read_metrics(path)
    kept = [record for record in records if record["step"] <= step]
    if not path.exists() or (len(kept) == len(records) and path.read_bytes()[-1:] in (b"", b"\n")):
        return
    with whole_file(path) as temporary:
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
