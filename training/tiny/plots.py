"""Curves of a training log."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from ...ace.files import atomic_write


def plot_curves(log: Path, picture: Path, keys: Sequence[str]) -> None:
    """One panel a key over the steps, from a JSONL log whose rows need not have every key."""
    from matplotlib.figure import Figure

    rows = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    figure = Figure(figsize=(4 * len(keys), 3), layout="constrained")
    for axes, key in zip(figure.subplots(1, len(keys), squeeze=False)[0], keys, strict=True):
        points = [(row["step"], row[key]) for row in rows if key in row]
        axes.plot(*zip(*points, strict=True), linewidth=1) if points else axes.set_axis_off()
        axes.set_title(key.replace("_", " "))
        axes.set_xlabel("step")
        axes.grid(alpha=0.3)
    with atomic_write(picture) as temporary:
        figure.savefig(temporary, format="png", dpi=100)
