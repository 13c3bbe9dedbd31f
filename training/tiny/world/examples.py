"""Examples for ACE by number: what the model is given, and the picture it should make.

    examples = Examples("train", seed=0)
    examples.draw(batch=7, row=3)                          # always the same one; all of batch 7 have one layout
    examples.of("sepia", 3)                                # one of a certain task

``python -m comfyui_ace.training.tiny.world.examples sheet.png`` shows every task.
"""

from __future__ import annotations

import argparse
import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from types import MappingProxyType

import numpy as np
import torch

from ....ace.lcu.units import ConditionImage, ConditionUnit, LongContext, resolve
from ....ace.pictures.image_files import save_picture
from .change import Change, Task
from .colours import COLOURS
from .edits import EDITS, MASKED, REPLACING
from .language import filled
from .photographs import SPLITS
from .phrasings import PHRASINGS
from .pictures import Pictures, contact_sheet
from .repainting import REPAINTING

TASKS: Mapping[str, Task] = MappingProxyType({**EDITS, **MASKED, **REPLACING, **REPAINTING})
ROUNDS: Mapping[str, tuple[int, float]] = MappingProxyType(
    {"two_rounds": (2, 5.0), "undo": (2, 2.5), "three_rounds": (3, 3.0), "undo_of_two": (3, 1.0)}
)
"""Tasks with a history: rounds in all, and share."""
NAMES = (*TASKS, *ROUNDS)

_FIRST_ROUNDS = ("invert", "grayscale", "warm", "cool", "sepia", "posterise", "darken", "flip_horizontally")
_LATER_ROUNDS = (*EDITS, *MASKED)
_SIZES: Mapping[tuple[int, int], float] = MappingProxyType(
    {
        (128, 128): 0.62,
        **dict.fromkeys(((96, 144), (144, 96)), 0.07),
        **dict.fromkeys(((112, 128), (128, 112), (96, 160), (160, 96)), 0.05),
        **dict.fromkeys(((80, 176), (176, 80)), 0.02),
    }
)
"""(height, width) within 64 patches, and how often; the shapes that usual pictures are scaled to."""
_GOLDEN = (math.sqrt(5) - 1) / 2
_SIZE_STEP = math.sqrt(2) - 1


@dataclass(frozen=True, eq=False)
class Example:
    """What the model is given and what it should answer.

    Attributes:
        task: one of ``NAMES``.
        context: pictures of batch 1.
        target: (1, H, W, 3) float, 0 … 1.
        slots: words its sentence was filled with.
    """

    task: str
    context: LongContext
    target: torch.Tensor
    slots: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Examples:
    """Examples by number; the same number always gives the same example.

    Attributes:
        split: "train" or "validation", of the pictures.
        seed: of all of them.
        photographs: share of photographs where a task takes any picture.
        shares: how often a task is drawn, where that is not its usual share; 0 leaves it out.
    """

    split: str = "train"
    seed: int = 0
    photographs: float = 0.5
    shares: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.split not in SPLITS:
            raise ValueError(f"the split is {self.split!r}; expected one of {', '.join(SPLITS)}")
        unknown = [name for name in self.shares if name not in NAMES]
        if unknown:
            raise ValueError(f"there is no task {', '.join(unknown)}; expected some of {', '.join(NAMES)}")
        if not any(share for group in self._groups() for share in group.values()):
            raise ValueError("all shares are 0: no task is left to draw")

    def draw(self, batch: int, row: int) -> Example:
        """Example ``row`` of a batch; its size and number of pictures are the batch's.

        What batches hold is spread evenly over their numbers (multiples of an irrational, modulo 1), so that any few
        neighbours together are like all of them.
        """
        groups = self._groups()
        start = np.random.default_rng((*self._key, batch // 2**20)).random(2)
        group = groups[_pick([sum(shares.values()) for shares in groups], start[0] + batch * _GOLDEN)]
        size = list(_SIZES)[_pick(list(_SIZES.values()), start[1] + batch * _SIZE_STEP)]
        rng = np.random.default_rng((*self._key, 1, batch, row))
        shares = np.array(list(group.values()))
        return self._make(rng, list(group)[rng.choice(len(group), p=shares / shares.sum())], size)

    def of(self, task: str, number: int, size: tuple[int, int] = (128, 128)) -> Example:
        """Example ``number`` of a task.

        Raises:
            ValueError: there is no such task.
        """
        if task not in NAMES:
            raise ValueError(f"there is no task {task!r}; expected one of {', '.join(NAMES)}")
        return self._make(np.random.default_rng((*self._key, 2, zlib.crc32(task.encode()), number)), task, size)

    @property
    def _key(self) -> tuple[int, int]:
        return zlib.crc32(self.split.encode()), self.seed

    def _groups(self) -> Sequence[Mapping[str, float]]:
        """Tasks by the number of their pictures, with their shares."""
        groups: list[dict[str, float]] = [{} for _ in range(4)]
        for name, task in TASKS.items():
            groups[task.images][name] = self.shares.get(name, task.share)
        for name, (rounds, share) in ROUNDS.items():
            groups[rounds][name] = self.shares.get(name, share)
        return groups

    def _make(self, rng: np.random.Generator, name: str, size: tuple[int, int]) -> Example:
        pictures = Pictures(self.split, size, self.seed, self.photographs)
        image = pictures.draw(rng)
        if name in ROUNDS:
            return _with_history(rng, name, image, pictures)
        unit, change = _round(rng, name, image, pictures)
        return Example(name, LongContext(unit), change.target[None], change.slots)


def _pick(shares: Sequence[float], position: float) -> int:
    """Index of the share in which a position, modulo 1, lies."""
    edges = np.cumsum(shares) / sum(shares)
    return int(np.searchsorted(edges, position % 1.0, side="right").clip(max=len(shares) - 1))


def _with_history(rng: np.random.Generator, name: str, image: torch.Tensor, pictures: Pictures) -> Example:
    """An example whose picture is the result of one or two earlier rounds."""
    rounds, _ = ROUNDS[name]
    history = []
    for _ in range(rounds - 1):
        before = image
        unit, change = _round(rng, str(rng.choice(_FIRST_ROUNDS)), image, pictures)
        history.append(unit)
        image = change.target
    if name.startswith("undo"):
        unit = ConditionUnit(str(rng.choice(PHRASINGS["undo"])), [ConditionImage(image[None])])
        return Example(name, LongContext(unit, history), before[None])
    unit, change = _round(rng, str(rng.choice(_LATER_ROUNDS)), image, pictures)
    return Example(name, LongContext(unit, history), change.target[None], change.slots)


def _round(
    rng: np.random.Generator, name: str, image: torch.Tensor, pictures: Pictures
) -> tuple[ConditionUnit, Change]:
    task = TASKS[name]
    change = task.make(rng, image, pictures)
    images = [
        ConditionImage(
            source.image[None],
            None if source.mask is None else source.mask[None],
            f"{{image{number or ''}}}",
            source.fill,
        )
        for number, source in enumerate(change.sources)
    ]
    return ConditionUnit(task.sentence(rng, change.slots), images), change


def all_instructions() -> dict[tuple[str, ...], tuple[str, ...]]:
    """Every instruction without a caption, by meaning: the task's name and the words of its slots."""
    instructions = {}
    for name, sentences in {
        **{n: t.sentences for n, t in TASKS.items() if t.sentences},
        "undo": PHRASINGS["undo"],
    }.items():
        slots = ["colour"] if "[colour]" in sentences[0] else []
        for words in product(*(COLOURS for _ in slots)):
            chosen = dict(zip(slots, words, strict=True))
            instructions[(name, *words)] = tuple(filled(sentence, chosen) for sentence in sentences)
    return instructions


def strip_of(example: Example) -> list[torch.Tensor]:
    """For looking at: the last three condition images as the model sees them, masked parts tinted, and the target.

    Returns:
        Four pictures (H, W, 3).
    """
    shown = []
    for frame in resolve(example.context).frames[-3:]:
        image = frame.image[0]
        if frame.mask is not None:
            mask = frame.mask[0][..., None]
            image = image * (1 - mask) if frame.fill == "blank" else image
            image = torch.lerp(image, image.new_tensor([1.0, 0.0, 1.0]), 0.3 * mask)
        shown.append(image)
    blank = torch.full_like(example.target[0], 0.5)
    return [*[blank] * (3 - len(shown)), *shown, example.target[0]]


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m comfyui_ace.training.tiny.world.examples",
        description="Draws each task twice: the pictures given (three at most) and the one to make.",
    )
    parser.add_argument("file", type=Path, help="PNG to write")
    parser.add_argument("--split", choices=SPLITS, default="train")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    examples = Examples(arguments.split, arguments.seed)
    shown = []
    for name in NAMES:
        for number in range(2):
            example = examples.of(name, number)
            print(f"{name}: {example.context.unit.instruction}")
            shown += strip_of(example)
    save_picture(contact_sheet(shown, columns=16), arguments.file)


if __name__ == "__main__":
    main()
