"""A training run from its configuration to the exported file: `train` is what the command and the node call."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from .base_model import make_model, max_tokens
from .config import TrainConfig
from .data.division import too_few_to_decide
from .data.loader import BatchLoader
from .data_module import DataModule, data_digest
from .engine.early_stopping import EarlyStopping, ScoredStep, read_scores
from .engine.loop import Components, Hooks, Loop
from .engine.processes import Processes
from .engine.run_lock import run_lock
from .engine.state import (
    RunState,
    gather_model,
    gather_optimizers,
    latest_checkpoint,
    load_state,
    restore_model,
    restore_optimizers,
    save_state,
)
from .export import export_weights, is_exported
from .learning.optimizer import EMA, make_optimizers, trainable_parameters
from .methods.make import make_method, student_sampling
from .monitoring.by_dataset import DatasetProgress, dataset_progress, last_validation
from .monitoring.make import make_meter, make_renderer, make_validation
from .monitoring.plot import plot_losses
from .monitoring.samples import SampleRenderer, ShardedModel, save_sheet
from .preparation import Prepared, never_stop, open_accelerator, prepare
from .reporting import METRICS, OnEvent, Reporter, read_metrics, silent_event, with_train_errors
from .resume import Provenance, check_resume, checkpoint_metadata, stored_provenance


@dataclass(frozen=True)
class TrainResult:
    """How a run ended.

    Attributes:
        path: the exported LoRA or model.
        step: optimiser steps done.
        finished: False if somebody asked to stop; the same call goes on from there.
        scores: that early stopping measured, in the order of the steps; empty without it.
        best: of those the one whose weights were exported; None without any.
    """

    path: Path
    step: int
    finished: bool
    scores: tuple[ScoredStep, ...] = ()
    best: ScoredStep | None = None


def train(
    config: TrainConfig, *, on_event: OnEvent | None = None, should_stop: Callable[[], bool] | None = None
) -> TrainResult:
    """Trains, or goes on training: everything is in the configuration's output folder.

    Args:
        config: of the run.
        on_event: gets what happens as dictionaries with an "event" (progress, start, step, validation, samples,
            score, checkpoint, notice, end).
        should_stop: asked before every step; when it says yes, the run is saved, the result is written as it is, and
            the call returns.

    Raises:
        FinishedRunError: all steps are done, or early stopping has ended it, and the data or settings have changed since.
        TrainError: the run cannot start or go on; the message says what is kept.
    """
    on_event = with_train_errors(on_event or silent_event)
    with open_accelerator(config) as accelerator:
        should_stop = should_stop or never_stop
        prepared = prepare(config, accelerator, on_event, should_stop)
        processes = Processes(accelerator)
        with run_lock(config.output, processes):
            run = _Run(config, processes, prepared, on_event, should_stop)
            try:
                return run.train()
            finally:
                run.close()


class _Run:
    """One run: its components, and what the loop calls now and then."""

    def __init__(
        self,
        config: TrainConfig,
        processes: Processes,
        prepared: Prepared,
        on_event: OnEvent,
        should_stop: Callable[[], bool],
    ) -> None:
        self.config, self.processes, self.prepared, self.should_stop = config, processes, prepared, should_stop
        self.accelerator = processes.accelerator
        self.provenance = self.stored_provenance = _provenance(config, prepared)
        state = _load_latest(config.output / "checkpoints")
        self.step, changes = 0, ()
        if state is not None:
            early = config.early_stopping
            ended = bool(early.every) and EarlyStopping(early, read_scores(state.metadata)).stalled
            changes = check_resume(config, self.provenance, state.metadata, state.step, ended=ended)
            self.step, self.stored_provenance = state.step, stored_provenance(state.metadata, self.provenance)
        self.data = DataModule(config, prepared, self.accelerator)
        self._build()
        self.stopping = EarlyStopping(config.early_stopping) if config.early_stopping.every else None
        if state is not None:
            self._restore(state)
        self.reporter = processes.on_all(lambda: self._make_reporter(on_event, changes))
        self.validation = make_validation(config, self.data)
        self.renderer = make_renderer(config, self.data, prepared.files)
        self.meter = None
        if self.stopping is not None:
            self.meter = processes.on_all(lambda: make_meter(config, self.data, prepared.files))
            if self.meter is None:
                held_out = len(prepared.examples.validation)
                self.reporter.event("notice", text=too_few_to_decide(held_out, config.steps))

    def _make_reporter(self, on_event: OnEvent, changes: tuple[str, ...]) -> Reporter:
        config, active = self.config, self.processes.is_main
        reporter = Reporter(config.output, self.step, on_event=on_event, active=active, tensorboard=config.tensorboard)
        for change in changes:
            reporter.event("notice", text=f"since step {self.step} {change}")
        return reporter

    def _build(self) -> None:
        """Model, optimisers, loader and what is learnt."""
        config, accelerator = self.config, self.accelerator
        model = make_model(config, self.prepared.files, self.data.indicators.shape[1], accelerator.device)
        self.model_config = model.config
        optimizers = make_optimizers(model, config.optimizer)
        # Together: sharding exchanges the parameters in all of them.
        model, *optimizers = accelerator.prepare(model, *optimizers)
        loader = BatchLoader(
            self.data.batches,
            config.objective,
            batch_size=config.batch_size * accelerator.num_processes,
            indicators=self.data.indicators,
            seed=config.seed,
            process_index=accelerator.process_index,
            num_processes=accelerator.num_processes,
            device=accelerator.device,
            prefetch=self.data.prefetch_pays,
        )
        ema = EMA(trainable_parameters(model), config.ema) if config.ema else None
        self.loader = loader
        self.method = make_method(config, model, loader, self.prepared.files.defaults, self.processes.on_all)
        self.components = Components(model, tuple(optimizers), ema, accelerator, self.method, self.processes)

    @property
    def sharded(self) -> bool:
        """Whether the weights are spread over processes, so that all of them must take part in every forward pass."""
        return str(self.accelerator.distributed_type).endswith("FSDP")

    @property
    def unwrapped_model(self) -> torch.nn.Module:
        """The model whose names are those of files; a sharded one has to stay in its wrapper."""
        return self.components.model if self.sharded else self.accelerator.unwrap_model(self.components.model)

    @property
    def _unwrapped_optimizers(self) -> list[torch.optim.Optimizer]:
        return [wrapped.optimizer for wrapped in self.components.optimizers]

    def train(self) -> TrainResult:
        """Runs the loop, exports the weights and plots the losses."""
        config, examples = self.config, self.prepared.examples
        start = {
            "step": self.step,
            "steps": config.steps,
            "pairs": len(examples.train),
            "held_out": len(examples.validation),
            "layouts": len({example.layout for example in examples.train}),
            "left_out": examples.left_out,
            "trained_parameters": sum(parameter.numel() for parameter in trainable_parameters(self.components.model)),
            "device": str(self.accelerator.device),
            "processes": self.accelerator.num_processes,
            "output": str(config.output),
        }
        self.processes.on_main(lambda: self.reporter.event("start", **start))
        hooks = Hooks(self.save, self.validate, self.draw_samples, self.measure_score, self.is_enough, self.should_stop)
        loop = Loop(config, self.components, hooks, self.reporter, step=self.step, epoch_of=self._epoch_of)
        finished = loop.run()
        datasets = self._measure_datasets(loop.step) if finished else []
        path = self.export(loop.step, config.output / f"{config.name}.safetensors")
        plot = self._plot()
        best, scores = self._best, () if self.stopping is None else tuple(self.stopping.scores)
        end = {"step": loop.step, "finished": finished, "path": str(path), "plot": None if plot is None else str(plot)}
        if best is not None:
            end |= {"best_step": best.step, "best_score": best.score}
        if datasets:
            end["by_dataset"] = {one.name: one.as_dict() for one in datasets}
        self.reporter.event("end", **end)
        return TrainResult(path, loop.step, finished, scores, best)

    @property
    def _best(self) -> ScoredStep | None:
        """The step whose weights are handed back; None means the last."""
        return None if self.stopping is None else self.stopping.best

    def _epoch_of(self, number: int) -> float:
        return self.data.batches.epoch_of(self.method.batches_before(number))

    def _plot(self) -> Path | None:
        if not (self.config.plot and self.accelerator.is_main_process):
            return None
        try:
            return plot_losses(self.config.output)
        except ImportError:
            reason, minor = "the package matplotlib is not installed", True
        except OSError as error:
            reason, minor = str(error), False
        self.reporter.event("notice", text=f"no loss.png was drawn: {reason}", minor=minor)
        return None

    def close(self) -> None:
        """Ends the loader's thread and closes the metrics."""
        self.loader.close()
        self.reporter.close()

    def save(self, step: int) -> Path | None:
        """Writes a checkpoint, and the exported file beside it where that is wanted.

        Returns:
            the checkpoint's folder on the main process.
        """
        model = self.unwrapped_model
        ema = None
        if self.components.ema is not None:
            with self.components.ema.applied():
                ema = gather_model(model)
        state = RunState(
            step=step,
            model=gather_model(model),
            optimizer=gather_optimizers(model, self._unwrapped_optimizers),
            ema=ema,
            metadata=checkpoint_metadata(self.config, self.provenance)
            | ({} if self.stopping is None else {"early_stopping": self.stopping.to_metadata()}),
            best=None if self.stopping is None else self.stopping.weights,
        )
        folder, keep = self.config.output / "checkpoints", self.config.checkpoints.keep
        path = self.processes.on_main(lambda: save_state(folder, state, keep))
        if self.config.checkpoints.export:
            beside = self.config.output / "exports" / f"{self.config.name}-{step:08d}.safetensors"
            self.export(step, beside, as_it_is=True)
        return path

    def _restore(self, state: RunState) -> None:
        """Puts a checkpoint's tensors back.

        Raises:
            TrainError: they are those of another model.
        """
        model = self.unwrapped_model
        if self.components.ema is not None:
            restore_model(model, state.ema or state.model)
            self.components.ema.reset()
        restore_model(model, state.model)
        restore_optimizers(model, self._unwrapped_optimizers, state.optimizer)
        old, new = self.stored_provenance, self.provenance
        comparable = (old.dataset_sha256, old.encoders_sha256) == (new.dataset_sha256, new.encoders_sha256)
        if self.stopping is not None and state.best is not None and comparable:
            self.stopping = EarlyStopping(self.config.early_stopping, read_scores(state.metadata), state.best)

    def validate(self, step: int) -> None:
        """Measures and reports the loss on held-out pairs, where that is wanted."""
        if self.validation is None:
            return
        with self.components.eval_model() as model:
            measured = self.validation.measure(model, self.processes)
        values = {"loss": measured.loss, "by_timestep": measured.by_timestep}
        if len(measured.by_dataset) > 1:
            values["by_dataset"] = measured.by_dataset
        self.processes.on_main(lambda: self.reporter.metrics("validation", step, values))

    @property
    def _has_several_datasets(self) -> bool:
        return self.validation is not None and len(self.validation.datasets) > 1

    def _measure_datasets(self, step: int) -> list[DatasetProgress]:
        """How each of several datasets was learnt by the weights that are handed back. Only the main process is told."""
        if not self._has_several_datasets:
            return []
        metrics, best = self.config.output / METRICS, self._best
        (missing,) = self.processes.any(self.processes.is_main and last_validation(read_metrics(metrics)) != step)
        if missing and best is None:  # the best was measured when it was found
            self.validate(step)
        shown = step if best is None else best.step
        return dataset_progress(read_metrics(metrics), shown) if self.processes.is_main else []

    def draw_samples(self, step: int) -> None:
        """Draws a sheet on the main process; with a sharded model all must help."""
        if self.renderer is None:
            return
        if self.sharded:
            latents = self._sample_latents(self.renderer)
            self.processes.on_main(lambda: self._write_sheet(step, latents))
        else:
            self.processes.on_main(lambda: self._write_sheet(step, self._sample_latents(self.renderer)))

    def _sample_latents(self, renderer: SampleRenderer) -> list[torch.Tensor | None]:
        with self.components.eval_model() as model, self.accelerator.autocast(), torch.no_grad():
            if self.sharded:
                return renderer.latents(ShardedModel(model, self.accelerator.device, torch.float32))
            return renderer.latents(self.accelerator.unwrap_model(model))

    def measure_score(self, step: int) -> None:
        """Measures and reports the score on the pairs that decide, and keeps the weights if it is the best."""
        if self.meter is None:
            return
        latents = self._sample_latents(self.meter.renderer) if self.sharded else None

        def measure() -> float:
            found = self._sample_latents(self.meter.renderer) if latents is None else latents
            return self.meter.measure(found, self.accelerator.device).score

        score = self.processes.from_main(self.processes.on_main(measure))
        is_best = self.stopping.add(step, score, self._exported_tensors)
        if is_best and self._has_several_datasets and step % self.config.validation.every:
            self.validate(step)
        best = self.stopping.best
        values = {"score": score, "best_step": best.step, "best_score": best.score}
        self.processes.on_main(lambda: self.reporter.metrics("score", step, values))

    def is_enough(self) -> bool:
        """Whether the scores have stopped rising."""
        return self.meter is not None and self.stopping.stalled

    def _exported_tensors(self) -> dict[str, torch.Tensor]:
        """Of the model as it is measured; a collective call."""
        with self.components.eval_model():
            return gather_model(self.unwrapped_model, frozen=self.config.method == "full")

    def _write_sheet(self, step: int, latents: list[torch.Tensor | None]) -> None:
        pixels = self.renderer.sheet(latents, self.accelerator.device)
        path = save_sheet(pixels, self.config.output / "samples" / f"step-{step:08d}.png")
        self.reporter.image("samples", step, pixels)
        self.reporter.event("samples", step=step, path=str(path))

    def export(self, step: int, path: Path, *, as_it_is: bool = False) -> Path:
        """Writes the LoRA or the model, with the moving average where there is one; the best that early stopping has seen.

        Its metadata is that of the weights: what has changed since counts only if there was a step with it. Where there
        was none, a file that says the same already is left alone.

        Args:
            step: optimiser steps done.
            path: of the file.
            as_it_is: the weights after this very step, be they the best or not.

        Returns:
            the path.

        Raises:
            TrainError: the file cannot be written.
        """
        provenance = self.provenance if step > self.step else self.stored_provenance
        best = None if as_it_is else self._best
        metadata = provenance.metadata(self.config, step if best is None else best.step)
        if best is not None:
            metadata |= {"steps_done": str(step), "best_score": f"{best.score:.4f}"}
        (kept,) = self.processes.any(
            self.processes.is_main and step == self.step and is_exported(path, self.config, metadata)
        )
        if kept:
            return path
        tensors = self._exported_tensors() if best is None else self.stopping.weights
        sampling = student_sampling(self.config, self.prepared.files.defaults)
        metadata |= {} if sampling is None else sampling.to_metadata()  # a distillation may find a cheaper one later
        self.processes.on_main(lambda: export_weights(path, self.config, self.model_config, tensors, metadata))
        return path


def _load_latest(folder: Path) -> RunState | None:
    """The latest checkpoint in which something was learnt: one of step 0 is what the configuration would give anyway."""
    checkpoint = latest_checkpoint(folder)
    state = None if checkpoint is None else load_state(checkpoint)
    return state if state is not None and state.step else None


def _provenance(config: TrainConfig, prepared: Prepared) -> Provenance:
    examples, files = prepared.examples, prepared.files
    return Provenance(
        base_model=files.name,
        base_model_sha256=prepared.base_sha256,
        encoders_sha256=prepared.cache.identity.sha256,
        dataset_sha256=data_digest(config, prepared),
        pairs=len(examples.train),
        instruction=examples.instruction,
        triggers=examples.triggers,
        max_tokens=max_tokens(config.resolution, files.defaults),
    )
