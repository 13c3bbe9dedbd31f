"""One generalist against seven single students in the same time, with and without weights λ (OmniEdit §3 in small).

    .venv/bin/python -m comfyui_ace.benchmarks.training.generalist FOLDER [--device auto] [--seconds 12]

Seven specialists make pairs, and a third of what they paint is spoilt. One LoRA learns all seven tasks, each as often as the
others; or each task gets a LoRA of its own and a seventh of the time. "λ" learns from the best pairs of each task by the
judge of the pixels, as OmniEdit does by a model that sees pictures; the others learn from all. Scores are
1 - L1(student, teacher) / L1(source, teacher) on held-out pairs, which are never spoilt.
"""

from __future__ import annotations

import argparse
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import fmean, median

import numpy as np

from ...training.dataset.store import Dataset
from ...training.distil import distil
from ...training.distil_config import DistilSettings, small_model_settings
from ...training.judge.pixels import JUDGE
from ...training.judge.weights import WeightSettings
from ...training.tiny.specialists import SPECIALISTS
from ..report import Table
from .distillation import CHECKS
from .importance import leave_out, spoil
from .pace import step_seconds

# Name of an arm -> (whether one student learns everything, what the weights of the pairs do)
ARMS: Mapping[str, tuple[bool, str]] = {
    "generalist": (True, "ignore"),
    "generalist, λ": (True, "soft"),
    "seven singles": (False, "ignore"),
    "seven singles, λ": (False, "soft"),
}
_SPOILT = 3  # of so many pairs one
_WAYS = 4  # to spoil a pair


@dataclass(frozen=True)
class Weighed:
    """A task's pairs and what the judge made of them: how many are spoilt, left out, and both."""

    folder: Path
    spoilt: int
    left_out: int
    both: int


@dataclass(frozen=True)
class Task:
    """What all arms share.

    Attributes:
        folder: for runs and the cache of encoded pairs.
        datasets: by specialist; each also has the pairs that are held out.
        held_out: pairs of each task.
        batch: pairs a step.
        device: "cpu" or "auto".
        seed: of the training.
    """

    folder: Path
    datasets: Mapping[str, Path]
    held_out: int
    batch: int
    device: str
    seed: int

    def settings(self, arm: str, tasks: Sequence[str], steps: int) -> DistilSettings:
        """Of the student that learns these tasks."""
        name = "-".join([arm, *tasks] if len(tasks) == 1 else [arm]).replace(",", "").replace(" ", "-")
        plain = small_model_settings(
            [self.datasets[task] for task in tasks],
            self.folder / "runs" / name,
            "student",
            steps=steps,
            pairs=self.held_out * len(tasks),
        )
        data = {"weights": ARMS[arm][1], "cache": str(self.folder / "cache")}
        overrides = {**plain.overrides, "data": data, "plot": False}
        choices = {"batch_size": self.batch, "seed": self.seed, "device": self.device, "keep_detail": "off"}
        return replace(plain, overrides=overrides, **choices)


def make_dataset(folder: Path, name: str, pairs: int, held_out: int, seed: int, share: float) -> Weighed:
    """Pairs of one specialist, weighed by the judge of the pixels; of those to learn from a third is spoilt."""
    dataset = Dataset.open_or_create(folder, name.replace(" ", "-"), checks=CHECKS)
    splits: dict[str, str] = {}
    spoilt: set[str] = set()
    for split, count in (("train", pairs), ("validation", held_out)):
        for index in range(count):
            rng = np.random.default_rng((zlib.crc32(f"{split} {name}".encode()), seed, index))
            bad = split == "train" and index % _SPOILT == _SPOILT - 1
            way = partial(spoil, kind=index // _SPOILT % _WAYS, seed=index) if bad else None
            kept = dataset.append(replace(SPECIALISTS[name].pair(rng, split, spoil=way), tags=(name,)))
            splits[kept.id] = split
            spoilt |= {kept.id} if bad else set()
    dataset.rewrite(lambda row: replace(row, split=splits[row.id]))
    left_out = leave_out(dataset, WeightSettings(JUDGE, "top", share=share, split="train"))
    return Weighed(dataset.folder, len(spoilt), len(left_out), len(spoilt & left_out))


def run(arm: str, task: Task, steps: int) -> dict[str, float]:
    """Score of each task after so many steps in all."""
    names = list(task.datasets)
    if ARMS[arm][0]:
        evaluation = distil(task.settings(arm, names, steps)).evaluation
        scores = {folder: part.score for folder, part in evaluation.by_dataset().items()}
        return {name: scores[task.datasets[name].name] for name in names}
    share = max(1, round(steps / len(names)))
    return {name: distil(task.settings(arm, [name], share)).evaluation.score for name in names}


def compare(folder: Path, arguments: argparse.Namespace, seed: int) -> dict[str, dict[str, float]]:
    """The arms with one seed of pictures and training: scores by arm and task, told as they come."""
    made = {
        name: make_dataset(folder / "pairs", name, arguments.pairs, arguments.held_out, seed, arguments.share)
        for name in SPECIALISTS
    }
    counts = ", ".join(f"{name} {one.spoilt}/{one.left_out}/{one.both}" for name, one in made.items())
    print(f"seed {seed}; spoilt/left out/both: {counts}", flush=True)
    datasets = {name: one.folder for name, one in made.items()}
    task = Task(folder, datasets, arguments.held_out, arguments.batch, arguments.device, seed)
    trial = task.settings("generalist", list(datasets), 1)
    pace = median(step_seconds(trial, folder / "trial"))
    steps = max(len(datasets), round(arguments.seconds / pace))
    print(f"{pace:.3f} s a step, {steps} steps for each arm, {round(steps / len(datasets))} for a single", flush=True)
    found = {}
    for arm in arguments.only:
        found[arm] = run(arm, task, steps)
        print(f"{arm}: {', '.join(f'{name} {score:.3f}' for name, score in found[arm].items())}", flush=True)
    return found


def table(found: Sequence[Mapping[str, Mapping[str, float]]]) -> Table:
    """A row for each task with the means over all seeds, the mean over the tasks, and that of each seed."""
    arms = list(found[0])
    rows = [(task, *(fmean(one[arm][task] for one in found) for arm in arms)) for task in SPECIALISTS]
    means = [[fmean(one[arm].values()) for arm in arms] for one in found]
    rows.append(("mean", *(fmean(column) for column in zip(*means, strict=True))))
    if len(found) > 1:
        rows += [(f"mean of run {number}", *values) for number, values in enumerate(means, 1)]
    return Table("One generalist or seven single students", ("task", *arms), rows)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m comfyui_ace.benchmarks.training.generalist", description=__doc__)
    parser.add_argument("folder", type=Path, help="for pairs, LoRAs and reports")
    parser.add_argument("--device", choices=("cpu", "auto"), default="cpu")
    parser.add_argument("--seconds", type=float, default=120, help="of training for each arm; CPU seconds on a CPU")
    parser.add_argument("--pairs", type=int, default=24, help="of each task, a third of them spoilt")
    parser.add_argument("--held-out", type=int, default=6, help="pairs of each task to evaluate on")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--share", type=float, default=0.6, help="of each task's pairs that λ keeps, 0 to 1")
    parser.add_argument(
        "--seed", type=int, nargs="+", default=[0], help="of pictures and training; several are averaged"
    )
    parser.add_argument("--only", choices=list(ARMS), nargs="+", default=list(ARMS))
    arguments = parser.parse_args()
    found = [compare(arguments.folder / f"seed-{seed}", arguments, seed) for seed in arguments.seed]
    print(table(found).markdown())


if __name__ == "__main__":
    main()
