"""What a distillation is told, and the trainer's configuration that follows from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ..ace.bundles.bundle import SHIPPED_BUNDLES, BundleError, find_bundle
from .trainer.config import TrainConfig
from .trainer.config_file import make_config, read_toml
from .trainer.errors import ConfigError

DEFAULT_CONFIG = Path(__file__).parent / "configs" / "distil-lora.toml"
_EVALUATION_PAIRS = 16
KEEP_DETAIL = ("auto", "on", "off")
"""Keep Detail in the replacement workflow: where the evaluation finds that it helps, always, or never."""


MAX_SPEED_LOSS = 0.5
LONGEST = 3
"""Automatic length goes at most so many times as far as the usual number of steps."""
_MEASUREMENTS = 30  # on the way there


@dataclass(frozen=True)
class DistilSettings:
    """What is distilled, from what, and where to.

    Attributes:
        datasets: folders of pairs.
        bundle: folder of the base model.
        output: folder of the run; the same call with the same folder goes on.
        name: of the LoRA, the workflow and the pictures it saves.
        steps: optimiser steps; None takes what the configuration says. With ``automatic_length`` the most that are taken,
            None meaning ``LONGEST`` times what the configuration says; a third of it is taken where no length can be chosen.
        rank, learning_rate, batch_size, seed: see :class:`TrainConfig`; None leaves what the configuration says.
        config: file of everything else; if left out what the bundle recommends, over the shipped ``distil-lora.toml``.
        overrides: single settings of it, nested as in the file.
        device: "auto" or "cpu".
        inputs: folder for the pictures that the workflow opens; None takes ``inputs`` in the output folder.
        pairs: held-out pairs to evaluate on; 0 leaves the evaluation out.
        keep_detail: whether the workflow gives back what the VAE took of the source, see :data:`KEEP_DETAIL`.
        train_only: no evaluation and no workflow; the whole model may be trained, too.
        judge_server: address of a server whose model marks the student's and the teacher's results; the pictures of the
            evaluated pairs are sent there. Empty leaves it out.
        judge_model: as that server names it; empty where it has just one.
        speed_loss: share of the score, 0 … 0.5, that may be given up for fewer evaluations of the model, see
            :func:`evaluate.few_steps.find_fewest_steps`. 0 keeps the bundle's steps and guidance.
        automatic_length: end where the pictures on held-out pairs no longer come nearer to the teacher's, see
            :class:`EarlyStoppingSection`; with too few of those it is as if this were not set.
        learning_curve: also train on each half of the pairs, to say what more pairs would bring. Twice as long again.
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
    overrides: dict[str, Any] | None = None
    device: str = "auto"
    inputs: Path | None = None
    pairs: int = _EVALUATION_PAIRS
    keep_detail: str = "auto"
    train_only: bool = False
    judge_server: str = ""
    judge_model: str = ""
    speed_loss: float = 0.05
    automatic_length: bool = False
    learning_curve: bool = False


def small_model_settings(
    datasets: Sequence[Path], output: Path, name: str, *, steps: int, pairs: int, validate_every: int = 0
) -> DistilSettings:
    """What suits ace-tiny on a CPU: it learns fast and needs no guidance.

    Args:
        datasets: folders of pairs.
        output: folder of the run.
        name: of the LoRA, the workflow and the pictures it saves.
        steps: optimiser steps.
        pairs: held-out pairs to evaluate on.
        validate_every: steps between two measurements of the held-out loss; 0 switches them off.
    """
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
        overrides={
            "tensorboard": False,
            "objective": {"timesteps": "stratified", "weighting": "velocity", "instruction_dropout": 0.0},
            "validation": {"every": validate_every},
            "samples": {"every": 0},
            "checkpoints": {"export": False},
        },
        device="cpu",
        pairs=pairs,
        speed_loss=0.0,  # it samples with six evaluations as it is
    )


def make_train_config(settings: DistilSettings) -> TrainConfig:
    """The trainer's configuration.

    Raises:
        ConfigError: the file or a setting is wrong, or it is not one for a LoRA.
    """
    _check(settings)
    table = read_toml(settings.config or DEFAULT_CONFIG)
    if settings.config is None:
        table = _merged(table, _recommended(settings.bundle))
        if len(settings.datasets) > 1:  # each is an edit of its own, with its own teacher
            table["data"]["balance"] = "datasets"
    if settings.automatic_length:
        table = _with_early_stopping(table, settings)
    if settings.config is None:
        _fit_intervals(table, settings)
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
    table = _merged(_merged(table, given), settings.overrides or {})
    config = make_config(table, str(settings.config or "the distillation"))
    if config.method != "lora" and not settings.train_only:
        raise ConfigError(
            f'{settings.config} trains something else (method = "{config.method}"). A distillation makes a LoRA: choose '
            'a configuration with method = "lora", or train with `comfyui-ace train`'
        )
    if config.model.lora is not None and not settings.train_only:
        raise ConfigError(
            "model.lora is set, so what is learnt works only together with that LoRA, and the replacement workflow applies "
            "one alone. Train with `comfyui-ace train`, or leave model.lora out"
        )
    return config


def _check(settings: DistilSettings) -> None:
    """Of what no configuration knows.

    Raises:
        ConfigError: a setting is out of range, or asks for what another one leaves out.
    """
    if settings.pairs < 0:
        raise ConfigError(f"{settings.pairs} pairs cannot be evaluated on; expected 0 (no evaluation) or more")
    if settings.keep_detail not in KEEP_DETAIL:
        raise ConfigError(f"keep_detail is {settings.keep_detail!r}; expected one of {', '.join(KEEP_DETAIL)}")
    if not 0 <= settings.speed_loss <= MAX_SPEED_LOSS:
        raise ConfigError(
            f"speed_loss is {settings.speed_loss:g}; expected a share of the score from 0 (keep the model's own steps) to "
            f"{MAX_SPEED_LOSS:g}"
        )
    if settings.learning_curve and (settings.train_only or not settings.pairs):
        without = "train_only" if settings.train_only else "0 pairs to evaluate on"
        raise ConfigError(
            f"a learning curve compares scores on held-out pairs, and with {without} nothing is measured: ask for one of "
            "both"
        )


def _recommended(bundle: Path) -> dict[str, Any]:
    """What the bundle recommends, as in a configuration; nothing for one that is incomplete, which training will say."""
    try:
        recommended = find_bundle(bundle, require=()).defaults.distillation
    except BundleError:
        return {}
    return {
        "steps": recommended.steps,
        "batch_size": recommended.batch_size,
        "lora": {"rank": recommended.rank},
        "optimizer": {"learning_rate": recommended.learning_rate},
    }


def _with_early_stopping(table: dict[str, Any], settings: DistilSettings) -> dict[str, Any]:
    """A configuration whose run ends by its pictures.

    The rate stays at its highest, so that no step is a bad one to end with. What is measured and handed back is an average
    of the weights over about one measurement's steps, which evens out the latest of them as a falling rate does.
    """
    steps = settings.steps or table.get("steps")
    if not isinstance(steps, int):
        return table  # which the trainer's configuration refuses in its own words
    steps = settings.steps or LONGEST * steps
    every = max(1, round(steps / _MEASUREMENTS))
    return _merged(
        table,
        {
            "steps": steps,
            "ema": 1.0 - 1.0 / max(2, every),
            "optimizer": {"schedule": "constant"},
            "early_stopping": {"every": every, "pairs": "all" if settings.train_only else "half"},
        },
    )


def unused_settings(settings: DistilSettings, config: TrainConfig) -> list[str]:
    """What was asked for and changes nothing, in sentences.

    Args:
        settings: what was asked for.
        config: what is trained by, of :func:`make_train_config`.
    """
    sentences = []
    if settings.rank is not None and config.method != "lora":
        sentences.append(f'rank {settings.rank} changes nothing: method = "{config.method}" trains no LoRA')
    if settings.automatic_length and settings.config is not None and config.early_stopping.every:
        own = read_toml(settings.config)
        given = (
            ("ema", own.get("ema"), config.ema),
            ("optimizer.schedule", own.get("optimizer", {}).get("schedule"), config.optimizer.schedule),
            ("early_stopping.every", own.get("early_stopping", {}).get("every"), config.early_stopping.every),
        )
        replaced = [f"{name} = {value}" for name, value, used in given if value not in (None, used)]
        if replaced:
            sentences.append(
                f"the length of the training is chosen by its pictures, so what {settings.config.name} says of it is not "
                f"used: {', '.join(replaced)}"
            )
    return sentences


def _fit_intervals(table: dict[str, Any], settings: DistilSettings) -> None:
    """Fits the shipped file's intervals to the number of steps, and puts the cache beside the run."""
    steps = table["steps"] if settings.automatic_length else settings.steps or table["steps"]
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
