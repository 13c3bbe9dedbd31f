"""AdamW and Muon, their learning rate schedule, and the exponential moving average (EMA) of the weights."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable, Iterator

import torch
from torch import nn

from ..config import OptimizerSection
from .muon import Muon


def trainable_parameters(model: nn.Module) -> list[nn.Parameter]:
    """Those with ``requires_grad``."""
    return [parameter for parameter in model.parameters() if parameter.requires_grad]


def make_optimizers(model: nn.Module, settings: OptimizerSection) -> tuple[torch.optim.Optimizer, ...]:
    """What moves the trainable parameters: AdamW, or Muon for the matrices of the blocks and AdamW for the rest.

    Args:
        model: with what is trained marked by ``requires_grad``.
        settings: see :class:`OptimizerSection`.
    """
    trained = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    if settings.name == "adamw":
        return (_adamw(trained.values(), settings),)
    matrices = {name: parameter for name, parameter in trained.items() if _is_matrix(name, parameter)}
    rest = [parameter for name, parameter in trained.items() if name not in matrices]
    muon = settings.muon
    return (
        Muon(
            list(matrices.values()),
            lr=muon.learning_rate,
            momentum=muon.momentum,
            nesterov=muon.nesterov,
            ns_steps=muon.iterations,
            weight_decay=muon.weight_decay,
            adjust_lr_fn=muon.scale,
        ),
        _adamw(rest, settings),
    )


def _is_matrix(name: str, parameter: nn.Parameter) -> bool:
    """Whether a parameter is a linear map inside a block; the modulation's tables are none."""
    return parameter.ndim == 2 and name.startswith("blocks.") and not name.endswith("scale_shift_table.weight")


def _adamw(parameters: Iterable[nn.Parameter], settings: OptimizerSection) -> torch.optim.AdamW:
    """In one fused kernel where the device has it (CPUs too): several times faster than the plain loop."""
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


def set_rates(optimizers: Iterable[torch.optim.Optimizer], share: float) -> None:
    """Sets every learning rate to a share of its highest; optimisers may be wrapped."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = group.setdefault("initial_lr", group["lr"]) * share


def rate_share(step: int, steps: int, settings: OptimizerSection) -> float:
    """Learning rate of a step as a share of the highest; a pure function, so that nothing has to be stored.

    Args:
        step: 0, 1, …
        steps: of the whole run.
        settings: warm-up, schedule, how long the highest rate is held and the final share.
    """
    warmup = min(settings.warmup_steps, steps)
    if step < warmup:
        return (step + 1) / warmup
    falls_from = max(warmup, settings.hold * steps)
    progress = max(0.0, step - falls_from) / max(1, steps - falls_from)
    if settings.schedule == "cosine":
        share = 0.5 * (1.0 + math.cos(math.pi * progress))
    elif settings.schedule == "linear":
        share = 1.0 - progress
    else:
        return 1.0
    return settings.final_rate + (1.0 - settings.final_rate) * share


def clip_gradients(parameters: Iterable[nn.Parameter], max_norm: float) -> torch.Tensor:
    """Scales gradients down to a norm of ``max_norm``.

    Args:
        parameters: with their gradients.
        max_norm: of all gradients together; 0 leaves them as they are.

    Returns:
        their norm before, over all processes where the model is sharded; such a call is collective.
    """
    norm = torch.nn.utils.clip_grad_norm_(parameters, max_norm or math.inf)
    return norm.full_tensor() if hasattr(norm, "full_tensor") else norm


class EMA:
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
