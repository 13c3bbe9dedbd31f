"""How each of several datasets was learnt in a run, from its measurements: a mean hides the one that was not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class DatasetProgress:
    """Held-out loss of one dataset.

    Attributes:
        name: of the dataset.
        first_step, first: of the first measurement.
        step, loss: of the last.
    """

    name: str
    first_step: int
    first: float
    step: int
    loss: float

    @property
    def fall(self) -> float | None:
        """By what share of the first loss it fell; None with a single measurement."""
        return 1 - self.loss / self.first if self.step > self.first_step and self.first > 0 else None

    def as_dict(self) -> dict[str, Any]:
        """For an event."""
        return {"first_step": self.first_step, "first": self.first, "step": self.step, "loss": self.loss}


def dataset_progress(records: Sequence[dict[str, Any]], until: int | None = None) -> list[DatasetProgress]:
    """Of a run's metrics, a dataset each; empty for a run on one dataset.

    Args:
        records: in the order of writing.
        until: a step whose weights are handed back; what was measured after it does not count. None counts all.
    """
    measured = [
        record
        for record in records
        if record["event"] == "validation" and record.get("by_dataset") and (until is None or record["step"] <= until)
    ]
    if not measured:
        return []
    last = measured[-1]
    found = []
    for name, loss in last["by_dataset"].items():
        first = next(record for record in measured if name in record["by_dataset"])
        values = first["by_dataset"][name], loss
        if None not in values:  # as numbers that are not finite are stored
            found.append(DatasetProgress(name, first["step"], values[0], last["step"], loss))
    return found


def last_validation(records: Sequence[dict[str, Any]]) -> int | None:
    """Step of the last measurement in a run's metrics."""
    steps = [record["step"] for record in records if record["event"] == "validation"]
    return steps[-1] if steps else None


def describe_datasets(progress: Sequence[DatasetProgress]) -> list[str]:
    """A table in plain words, a line a dataset; empty without any.

    Losses of different edits do not compare, since one is harder to predict than another; how far each fell does.
    """
    if not progress:
        return []
    width = max(len(one.name) for one in progress)
    return [
        "Held-out loss of each dataset, the least learnt first:",
        *(
            f"  {one.name:<{width}}  {one.loss:.4f}{_fall(one)}"
            for one in sorted(progress, key=lambda one: one.fall or 0.0)
        ),
    ]


def _fall(one: DatasetProgress) -> str:
    if one.fall is None:
        return ", measured once"
    less = "less" if one.fall >= 0 else "more"
    return f", {abs(one.fall):.0%} {less} than at step {one.first_step}".replace("%", " %")
