"""The steps of a run. The loop knows neither where batches come from nor what is trained."""

from __future__ import annotations

import contextlib
import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..config import TrainConfig
from ..data.loader import Feed
from ..errors import DataError, TrainError
from ..learning.objective import TimestepBuckets, sample_losses, weighted_mean
from ..learning.optimizer import MovingAverage, clip_gradients, learning_rate
from ..reporting import Reporter, touched
from .processes import Company

_log = logging.getLogger(__name__)
SAVE_NOW, STOP_NOW = "save_now", "stop_now"
_STEPS_TIMED = 50


@dataclass(frozen=True, eq=False)
class Parts:
    """What a loop turns.

    Attributes:
        model: as accelerate wrapped it.
        optimizer: as accelerate wrapped it.
        average: moving average of what is trained, or None.
        accelerator: accelerate's.
        feed: batch by number.
        company: the processes.
    """

    model: nn.Module
    optimizer: Any
    average: MovingAverage | None
    accelerator: Any
    feed: Feed
    company: Company

    @property
    def trained(self) -> list[nn.Parameter]:
        return [parameter for parameter in self.model.parameters() if parameter.requires_grad]

    @contextlib.contextmanager
    def best_weights(self):
        """The model in eval mode, with the moving average where there is one."""
        was = self.model.training
        self.model.eval()
        try:
            with self.average.applied() if self.average else contextlib.nullcontext():
                yield self.model
        finally:
            self.model.train(was)


@dataclass(frozen=True)
class Hooks:
    """What happens now and then. Each is called on every process.

    Attributes:
        save: writes a checkpoint for a step and returns its place (on the first process).
        validate, draw: measure and draw at a step.
        should_stop: asked before every step.
    """

    save: Callable[[int], Path | None]
    validate: Callable[[int], None]
    draw: Callable[[int], None]
    should_stop: Callable[[], bool]


class Loop:
    """Runs optimiser steps until all are done or somebody asks to stop.

    Args:
        step: steps done before; there is a checkpoint of them if there are any.
        epoch_of: passes over the data before a batch, for reports.
    """

    def __init__(
        self,
        config: TrainConfig,
        parts: Parts,
        hooks: Hooks,
        reporter: Reporter,
        *,
        step: int,
        epoch_of: Callable[[int], float],
    ) -> None:
        self.config, self.parts, self.hooks, self.reporter = config, parts, hooks, reporter
        self.step, self.epoch_of = step, epoch_of
        self.saved_step = step or None
        self._trained = parts.trained
        self._whole = True  # the weights are those of a whole step, and no saving of them has failed
        self._random_layers = config.method == "lora" and config.lora.dropout > 0
        self._seconds: list[float] = []

    def run(self) -> bool:
        """Returns whether all steps are done; if not, somebody asked to stop. A checkpoint is written either way.

        Raises:
            DataError: a pair cannot be read; what was trained before is saved.
            TrainError: the loss is no number any more, the disk is full, memory is short, or nobody listens any more;
                what was trained before is saved if that is still possible.
        """
        self.parts.model.train()
        try:
            self._steps()
        except Exception as error:
            if isinstance(error, TrainError) and not self._whole:
                raise  # says itself what is kept
            kept = self._rescue(error)
            if not isinstance(error, (OSError, RuntimeError, ValueError)):
                raise
            kind = DataError if isinstance(error, DataError) else TrainError
            raise kind(f"{error} ({kept})") from error
        return self.step >= self.config.steps

    def _steps(self) -> None:
        while self.step < self.config.steps:
            stop, save = self._requests()
            if stop:
                break
            if save:
                self._save()
            values = self._train_step()
            self.step += 1
            self._whole = True
            self.parts.company.on_first(partial(self.reporter.metrics, "step", self.step, values))
            self._now_and_then()
        self._save()

    def _rescue(self, error: Exception) -> str:
        """Saves after a failure what was trained before it; says what is kept."""
        self.reporter.silence()
        if self._whole and self.parts.company.knows(error) and self.step > (self.saved_step or 0):
            try:
                self._save()
            except Exception as second:
                _log.warning("the run cannot be saved at step %d either: %s", self.step, second)
        if self.step and self.saved_step == self.step:
            return f"the run is saved at step {self.step}"
        return self._kept()

    def _kept(self) -> str:
        if self.saved_step is None:
            return "there is no checkpoint yet"
        return f"the checkpoint of step {self.saved_step} is kept"

    def _train_step(self) -> dict[str, Any]:
        """One optimiser step; returns what to report."""
        config, parts = self.config, self.parts
        started = time.perf_counter()
        rate = learning_rate(self.step, config.steps, config.optimizer)
        for group in parts.optimizer.param_groups:
            group["lr"] = rate
        losses, timesteps, weights = [], [], []
        for part in range(config.accumulate):
            batch = parts.company.together(partial(parts.feed, self.step * config.accumulate + part))
            last = part == config.accumulate - 1
            with contextlib.nullcontext() if last else parts.accelerator.no_sync(parts.model):
                if self._random_layers:
                    torch.manual_seed(self._dropout_seed(part))
                each = sample_losses(parts.model, batch.noisy, batch.timesteps, batch.noise, batch.conditioning)
                parts.accelerator.backward(weighted_mean(each, batch.weights) / config.accumulate)
            losses.append(each.detach())
            timesteps.append(batch.timesteps)
            weights.append(batch.weights)
        norm = clip_gradients(self._trained, config.optimizer.clip_norm)
        self._whole = False  # until the step is counted
        parts.optimizer.step()
        parts.optimizer.zero_grad(set_to_none=True)
        if parts.average is not None:
            parts.average.update(self.step + 1)
        values = self._collect(torch.cat(losses), torch.cat(timesteps), torch.cat(weights), norm)
        return {**values, "learning_rate": rate, **self._pace(time.perf_counter() - started)}

    def _collect(
        self, losses: torch.Tensor, timesteps: torch.Tensor, weights: torch.Tensor, norm: Any
    ) -> dict[str, Any]:
        """Numbers of all processes, checked."""
        numbers = torch.stack([losses, timesteps.to(losses), weights.to(losses)])  # (3, B)
        if self.parts.accelerator.num_processes > 1:
            numbers = self.parts.accelerator.gather(numbers.T.contiguous()).T
        each, when, weight = numbers.tolist()
        objective = sum(one * factor for one, factor in zip(each, weight, strict=True)) / len(each)
        grad_norm = float(norm)
        if not (math.isfinite(objective) and math.isfinite(grad_norm)):
            raise TrainError(
                f"the loss is no number any more at step {self.step + 1} (loss {objective}, gradient norm {grad_norm}). "
                f"Nothing of it is saved; {self._kept()}. Lower "
                "optimizer.learning_rate, set optimizer.clip_norm, or use precision fp32, and run the command again"
            )
        buckets = TimestepBuckets()
        buckets.add([int(timestep) for timestep in when], each)
        # The plain mean compares with that of held-out pairs; the weighted one is what is minimised.
        loss = sum(each) / len(each)
        return {"loss": loss, "objective": objective, "by_timestep": buckets.means(), "grad_norm": grad_norm}

    def _pace(self, seconds: float) -> dict[str, float]:
        """Speed and time left, from the latest steps."""
        self._seconds = [*self._seconds[1 - _STEPS_TIMED :], seconds]
        mean = sum(self._seconds) / len(self._seconds)
        pairs = self.config.batch_size * self.config.accumulate * self.parts.accelerator.num_processes
        done = self.step + 1
        return {
            "epoch": round(self.epoch_of(done * self.config.accumulate), 4),
            "seconds": round(seconds, 4),
            "pairs_per_second": round(pairs / mean, 3),
            "seconds_left": round(mean * (self.config.steps - done), 1),
        }

    def _dropout_seed(self, part: int) -> int:
        """LoRA dropout draws from the global generator; this makes it a function of the step."""
        place = (self.step * self.config.accumulate + part) * self.parts.accelerator.num_processes
        return (self.config.seed * 1_000_003 + place + self.parts.accelerator.process_index) & 0x7FFF_FFFF_FFFF_FFFF

    def _requests(self) -> tuple[bool, bool]:
        """Whether to stop and whether to save now, the same on every process."""
        company, output = self.parts.company, self.config.output
        stop = self.hooks.should_stop() or (company.first and touched(output / STOP_NOW))
        save = company.first and touched(output / SAVE_NOW)
        return company.any(stop, save)

    def _now_and_then(self) -> None:
        """The checkpoint comes last: after a kill in between, the run goes on before this step and does all again."""
        config = self.config
        for every, action in (
            (config.validation.every, self.hooks.validate),
            (config.samples.every, self.hooks.draw),
            (config.checkpoints.every, lambda _step: self._save()),
        ):
            if every and self.step % every == 0:
                action(self.step)

    def _save(self) -> None:
        if self.step == self.saved_step:
            return
        self._whole = False  # what has failed once is not tried again
        path = self.hooks.save(self.step)
        self._whole, self.saved_step = True, self.step
        self.parts.company.on_first(lambda: self.reporter.event("checkpoint", step=self.step, path=str(path)))
