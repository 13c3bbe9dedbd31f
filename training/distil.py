"""From a dataset to a LoRA, a report on how good it is, and the small workflow that takes the place of the large one."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ..ace.bundles.bundle import SHIPPED_BUNDLES, find_bundle
from ..ace.files import atomic_write
from ..ace.pipeline import ACEPipeline
from ..ace.weights.lora import merge_lora, read_lora
from .dataset.store import Dataset
from .evaluate.cases import CaseSettings
from .evaluate.evaluation import Evaluation
from .evaluate.page import describe, write_page
from .evaluate.run import evaluate
from .trainer.config import TrainConfig
from .trainer.config_file import make_config, read_table
from .trainer.engine.loop import STOP_NOW
from .trainer.errors import ConfigError, TrainError
from .trainer.preparation import never
from .trainer.reporting import OnEvent, silent_event, touched
from .trainer.start import make_resolution
from .workflows.replacement import Replacement, choose_example, sampler_resolution, write_rounds
from .workflows.ui_file import ui_workflow

STANDARD = Path(__file__).parent / "configs" / "distil-lora.toml"
_EVALUATED = 16  # pairs


@dataclass(frozen=True)
class DistilSettings:
    """What is distilled, from what, and where to.

    Attributes:
        datasets: folders of pairs.
        bundle: folder of the base model.
        output: folder of the run; the same call with the same folder goes on.
        name: of the LoRA, the workflow and the pictures it saves.
        steps, rank, learning_rate, batch_size, seed: see :class:`TrainConfig`; None leaves what the configuration says.
        config: file of everything else; the shipped ``distil-lora.toml`` if left out.
        changes: single settings of it, nested as in the file.
        device: "auto" or "cpu".
        inputs: folder for the pictures that the workflow opens; None takes ``inputs`` in the output folder.
        pairs: held-out pairs to evaluate on; 0 leaves the evaluation out.
        train_only: no evaluation and no workflow; the whole model may be trained, too.
    """

    datasets: Sequence[Path]
    bundle: Path
    output: Path
    name: str
    steps: int | None = None
    rank: int | None = None
    learning_rate: float | None = None
    batch_size: int | None = None
    seed: int | None = None
    config: Path | None = None
    changes: dict[str, Any] | None = None
    device: str = "auto"
    inputs: Path | None = None
    pairs: int = _EVALUATED
    train_only: bool = False


def small_model_settings(
    datasets: Sequence[Path], output: Path, name: str, *, steps: int, pairs: int, validate_every: int = 0
) -> DistilSettings:
    """What suits ace-tiny on a CPU: it learns fast and needs no guidance."""
    return DistilSettings(
        datasets=datasets,
        bundle=SHIPPED_BUNDLES / "ace-tiny",
        output=output,
        name=name,
        steps=steps,
        rank=64,
        learning_rate=4e-3,
        batch_size=8,
        seed=0,
        changes={
            "tensorboard": False,
            "objective": {"timesteps": "stratified", "weighting": "velocity", "instruction_dropout": 0.0},
            "validation": {"every": validate_every},
            "samples": {"every": 0},
            "checkpoints": {"export": False},
        },
        device="cpu",
        pairs=pairs,
    )


@dataclass(frozen=True)
class DistilResult:
    """What a distillation has come to.

    Attributes:
        trained: the LoRA, or the whole model.
        workflow: the replacement, in UI format; None if only training was wanted.
        report: the page; None if it was not wanted, or the run was stopped before it.
        evaluation: the numbers on it.
        step: optimiser steps done.
        finished: False if somebody asked to stop, be it during the evaluation; the same call goes on from there.
    """

    trained: Path
    workflow: Path | None
    report: Path | None
    evaluation: Evaluation | None
    step: int
    finished: bool


def make_train_config(settings: DistilSettings) -> TrainConfig:
    """The trainer's configuration.

    Raises:
        ConfigError: the file or a setting is wrong, or it is not one for a LoRA.
    """
    if settings.pairs < 0:
        raise ConfigError(f"{settings.pairs} pairs cannot be evaluated on; expected 0 (no evaluation) or more")
    table = read_table(settings.config or STANDARD)
    if settings.config is None:
        _scale_to(table, settings)
    if settings.device == "cpu" or not torch.accelerator.is_available():
        table |= {"device": "cpu", "precision": "fp32"}  # bf16 is slower there, and nothing is gained
    given = {
        "output": str(settings.output),
        "steps": settings.steps,
        "batch_size": settings.batch_size,
        "seed": settings.seed,
        "model": {"bundle": str(settings.bundle)},
        "data": {"datasets": [str(folder) for folder in settings.datasets]},
        "lora": {"rank": settings.rank},
        "optimizer": {"learning_rate": settings.learning_rate},
        "export": {"name": settings.name},
    }
    table = _merged(_merged(table, given), settings.changes or {})
    config = make_config(table, str(settings.config or "the distillation"))
    if config.method != "lora" and not settings.train_only:
        raise ConfigError(
            f'{settings.config} trains the whole model (method = "{config.method}"). A distillation makes a LoRA: choose '
            'a configuration with method = "lora", or train with `comfyui-ace train`'
        )
    return config


def _scale_to(table: dict[str, Any], settings: DistilSettings) -> None:
    """Fits the shipped file's intervals to the number of steps, and puts the cache beside the run."""
    steps = settings.steps or table["steps"]
    table["data"]["cache"] = str(settings.output.parent / "training-cache")
    table["optimizer"]["warmup_steps"] = min(table["optimizer"]["warmup_steps"], steps // 10)
    for section, share in (("validation", 10), ("samples", 4), ("checkpoints", 4)):
        table[section]["every"] = min(table[section]["every"], max(1, steps // share))


def _merged(table: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """``given`` over ``table``, section by section; None leaves what is there."""
    result = dict(table)
    for key, value in given.items():
        if isinstance(value, dict):
            result[key] = _merged(result.get(key, {}), value)
        elif value is not None:
            result[key] = value
    return result


def distil(
    settings: DistilSettings,
    *,
    on_event: OnEvent | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> DistilResult:
    """Trains, evaluates, and writes report and replacement workflow.

    Args:
        on_event: hears the trainer's events, then "progress" of the evaluation, and at last "distilled" with the paths.
        should_stop: as the trainer's, and asked during the evaluation, too; so is the file ``stop_now`` in the output
            folder. After a stop there is a LoRA and a workflow, and no evaluation.

    Raises:
        TrainError, EvaluationError, DatasetError, BundleError: it cannot start or go on; what was trained is kept.
    """
    from .packages import require_packages
    from .trainer.run import train

    on_event = on_event or silent_event
    require_packages()
    config = make_train_config(settings)
    should_stop = _or_file(should_stop or never, config.output / STOP_NOW)
    trained = train(config, on_event=on_event, should_stop=should_stop)
    evaluation = report = workflow = None
    wanted = bool(settings.pairs) and not settings.train_only
    if trained.finished and wanted:
        evaluation = _evaluate(settings, config, trained.path, on_event, should_stop)
    finished = trained.finished and (evaluation is not None or not wanted)
    if evaluation is not None:
        report = _write_report(settings, evaluation)
    if not settings.train_only:
        workflow = _write_workflow(settings, config, trained.path, evaluation)
    on_event(
        {
            "event": "distilled",
            "method": config.method,
            "trained": str(trained.path),
            "workflow": None if workflow is None else str(workflow),
            "report": None if report is None else str(report),
            "verdict": None if evaluation is None else describe(evaluation),
            "score": None if evaluation is None else evaluation.score,
            "share_of_ceiling": None if evaluation is None else evaluation.share,
            "step": trained.step,
            "finished": finished,
        }
    )
    return DistilResult(trained.path, workflow, report, evaluation, trained.step, finished)


def _or_file(should_stop: Callable[[], bool], path: Path) -> Callable[[], bool]:
    """Also hears a file with the request; the file is taken away, the request stays."""
    heard = False

    def asked() -> bool:
        nonlocal heard
        heard = heard or touched(path)
        return heard or should_stop()

    return asked


class _Stopped(Exception):
    """Somebody asked to stop during the evaluation."""


def _evaluate(
    settings: DistilSettings,
    config: TrainConfig,
    lora: Path,
    on_event: OnEvent,
    should_stop: Callable[[], bool],
) -> Evaluation | None:
    def progress(what: str, done: int, total: int) -> None:
        on_event({"event": "progress", "what": what, "done": done, "total": total})
        if should_stop():
            raise _Stopped

    on_cpu = config.device == "cpu" or not torch.accelerator.is_available()
    device = torch.device("cpu") if on_cpu else torch.accelerator.current_accelerator()
    bundle = find_bundle(settings.bundle)
    dtype = torch.bfloat16 if config.precision == "bf16" else torch.float32
    pipeline = ACEPipeline.load(bundle, device=device, dtype=dtype)
    merge_lora(pipeline.model, read_lora(lora))
    cases = CaseSettings(
        split=_split(settings.datasets),
        max_pairs=settings.pairs,
        max_rounds=config.data.max_rounds,
        fill=config.data.fill,
    )
    try:
        return evaluate(
            pipeline,
            settings.datasets,
            cases=cases,
            resolution=make_resolution(config.resolution, bundle.defaults),
            student=f"{bundle.name} with {settings.name}",
            progress=progress,
        )
    except _Stopped:
        return None


def _split(folders: Sequence[Path]) -> str:
    """Small datasets may have nothing set aside; the report then says that its pairs were trained on."""
    held_out = any(True for folder in folders for _ in Dataset(folder).rows("validation"))
    return "validation" if held_out else "train"


def _write_report(settings: DistilSettings, evaluation: Evaluation) -> Path:
    folder = settings.output / "report"
    try:
        evaluation.write_json(folder / "evaluation.json")
        return write_page(evaluation, folder / "index.html")
    except OSError as error:
        raise TrainError(f"the report cannot be written to {folder} ({error}); the LoRA is kept") from error


def _write_workflow(settings: DistilSettings, config: TrainConfig, lora: Path, evaluation: Evaluation | None) -> Path:
    bundle = find_bundle(settings.bundle)
    trigger = read_lora(lora).trigger
    dataset, row = choose_example(settings.datasets, trigger)
    path = settings.output / f"{settings.name}.json"
    try:
        rounds = write_rounds(dataset, row, trigger, settings.inputs or settings.output / "inputs", settings.name)
        defaults = bundle.defaults
        sampler = {
            "steps": defaults.steps,
            "cfg": defaults.guidance_scale,
            "guidance_rescale": defaults.guidance_rescale,
            **sampler_resolution(config.resolution, defaults.max_tokens),
        }
        made = Replacement(settings.name, bundle.name, lora.name, rounds, sampler, config.data.fill)
        verdict = "not evaluated yet" if evaluation is None else describe(evaluation)
        content = json.dumps(ui_workflow(made.graph(), made.note(verdict)), indent=1, ensure_ascii=False)
        with atomic_write(path) as temporary:
            temporary.write_text(content + "\n", encoding="utf-8")
    except OSError as error:
        raise TrainError(f"the workflow cannot be written to {path} ({error}); the LoRA is kept") from error
    return path
