"""The loss of a training by step, thinned out to what a node can draw."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_POINTS = 200


class LossCurve:
    """Gathers losses; called with every event of a trainer, of which it takes the steps and validations.

    When there are more than ``_POINTS`` points, each two neighbours become one of twice as many steps. So a curve of any
    length keeps its shape, and takes no more room.
    """

    def __init__(self) -> None:
        self._steps_a_point = 1
        self._points: list[tuple[int, float, int]] = []  # last step, sum of losses, number of losses
        self._held_out: list[tuple[int, float]] = []

    def __call__(self, event: Mapping[str, Any]) -> None:
        step, loss = event.get("step"), event.get("loss")
        if not isinstance(step, int) or not isinstance(loss, float):
            return
        if event["event"] == "step":
            self._add(step, loss)
        elif event["event"] == "validation":
            self._held_out.append((step, loss))

    @property
    def latest(self) -> float:
        """The training loss as the curve ends; only once there is a step."""
        _, total, count = self._points[-1]
        return total / count

    def as_json(self) -> dict[str, list]:
        """Lists of [step, loss]: "training", each point the mean since the point before it, and "held_out"."""
        return {
            "training": [[step, total / count] for step, total, count in self._points],
            "held_out": [list(point) for point in self._held_out[-_POINTS:]],
        }

    def _add(self, step: int, loss: float) -> None:
        if self._points and self._points[-1][2] < self._steps_a_point:
            _, total, count = self._points.pop()
            self._points.append((step, total + loss, count + 1))
        else:
            self._points.append((step, loss, 1))
        if len(self._points) > _POINTS:
            self._steps_a_point *= 2
            pairs = [self._points[at : at + 2] for at in range(0, len(self._points), 2)]
            self._points = [
                (pair[-1][0], sum(point[1] for point in pair), sum(point[2] for point in pair)) for pair in pairs
            ]


def read_curve(metrics: Path) -> LossCurve:
    """The curve of a run so far, from its metrics; an empty one if there are none yet."""
    curve = LossCurve()
    try:
        lines = metrics.read_text(encoding="utf-8").splitlines()
    except OSError:
        return curve
    for line in lines:
        try:
            event = json.loads(line)
        except ValueError:
            continue  # being written
        if isinstance(event, dict) and "event" in event:
            curve(event)
    return curve
