"""The plain method, the results of pairs, and methods that take turns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from torch import nn

from ..data.loader import TrainingBatch
from ..learning.objective import Losses, sample_losses


class Method(Protocol):
    """Losses by the number of the forward pass. A number always means the same, so that a run can go on from any."""

    def __call__(self, number: int) -> Losses:
        """What pass ``number`` minimises; a collective call, since the model may be sharded."""
        ...

    def batches_before(self, number: int) -> int:
        """Batches of pairs that the passes before have used, for reports."""
        ...


class PairsMethod:
    """The noise in the pairs' results.

    Args:
        model: the student.
        load: batch by number.
    """

    def __init__(self, model: nn.Module, load: Callable[[int], TrainingBatch]) -> None:
        self.model, self.load = model, load

    def __call__(self, number: int) -> Losses:
        batch = self.load(number)
        each = sample_losses(self.model, batch.noisy, batch.timesteps, batch.noise, batch.conditioning)
        return Losses(each, batch.timesteps, batch.weights)

    def batches_before(self, number: int) -> int:
        return number


class MixedMethod:
    """Two methods that take turns, evenly spread.

    Args:
        first, second: each counts its own passes.
        share: of the passes that are the first one's, 0 … 1.
    """

    def __init__(self, first: Method, second: Method, share: float) -> None:
        self.first, self.second, self.share = first, second, share

    def __call__(self, number: int) -> Losses:
        own, following = (int(count * self.share) for count in (number, number + 1))
        return self.first(own) if following > own else self.second(number - own)

    def batches_before(self, number: int) -> int:
        own = int(number * self.share)
        return self.first.batches_before(own) + self.second.batches_before(number - own)
