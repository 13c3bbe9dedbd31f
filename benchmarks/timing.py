"""Interleaved timing of alternatives, so that a busy or throttled machine changes all of them alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Estimate:
    """Median of measurements, with the lowest and the highest; shown without these where there is one only."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Estimate:
        """The estimate that some measurements give."""
        return cls(statistics.median(values), min(values), max(values))

    def __format__(self, spec: str) -> str:
        if self.low == self.high:
            return f"{self.median:{spec}}"
        return f"{self.median:{spec}} ({self.low:{spec}} – {self.high:{spec}})"


def synchronize(device: torch.device) -> None:
    """Waits until the device has done all it was given."""
    if device.type != "cpu":
        torch.accelerator.synchronize()


def clock(device: torch.device) -> Callable[[], float]:
    """Seconds of the wall clock; of the process's CPU time where one CPU thread computes.

    On an idle machine the two agree for one thread, and CPU time does not count what other programs take. With more
    threads it would count their waiting for each other.
    """
    return time.process_time if device.type == "cpu" and torch.get_num_threads() == 1 else time.perf_counter


def seconds(function: Callable[[], object], device: torch.device) -> float:
    """Time of one call, by :func:`clock`."""
    now = clock(device)
    synchronize(device)
    start = now()
    function()
    synchronize(device)
    return now() - start


def time_interleaved(
    functions: Mapping[str, Callable[[], object]],
    device: torch.device,
    *,
    rounds: int = 5,
    budget: float = 60.0,
    warm_up: bool = True,
) -> dict[str, list[float]]:
    """Calls all functions once a round and returns the seconds of each, round by round.

    Args:
        functions: what to time, by name.
        device: where they compute.
        rounds: rounds wanted.
        budget: seconds (see :func:`clock`) after which no further round starts, except that there are always two.
        warm_up: a round that is not counted goes before.
    """
    if warm_up:
        for function in functions.values():
            function()
    times: dict[str, list[float]] = {name: [] for name in functions}
    now = clock(device)
    start = now()
    for done in range(rounds):
        if done >= 2 and now() - start > budget:
            break
        for name, function in functions.items():
            times[name].append(seconds(function, device))
    return times


def ratio(numerator: Sequence[float], denominator: Sequence[float]) -> Estimate:
    """Quotient of two timings, taken round by round: the two calls of a round ran next to each other."""
    return Estimate.of([a / b for a, b in zip(numerator, denominator, strict=True)])
