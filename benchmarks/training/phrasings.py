"""Whether several phrasings of an instruction teach a student to follow one it has never read.

    .venv/bin/python -m comfyui_ace.benchmarks.training.phrasings FOLDER

Three prints, in blue, red and green, of the same pictures: which of them is meant is said by the words alone. One student
learns each in one fixed phrasing, the other in five; steps, pictures and seed are the same. Both are measured on pictures
they have not seen, in the fixed phrasing and in others that neither has read. The score is 1 - L1(student, teacher) /
L1(source, teacher).
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch

from ...training.dataset.store import Dataset, DatasetSettings, Pair
from ...training.distil import distil
from ...training.distil_config import small_model_settings
from ...training.evaluate.evaluation import PairResult, score
from ...training.evaluate.metrics.image_metrics import mean_metrics
from ...training.tiny.world import operations
from ...training.tiny.world.pictures import Pictures
from ..report import print_table
from .distillation import CHECKS

PAIRS, HELD_OUT = 20, 6
ARMS = ("one phrasing", "five phrasings")
_INKS = {"blue": (0.05, 0.12, 0.45), "red": (0.5, 0.05, 0.08), "green": (0.03, 0.32, 0.12)}
_LEARNT = (
    "{{image}} as a {ink} print",
    "make a {ink} print of {{image}}",
    "print {{image}} in {ink}",
    "{{image}} show it in {ink} and white",
    "turn {{image}} into a picture of {ink} ink",
)
_UNSEEN = ("give {{image}} a {ink} look", "{{image}} paint it all in {ink} tones")


def print_in(ink: str, image: torch.Tensor) -> torch.Tensor:
    """(H, W, 3), 0 … 1: the lightness of a picture between an ink and white."""
    dark = image.new_tensor(_INKS[ink]).expand_as(image)
    return torch.lerp(dark, torch.ones_like(image), operations.grayscale(image))


@dataclass(frozen=True)
class Arm:
    """What came of one student: its score in the phrasing that both have learnt, and in those that none has."""

    name: str
    learnt: float
    unseen: float


def make_pairs(folder: Path, several: bool, seed: int) -> list[Path]:
    """Datasets to learn from and to be measured on."""
    folders = []
    for split, count, fraction in (("train", PAIRS, 0.0), ("validation", HELD_OUT, 1.0)):
        dataset = Dataset.open_or_create(folder, split, settings=DatasetSettings(fraction), checks=CHECKS)
        pictures = Pictures(split, (128, 128), 211 + seed)
        for index in range(count):
            for ink in _INKS:
                say = partial(str.format, ink=ink)
                if split == "train":
                    words = [(say(_LEARNT[0]), tuple(map(say, _LEARNT[1:])) if several else ())]
                else:
                    words = [(say(_LEARNT[0]), ()), (say(_UNSEEN[index % len(_UNSEEN)]), ())]
                for instruction, phrasings in words:
                    pair = Pair(
                        source=pictures[index].numpy(),
                        target=print_in(ink, pictures[index]).numpy(),
                        instruction=instruction,
                        phrasings=phrasings,
                    )
                    dataset.append(pair)
        folders.append(dataset.folder)
    return folders


def run(arm: str, folder: Path, steps: int, batch: int, seed: int) -> Arm:
    """Makes the pairs, distils and measures."""
    place = folder / f"{arm.replace(' ', '-')}-{seed}"
    folders = make_pairs(place, arm == ARMS[1], seed)
    settings = small_model_settings(
        folders, place / "run", place.name, steps=steps, pairs=2 * HELD_OUT * len(_INKS), validate_every=0
    )
    evaluation = distil(replace(settings, batch_size=batch, seed=seed, keep_detail="off")).evaluation
    fixed = {_LEARNT[0].format(ink=ink) for ink in _INKS}
    return Arm(
        arm,
        _score([result for result in evaluation.results if result.instruction in fixed]),
        _score([result for result in evaluation.results if result.instruction not in fixed]),
    )


def _score(results: Sequence[PairResult]) -> float:
    return score(*(mean_metrics([getattr(result, name) for result in results]) for name in ("student", "source")))


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m comfyui_ace.benchmarks.training.phrasings", description=__doc__)
    parser.add_argument("folder", type=Path, help="for pairs, LoRAs and reports")
    parser.add_argument("--steps", type=int, default=160)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0, help="of the pictures and of the training")
    arguments = parser.parse_args()
    arms = (run(name, arguments.folder, arguments.steps, arguments.batch, arguments.seed) for name in ARMS)
    print_table(
        "One phrasing or several",
        ("student", "score in the phrasing both have learnt", "score in phrasings none has read"),
        ((arm.name, arm.learnt, arm.unseen) for arm in arms),
    )


if __name__ == "__main__":
    main()
