"""How well the small bundle learns four teachers from 64 pairs each.

    .venv/bin/python -m comfyui_ace.benchmarks.training.distillation FOLDER

The score is 1 - L1(student, teacher) / L1(source, teacher) on 16 held-out pairs of pictures and drawings the student has
never seen; the ceiling is the same for the teacher's results sent through the VAE and back. *With Keep
Detail* is the score of the student's results after that.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from ...ace.pictures.random_masks import random_masks
from ...training.dataset.intake.checks import CheckSettings
from ...training.dataset.store import Dataset, DatasetSettings, Pair
from ...training.distil import distil
from ...training.distil_config import small_model_settings
from ...training.tiny.world import operations
from ...training.tiny.world.pictures import Pictures
from ..report import Cell, print_table

PAIRS, HELD_OUT = 64, 16
SIDE = 128  # pixels
# For pairs of benchmarks, which are kept as they are made: a teacher may leave a plain drawing as it is, a mask may miss what
# it would change, and spoilt pairs are the judge's to find.
CHECKS = CheckSettings(no_op=False, blank=False, mask=False, near_duplicate=False)

_COLUMNS = (
    "teacher",
    "L1 student",
    "L1 source",
    "L1 ceiling",
    "score",
    "with Keep Detail",
    "ceiling",
    "share",
    "s a picture",
    "CPU min",
)

Images = tuple[torch.Tensor, ...]  # each (H, W, 3), 0 … 1


@dataclass(frozen=True)
class Teacher:
    """A chain of image operations.

    Attributes:
        instruction: how the student is asked for it.
        images: pictures it takes.
        masked: whether it changes only what a mask marks.
        result: pictures and mask (H, W) -> (H, W, 3).
    """

    instruction: str
    images: int
    masked: bool
    result: Callable[[Images, torch.Tensor], torch.Tensor]


def _tone_curve(images: Images, _mask: torch.Tensor) -> torch.Tensor:
    """An S-curve, lifted shadows, and warm lights over cool shadows."""
    (image,) = images
    curved = 0.08 + 0.92 * image * image * (3 - 2 * image)
    light = operations.grayscale(image)
    return (curved + (light - 0.5) * image.new_tensor([0.16, 0.02, -0.16])).clamp(0, 1)


def _edge_ink(images: Images, _mask: torch.Tensor) -> torch.Tensor:
    (image,) = images
    return operations.ink_drawing(image)


def _masked_recolour(images: Images, mask: torch.Tensor) -> torch.Tensor:
    """Blue ink under the mask."""
    (image,) = images
    dark, light = (image.new_tensor(color).expand_as(image) for color in ((0.05, 0.1, 0.4), (0.85, 0.95, 1.0)))
    ink = torch.lerp(dark, light, operations.grayscale(image))
    return operations.inside(mask, ink, image)


def _composite(images: Images, mask: torch.Tensor) -> torch.Tensor:
    """The second picture, in grey, where the mask marks the first."""
    image, other = images
    return operations.inside(mask, operations.grayscale(other), image)


TEACHERS = {
    "tone curve": Teacher("{image} with a matte film look", 1, False, _tone_curve),
    "edge ink": Teacher("{image} as an ink drawing over flat colors", 1, False, _edge_ink),
    "masked recolour": Teacher("tint the marked part of {image} with blue ink", 1, True, _masked_recolour),
    "two-reference composite": Teacher("put a gray {image1} into the marked part of {image}", 2, True, _composite),
}


def make_pairs(
    teacher: Teacher, folder: Path, pairs: int = PAIRS, held_out: int = HELD_OUT, side: int = SIDE
) -> list[Path]:
    """Two datasets of a teacher's results: pairs to learn from, and pairs that are held out."""
    datasets = []
    for split, count, fraction in (("train", pairs, 0.0), ("validation", held_out, 1.0)):
        dataset = Dataset.open_or_create(folder, split, settings=DatasetSettings(fraction), checks=CHECKS)
        _store(teacher, dataset, split, count, side)
        datasets.append(dataset.folder)
    return datasets


def _store(teacher: Teacher, dataset: Dataset, split: str, count: int, side: int) -> None:
    first, second = (Pictures(split, (side, side), seed) for seed in (101, 102))
    for index in range(count):
        images = (first[index], second[index])[: teacher.images]
        mask = random_masks(side, side, seed=index, kind="boxes", style="thick", coverage=(0.15, 0.5))[0]
        dataset.append(
            Pair(
                source=images[0].numpy(),
                references=[image.numpy() for image in images[1:]],
                masks=[mask.numpy()] if teacher.masked else [],
                target=teacher.result(images, mask).numpy(),
                instruction=teacher.instruction,
            )
        )


def run(name: str, folder: Path, steps: int) -> tuple[Cell, ...]:
    """Distils one teacher and returns its row of the table."""
    teacher, place = TEACHERS[name], folder / name.replace(" ", "-")
    datasets = make_pairs(teacher, place)
    started = time.process_time()
    result = distil(small_model_settings(datasets, place / "run", place.name, steps=steps, pairs=HELD_OUT))
    minutes = (time.process_time() - started) / 60
    found = result.evaluation
    errors = (found.mean(kind).l1 for kind in ("student", "source", "ceiling"))
    scores = (found.score, found.score_with_detail, found.ceiling_score, found.share_of_ceiling)
    return (name, *errors, *scores, found.seconds, minutes)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m comfyui_ace.benchmarks.training.distillation", description=__doc__)
    parser.add_argument("folder", type=Path, help="for pairs, LoRAs and reports")
    parser.add_argument("--steps", type=int, default=380)
    parser.add_argument("--only", choices=list(TEACHERS), nargs="+", default=list(TEACHERS))
    arguments = parser.parse_args()
    rows = (run(name, arguments.folder, arguments.steps) for name in arguments.only)
    print_table("Distilling into ace-tiny", _COLUMNS, rows, (f"{PAIRS} pairs, {arguments.steps} steps of 8.",))


if __name__ == "__main__":
    main()
