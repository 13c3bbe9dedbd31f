"""From a dataset to a LoRA, a report on how good it is, and the small workflow that takes the place of the large one."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path
from typing import Any

from ..ace.bundles.bundle import find_bundle
from ..ace.files import atomic_write
from ..ace.weights.lora import read_lora
from ..ace.weights.presets import RecommendedSampling
from .dataset.splits import split_groups
from .dataset.store import Dataset
from .distil_config import LONGEST, DistilSettings, make_train_config, unused_settings
from .evaluate.evaluation import Evaluation
from .evaluate.few_steps import FewStepSearch
from .evaluate.page import describe, write_page
from .evaluate.verdict import give_verdict
from .judge.judges import Judge
from .judge.opening import FaultTolerantJudge, open_judge, where_pictures_go
from .learning_curve import learning_curve
from .measuring import measure_student, split_of
from .outlook import outlook_of_decision, outlook_of_steps
from .trainer.config import TrainConfig
from .trainer.data.division import LEAST, held_out_roles, too_few_to_decide
from .trainer.engine.loop import STOP_NOW
from .trainer.engine.state import latest_checkpoint
from .trainer.errors import TrainError
from .trainer.preparation import never_stop
from .trainer.reporting import OnEvent, pop_flag_file, silent_event
from .workflows.replacement import Replacement, choose_example, sampler_resolution, write_rounds
from .workflows.ui_file import ui_workflow

_HELD_OUT, _ENOUGH_TO_HOLD_OUT = 0.15, 10  # share of the sources; sources
_ENOUGH_FOR_BOTH = 30  # sources, of which some decide the length of the training, and others test it


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
        outlook: in sentences, what more steps and, where it was measured, more pairs would bring.
    """

    trained: Path
    workflow: Path | None
    report: Path | None
    evaluation: Evaluation | None
    step: int
    finished: bool
    outlook: tuple[str, ...] = ()


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
    config = _with_a_length(settings, config, on_event)
    for sentence in unused_settings(settings, config):
        on_event({"event": "notice", "text": sentence})
    trained = train(config, on_event=on_event, should_stop=should_stop)
    evaluation = measured = report = workflow = None
    outlook: list[str] = []
    wanted = bool(settings.pairs) and not settings.train_only
    if trained.finished and wanted:
        measured = measure_student(settings, config, trained.path, judge, on_event, should_stop)
        evaluation = measured.evaluation
    if trained.finished:
        outlook = list(outlook_of_steps(trained, config))
    if evaluation is not None:
        outlook += outlook_of_decision(measured.decided)
    finished = trained.finished and (evaluation is not None or not wanted)
    if evaluation is not None and settings.learning_curve:
        curve = learning_curve(settings, config, measured, on_event, should_stop)
        finished, outlook = curve is not None, [*outlook, *(curve or [])]
    if evaluation is not None:
        report = _write_report(settings, evaluation, measured.fewest, outlook)
    if not settings.train_only:
        workflow = _write_workflow(settings, config, trained.path, evaluation)
    result = DistilResult(trained.path, workflow, report, evaluation, trained.step, finished, tuple(outlook))
    best = None if trained.best is None else trained.best.step
    on_event(_event(settings, config, result, None if measured is None else measured.fewest, best))
    return result


def _event(
    settings: DistilSettings, config: TrainConfig, result: DistilResult, fewest: FewStepSearch | None, best: int | None
) -> dict[str, Any]:
    """What a program that runs a distillation hears at its end."""
    evaluation = result.evaluation
    verdict = None if evaluation is None else give_verdict(evaluation)
    said = [] if verdict is None else [describe(evaluation), verdict.sentence, *([fewest.sentence] if fewest else [])]
    return {
        "event": "distilled",
        "method": config.method,
        "trained": str(result.trained),
        "workflow": None if result.workflow is None else str(result.workflow),
        "report": None if result.report is None else str(result.report),
        "verdict": "\n".join([*said, *result.outlook]) or None,
        "can_replace": None if verdict is None else verdict.answer,
        "score": None if evaluation is None else evaluation.score,
        "score_with_detail": None if evaluation is None else evaluation.score_with_detail,
        "keep_detail": result.workflow is not None and _keeps_detail(settings, evaluation),
        "share_of_ceiling": None if evaluation is None else evaluation.share_of_ceiling,
        "step": result.step,
        "best_step": best,
        "outlook": list(result.outlook),
        "finished": result.finished,
    }


def _hold_some_out(settings: DistilSettings, config: TrainConfig, on_event: OnEvent) -> None:
    """Sets pairs aside where chance has set none, or too few to choose the length by.

    A small dataset whose student cannot be judged proves nothing. Of several datasets each is looked at by itself, since each
    is an edit that is to be judged. A run that has begun goes on with the pairs it has, and of a very small dataset each is
    needed for learning. What is held out already stays so.
    """
    judged = bool(settings.pairs) and not settings.train_only
    if not (judged or settings.automatic_length) or latest_checkpoint(config.output / "checkpoints") is not None:
        return
    some_are = split_of(settings.datasets) == "validation"
    enough = LEAST if settings.automatic_length else 1
    for dataset in map(Dataset, settings.datasets):
        groups = split_groups(dataset.rows())
        sources = len(set(groups.values()))
        held_out = {groups[row.id] for row in dataset.rows("validation")}
        if sources < _ENOUGH_TO_HOLD_OUT or len(held_out) >= enough:
            continue
        if some_are and dataset.settings.validation_fraction == 0:
            continue  # not chance: pairs of another dataset are meant for the test
        least = 2 * LEAST if settings.automatic_length and sources >= _ENOUGH_FOR_BOTH else LEAST
        counts = dataset.split(max(_HELD_OUT, least / sources), dataset.settings.split_seed, held_out)
        text = (
            f"{counts.validation} of the {counts.pairs} pairs of {dataset.name!r} are kept for the test: the student does "
            "not learn from them, so they show what it is worth. The page of datasets lists them as validation and can "
            "move them back"
        )
        on_event({"event": "notice", "text": text})


def _with_a_length(settings: DistilSettings, config: TrainConfig, on_event: OnEvent) -> TrainConfig:
    """The configuration, or that of a fixed length where the pictures cannot choose one, which is said."""
    if not settings.automatic_length or held_out_roles(settings.datasets, config.early_stopping.pairs).can_decide:
        return config
    usual = None if settings.steps is None else max(1, settings.steps // LONGEST)
    fixed = make_train_config(replace(settings, automatic_length=False, steps=usual))
    held_out = sum(1 for folder in settings.datasets for _ in Dataset(folder).rows("validation"))
    on_event({"event": "notice", "text": too_few_to_decide(held_out, fixed.steps)})
    return fixed


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


def _keeps_detail(settings: DistilSettings, evaluation: Evaluation | None) -> bool:
    """Whether the replacement workflow has Keep Detail switched on."""
    if settings.keep_detail == "auto":
        return evaluation is not None and evaluation.detail_helps
    return settings.keep_detail == "on"


def _write_report(
    settings: DistilSettings, evaluation: Evaluation, fewest: FewStepSearch | None, outlook: Sequence[str]
) -> Path:
    said = "switched on" if _keeps_detail(settings, evaluation) else "switched off"
    why = {"auto": "as these numbers say", "on": "as asked for", "off": "as asked for"}[settings.keep_detail]
    folder = settings.output / "report"
    try:
        evaluation.write_json(folder / "evaluation.json")
        more = [f"<p>In the replacement workflow <b>Keep Detail is {said}</b>, {why}.</p>"]
        more += [f"<p>{escape(sentence)}</p>" for sentence in outlook]
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
