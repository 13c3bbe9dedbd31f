"""LoRA, DoRA and LoKr: the same pairs and the same computing time for each, and what comes of it.

    .venv/bin/python -m comfyui_ace.benchmarks.training.adapters FOLDER

How long a step takes is measured first, for all kinds in turns; each then gets as many steps as fit into the time. The
score is that of :mod:`.distillation`.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import Any

import torch
from safetensors import safe_open

from ...ace.bundles.bundle import find_bundle
from ...ace.pipeline import ACEPipeline
from ...ace.weights.editnet import read_editnet
from ...ace.weights.lora import read_lora
from ...training.distil_config import DistilSettings, make_train_config, small_model_settings
from ...training.evaluate.cases import CaseSettings
from ...training.evaluate.evaluation import Evaluation
from ...training.evaluate.run import evaluate
from ...training.trainer.config import TrainConfig
from ...training.trainer.run import train
from ..report import Cell, print_table
from .distillation import TEACHERS, make_pairs
from .pace import TRIAL_STEPS, step_seconds

ARMS = {
    "LoRA": {"lora": {"adapter": "lora"}},
    "DoRA": {"lora": {"adapter": "dora"}},
    "LoKr, factor 4": {"lora": {"adapter": "lokr", "factor": 4}},
    "LoKr, factor 8": {"lora": {"adapter": "lokr", "factor": 8}},
}
_COLUMNS = ("what is trained", "numbers", "file, kB", "s a step", "steps", "L1", "score", "share of the ceiling")


@dataclass(frozen=True)
class Task:
    """What all kinds share.

    Attributes:
        folder: for runs.
        datasets: pairs to learn from, and held-out ones.
        batch: pairs a step.
        pairs: held-out pairs to evaluate on.
        arms: settings of the trainer in which kinds differ, by the kind's name.
        device: "auto" or "cpu".
    """

    folder: Path
    datasets: Sequence[Path]
    batch: int
    pairs: int
    arms: Mapping[str, Mapping[str, Any]] = field(default_factory=lambda: ARMS)
    device: str = "cpu"

    def settings(self, arm: str, steps: int, run: str) -> DistilSettings:
        """Of one kind's training."""
        name = "-".join(f"{run} {arm}".lower().replace(",", "").split())
        plain = small_model_settings(self.datasets, self.folder / name, name, steps=steps, pairs=self.pairs)
        overrides: dict[str, Any] = {**plain.overrides, "precision": "fp32"}
        for section, values in self.arms[arm].items():
            merged = {**overrides.get(section, {}), **values} if isinstance(values, Mapping) else values
            overrides[section] = merged
        return replace(plain, batch_size=self.batch, overrides=overrides, train_only=True, device=self.device)


def seconds_a_step(task: Task, arms: Sequence[str], rounds: int) -> Mapping[str, float]:
    """Seconds of a training step, median over the steps of all rounds but each round's first step."""
    found: dict[str, list[float]] = {arm: [] for arm in arms}
    for index in range(rounds):
        for arm in arms:
            trial = task.settings(arm, TRIAL_STEPS, f"trial-{index}")
            found[arm] += step_seconds(trial, trial.output)
    return {arm: median(seconds) for arm, seconds in found.items()}


@dataclass(frozen=True)
class Trained:
    """What came of a training.

    Attributes:
        path: the file.
        numbers: that were trained.
        evaluation: on held-out pairs.
    """

    path: Path
    numbers: int
    evaluation: Evaluation


def train_and_evaluate(task: Task, arm: str, steps: int) -> Trained:
    """Trains one kind from the start to its end, and measures it."""
    config = make_train_config(task.settings(arm, steps, "run"))
    path = train(config).path
    with safe_open(str(path), framework="pt") as file:
        numbers = sum(file.get_tensor(name).numel() for name in file.keys() if not name.endswith(".alpha"))  # noqa: SIM118
    on_cpu = task.device == "cpu" or not torch.accelerator.is_available()
    pipeline = _student(config, path, "cpu" if on_cpu else torch.accelerator.current_accelerator())
    cases = CaseSettings(split="validation", max_pairs=task.pairs)
    return Trained(path, numbers, evaluate(pipeline, task.datasets, cases=cases, student=arm, detail=False))


def _student(config: TrainConfig, path: Path, device: torch.device | str) -> ACEPipeline:
    pipeline = ACEPipeline.load(find_bundle(config.model.bundle), device=device)
    if config.method == "editnet":
        return pipeline.with_adapters(editnets=[(read_editnet(path), 1.0)])
    return pipeline.with_adapters([(read_lora(path), 1.0)])


def row(arm: str, steps: int, seconds: float, result: Trained) -> tuple[Cell, ...]:
    """A line of the table."""
    found = result.evaluation
    size = (f"{result.numbers:,}", result.path.stat().st_size / 1e3)
    return (arm, *size, seconds, steps, found.mean("student").l1, found.score, found.share_of_ceiling)


def add_arguments(parser: argparse.ArgumentParser, arms: Mapping[str, Any]) -> None:
    """Options of every comparison in equal time."""
    parser.add_argument("folder", type=Path, help="for pairs and what is trained")
    parser.add_argument(
        "--seconds", type=float, default=300, help="of training for each kind (of the CPU, where it trains)"
    )
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--pairs", type=int, default=64)
    parser.add_argument("--held-out", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=2, help="in which the time of a step is measured")
    parser.add_argument("--teacher", choices=list(TEACHERS), default="tone curve")
    parser.add_argument("--only", choices=list(arms), nargs="+", default=list(arms))
    parser.add_argument("--device", choices=("cpu", "auto"), default="cpu", help="auto takes the accelerator")


def compare(title: str, arguments: argparse.Namespace, arms: Mapping[str, Mapping[str, Any]]) -> None:
    """Prints the table: each kind with as many steps as fit into the time."""
    datasets = make_pairs(TEACHERS[arguments.teacher], arguments.folder, arguments.pairs, arguments.held_out)
    task = Task(arguments.folder, datasets, arguments.batch, arguments.held_out, arms, arguments.device)
    seconds = seconds_a_step(task, arguments.only, arguments.rounds)
    steps = {arm: max(1, round(arguments.seconds / time)) for arm, time in seconds.items()}
    rows = (row(arm, steps[arm], seconds[arm], train_and_evaluate(task, arm, steps[arm])) for arm in arguments.only)
    notes = (
        f"{arguments.teacher}, {arguments.pairs} pairs, steps of {arguments.batch}, {arguments.seconds:g} s for each.",
    )
    print_table(title, _COLUMNS, rows, notes)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m comfyui_ace.benchmarks.training.adapters", description=__doc__)
    add_arguments(parser, ARMS)
    compare("LoRA, DoRA and LoKr in equal time", parser.parse_args(), ARMS)


if __name__ == "__main__":
    main()
