"""Stores examples as a dataset of pairs, which is what the trainer reads.

``python -m comfyui_ace.training.tiny.dataset FOLDER --count 12000``; the same command again adds what is missing.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from ...ace.lcu.units import ConditionUnit
from ..dataset.intake.checks import CheckSettings
from ..dataset.intake.prepare import Pair
from ..dataset.store import Dataset, DatasetSettings
from .edits import NAMES, Example, Examples

_UNCHECKED = CheckSettings(
    no_op=False, size=False, aspect=False, near_duplicate=False, blank=False, mask=False
)  # a plain picture that is blurred stays as it is, and that is right here


def store(examples: Examples, dataset: Dataset, numbers: range) -> int:
    """Appends the examples of these numbers, earlier rounds first, and returns how many pairs were new.

    Raises:
        DatasetError: the folder cannot be written; what was stored before is kept.
    """
    return sum(_store(examples[number], dataset, number) for number in numbers)


def _store(example: Example, dataset: Dataset, number: int) -> int:
    new, history = 0, []
    for earlier, result in zip(example.context.history, example.earlier_results, strict=True):
        kept = dataset.append(_pair(earlier, result, number, "earlier", history))
        new += kept.stored
        history = [*history, kept.id]
    pair = _pair(example.context.unit, example.target, number, example.edit, history)
    return new + dataset.append(pair).stored


def _pair(unit: ConditionUnit, target: torch.Tensor, number: int, edit: str, history: list[str]) -> Pair:
    """One round as the store takes it; the first image is the source, the others are references."""
    pictures = [image.image[0].numpy() for image in unit.images]
    masks = [None if image.mask is None else image.mask[0].numpy() for image in unit.images]
    return Pair(
        source=pictures[0],
        references=tuple(pictures[1:]),
        masks=tuple(masks),
        target=target[0].numpy(),
        instruction=unit.instruction,
        history=tuple(history),
        seed=number,
        tags=(edit,),
        name=edit.replace("_", "-"),
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m comfyui_ace.training.tiny.dataset",
        description="Draws examples of simple edits and stores them as two datasets: train-EDGE and validation-EDGE.",
    )
    parser.add_argument("folder", type=Path, help="datasets folder")
    parser.add_argument("--count", type=int, default=12000, help="examples to train on")
    parser.add_argument("--held-out", type=int, default=200, help="examples to validate on")
    parser.add_argument("--edge", type=int, default=128, help="side of a picture in pixels")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    size = (arguments.edge, arguments.edge)
    for split, count in (("train", arguments.count), ("validation", arguments.held_out)):
        fraction = float(split == "validation")
        settings = DatasetSettings(validation_fraction=fraction)
        dataset = Dataset.open_or_create(
            arguments.folder, f"{split}-{arguments.edge}", settings=settings, checks=_UNCHECKED
        )
        examples = Examples(split, size, arguments.seed, NAMES)
        for start in range(0, count, 500):
            store(examples, dataset, range(start, min(start + 500, count)))
            print(f"{dataset.folder}: {len(dataset)} pairs")


if __name__ == "__main__":
    main()
