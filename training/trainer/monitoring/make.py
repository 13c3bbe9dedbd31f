"""What a run is measured and shown by, as its configuration asks for it."""

from __future__ import annotations

from dataclasses import asdict

from ....ace.weights.presets import RecommendedSampling
from ..base_model import BaseModelFiles
from ..config import SamplesSection, TrainConfig
from ..data_module import DataModule
from ..methods.make import student_sampling
from .samples import SampleRenderer
from .score import ScoreMeter
from .validation import Validation


def make_validation(config: TrainConfig, data: DataModule) -> Validation | None:
    """The loss on held-out pairs; None where it is off or nothing is held out."""
    held_out = data.held_out(config.validation.max_examples) if config.validation.every else None
    if held_out is None:
        return None
    return Validation(held_out, timesteps=config.validation.timesteps, batch_size=config.batch_size, seed=config.seed)


def make_renderer(config: TrainConfig, data: DataModule, files: BaseModelFiles) -> SampleRenderer | None:
    """Sheets of held-out pairs; None where they are off or nothing is held out."""
    held_out = data.held_out(config.samples.count) if config.samples.every else None
    if held_out is None:
        return None
    settings = config.samples.with_defaults(files.defaults)
    return SampleRenderer(held_out, settings, files.encoders.load_vae, config.seed)


def make_meter(config: TrainConfig, data: DataModule, files: BaseModelFiles) -> ScoreMeter | None:
    """What early stopping measures by, sampled as the finished student will be; None if too few pairs could decide.

    Raises:
        DataError: a held-out picture cannot be read.
    """
    deciding = data.deciding()
    if deciding is None:
        return None
    sampling = student_sampling(config, files.defaults) or RecommendedSampling.of(files.defaults)
    renderer = SampleRenderer(deciding, SamplesSection(**asdict(sampling)), files.encoders.load_vae, config.seed)
    meter = ScoreMeter(renderer)
    return meter if meter.source_l1 > 0 else None
