"""Whether weights λ by the judge that needs no model help: a set with a third of spoilt pairs, learnt with and without.

    .venv/bin/python -m comfyui_ace.benchmarks.training.importance FOLDER

OmniEdit's table 6 in small. All students have the same steps; the held-out pairs are never spoilt. "All pairs" learns from
everything, "weighed" from what the judge of the pixels leaves, and "clean" shows what an all-knowing judge would reach.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

from ...training.dataset.store import Dataset, DatasetSettings, Pair
from ...training.distil import distil
from ...training.distil_config import small_model_settings
from ...training.evaluate.evaluation import Evaluation
from ...training.judge.pixels import JUDGE
from ...training.judge.scoring import measure_pixels
from ...training.judge.weights import WeightSettings, apply, weigh
from ...training.tiny.world import operations
from ...training.tiny.world.pictures import Pictures
from ..report import Cell, print_table
from .distillation import CHECKS

PAIRS, HELD_OUT = 60, 12
ARMS = ("all pairs", "weighed", "clean")
_INSTRUCTION = "{image} with a matte film look"


@dataclass(frozen=True)
class Arm:
    """What came of one student."""

    name: str
    learnt: int
    evaluation: Evaluation


def _look(image):
    """An S-curve, lifted shadows, warm lights over cool shadows."""
    curved = 0.08 + 0.92 * image * image * (3 - 2 * image)
    light = operations.grayscale(image)
    return (curved + (light - 0.5) * image.new_tensor([0.16, 0.02, -0.16])).clamp(0, 1)


def spoil(source: np.ndarray, target: np.ndarray, kind: int, seed: int) -> np.ndarray:
    """What workflows do when they fail: nothing, blur, noise, or a shift. uint8 in and out."""
    if kind == 0:
        return source.copy()
    if kind == 1:
        return np.asarray(Image.fromarray(target).filter(ImageFilter.GaussianBlur(3)))
    if kind == 2:
        grain = np.random.default_rng(seed).normal(0, 28, target.shape)
        return (target + grain).clip(0, 255).astype(np.uint8)
    return np.roll(target, (14, -11), axis=(0, 1))


def make_pairs(folder: Path, arm: str, seed: int = 0) -> tuple[list[Path], set[str]]:
    """Datasets to learn from and to be measured on, and the ids of the spoilt pairs."""
    spoilt: set[str] = set()
    folders = []
    for split, count, fraction in (("train", PAIRS, 0.0), ("validation", HELD_OUT, 1.0)):
        dataset = Dataset.open_or_create(folder, split, settings=DatasetSettings(fraction), checks=CHECKS)
        pictures = Pictures(split, (128, 128), 101 + seed)
        for index in range(count):
            source, target = ((one.numpy() * 255).round().astype(np.uint8) for one in _both(pictures[index]))
            bad = split == "train" and index % 3 == 2
            if bad:
                if arm == "clean":
                    continue
                target = spoil(source, target, index // 3 % 4, index)
            kept = dataset.append(Pair(source=source, target=target, instruction=_INSTRUCTION))
            spoilt |= {kept.id} if bad else set()
        folders.append(dataset.folder)
    return folders, spoilt


def _both(source):
    return source, _look(source)


def leave_out(dataset: Dataset, settings: WeightSettings) -> set[str]:
    """Weighs the pairs by the judge of the pixels; returns the ids of those that are then left out."""
    measure_pixels(dataset)
    apply(dataset, weigh(list(dataset.rows()), settings))
    return {row.id for row in dataset.rows() if row.weight == 0}


def run(arm: str, folder: Path, steps: int, batch: int, threshold: float, seed: int = 0) -> Arm:
    """Makes the pairs, weighs them where the arm says so, distils and measures."""
    place = folder / f"{arm.replace(' ', '-')}-{seed}"
    folders, spoilt = make_pairs(place, arm, seed)
    train = Dataset(folders[0])
    if arm == "weighed":
        left_out = leave_out(train, WeightSettings(JUDGE, "threshold", threshold))
        print(f"spoilt {len(spoilt)}, left out {len(left_out)}, both {len(spoilt & left_out)}", file=sys.stderr)
    settings = small_model_settings(folders, place / "run", place.name, steps=steps, pairs=HELD_OUT)
    result = distil(replace(settings, batch_size=batch, seed=seed, keep_detail="off"))
    return Arm(arm, sum(row.weight > 0 for row in train.rows()), result.evaluation)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m comfyui_ace.benchmarks.training.importance", description=__doc__)
    parser.add_argument("folder", type=Path, help="for pairs, LoRAs and reports")
    parser.add_argument("--steps", type=int, default=380)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--threshold", type=float, default=6.0, help="score by the pixels from which a pair is kept")
    parser.add_argument("--seed", type=int, default=0, help="of the pictures and of the training")
    parser.add_argument("--only", choices=ARMS, nargs="+", default=list(ARMS))
    arguments = parser.parse_args()
    print_table(
        "Weights by the judge of the pixels",
        ("student", "pairs learnt", "L1", "SSIM", "GMSD", "detail", "score"),
        (_row(name, arguments) for name in arguments.only),
    )


def _row(name: str, arguments: argparse.Namespace) -> tuple[Cell, ...]:
    arm = run(name, arguments.folder, arguments.steps, arguments.batch, arguments.threshold, arguments.seed)
    mean = arm.evaluation.mean("student")
    return (arm.name, arm.learnt, mean.l1, mean.ssim, mean.gmsd, mean.detail, arm.evaluation.score)


if __name__ == "__main__":
    main()
