"""LoRA, DoRA and LoKr: the same pairs and the same computing time for each, and what comes of it.

    .venv/bin/python -m comfyui_ace.benchmarks.training.adapters FOLDER

How long a step takes is measured first, for all kinds in turns; each then gets as many steps as fit into the time. The
score is that of :mod:`.distillation`.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

from safetensors import safe_open

from ...training.distil import DistilResult, distil
from ...training.distil_config import DistilSettings, small_model_settings
from .distillation import TEACHERS, make_pairs
from .pace import TRIAL_STEPS, step_seconds

ARMS = {
    "LoRA": {"adapter": "lora"},
    "DoRA": {"adapter": "dora"},
    "LoKr, factor 4": {"adapter": "lokr", "factor": 4},
    "LoKr, factor 8": {"adapter": "lokr", "factor": 8},
}


@dataclass(frozen=True)
class Task:
    """What all kinds share.

    Attributes:
        folder: for runs.
        datasets: pairs to learn from, and held-out ones.
        batch: pairs a step.
        pairs: held-out pairs to evaluate on.
    """

    folder: Path
    datasets: Sequence[Path]
    batch: int
    pairs: int

    def settings(self, arm: str, steps: int, run: str) -> DistilSettings:
        """Of one kind's training."""
        name = f"{run}-{arm}".lower().replace(",", "").replace(" ", "-")
        plain = small_model_settings(self.datasets, self.folder / name, name, steps=steps, pairs=self.pairs)
        overrides: dict[str, Any] = {**plain.overrides, "lora": ARMS[arm]}
        return replace(plain, batch_size=self.batch, overrides=overrides, keep_detail="off")


def seconds_a_step(task: Task, arms: Sequence[str], rounds: int) -> Mapping[str, float]:
    """CPU seconds of a training step, median over the steps of all rounds but each round's first step."""
    found: dict[str, list[float]] = {arm: [] for arm in arms}
    for index in range(rounds):
        for arm in arms:
            trial = task.settings(arm, TRIAL_STEPS, f"trial-{index}")
            found[arm] += step_seconds(trial, trial.output)
    return {arm: median(seconds) for arm, seconds in found.items()}


def row(arm: str, steps: int, seconds: float, result: DistilResult) -> str:
    """A line of the table."""
    with safe_open(str(result.trained), framework="pt") as file:
        numbers = sum(file.get_tensor(name).numel() for name in file.keys() if not name.endswith(".alpha"))  # noqa: SIM118
    found = result.evaluation
    size = f"{numbers:,} | {result.trained.stat().st_size / 1e3:,.0f}"
    scores = f"{found.mean('student').l1:.4f} | {found.score:.3f} | {found.share_of_ceiling:.2f}"
    return f"| {arm} | {size} | {seconds:.3f} | {steps} | {scores} |"


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m comfyui_ace.benchmarks.training.adapters", description=__doc__)
    parser.add_argument("folder", type=Path, help="for pairs, LoRAs and reports")
    parser.add_argument("--seconds", type=float, default=300, help="CPU seconds of training for each kind")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--pairs", type=int, default=64)
    parser.add_argument("--held-out", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=2, help="in which the time of a step is measured")
    parser.add_argument("--teacher", choices=list(TEACHERS), default="tone curve")
    parser.add_argument("--only", choices=list(ARMS), nargs="+", default=list(ARMS))
    arguments = parser.parse_args()
    datasets = make_pairs(TEACHERS[arguments.teacher], arguments.folder, arguments.pairs, arguments.held_out)
    task = Task(arguments.folder, datasets, arguments.batch, arguments.held_out)
    seconds = seconds_a_step(task, arguments.only, arguments.rounds)
    print("| adapter | numbers | file, kB | CPU s a step | steps | L1 | score | share of the ceiling |")
    print("| --- " * 8 + "|")
    for arm in arguments.only:
        steps = max(1, round(arguments.seconds / seconds[arm]))
        print(row(arm, steps, seconds[arm], distil(task.settings(arm, steps, "run"))), flush=True)


if __name__ == "__main__":
    main()
