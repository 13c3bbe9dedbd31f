"""A training run from configuration to file: `train` is what the command and the node call."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from .batches import SampleStore
from .config import TrainConfig
from .errors import TrainError
from .export import Provenance, write_result
from .feed import Feed
from .loop import Hooks, Loop, Parts
from .optimizer import MovingAverage, make_optimizer
from .order import BatchOrder
from .plot import plot_losses
from .preparation import Prepared, accelerated, never, prepare
from .reporting import OnEvent, Reporter, silent_event
from .samples import ShardedModel, SheetPainter, save_sheet
from .start import make_model, max_tokens
from .state import (
    RunState,
    gather_model,
    gather_optimizer,
    latest,
    load_state,
    restore_model,
    restore_optimizer,
    save_state,
)
from .validation import Validation, spread


@dataclass(frozen=True)
class TrainResult:
    """What a run has come to.

    Attributes:
        path: the LoRA or the model.
        step: optimiser steps done.
        finished: False if somebody asked to stop; the same call goes on from there.
    """

    path: Path
    step: int
    finished: bool


def train(
    config: TrainConfig, *, on_event: OnEvent | None = None, should_stop: Callable[[], bool] | None = None
) -> TrainResult:
    """Trains, or goes on training: everything is in the configuration's output folder.

    Args:
        on_event: hears what happens as dictionaries with an "event" (progress, start, step, validation, samples,
            checkpoint, notice, end).
        should_stop: asked before every step; when it says yes, the run is saved, the result is written as it is, and
            the call returns.

    Raises:
        TrainError: the run cannot start or go on; the message says what is kept.
    """
    on_event = on_event or silent_event
    with accelerated(config) as accelerator:
        should_stop = should_stop or never
        prepared = prepare(config, accelerator, on_event, should_stop)
        run = _Run(config, accelerator, prepared, on_event, should_stop)
        try:
            return run.train()
        finally:
            run.close()


class _Run:
    """One run's parts, put together."""

    def __init__(
        self,
        config: TrainConfig,
        accelerator: Any,
        prepared: Prepared,
        on_event: OnEvent,
        should_stop: Callable[[], bool],
    ) -> None:
        self.config, self.accelerator, self.prepared, self.should_stop = config, accelerator, prepared, should_stop
        config.output.mkdir(parents=True, exist_ok=True)
        self.memory = config.data.keep_in_memory_mb * 2**20
        self.store = self._store(prepared.plan.train)
        self._build()
        checkpoint = latest(config.output / "checkpoints")
        state = None if checkpoint is None else load_state(checkpoint)
        self.step = 0 if state is None else state.step
        self.reporter = Reporter(
            config.output,
            self.step,
            on_event=on_event,
            active=accelerator.is_main_process,
            tensorboard=config.tensorboard,
        )
        if state is not None:
            self._restore(state)
        self.validation = self._make_validation()
        self.painter = self._make_painter()

    def _store(self, examples) -> SampleStore:
        return SampleStore(examples, self.prepared.cache, self.memory)

    def _build(self) -> None:
        """Model, optimiser, order and feed."""
        config, accelerator = self.config, self.accelerator
        model = make_model(config, self.prepared.files, self.store.indicators.shape[1], accelerator.device)
        self.shape = model.config
        optimizer = make_optimizer(_trained(model), config.optimizer)
        model, optimizer = accelerator.prepare(model, optimizer)  # together: sharding exchanges the parameters in both
        processes = accelerator.num_processes
        layouts = [example.layout for example in self.prepared.plan.train]
        self.order = BatchOrder(layouts, config.batch_size * processes, config.seed)
        feed = Feed(
            self.store,
            self.order,
            config.objective,
            share=(accelerator.process_index, processes),
            device=accelerator.device,
            ahead=not self.store.resident or accelerator.device.type != "cpu",
        )
        average = MovingAverage(_trained(model), config.ema) if config.ema else None
        self.parts = Parts(model, optimizer, average, accelerator, feed)

    @property
    def sharded(self) -> bool:
        """Whether the weights are spread over processes, so that all of them must take part in every forward pass."""
        return str(self.accelerator.distributed_type).endswith("FSDP")

    @property
    def plain_model(self) -> torch.nn.Module:
        """The model whose names are those of files; a sharded one has to stay in its wrapper."""
        return self.parts.model if self.sharded else self.accelerator.unwrap_model(self.parts.model)

    def train(self) -> TrainResult:
        config, plan = self.config, self.prepared.plan
        self.reporter.event(
            "start",
            step=self.step,
            steps=config.steps,
            pairs=len(plan.train),
            held_out=len(plan.validation),
            layouts=len(self.order.buckets),
            left_out=plan.left_out,
            trained_parameters=sum(parameter.numel() for parameter in _trained(self.parts.model)),
            device=str(self.accelerator.device),
            processes=self.accelerator.num_processes,
            output=str(config.output),
        )
        hooks = Hooks(self.save, self.validate, self.draw, self.should_stop)
        loop = Loop(config, self.parts, hooks, self.reporter, step=self.step, epoch_of=self.order.epoch_of)
        finished = loop.run()
        path = self.export(loop.step, config.output / f"{config.name}.safetensors")
        plot = self._plot()
        self.reporter.event(
            "end", step=loop.step, finished=finished, path=str(path), plot=None if plot is None else str(plot)
        )
        return TrainResult(path, loop.step, finished)

    def _plot(self) -> Path | None:
        if not (self.config.plot and self.accelerator.is_main_process):
            return None
        try:
            return plot_losses(self.config.output)
        except ImportError:
            self.reporter.event("notice", text="no loss.png was drawn: the package matplotlib is not installed")
            return None

    def close(self) -> None:
        self.parts.feed.close()
        self.reporter.close()

    def save(self, step: int) -> None:
        """Writes a checkpoint, and the result beside it where that is wanted."""
        model = self.plain_model
        average = None
        if self.parts.average is not None:
            with self.parts.average.applied():
                average = gather_model(model)
        state = RunState(
            step=step,
            model=gather_model(model),
            optimizer=gather_optimizer(model, self.parts.optimizer.optimizer),
            average=average,
            facts=self._facts(),
        )
        if self.accelerator.is_main_process:
            path = save_state(self.config.output / "checkpoints", state, self.config.checkpoints.keep)
            self.reporter.event("checkpoint", step=step, path=str(path))
        self.accelerator.wait_for_everyone()
        if self.config.checkpoints.export:
            self.export(step, self.config.output / "exports" / f"{self.config.name}-{step:08d}.safetensors")

    def _facts(self) -> dict[str, Any]:
        return {
            "config": json.loads(self.config.model_dump_json()),
            "dataset_sha256": self.prepared.plan.digest,
            "base_model_sha256": self.prepared.base_sha256,
        }

    def _restore(self, state: RunState) -> None:
        """Puts a checkpoint back and says what is different from the run that wrote it.

        Raises:
            TrainError: it belongs to another model.
        """
        facts, stored = self._facts(), state.facts
        for key, what in (("base_model_sha256", "base model"), ("dataset_sha256", "training data")):
            if stored.get(key) == facts[key]:
                continue
            if key == "base_model_sha256":
                raise TrainError(
                    f"{self.config.output} holds a run on another {what}; choose another output folder to start anew"
                )
            self.reporter.event("notice", text=f"the {what} changed since step {state.step}: the order is another one")
        for name, old, new in _differences(stored.get("config", {}), facts["config"]):
            self.reporter.event("notice", text=f"since step {state.step} {name} changed from {old!r} to {new!r}")
        model = self.plain_model
        if self.parts.average is not None:
            restore_model(model, state.average or state.model)
            self.parts.average.reset()
        restore_model(model, state.model)
        restore_optimizer(model, self.parts.optimizer.optimizer, state.optimizer)

    def validate(self, step: int) -> None:
        if self.validation is None:
            return
        with self.parts.best_weights() as model:
            measured = self.validation.measure(model, self.accelerator)
        self.reporter.metrics("validation", step, {"loss": measured.loss, "by_timestep": measured.by_timestep})

    def draw(self, step: int) -> None:
        """Draws a sheet on the first process; with a sharded model all must help."""
        if self.painter is None or not (self.accelerator.is_main_process or self.sharded):
            return
        with self.parts.best_weights() as model, self.accelerator.autocast(), torch.no_grad():
            if self.sharded:
                latents = self.painter.latents(ShardedModel(model, self.accelerator.device, torch.float32))
            else:
                latents = self.painter.latents(self.accelerator.unwrap_model(model))
        if not self.accelerator.is_main_process:
            return
        pixels = self.painter.sheet(latents, self.accelerator.device)
        path = save_sheet(pixels, self.config.output / "samples" / f"step-{step:08d}.png")
        self.reporter.picture("samples", step, pixels)
        self.reporter.event("samples", step=step, path=str(path))

    def export(self, step: int, path: Path) -> Path:
        """Writes the LoRA or the model, with the moving average where there is one."""
        frozen = self.config.method == "full" or self.config.lora.dora
        with self.parts.best_weights():
            tensors = gather_model(self.plain_model, frozen=frozen)
        if not self.accelerator.is_main_process:
            return path
        plan, files = self.prepared.plan, self.prepared.files
        provenance = Provenance(
            base_model=files.name,
            base_sha256=self.prepared.base_sha256,
            dataset_sha256=plan.digest,
            pairs=len(plan.train),
            trigger=self.config.export.trigger or plan.instruction,
            max_tokens=max_tokens(self.config.resolution, files.defaults),
        )
        return write_result(path, self.config, self.shape, tensors, provenance.metadata(self.config, step))

    def _make_validation(self) -> Validation | None:
        config, held_out = self.config, self.prepared.plan.validation
        if not (config.validation.every and held_out):
            return None
        return Validation(
            self._store(spread(held_out, config.validation.max_examples)),
            timesteps=config.validation.timesteps,
            batch_size=config.batch_size,
            seed=config.seed,
        )

    def _make_painter(self) -> SheetPainter | None:
        config, held_out = self.config, self.prepared.plan.validation
        if not (config.samples.every and held_out):
            return None
        store = self._store(spread(held_out, config.samples.count))
        return SheetPainter(store, config.samples, self.prepared.files.encoders.load_vae, config.seed)


def _trained(model: torch.nn.Module) -> list[torch.nn.Parameter]:
    return [parameter for parameter in model.parameters() if parameter.requires_grad]


def _differences(old: Any, new: Any, name: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Settings that differ between two dumped configurations."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in new:
            yield from _differences(old.get(key), new[key], f"{name}.{key}".lstrip("."))
    elif old != new:
        yield name, old, new
