"""A training run from configuration to file: `train` is what the command and the node call."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from .config import TrainConfig
from .continuation import Provenance, check_continuation, make_facts, stored_provenance
from .data.batch_sampler import BatchOrder
from .data.batches import SampleStore
from .data.loader import Feed
from .engine.loop import Hooks, Loop, Parts
from .engine.processes import Company
from .engine.run_lock import occupied
from .engine.state import (
    RunState,
    gather_model,
    gather_optimizer,
    latest,
    load_state,
    restore_model,
    restore_optimizer,
    save_state,
)
from .export import is_result, write_result
from .learning.optimizer import MovingAverage, make_optimizer
from .monitoring.plot import plot_losses
from .monitoring.samples import ShardedModel, SheetPainter, save_sheet
from .monitoring.validation import Validation, spread
from .preparation import Prepared, accelerated, never, prepare
from .reporting import OnEvent, Reporter, listening, silent_event
from .start import make_model, max_tokens


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
        FinishedRunError: all steps are done, and the data or settings have changed since.
        TrainError: the run cannot start or go on; the message says what is kept.
    """
    on_event = listening(on_event or silent_event)
    with accelerated(config) as accelerator:
        should_stop = should_stop or never
        prepared = prepare(config, accelerator, on_event, should_stop)
        company = Company(accelerator)
        with occupied(config.output, company):
            run = _Run(config, company, prepared, on_event, should_stop)
            try:
                return run.train()
            finally:
                run.close()


class _Run:
    """One run's parts, put together."""

    def __init__(
        self,
        config: TrainConfig,
        company: Company,
        prepared: Prepared,
        on_event: OnEvent,
        should_stop: Callable[[], bool],
    ) -> None:
        self.config, self.company, self.prepared, self.should_stop = config, company, prepared, should_stop
        self.accelerator = company.accelerator
        self.origin = self.loaded_origin = _provenance(config, prepared)
        state = _load_latest(config.output / "checkpoints")
        self.step, changes = 0, ()
        if state is not None:
            changes = check_continuation(config, self.origin, state.facts, state.step)
            self.step, self.loaded_origin = state.step, stored_provenance(state.facts, self.origin)
        self.memory = config.data.keep_in_memory_mb * 2**20
        self.store = self._store(prepared.plan.train)
        self._build()
        if state is not None:
            self._restore(state)
        self.reporter = company.together(lambda: self._make_reporter(on_event, changes))
        self.validation = self._make_validation()
        self.painter = self._make_painter()

    def _make_reporter(self, on_event: OnEvent, changes: tuple[str, ...]) -> Reporter:
        config, active = self.config, self.company.first
        reporter = Reporter(config.output, self.step, on_event=on_event, active=active, tensorboard=config.tensorboard)
        for change in changes:
            reporter.event("notice", text=f"since step {self.step} {change}")
        return reporter

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
        self.parts = Parts(model, optimizer, average, accelerator, feed, self.company)

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
        start = {
            "step": self.step,
            "steps": config.steps,
            "pairs": len(plan.train),
            "held_out": len(plan.validation),
            "layouts": len(self.order.buckets),
            "left_out": plan.left_out,
            "trained_parameters": sum(parameter.numel() for parameter in _trained(self.parts.model)),
            "device": str(self.accelerator.device),
            "processes": self.accelerator.num_processes,
            "output": str(config.output),
        }
        self.company.on_first(lambda: self.reporter.event("start", **start))
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
            reason = "the package matplotlib is not installed"
        except OSError as error:
            reason = str(error)
        self.reporter.event("notice", text=f"no loss.png was drawn: {reason}")
        return None

    def close(self) -> None:
        self.parts.feed.close()
        self.reporter.close()

    def save(self, step: int) -> Path | None:
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
            facts=make_facts(self.config, self.origin),
        )
        folder, keep = self.config.output / "checkpoints", self.config.checkpoints.keep
        path = self.company.on_first(lambda: save_state(folder, state, keep))
        if self.config.checkpoints.export:
            self.export(step, self.config.output / "exports" / f"{self.config.name}-{step:08d}.safetensors")
        return path

    def _restore(self, state: RunState) -> None:
        """Puts a checkpoint's tensors back.

        Raises:
            TrainError: they are those of another model.
        """
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
            measured = self.validation.measure(model, self.company)
        values = {"loss": measured.loss, "by_timestep": measured.by_timestep}
        self.company.on_first(lambda: self.reporter.metrics("validation", step, values))

    def draw(self, step: int) -> None:
        """Draws a sheet on the first process; with a sharded model all must help."""
        if self.painter is None:
            return
        if self.sharded:
            latents = self._drawn()
            self.company.on_first(lambda: self._show(step, latents))
        else:
            self.company.on_first(lambda: self._show(step, self._drawn()))

    def _drawn(self) -> list[torch.Tensor]:
        with self.parts.best_weights() as model, self.accelerator.autocast(), torch.no_grad():
            if self.sharded:
                return self.painter.latents(ShardedModel(model, self.accelerator.device, torch.float32))
            return self.painter.latents(self.accelerator.unwrap_model(model))

    def _show(self, step: int, latents: list[torch.Tensor]) -> None:
        pixels = self.painter.sheet(latents, self.accelerator.device)
        path = save_sheet(pixels, self.config.output / "samples" / f"step-{step:08d}.png")
        self.reporter.picture("samples", step, pixels)
        self.reporter.event("samples", step=step, path=str(path))

    def export(self, step: int, path: Path) -> Path:
        """Writes the LoRA or the model, with the moving average where there is one.

        Its metadata are those of the weights: what has changed since counts only if there was a step with it. Where
        there was none, a file that says the same already is left alone.
        """
        origin = self.origin if step > self.step else self.loaded_origin
        metadata = origin.metadata(self.config, step)
        (kept,) = self.company.any(self.company.first and step == self.step and is_result(path, self.config, metadata))
        if kept:
            return path
        frozen = self.config.method == "full" or self.config.lora.dora
        with self.parts.best_weights():
            tensors = gather_model(self.plain_model, frozen=frozen)
        self.company.on_first(lambda: write_result(path, self.config, self.shape, tensors, metadata))
        return path

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
        store, files = self._store(spread(held_out, config.samples.count)), self.prepared.files
        return SheetPainter(store, config.samples.filled(files.defaults), files.encoders.load_vae, config.seed)


def _load_latest(folder: Path) -> RunState | None:
    """The latest checkpoint in which something was learnt: one of step 0 is what the configuration would give anyway."""
    checkpoint = latest(folder)
    state = None if checkpoint is None else load_state(checkpoint)
    return state if state is not None and state.step else None


def _provenance(config: TrainConfig, prepared: Prepared) -> Provenance:
    plan, files = prepared.plan, prepared.files
    return Provenance(
        base_model=files.name,
        base_model_sha256=prepared.base_sha256,
        encoders_sha256=prepared.cache.identity.sha256,
        dataset_sha256=plan.digest,
        pairs=len(plan.train),
        instruction=plan.instruction,
        max_tokens=max_tokens(config.resolution, files.defaults),
    )


def _trained(model: torch.nn.Module) -> list[torch.nn.Parameter]:
    return [parameter for parameter in model.parameters() if parameter.requires_grad]
