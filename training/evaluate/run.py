"""Asks the student, measures what it answers, and sets that beside what one could expect at least and at best."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps

from ...ace.pictures.resolution import Resolution
from ...ace.pipeline import ACEPipeline
from ..trainer.progress import Progress, silent_progress
from .cases import Case, CaseSettings, choose_rows, make_cases
from .evaluation import Answer, Evaluation
from .measures import Distance, Distances, find_lpips, measure
from .memory import MemoryMeter

_SHOWN = 256  # pixels on the longer side of a picture that is kept for the page


@dataclass(frozen=True)
class SamplerSettings:
    """How the student is asked; None takes the bundle's own.

    Attributes:
        seed: of the first pair; every further one counts on.
    """

    seed: int = 0
    steps: int | None = None
    guidance_scale: float | None = None
    guidance_rescale: float | None = None

    def over(self, pipeline: ACEPipeline) -> SamplerSettings:
        """With the bundle's numbers in place of None."""
        own = {name: getattr(pipeline.defaults, name) for name in ("steps", "guidance_scale", "guidance_rescale")}
        return replace(self, **{name: value for name, value in own.items() if getattr(self, name) is None})


def evaluate(
    pipeline: ACEPipeline,
    folders: Sequence[Path],
    *,
    cases: CaseSettings | None = None,
    sampler: SamplerSettings | None = None,
    resolution: Resolution | None = None,
    student: str = "",
    progress: Progress = silent_progress,
) -> Evaluation:
    """Compares a student with the teacher whose results lie in datasets.

    Args:
        pipeline: the student: a bundle, with its LoRA merged in.
        resolution: as in training; None takes the published rule with the bundle's size.
        student: its name, for people.
        progress: told how many pairs are done; an exception it raises stops the evaluation.

    Raises:
        EvaluationError: there is no pair to compare on, or one cannot be used.
    """
    cases = cases or CaseSettings()
    sampler = (sampler or SamplerSettings()).over(pipeline)
    resolution = resolution or Resolution.published(pipeline.defaults.max_tokens)
    chosen = choose_rows(folders, cases)
    lpips, memory = find_lpips(), MemoryMeter(pipeline.model.device)
    answers = []
    progress("evaluating", 0, len(chosen))
    for number, case in enumerate(make_cases(chosen, resolution, cases)):
        answers.append(_ask(pipeline, case, replace(sampler, seed=sampler.seed + number), memory, lpips))
        progress("evaluating", number + 1, len(chosen))
    return Evaluation(
        answers=tuple(answers),
        student=student,
        datasets=tuple(folder.name for folder in folders),
        split=cases.split or "both",
        sampler={"steps": sampler.steps, "cfg": sampler.guidance_scale, "guidance_rescale": sampler.guidance_rescale},
        device=str(pipeline.model.device),
        peak_memory=memory.peak,
    )


def _ask(
    pipeline: ACEPipeline, case: Case, sampler: SamplerSettings, memory: MemoryMeter, lpips: Distance | None
) -> Answer:
    started = time.perf_counter()
    result = pipeline(
        case.context,
        seed=sampler.seed,
        resolution=case.resolution,
        steps=sampler.steps,
        guidance_scale=sampler.guidance_scale,
        guidance_rescale=sampler.guidance_rescale,
        callback=lambda _step: memory.look(),
    )
    answered = result.images.cpu()
    seconds = time.perf_counter() - started
    restored = case.pasted(pipeline.vae.decode(pipeline.vae.encode(case.teacher)).cpu())
    student = case.pasted(answered)

    def against_teacher(picture: torch.Tensor | None) -> Distances | None:
        return None if picture is None else measure(picture, case.teacher, lpips)

    shown = [*case.shown, ("teacher", case.teacher), ("student", student), ("best this VAE can", restored)]
    if case.other_seed is not None:
        shown.append(("teacher, another seed", case.other_seed))
    return Answer(
        id=case.row.id,
        dataset=case.folder.name,
        instruction=case.row.instruction,
        masked=case.mask is not None,
        student=against_teacher(student),
        source=against_teacher(case.source),
        other_seed=against_teacher(case.other_seed),
        ceiling=against_teacher(restored),
        seconds=seconds,
        teacher_seconds=case.row.teacher_seconds,
        teacher_memory=case.row.teacher_memory,
        pictures=tuple((label, _for_the_page(picture)) for label, picture in shown),
    )


def _for_the_page(picture: torch.Tensor) -> Image.Image:
    pixels = (picture[0].clamp(0, 1) * 255).round().byte().cpu().numpy()
    image = Image.fromarray(np.ascontiguousarray(pixels))
    return ImageOps.contain(image, (_SHOWN, _SHOWN)) if max(image.size) > _SHOWN else image
