"""The loss curve of a node: any length in the same room, with the same shape."""

from __future__ import annotations

import pytest
from comfyui_ace.nodes.training.curve import LossCurve, read_curve


def losses(count: int) -> list[dict]:
    return [{"event": "step", "step": step, "loss": 1.0 / step} for step in range(1, count + 1)]


def test_a_short_curve_is_kept_as_it_is():
    curve = LossCurve()
    for event in [*losses(3), {"event": "validation", "step": 3, "loss": 0.25}, {"event": "notice", "text": "hm"}]:
        curve(event)
    assert curve.as_json() == {"training": [[1, 1.0], [2, 0.5], [3, 1 / 3]], "held_out": [[3, 0.25]]}


@pytest.mark.parametrize("count", [200, 201, 777, 5000])
def test_a_long_curve_is_thinned_and_keeps_its_mean(count):
    curve = LossCurve()
    for event in losses(count):
        curve(event)
    points = curve.as_json()["training"]
    assert 100 <= len(points) <= 200 and points[-1] == [count, curve.latest]
    steps = [0, *(step for step, _ in points)]
    total = sum(loss * (last - first) for first, last, (_, loss) in zip(steps, steps[1:], points, strict=False))
    assert total == pytest.approx(sum(event["loss"] for event in losses(count)))


def test_a_curve_is_read_while_it_is_written(tmp_path):
    file = tmp_path / "metrics.jsonl"
    assert read_curve(file).as_json() == {"training": [], "held_out": []}
    file.write_text('{"event": "step", "step": 1, "loss": 0.5}\n[]\n{"event": "step", "loss": null, "step": 2}\n{"ev')
    assert read_curve(file).as_json()["training"] == [[1, 0.5]]
