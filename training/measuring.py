"""A distilled student on held-out pairs: how few steps are enough, and how near it comes to its teacher."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from ..ace.bundles.bundle import Bundle, find_bundle
from ..ace.pipeline import ACEPipeline
from ..ace.weights.lora import merge_lora, read_lora
from ..ace.weights.presets import RecommendedSampling
from .dataset.store import Dataset
from .distil_config import DistilSettings
from .evaluate.cases import CaseSettings
from .evaluate.evaluation import Evaluation
from .evaluate.few_steps import FewStepSearch, find_fewest_steps
from .evaluate.run import SamplerSettings, evaluate
from .judge.judges import Judge
from .trainer.base_model import make_resolution
from .trainer.config import TrainConfig
from .trainer.data.division import held_out_roles
from .trainer.export import add_metadata
from .trainer.methods.make import student_sampling
from .trainer.progress import Progress
from .trainer.reporting import OnEvent


@dataclass(frozen=True)
class Measured:
    """What held-out pairs say of a student.

    Attributes:
        fewest: how few steps are enough; None where that was not asked, or cannot be said.
        evaluation: the comparison with the teacher; None if somebody asked to stop before it was over.
        sampler: how the student was sampled for it.
        decided: the length of the training was chosen on the very pairs of the evaluation, whose score is then a little
            too good.
    """

    fewest: FewStepSearch | None
    evaluation: Evaluation | None
    sampler: SamplerSettings
    decided: bool


class Stopped(Exception):
    """Somebody asked to stop during the evaluation."""


def measure_student(
    settings: DistilSettings,
    config: TrainConfig,
    lora: Path,
    judge: Judge | None,
    on_event: OnEvent,
    should_stop: Callable[[], bool],
) -> Measured:
    """Finds out how few steps are enough, stores that in the LoRA, and evaluates it so.

    Args:
        settings, config: of the distillation.
        lora: the student's.
        judge: marks results, or None.
        on_event: gets the progress.
        should_stop: asked after every picture.
    """
    progress = progress_or_stop(on_event, should_stop)
    bundle = find_bundle(settings.bundle)
    pipeline = load_student(config, bundle, lora)
    cases, deciding, decided = _cases(settings, config)
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
                cases=deciding,
                resolution=resolution,
                loss=settings.speed_loss,
                progress=progress,
            )
        if fewest is not None:
            add_metadata(lora, fewest.chosen.sampling.to_metadata())
            sampler = _sampler(fewest.chosen.sampling)
        evaluation = evaluate(
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
    except Stopped:
        return Measured(fewest, None, sampler, decided)
    return Measured(fewest, evaluation, sampler, decided)


def measure_score(
    settings: DistilSettings, config: TrainConfig, lora: Path, sampler: SamplerSettings, progress: Progress
) -> Evaluation:
    """The evaluation of another LoRA on the same pairs, sampled in the same way, to be compared.

    Raises:
        Stopped: by ``progress``.
    """
    bundle = find_bundle(settings.bundle)
    return evaluate(
        load_student(config, bundle, lora),
        settings.datasets,
        cases=_cases(settings, config)[0],
        sampler=sampler,
        resolution=make_resolution(config.resolution, bundle.defaults),
        detail=False,
        progress=progress,
    )


def progress_or_stop(on_event: OnEvent, should_stop: Callable[[], bool]) -> Progress:
    """Hands progress on; raises :class:`Stopped` once that is wanted."""

    def progress(what: str, done: int, total: int) -> None:
        on_event({"event": "progress", "what": what, "done": done, "total": total})
        if should_stop():
            raise Stopped

    return progress


def load_student(config: TrainConfig, bundle: Bundle, lora: Path) -> ACEPipeline:
    """The base model with the LoRA merged in, where and as exactly as it was trained."""
    on_cpu = config.device == "cpu" or not torch.accelerator.is_available()
    device = torch.device("cpu") if on_cpu else torch.accelerator.current_accelerator()
    dtype = torch.bfloat16 if config.precision == "bf16" else torch.float32
    pipeline = ACEPipeline.load(bundle, device=device, dtype=dtype)
    merge_lora(pipeline.model, read_lora(lora))
    return pipeline


def split_of(folders: Sequence[Path]) -> str:
    """Small datasets may have nothing set aside; the report then says that its pairs were trained on."""
    held_out = any(True for folder in folders for _ in Dataset(folder).rows("validation"))
    return "validation" if held_out else "train"


def _cases(settings: DistilSettings, config: TrainConfig) -> tuple[CaseSettings, CaseSettings, bool]:
    """Pairs to evaluate on, pairs to choose the number of steps by, and whether early stopping was decided on the former."""
    split = split_of(settings.datasets)
    every = CaseSettings(
        split=split, max_pairs=settings.pairs, max_rounds=config.data.max_rounds, fill=config.data.fill
    )
    if not config.early_stopping.every or split != "validation":
        return every, every, False
    roles = held_out_roles(settings.datasets, config.early_stopping.pairs)
    if roles.shared:
        return every, every, roles.can_decide
    return replace(every, leave_out=roles.deciding), replace(every, leave_out=roles.testing), False


def _sampler(sampling: RecommendedSampling) -> SamplerSettings:
    return SamplerSettings(0, sampling.steps, sampling.guidance_scale, sampling.guidance_rescale)
