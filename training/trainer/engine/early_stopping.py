"""Early stopping: when the scores of a run have stopped rising, and the weights that had the best one."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from ..config import EarlyStoppingSection

Tensors = Mapping[str, torch.Tensor]


@dataclass(frozen=True)
class ScoredStep:
    """A measurement.

    Attributes:
        step: optimiser steps done.
        score: 1 - L1(student, teacher) / L1(source, teacher) on held-out pairs.
    """

    step: int
    score: float


class EarlyStopping:
    """Keeps the best weights, and says when it is enough. What it says depends on the scores alone.

    Args:
        settings: when it is enough.
        scores: measured before, by the run that goes on.
        weights: those of the best of them.

    Attributes:
        scores: in the order of the steps.
        weights: of the best; None before the first measurement. On other processes than the main one they may be empty.
    """

    def __init__(
        self, settings: EarlyStoppingSection, scores: Iterable[ScoredStep] = (), weights: Tensors | None = None
    ) -> None:
        self.settings, self.scores, self.weights = settings, list(scores), weights

    @property
    def best(self) -> ScoredStep | None:
        """The highest score, the earliest of equals; None before the first measurement."""
        return max(self.scores, key=lambda one: one.score, default=None)

    @property
    def stalled(self) -> bool:
        """Whether so many measurements in a row have brought no progress that the run should end."""
        return is_stalled([one.score for one in self.scores], self.settings.patience, self.settings.min_delta)

    def add(self, step: int, score: float, gather: Callable[[], Tensors]) -> bool:
        """Takes a measurement in; ``gather`` is called for the weights if it is the best, in every process or in none.

        Returns:
            whether it is.
        """
        is_best = self.best is None or score > self.best.score
        if is_best:
            self.weights = gather()
        self.scores.append(ScoredStep(step, score))
        return is_best

    def to_metadata(self) -> dict[str, Any]:
        """What a checkpoint keeps of it beside the weights."""
        return {"scores": [[one.step, one.score] for one in self.scores]}


def read_scores(metadata: Mapping[str, Any]) -> list[ScoredStep]:
    """What :meth:`EarlyStopping.to_metadata` wrote; nothing where there was no early stopping."""
    found = (metadata.get("early_stopping") or {}).get("scores", [])
    return [ScoredStep(int(step), float(score)) for step, score in found]


def is_stalled(scores: Iterable[float], patience: int, min_delta: float) -> bool:
    """Whether the latest ``patience`` scores are no progress over those before: none is ``min_delta`` above their best.

    Scores that creep up by less than that in each measurement are progress once they have come so far together.
    """
    reached, since = -math.inf, 0
    for score in scores:
        if score > reached + min_delta:
            reached, since = score, 0
        else:
            since += 1
    return since >= patience
