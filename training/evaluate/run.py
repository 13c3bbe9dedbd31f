"""Runs the student on held-out pairs and compares its results with the teacher's."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps

from ...ace.model.sampler import NotFiniteError, check_finite
from ...ace.notices import silent
from ...ace.pictures.keep_detail import keep_detail
from ...ace.pictures.resolution import Resolution
from ...ace.pipeline import ACEPipeline
from ...ace.weights.presets import BundleDefaults
from ..dataset.disk.images import read_image
from ..dataset.disk.storage import safe_file
from ..judge.judges import Judge
from ..judge.prompts import PairPictures, instruction_of_row
from ..judge.scores import Judgement, instruction_of
from ..trainer.data.examples import dataset_names
from ..trainer.progress import Progress, silent_progress
from .cases import Case, CaseSettings, choose_rows, make_cases
from .errors import NothingMeasuredError
from .evaluation import Evaluation, FailedPair, PairResult
from .memory import MemoryMeter
from .metrics.image_metrics import ImageMetrics, LearnedMetrics, compute_metrics, load_learned_metrics

_THUMBNAIL_SIDE = 256  # pixels on the longer side of a picture that is kept for the page


@dataclass(frozen=True)
class SamplerSettings:
    """How the student samples; None takes the bundle's default.

    Attributes:
        seed: of the first pair; every further one counts on.
        steps: of the sampler.
        guidance_scale, guidance_rescale: of classifier-free guidance.
    """

    seed: int = 0
    steps: int | None = None
    guidance_scale: float | None = None
    guidance_rescale: float | None = None

    def with_defaults(self, defaults: BundleDefaults) -> SamplerSettings:
        """These settings, with a bundle's defaults in place of None."""
        names = ("steps", "guidance_scale", "guidance_rescale")
        return replace(self, **{name: getattr(defaults, name) for name in names if getattr(self, name) is None})


def evaluate(
    pipeline: ACEPipeline,
    folders: Sequence[Path],
    *,
    cases: CaseSettings | None = None,
    sampler: SamplerSettings | None = None,
    resolution: Resolution | None = None,
    student: str = "",
    judge: Judge | None = None,
    detail: bool = True,
    progress: Progress = silent_progress,
) -> Evaluation:
    """Compares a student with the teacher whose results lie in datasets.

    Args:
        pipeline: the student: a bundle, with its LoRA merged in.
        folders: of the datasets.
        cases: which pairs, and how much of their history.
        sampler: how the student samples.
        resolution: as in training; None takes the published rule with the bundle's size.
        student: its name, for people.
        judge: marks the student's results and the teacher's; None leaves that out.
        detail: also measure the student's results after Keep Detail.
        progress: told how many pairs are done; an exception it raises stops the evaluation.

    Raises:
        EvaluationError: there is no pair to compare on, one cannot be used, or the student gave no picture on any of them.
        ModelError: the judge cannot be reached.
    """
    cases = cases or CaseSettings()
    sampler = (sampler or SamplerSettings()).with_defaults(pipeline.defaults)
    resolution = resolution or Resolution.published(pipeline.defaults.max_tokens)
    chosen = choose_rows(folders, cases)
    names = dict(zip(map(Path, folders), dataset_names(folders), strict=True))
    learned, memory = load_learned_metrics(), MemoryMeter(pipeline.model.device)
    results: list[PairResult] = []
    failed: list[FailedPair] = []
    progress("evaluating", 0, len(chosen))
    for number, case in enumerate(make_cases(chosen, resolution, cases)):
        case_sampler = replace(sampler, seed=sampler.seed + number)
        try:
            name = names[case.folder]
            results.append(_evaluate_case(pipeline, case, name, case_sampler, memory, learned, judge, detail))
        except NotFiniteError as error:  # one pair that goes wrong says nothing about the others
            failed.append(FailedPair(case.row.id, names[case.folder], str(error)))
        progress("evaluating", number + 1, len(chosen))
    if not results:
        raise NothingMeasuredError(_all_failed(failed))
    return Evaluation(
        results=tuple(results),
        student=student,
        datasets=tuple(names.values()),
        split=cases.split or "both",
        sampler={"steps": sampler.steps, "cfg": sampler.guidance_scale, "guidance_rescale": sampler.guidance_rescale},
        device=str(pipeline.model.device),
        peak_memory=memory.peak,
        judge="" if judge is None else judge.name,
        failed=tuple(failed),
    )


def _all_failed(failed: Sequence[FailedPair]) -> str:
    first = failed[0]
    return (
        f"the student gave no picture on any of the {len(failed)} pairs. "
        f"Pair {first.id} of {first.dataset}: {first.reason}"
    )


def _evaluate_case(
    pipeline: ACEPipeline,
    case: Case,
    dataset: str,
    sampler: SamplerSettings,
    memory: MemoryMeter,
    learned: LearnedMetrics,
    judge: Judge | None,
    detail: bool,
) -> PairResult:
    started = time.perf_counter()
    result = pipeline(
        case.context,
        seed=sampler.seed,
        resolution=case.resolution,
        steps=sampler.steps,
        guidance_scale=sampler.guidance_scale,
        guidance_rescale=sampler.guidance_rescale,
        callback=lambda _step: memory.update(),
    )
    images = result.images.cpu()
    seconds = time.perf_counter() - started
    reconstruction = case.pasted(_round_trip(pipeline, case.teacher))
    student = case.pasted(images)
    kept = _with_detail(pipeline, case, images) if detail and case.source is not None else None

    def against_teacher(picture: torch.Tensor | None) -> ImageMetrics | None:
        return None if picture is None else compute_metrics(picture, case.teacher, learned)

    pictures = [*case.condition_images, ("teacher", case.teacher), ("student", student)]
    pictures += [] if kept is None else [("student with Keep Detail", kept)]
    pictures.append(("the best this VAE can do", reconstruction))
    if case.other_seed is not None:
        pictures.append(("teacher, another seed", case.other_seed))
    return PairResult(
        id=case.row.id,
        dataset=dataset,
        instruction=case.row.instruction,
        masked=case.mask is not None,
        student=against_teacher(student),
        source=against_teacher(case.source),
        other_seed=against_teacher(case.other_seed),
        ceiling=against_teacher(reconstruction),
        seconds=seconds,
        teacher_seconds=case.row.teacher_seconds,
        teacher_memory=case.row.teacher_memory,
        pictures=tuple((label, _thumbnail(picture)) for label, picture in pictures),
        with_detail=against_teacher(kept),
        student_marks=_mark(judge, case, student),
        teacher_marks=_mark(judge, case, case.teacher),
    )


def _mark(judge: Judge | None, case: Case, result: torch.Tensor) -> Judgement | None:
    """A judge's marks; both sides are shown at the size the model works at, so that size decides nothing.

    Of a pair that it has judged in the dataset it hears the same words as there.
    """
    if judge is None:
        return None
    source = None if case.source is None else _as_image(case.source)
    references = tuple(
        Image.fromarray(read_image(safe_file(case.folder, name)).pixels) for name in case.row.reference_file_names
    )
    words = instruction_of_row(case.row, instruction_of(case.row.scores, judge.name))
    return judge.judge(PairPictures(source, _as_image(result), words, references))


def _round_trip(pipeline: ACEPipeline, picture: torch.Tensor) -> torch.Tensor:
    """Raises `NotFiniteError`: a VAE in float16 may overflow on one picture and on no other."""
    result = pipeline.vae.decode(pipeline.vae.encode(picture)).cpu()
    check_finite(result, "the VAE's round trip")
    return result


def _with_detail(pipeline: ACEPipeline, case: Case, images: torch.Tensor) -> torch.Tensor:
    """The student's result after Keep Detail, at the size the model works at."""
    kept = keep_detail(case.source, images, _round_trip(pipeline, case.source), case.mask, notify=silent)
    return case.pasted(kept)


def _as_image(picture: torch.Tensor) -> Image.Image:
    """Of a picture (1, H, W, 3), 0 … 1."""
    pixels = (picture[0].clamp(0, 1) * 255).round().byte().cpu().numpy()
    return Image.fromarray(np.ascontiguousarray(pixels))


def _thumbnail(picture: torch.Tensor) -> Image.Image:
    image = _as_image(picture)
    return ImageOps.contain(image, (_THUMBNAIL_SIDE, _THUMBNAIL_SIDE)) if max(image.size) > _THUMBNAIL_SIDE else image
