"""A picture of a run's losses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from ....ace.files import atomic_write
from ..reporting import METRICS, Event, read_metrics

_WINDOW_SHARE = 0.02


def plot_losses(folder: Path) -> Path | None:
    """Writes loss.png from a run's metrics.

    Returns:
        its path; None where there are no steps yet.

    Raises:
        ImportError: matplotlib is not installed.
        OSError: the file cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    records = read_metrics(folder / METRICS)
    steps = [record for record in records if record["event"] == "step"]
    held_out = [record for record in records if record["event"] == "validation"]
    if not steps:
        return None
    figure = Figure(figsize=(11, 4.5))
    figure.subplots_adjust(left=0.09, right=0.98, bottom=0.12, top=0.92, wspace=0.2)
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    x, losses = [record["step"] for record in steps], [record["loss"] for record in steps]
    left.plot(x, losses, color="0.85", linewidth=0.8, label="training, each step")
    left.plot(x, smooth(losses), color="tab:blue", label="training, smoothed")
    if held_out:
        numbers = [record["step"] for record in held_out], [record["loss"] for record in held_out]
        left.plot(*numbers, color="tab:orange", marker="o", markersize=3, label="held out")
        _plot_ranges(right, held_out, "Held-out loss by timestep")
    else:
        _plot_ranges(right, steps, "Training loss by timestep, smoothed", smooth)
    left.set(xlabel="step", ylabel="mean squared error of the noise", yscale="log", title="Loss")
    left.legend()
    path = folder / "loss.png"
    with atomic_write(path) as temporary:
        figure.savefig(temporary, format="png", dpi=100)
    return path


def smooth(values: Sequence[float]) -> list[float]:
    """Running mean over the latest two percent of all values (at least five)."""
    window = max(5, int(len(values) * _WINDOW_SHARE))
    total, result = 0.0, []
    for index, value in enumerate(values):
        total += value - (values[index - window] if index >= window else 0.0)
        result.append(total / min(index + 1, window))
    return result


def _plot_ranges(
    axes, records: Sequence[Event], title: str, change: Callable[[Sequence[float]], Sequence[float]] | None = None
) -> None:
    """A line for each range of timesteps; ``change`` is applied to its values, which then get no dots."""
    names = {name for record in records for name in record["by_timestep"]}
    for name in sorted(names, key=lambda name: int(name.split("-")[0])):
        points = [(r["step"], r["by_timestep"][name]) for r in records if name in r["by_timestep"]]
        x, y = zip(*points, strict=True)
        axes.plot(x, change(y) if change else y, marker="" if change else ".", label=name)
    axes.set(xlabel="step", yscale="log", title=title)
    axes.legend(fontsize="small")
