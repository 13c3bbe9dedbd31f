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
from ..errors import DataError, TrainError
from ..learning.objective import Losses, TimestepBuckets, weighted_mean
from ..learning.optimizer import EMA, clip_gradients, rate_share, set_rates, trainable_parameters
from ..reporting import Reporter, pop_flag_file
from .processes import Processes

_log = logging.getLogger(__name__)
SAVE_NOW, STOP_NOW = "save_now", "stop_now"
_STEPS_TIMED = 50


@dataclass(frozen=True, eq=False)
class Components:
    """What a training step works with.

    Attributes:
        model: as accelerate wrapped it.
        optimizers: as accelerate wrapped them.
        ema: moving average of what is trained, or None.
        accelerator: accelerate's ``Accelerator``.
        method: losses by the number of the forward pass, from 0; what is learnt.
        processes: of the run.
    """

    model: nn.Module
    optimizers: tuple[Any, ...]
    ema: EMA | None
    accelerator: Any
    method: Callable[[int], Losses]
    processes: Processes

    @contextlib.contextmanager
    def eval_model(self):
        """The model in eval mode, with the moving average of its weights where there is one."""
        was = self.model.training
        self.model.eval()
        try:
            with self.ema.applied() if self.ema else contextlib.nullcontext():
                yield self.model
        finally:
            self.model.train(was)


@dataclass(frozen=True)
class Hooks:
    """What happens now and then. Each is called on every process.

    Attributes:
        save: writes a checkpoint for a step and returns its place (on the first process).
        validate: measures the loss on held-out pairs at a step.
        draw_samples: draws pictures from held-out pairs at a step.
        measure_score: measures the score of the pictures on held-out pairs at a step, for early stopping.
        is_enough: whether no more steps are wanted, as the scores say; the same on every process.
        should_stop: asked before every step.
    """

    save: Callable[[int], Path | None]
    validate: Callable[[int], None]
    draw_samples: Callable[[int], None]
    measure_score: Callable[[int], None]
    is_enough: Callable[[], bool]
    should_stop: Callable[[], bool]


class Loop:
    """Runs optimiser steps until all are done, more would bring nothing, or somebody asks to stop.

    Args:
        config: of the run.
        components: what a step works with.
        hooks: called now and then.
        reporter: told of every step and checkpoint.
        step: steps done before; there is a checkpoint of them if there are any.
        epoch_of: passes over the data before a batch, for reports.
    """

    def __init__(
        self,
        config: TrainConfig,
        components: Components,
        hooks: Hooks,
        reporter: Reporter,
        *,
        step: int,
        epoch_of: Callable[[int], float],
    ) -> None:
        self.config, self.components, self.hooks, self.reporter = config, components, hooks, reporter
        self.step, self.epoch_of = step, epoch_of
        self.saved_step = step or None
        self._trainable = trainable_parameters(components.model)
        self._can_save = True  # the weights are those after a whole step, and no saving of them has failed
        self._has_dropout = config.method == "lora" and config.lora.dropout > 0
        self._seconds: list[float] = []

    def run(self) -> bool:
        """Trains until all steps are done, more would bring nothing, or somebody asks to stop; then writes a checkpoint.

        Returns:
            whether nothing is left to do.

        Raises:
            DataError: a pair cannot be read; what was trained before is saved.
            TrainError: the loss is NaN or infinite, the disk is full, memory is short, or the caller takes no reports any
                more; what was trained before is saved if that is still possible.
        """
        self.components.model.train()
        try:
            self._steps()
        except Exception as error:
            if isinstance(error, TrainError) and not self._can_save:
                raise  # says itself what is kept
            kept = self._save_after_failure(error)
            if not isinstance(error, (OSError, RuntimeError, ValueError)):
                raise
            kind = DataError if isinstance(error, DataError) else TrainError
            raise kind(f"{error} ({kept})") from error
        return self._is_done()

    def _is_done(self) -> bool:
        return self.step >= self.config.steps or self.hooks.is_enough()

    def _steps(self) -> None:
        while not self._is_done():
            stop, save = self._requests()
            if stop:
                break
            if save:
                self._save()
            values = self._train_step()
            self.step += 1
            self._can_save = True
            self.components.processes.on_main(partial(self.reporter.metrics, "step", self.step, values))
            self._periodic_actions()
        self._save()

    def _save_after_failure(self, error: Exception) -> str:
        """Saves what was trained before a failure; says what is kept."""
        self.reporter.silence()
        if self._can_save and self.components.processes.is_shared(error) and self.step > (self.saved_step or 0):
            try:
                self._save()
            except Exception as second:
                _log.warning("the run cannot be saved at step %d either: %s", self.step, second)
        if self.step and self.saved_step == self.step:
            return f"the run is saved at step {self.step}"
        return self._kept_checkpoint()

    def _kept_checkpoint(self) -> str:
        """For messages."""
        if self.saved_step is None:
            return "there is no checkpoint yet"
        return f"the checkpoint of step {self.saved_step} is kept"

    def _train_step(self) -> dict[str, Any]:
        """One optimiser step; returns what to report."""
        config, components = self.config, self.components
        started = time.perf_counter()
        share = rate_share(self.step, config.steps, config.optimizer)
        set_rates(components.optimizers, share)
        losses, timesteps, weights = [], [], []
        for index in range(config.accumulate):
            last = index == config.accumulate - 1
            with contextlib.nullcontext() if last else components.accelerator.no_sync(components.model):
                if self._has_dropout:
                    torch.manual_seed(self._dropout_seed(index))
                found = components.method(self.step * config.accumulate + index)
                components.accelerator.backward(weighted_mean(found.each, found.weights) / config.accumulate)
            losses.append(found.each.detach())
            timesteps.append(found.timesteps)
            weights.append(found.weights)
        norm = clip_gradients(self._trainable, config.optimizer.clip_norm)
        self._can_save = False  # until the step is counted
        for optimizer in components.optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        if components.ema is not None:
            components.ema.update(self.step + 1)
        values = self._step_metrics(torch.cat(losses), torch.cat(timesteps), torch.cat(weights), norm)
        rate = share * config.optimizer.learning_rate
        return {**values, "learning_rate": rate, **self._speed(time.perf_counter() - started)}

    def _step_metrics(
        self, losses: torch.Tensor, timesteps: torch.Tensor, weights: torch.Tensor, norm: Any
    ) -> dict[str, Any]:
        """Loss and gradient norm over all processes.

        Args:
            losses, timesteps, weights: (B,), this process's samples of all accumulated batches.
            norm: of the gradients.

        Raises:
            TrainError: the loss is NaN or infinite.
        """
        numbers = torch.stack([losses, timesteps.to(losses), weights.to(losses)])  # (3, B)
        if self.components.accelerator.num_processes > 1:
            numbers = self.components.accelerator.gather(numbers.T.contiguous()).T
        each, when, weight = numbers.tolist()
        objective = sum(one * factor for one, factor in zip(each, weight, strict=True)) / len(each)
        grad_norm = float(norm)
        if not (math.isfinite(objective) and math.isfinite(grad_norm)):
            raise TrainError(
                f"the loss is NaN or infinite at step {self.step + 1} (loss {objective}, gradient norm {grad_norm}). "
                f"Nothing of it is saved; {self._kept_checkpoint()}. Lower "
                "optimizer.learning_rate, set optimizer.clip_norm, or use precision fp32, and run the command again"
            )
        buckets = TimestepBuckets()
        buckets.add([int(timestep) for timestep in when], each)
        # The plain mean compares with that of held-out pairs; the weighted one is what is minimised.
        loss = sum(each) / len(each)
        return {"loss": loss, "objective": objective, "by_timestep": buckets.means(), "grad_norm": grad_norm}

    def _speed(self, seconds: float) -> dict[str, float]:
        """Epoch, pairs per second and seconds left; the speed is that of the latest steps."""
        self._seconds = [*self._seconds[1 - _STEPS_TIMED :], seconds]
        mean = sum(self._seconds) / len(self._seconds)
        pairs = self.config.batch_size * self.config.accumulate * self.components.accelerator.num_processes
        done = self.step + 1
        return {
            "epoch": round(self.epoch_of(done * self.config.accumulate), 4),
            "seconds": round(seconds, 4),
            "pairs_per_second": round(pairs / mean, 3),
            "seconds_left": round(mean * (self.config.steps - done), 1),
        }

    def _dropout_seed(self, index: int) -> int:
        """LoRA dropout draws from the global generator; this makes it a function of the step."""
        accelerator = self.components.accelerator
        place = (self.step * self.config.accumulate + index) * accelerator.num_processes + accelerator.process_index
        return (self.config.seed * 1_000_003 + place) & 0x7FFF_FFFF_FFFF_FFFF

    def _requests(self) -> tuple[bool, bool]:
        """Whether to stop and whether to save now, the same on every process."""
        processes, output = self.components.processes, self.config.output
        stop = self.hooks.should_stop() or (processes.is_main and pop_flag_file(output / STOP_NOW))
        save = processes.is_main and pop_flag_file(output / SAVE_NOW)
        return processes.any(stop, save)

    def _periodic_actions(self) -> None:
        """The checkpoint comes last: after a kill in between, the run goes on before this step and does all again."""
        config, is_last = self.config, self.step == self.config.steps
        for every, action, at_the_end in (
            (config.validation.every, self.hooks.validate, False),
            (config.samples.every, self.hooks.draw_samples, False),
            (config.early_stopping.every, self.hooks.measure_score, True),
            (config.checkpoints.every, lambda _step: self._save(), False),
        ):
            if every and (self.step % every == 0 or (at_the_end and is_last)):
                action(self.step)

    def _save(self) -> None:
        if self.step == self.saved_step:
            return
        self._can_save = False  # what has failed once is not tried again
        path = self.hooks.save(self.step)
        self._can_save, self.saved_step = True, self.step
        self.components.processes.on_main(lambda: self.reporter.event("checkpoint", step=self.step, path=str(path)))
