"""AdamW, the course of its learning rate, and the moving average of the weights."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable, Iterator

import torch
from torch import nn

from ..config import OptimizerSection


def make_optimizer(parameters: Iterable[nn.Parameter], settings: OptimizerSection) -> torch.optim.AdamW:
    """AdamW, in one fused kernel where the device has it (CPUs too): several times faster than the plain loop."""
    parameters = list(parameters)
    values = {
        "lr": settings.learning_rate,
        "betas": settings.betas,
        "eps": settings.eps,
        "weight_decay": settings.weight_decay,
    }
    try:
        return torch.optim.AdamW(parameters, **values, fused=True)
    except RuntimeError:
        return torch.optim.AdamW(parameters, **values)


def learning_rate(step: int, steps: int, settings: OptimizerSection) -> float:
    """Learning rate of a step (0-based) in a run of ``steps``; a pure function, so that nothing has to be stored."""
    warmup = min(settings.warmup_steps, steps)
    if step < warmup:
        return settings.learning_rate * (step + 1) / warmup
    progress = (step - warmup) / max(1, steps - warmup)
    if settings.schedule == "cosine":
        share = 0.5 * (1.0 + math.cos(math.pi * progress))
    elif settings.schedule == "linear":
        share = 1.0 - progress
    else:
        return settings.learning_rate
    return settings.learning_rate * (settings.final_rate + (1.0 - settings.final_rate) * share)


def clip_gradients(parameters: Iterable[nn.Parameter], limit: float) -> torch.Tensor:
    """Scales gradients down to a norm of ``limit`` (0 leaves them).

    Returns:
        their norm before, over all processes where the model is sharded; such a call is collective.
    """
    norm = torch.nn.utils.clip_grad_norm_(parameters, limit or math.inf)
    return norm.full_tensor() if hasattr(norm, "full_tensor") else norm


class MovingAverage:
    """Exponential moving average of parameters (of local shards, where a model is sharded).

    Args:
        parameters: the trainable ones; the average starts at their present values.
        decay: how much of the average stays at each step; smaller in the first steps, so that the start is forgotten.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], decay: float) -> None:
        self.parameters, self.decay = list(parameters), decay
        self.reset()

    @torch.no_grad()
    def reset(self) -> None:
        """Starts anew from the parameters' present values."""
        self.average = [parameter.detach().clone() for parameter in self.parameters]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """After optimiser step number ``step``, from 1."""
        decay = min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(self.average, [parameter.detach() for parameter in self.parameters], 1.0 - decay)

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        """The parameters hold the average inside this block and their own values after it."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    @torch.no_grad()
    def _swap(self) -> None:
        for parameter, average in zip(self.parameters, self.average, strict=True):
            own = parameter.detach().clone()
            parameter.copy_(average)
            average.copy_(own)
