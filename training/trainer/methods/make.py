"""The method that a configuration asks for."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from torch import nn

from ....ace.weights.presets import BundleDefaults, RecommendedSampling
from ..config import TrainConfig
from ..data.loader import BatchLoader, TeacherLoader
from ..learning.objective import timestep_weights
from .consistency import ConsistencyMethod
from .guidance import GuidanceMethod
from .pairs import Method, MixedMethod, PairsMethod
from .teacher import Teacher

_CONSISTENCY_STEPS = 8
T = TypeVar("T")


def make_method(
    config: TrainConfig,
    model: nn.Module,
    loader: BatchLoader,
    defaults: BundleDefaults,
    read: Callable[[Callable[[], T]], T],
) -> Method:
    """The method that a configuration asks for.

    Args:
        config: of the run.
        model: as accelerate wrapped it.
        loader: of the pairs; a teacher's batches are read as its are.
        defaults: of the bundle.
        read: calls a function that reads data, in every process.
    """

    def loading(load: Callable[[int], Any]) -> Callable[[int], Any]:
        return lambda number: read(partial(load, number))

    pairs = PairsMethod(model, loading(loader))
    if config.distil.method == "pairs":
        return pairs
    how = teacher_sampling(config, defaults)
    teacher = Teacher(model, how.steps, how.guidance_scale, how.guidance_rescale)
    load = loading(TeacherLoader.like(loader, how.steps))
    objective = config.objective
    if config.distil.method == "guidance":
        method = GuidanceMethod(teacher, load, timestep_weights(objective.weighting, objective.max_weighting))
    else:
        method = ConsistencyMethod(teacher, load, objective.max_weighting)
    return MixedMethod(pairs, method, config.distil.pairs_share)


def teacher_sampling(config: TrainConfig, defaults: BundleDefaults) -> RecommendedSampling:
    """How the teacher samples: as the configuration says, else as the bundle does."""
    given = {name: getattr(config.distil, name) for name in ("steps", "guidance_scale", "guidance_rescale")}
    return RecommendedSampling(**{k: getattr(defaults, k) if v is None else v for k, v in given.items()})


def student_sampling(config: TrainConfig, defaults: BundleDefaults) -> RecommendedSampling | None:
    """How a student is to be sampled that was taught to do without guidance; None where it was not."""
    method = config.distil.method
    if method == "pairs":
        return None
    teacher = teacher_sampling(config, defaults)
    steps = min(teacher.steps, _CONSISTENCY_STEPS) if method == "consistency" else teacher.steps
    return RecommendedSampling(steps, 1.0, teacher.guidance_rescale)
