"""From a dataset to a LoRA, a report on how good it is, and the small workflow that takes the place of the large one."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from ..ace.bundles.bundle import Bundle, find_bundle
from ..ace.files import atomic_write
from ..ace.pipeline import ACEPipeline
from ..ace.weights.lora import merge_lora, read_lora
from ..ace.weights.presets import RecommendedSampling
from .dataset.splits import split_groups
from .dataset.store import Dataset
from .distil_config import DistilSettings, make_train_config
from .evaluate.cases import CaseSettings
from .evaluate.evaluation import Evaluation
from .evaluate.few_steps import FewStepSearch, find_fewest_steps
from .evaluate.page import describe, write_page
from .evaluate.run import SamplerSettings, evaluate
from .evaluate.verdict import give_verdict
from .judge.judges import Judge
from .judge.opening import FaultTolerantJudge, open_judge, where_pictures_go
from .trainer.base_model import make_resolution
from .trainer.config import TrainConfig
from .trainer.engine.loop import STOP_NOW
from .trainer.engine.state import latest_checkpoint
from .trainer.errors import TrainError
from .trainer.export import add_metadata
from .trainer.methods.make import student_sampling
from .trainer.preparation import never_stop
from .trainer.reporting import OnEvent, pop_flag_file, silent_event
from .workflows.replacement import Replacement, choose_example, sampler_resolution, write_rounds
from .workflows.ui_file import ui_workflow

_HELD_OUT, _ENOUGH_TO_HOLD_OUT = 0.15, 10  # share of the sources; sources
_LEAST_HELD_OUT = 3  # sources: with fewer, neither Keep Detail nor the number of steps could be chosen by the pictures


@dataclass(frozen=True)
class DistilResult:
    """What came out of a distillation.

    Attributes:
        trained: the LoRA, or the whole model.
        workflow: the replacement, in UI format; None if only training was wanted.
        report: the HTML page; None if it was not wanted, or the run was stopped before it.
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


def distil(
    settings: DistilSettings,
    *,
    on_event: OnEvent | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> DistilResult:
    """Trains, evaluates, and writes report and replacement workflow.

    Args:
        settings: what to distil, from what, and where to.
        on_event: gets the trainer's events, then "progress" of the evaluation, and at last "distilled" with the paths.
        should_stop: as the trainer's, and asked during the evaluation, too; so is the file ``stop_now`` in the output
            folder. After a stop there is a LoRA and a workflow, and no evaluation.

    Raises:
        TrainError, EvaluationError, DatasetError, BundleError: it cannot start or go on; what was trained is kept.
        ModelError: the judge cannot be used, which is found out before anything is trained.
    """
    from .packages import require_packages
    from .trainer.run import train

    on_event = on_event or silent_event
    require_packages()
    config = make_train_config(settings)
    should_stop = _or_flag_file(should_stop or never_stop, config.output / STOP_NOW)
    judge = _open_judge(settings, on_event)
    _hold_some_out(settings, config, on_event)
    trained = train(config, on_event=on_event, should_stop=should_stop)
    evaluation = fewest = report = workflow = None
    wanted = bool(settings.pairs) and not settings.train_only
    if trained.finished and wanted:
        fewest, evaluation = _evaluate(settings, config, trained.path, judge, on_event, should_stop)
    finished = trained.finished and (evaluation is not None or not wanted)
    if evaluation is not None:
        report = _write_report(settings, evaluation, fewest, _keeps_detail(settings, evaluation))
    if not settings.train_only:
        workflow = _write_workflow(settings, config, trained.path, evaluation)
    verdict = give_verdict(evaluation) if evaluation is not None else None
    said = [] if verdict is None else [describe(evaluation), verdict.sentence, *([fewest.sentence] if fewest else [])]
    on_event(
        {
            "event": "distilled",
            "method": config.method,
            "trained": str(trained.path),
            "workflow": None if workflow is None else str(workflow),
            "report": None if report is None else str(report),
            "verdict": "\n".join(said) or None,
            "can_replace": None if verdict is None else verdict.answer,
            "score": None if evaluation is None else evaluation.score,
            "score_with_detail": None if evaluation is None else evaluation.score_with_detail,
            "keep_detail": workflow is not None and _keeps_detail(settings, evaluation),
            "share_of_ceiling": None if evaluation is None else evaluation.share_of_ceiling,
            "step": trained.step,
            "finished": finished,
        }
    )
    return DistilResult(trained.path, workflow, report, evaluation, trained.step, finished)


def _hold_some_out(settings: DistilSettings, config: TrainConfig, on_event: OnEvent) -> None:
    """Sets pairs aside where chance has set none: a small dataset whose student cannot be judged proves nothing.

    Of several datasets each is looked at by itself, since each is an edit that is to be judged. A run that has begun goes
    on with the pairs it has, and of a very small dataset each is needed for learning.
    """
    if not settings.pairs or settings.train_only or latest_checkpoint(config.output / "checkpoints") is not None:
        return
    some_are = _split(settings.datasets) == "validation"
    for dataset in map(Dataset, settings.datasets):
        if any(dataset.rows("validation")):
            continue
        if some_are and dataset.settings.validation_fraction == 0:
            continue  # not chance: pairs of another dataset are meant for the test
        sources = len(set(split_groups(dataset.rows()).values()))
        if sources < _ENOUGH_TO_HOLD_OUT:
            continue
        counts = dataset.split(max(_HELD_OUT, _LEAST_HELD_OUT / sources), dataset.settings.split_seed)
        text = (
            f"{counts.validation} of the {counts.pairs} pairs of {dataset.name!r} are kept for the test: the student does "
            "not learn from them, so they show what it is worth. The page of datasets lists them as validation and can "
            "move them back"
        )
        on_event({"event": "notice", "text": text})


def _open_judge(settings: DistilSettings, on_event: OnEvent) -> Judge | None:
    if not settings.judge_server or not settings.pairs or settings.train_only:
        return None
    answers = settings.output / "report" / "answers.jsonl"
    judge = open_judge(settings.judge_server, settings.judge_model, answers)

    def notice(text: str) -> None:
        on_event({"event": "notice", "text": text})

    notice(where_pictures_go(judge))
    return FaultTolerantJudge(judge, notice)


def _or_flag_file(should_stop: Callable[[], bool], path: Path) -> Callable[[], bool]:
    """Also looks for a file with the request; the file is deleted, the request stays."""
    found = False

    def stop() -> bool:
        nonlocal found
        found = found or pop_flag_file(path)
        return found or should_stop()

    return stop


class _Stopped(Exception):
    """Somebody asked to stop during the evaluation."""


def _evaluate(
    settings: DistilSettings,
    config: TrainConfig,
    lora: Path,
    judge: Judge | None,
    on_event: OnEvent,
    should_stop: Callable[[], bool],
) -> tuple[FewStepSearch | None, Evaluation | None]:
    """Finds out how few steps are enough, stores that in the LoRA, and evaluates it so; without an evaluation if stopped."""

    def progress(what: str, done: int, total: int) -> None:
        on_event({"event": "progress", "what": what, "done": done, "total": total})
        if should_stop():
            raise _Stopped

    bundle = find_bundle(settings.bundle)
    pipeline = _load_student(config, bundle, lora)
    cases = CaseSettings(
        split=_split(settings.datasets),
        max_pairs=settings.pairs,
        max_rounds=config.data.max_rounds,
        fill=config.data.fill,
    )
    resolution = make_resolution(config.resolution, bundle.defaults)
    taught = student_sampling(config, bundle.defaults)
    own = taught or RecommendedSampling.of(bundle.defaults)
    fewest, sampler = None, SamplerSettings() if taught is None else _sampler(taught)
    try:
        if settings.speed_loss:
            fewest = find_fewest_steps(
                pipeline,
                settings.datasets,
                own=own,
                cases=cases,
                resolution=resolution,
                loss=settings.speed_loss,
                progress=progress,
            )
        if fewest is not None:
            add_metadata(lora, fewest.chosen.sampling.to_metadata())
            sampler = _sampler(fewest.chosen.sampling)
        return fewest, evaluate(
            pipeline,
            settings.datasets,
            cases=cases,
            sampler=sampler,
            resolution=resolution,
            student=f"{bundle.name} with {settings.name}",
            judge=judge,
            detail=settings.keep_detail != "off",
            progress=progress,
        )
    except _Stopped:
        return fewest, None


def _sampler(sampling: RecommendedSampling) -> SamplerSettings:
    return SamplerSettings(0, sampling.steps, sampling.guidance_scale, sampling.guidance_rescale)


def _load_student(config: TrainConfig, bundle: Bundle, lora: Path) -> ACEPipeline:
    """The base model with the LoRA merged in, where and as exactly as it was trained."""
    on_cpu = config.device == "cpu" or not torch.accelerator.is_available()
    device = torch.device("cpu") if on_cpu else torch.accelerator.current_accelerator()
    dtype = torch.bfloat16 if config.precision == "bf16" else torch.float32
    pipeline = ACEPipeline.load(bundle, device=device, dtype=dtype)
    merge_lora(pipeline.model, read_lora(lora))
    return pipeline


def _split(folders: Sequence[Path]) -> str:
    """Small datasets may have nothing set aside; the report then says that its pairs were trained on."""
    held_out = any(True for folder in folders for _ in Dataset(folder).rows("validation"))
    return "validation" if held_out else "train"


def _keeps_detail(settings: DistilSettings, evaluation: Evaluation | None) -> bool:
    """Whether the replacement workflow has Keep Detail switched on."""
    if settings.keep_detail == "auto":
        return evaluation is not None and evaluation.detail_helps
    return settings.keep_detail == "on"


def _write_report(settings: DistilSettings, evaluation: Evaluation, fewest: FewStepSearch | None, detail: bool) -> Path:
    said = "switched on" if detail else "switched off"
    why = {"auto": "as these numbers say", "on": "as asked for", "off": "as asked for"}[settings.keep_detail]
    folder = settings.output / "report"
    try:
        evaluation.write_json(folder / "evaluation.json")
        more = [f"<p>In the replacement workflow <b>Keep Detail is {said}</b>, {why}.</p>"]
        if fewest is not None:
            fewest.write_json(folder / "steps.json")
            more.append(fewest.to_html())
        return write_page(evaluation, folder / "index.html", more=more)
    except OSError as error:
        raise TrainError(f"the report cannot be written to {folder} ({error}); the LoRA is kept") from error


def _write_workflow(settings: DistilSettings, config: TrainConfig, lora: Path, evaluation: Evaluation | None) -> Path:
    bundle = find_bundle(settings.bundle)
    opened = read_lora(lora)
    trigger = opened.trigger
    dataset, row = choose_example(settings.datasets, trigger)
    path = settings.output / f"{settings.name}.json"
    try:
        rounds = write_rounds(dataset, row, trigger, settings.inputs or settings.output / "inputs", settings.name)
        sampling = opened.sampling or RecommendedSampling.of(bundle.defaults)
        sampler = {
            "steps": sampling.steps,
            "cfg": sampling.guidance_scale,
            "guidance_rescale": sampling.guidance_rescale,
            **sampler_resolution(config.resolution, bundle.defaults.max_tokens),
        }
        detail = _keeps_detail(settings, evaluation)
        made = Replacement(
            settings.name, bundle.name, lora.name, rounds, sampler, config.data.fill, detail, opened.triggers
        )
        verdict = (
            "not evaluated yet"
            if evaluation is None
            else f"{describe(evaluation)}. {give_verdict(evaluation).sentence}"
        )
        content = json.dumps(ui_workflow(made.graph(), made.note(verdict)), indent=1, ensure_ascii=False)
        with atomic_write(path) as temporary:
            temporary.write_text(content + "\n", encoding="utf-8", newline="\n")
    except OSError as error:
        raise TrainError(f"the workflow cannot be written to {path} ({error}); the LoRA is kept") from error
    return path
