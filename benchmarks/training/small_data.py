"""What automatic length and augmentation bring where there are few pairs, on the small bundle.

    .venv/bin/python -m comfyui_ace.benchmarks.training.small_data FOLDER

Each student learns as the **Distil** node has it, from a dozen pairs with a few held out, which decide its length where it is
automatic. What counts is the score on pairs of a dataset of its own, which decide nothing. Beside it stands the score on the
deciding pairs: what it is higher by is what choosing among many measurements flatters.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

from ...ace.bundles.bundle import SHIPPED_BUNDLES, find_bundle
from ...ace.files import rename
from ...training.dataset.store import Dataset
from ...training.distil_config import DistilSettings, make_train_config
from ...training.evaluate.cases import CaseSettings
from ...training.evaluate.run import evaluate
from ...training.measuring import load_student
from ...training.trainer.run import train
from ..report import Cell, print_table
from .distillation import SIDE, TEACHERS, make_pairs

PAIRS, DECIDING, TESTED = 12, 3, 12


@dataclass(frozen=True)
class Arm:
    """One way to train.

    Attributes:
        automatic: the pictures decide when it is enough, and go as far as they like within the most that there is; else as
            many steps as were asked for, times ``longer``.
        augment: see the trainer's ``data.augment``.
        longer: times the usual number of steps.
        settings: of the trainer, over those that follow.
    """

    automatic: bool = False
    augment: Any = "off"
    longer: int = 1
    settings: dict[str, Any] | None = None


_CONSTANT = {"optimizer": {"schedule": "constant"}}
ARMS = {
    "fixed": Arm(),
    "fixed, augmented": Arm(augment="auto"),
    "fixed, mirrored": Arm(augment=["hflip"]),
    "fixed, crops": Arm(augment=["crop"]),
    "fixed, three times as long": Arm(longer=3),
    "fixed, three times as long, augmented": Arm(longer=3, augment="auto"),
    "constant rate": Arm(settings=_CONSTANT),
    "constant rate, averaged": Arm(settings={**_CONSTANT, "ema": 0.95}),
    "automatic": Arm(automatic=True),
    "automatic, augmented": Arm(automatic=True, augment="auto"),
    "automatic, not averaged": Arm(automatic=True, settings={"ema": 0.0}),
}


@dataclass(frozen=True)
class Bench:
    """What all students have in common.

    Attributes:
        folder: for pairs and students.
        pairs: to learn from.
        side: of the pictures, in pixels.
        steps: of a fixed length.
        device: "auto" or "cpu".
    """

    folder: Path
    pairs: int
    side: int
    steps: int
    device: str


def run(bench: Bench, teacher: str, arm: str, seed: int) -> tuple[Cell, ...]:
    """Trains one student and returns its row of the table."""
    place = bench.folder / teacher.replace(" ", "-") / f"{bench.pairs}-pairs-{bench.side}"
    data, test = place / "learnt", place / "tested"
    if not data.is_dir():
        _, held_out = make_pairs(TEACHERS[teacher], test, 1, TESTED, bench.side)
        train_set, _ = make_pairs(TEACHERS[teacher], place / "made", bench.pairs + DECIDING, 1, bench.side)
        rename(train_set, data)
        _hold_out(Dataset(data))
    held_out, chosen = test / "validation", ARMS[arm]
    overrides = {
        "tensorboard": False,
        "plot": False,
        "validation": {"every": 0},
        "samples": {"every": 0},
        "checkpoints": {"every": 0, "export": False},
        "data": {"augment": chosen.augment, "cache": str(bench.folder / "cache")},
    }
    settings = DistilSettings(
        [data],
        SHIPPED_BUNDLES / "ace-tiny",
        place / f"{arm.replace(' ', '-')}-{seed}",
        "student",
        steps=bench.steps * (3 if chosen.automatic else chosen.longer),
        seed=seed,
        overrides={**overrides, **(chosen.settings or {})},
        device=bench.device,
        automatic_length=chosen.automatic,
    )
    config, started = make_train_config(settings), time.process_time()
    trained = train(config)
    seconds = time.process_time() - started
    pipeline = load_student(config, find_bundle(settings.bundle), trained.path)

    def score(folder: Path) -> float:
        return evaluate(pipeline, [folder], cases=CaseSettings(), detail=False).score

    best = trained.step if trained.best is None else trained.best.step
    return (teacher, arm, bench.pairs, seed, score(held_out), score(data), f"{best} of {trained.step}", seconds)


def _hold_out(dataset: Dataset) -> None:
    """The last pairs decide."""
    aside = {row.id for row in list(dataset.rows())[-DECIDING:]}
    dataset.rewrite(lambda row: replace(row, split="validation" if row.id in aside else "train"))


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m comfyui_ace.benchmarks.training.small_data", description=__doc__)
    parser.add_argument("folder", type=Path, help="for pairs and students")
    parser.add_argument("--device", choices=("auto", "cpu"), default="cpu")
    parser.add_argument("--teachers", choices=list(TEACHERS), nargs="+", default=["tone curve", "edge ink"])
    parser.add_argument("--arms", choices=list(ARMS), nargs="+", default=list(ARMS))
    parser.add_argument("--pairs", type=int, default=PAIRS)
    parser.add_argument("--side", type=int, default=SIDE, help="of the pictures")
    parser.add_argument(
        "--steps", type=int, default=300, help="of a fixed length; automatic goes up to three times as far"
    )
    parser.add_argument("--seeds", type=int, default=1)
    arguments = parser.parse_args()
    bench = Bench(arguments.folder, arguments.pairs, arguments.side, arguments.steps, arguments.device)
    every = product(arguments.teachers, arguments.arms, range(arguments.seeds))
    print_table(
        "Few pairs",
        ("teacher", "training", "pairs", "seed", "score", "on the deciding pairs", "steps", "CPU s"),
        (run(bench, teacher, arm, seed) for teacher, arm, seed in every),
    )


if __name__ == "__main__":
    main()
