"""Timing of alternatives in turns, so that a busy or throttled machine changes all of them alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Estimate:
    """Median of several measurements, with the lowest and the highest."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Estimate:
        return cls(statistics.median(values), min(values), max(values))

    def __format__(self, spec: str) -> str:
        return f"{self.median:{spec}} ({self.low:{spec}} – {self.high:{spec}})"


def synchronise(device: torch.device) -> None:
    """Waits until the device has done all it was given."""
    if device.type != "cpu":
        torch.accelerator.synchronize()


def seconds(function: Callable[[], object], device: torch.device) -> float:
    """Wall time of one call."""
    synchronise(device)
    start = time.perf_counter()
    function()
    synchronise(device)
    return time.perf_counter() - start


def in_turns(
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
        rounds: rounds wanted.
        budget: seconds after which no further round starts, except that there are always two.
        warm_up: a round that is not counted goes before.
    """
    if warm_up:
        for function in functions.values():
            function()
    times: dict[str, list[float]] = {name: [] for name in functions}
    start = time.perf_counter()
    for done in range(rounds):
        if done >= 2 and time.perf_counter() - start > budget:
            break
        for name, function in functions.items():
            times[name].append(seconds(function, device))
    return times


def ratio(numerator: Sequence[float], denominator: Sequence[float]) -> Estimate:
    """Quotient of two timings, taken round by round: the two calls of a round ran next to each other."""
    return Estimate.of([a / b for a, b in zip(numerator, denominator, strict=True)])
