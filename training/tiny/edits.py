"""Simple edits as examples for ACE: what the model is given, and the picture it should make.

    examples = Examples("train", size=(128, 128), seed=0)
    example = examples[7]                                  # always the same one
    example.context, example.target, example.edit

``python -m comfyui_ace.training.tiny.edits sheet.png`` shows every edit.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import product
from pathlib import Path
from types import MappingProxyType

import numpy as np
import torch

from ...ace.lcu.units import (
    ConditionImage,
    ConditionUnit,
    LongContext,
    resolve,
)
from ...ace.pictures.image_files import save_picture
from ...ace.pictures.random_masks import MAX_SEED, random_masks
from . import operations
from .photographs import SPLITS
from .phrasings import COLOURS, PHRASINGS
from .pictures import Pictures, contact_sheet

_FIRST_ROUNDS = ("invert", "grayscale", "warm", "cool", "sepia", "posterise", "flip_horizontally")  # of two
_COVERAGE = (0.1, 0.5)  # share of a picture that a mask marks
_NONE: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, eq=False)
class Change:
    """An edit of one picture, carried out.

    Attributes:
        sources: (image, mask) for ``{image}``, ``{image1}`` …; images (H, W, 3), masks (H, W) or None.
        target: the result, (H, W, 3).
        slots: words for the slots of the phrasings.
    """

    sources: tuple[tuple[torch.Tensor, torch.Tensor | None], ...]
    target: torch.Tensor
    slots: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Example:
    """What the model is given and what it should answer.

    Attributes:
        edit: name in :data:`EDITS`, or "undo".
        slots: words its instruction was filled with.
        context: pictures of batch 1.
        target: (1, H, W, 3) float, 0 … 1.
        earlier_results: what each round of the history resulted in, shaped as the target.
    """

    edit: str
    slots: Mapping[str, str]
    context: LongContext
    target: torch.Tensor
    earlier_results: tuple[torch.Tensor, ...] = ()


Maker = Callable[[np.random.Generator, torch.Tensor, Pictures], Change]


def _whole(operation: Callable[[torch.Tensor], torch.Tensor]) -> Maker:
    def make(_rng: np.random.Generator, image: torch.Tensor, _pictures: Pictures) -> Change:
        return Change(((image, None),), operation(image))

    return make


def _deblur(_rng: np.random.Generator, image: torch.Tensor, _pictures: Pictures) -> Change:
    return Change(((operations.blur(image, 2.0), None),), image)


def _fill(rng: np.random.Generator, image: torch.Tensor, _pictures: Pictures) -> Change:
    name = rng.choice(list(COLOURS))
    mask = _mask(rng, image)
    target = operations.inside(mask, operations.fill(image, COLOURS[name]), image)
    if rng.random() < 0.5:  # as inpainting does: what is under the mask is not shown
        image = operations.inside(mask, torch.zeros_like(image), image)
    return Change(((image, mask),), target, {"colour": str(name)})


def _masked_invert(rng: np.random.Generator, image: torch.Tensor, _pictures: Pictures) -> Change:
    mask = _mask(rng, image)
    return Change(((image, mask),), operations.inside(mask, operations.invert(image), image))


def _paste(rng: np.random.Generator, image: torch.Tensor, pictures: Pictures) -> Change:
    mask, reference = _mask(rng, image), pictures.draw(rng)
    return Change(((image, mask), (reference, None)), operations.inside(mask, reference, image))


def _mask(rng: np.random.Generator, image: torch.Tensor) -> torch.Tensor:
    """(H, W) of zeros and ones: boxes, or broad strokes."""
    height, width = image.shape[:2]
    kind = "boxes" if rng.random() < 0.6 else "strokes"
    seed = int(rng.integers(0, MAX_SEED, dtype=np.uint64))
    return random_masks(height, width, seed=seed, kind=kind, style="thick", coverage=_COVERAGE)[0]


EDITS: Mapping[str, Maker] = MappingProxyType(
    {
        "invert": _whole(operations.invert),
        "grayscale": _whole(operations.grayscale),
        "edges": _whole(operations.edges),
        "blur": _whole(partial(operations.blur, sigma=2.0)),
        "deblur": _deblur,
        "warm": _whole(partial(operations.shift_colours, amount=1.0)),
        "cool": _whole(partial(operations.shift_colours, amount=-1.0)),
        "brighten": _whole(partial(operations.brighten, amount=0.7)),
        "darken": _whole(partial(operations.brighten, amount=-0.7)),
        "flip_horizontally": _whole(operations.flip_horizontally),
        "flip_vertically": _whole(operations.flip_vertically),
        "fill": _fill,
        "masked_invert": _masked_invert,
        "paste": _paste,
        "posterise": _whole(operations.posterise),
        "sepia": _whole(operations.sepia),
        "mosaic": _whole(partial(operations.mosaic, side=16)),
    }
)
NAMES = (*EDITS, "undo")
_SLOTS = {"colour": tuple(COLOURS)}


@dataclass(frozen=True)
class Examples:
    """Examples by number; the same number always gives the same example.

    Attributes:
        split: "train" or "validation", of the pictures.
        size: height and width.
        seed: of all of them.
        edits: which ones, all equally often; "undo" always has a history.
        two_rounds: share of the others that have a round before them.
    """

    split: str = "train"
    size: tuple[int, int] = (128, 128)
    seed: int = 0
    edits: tuple[str, ...] = NAMES
    two_rounds: float = 0.1

    def __post_init__(self) -> None:
        unknown = [name for name in self.edits if name not in NAMES]
        if unknown or not self.edits:
            raise ValueError(f"the edits are {self.edits}; expected some of {', '.join(NAMES)}")

    def __getitem__(self, index: int) -> Example:
        pictures = Pictures(self.split, self.size, self.seed)
        rng = pictures.generator(index)
        name = str(rng.choice(self.edits))
        image = pictures.draw(rng)
        if name == "undo" or rng.random() < self.two_rounds:
            return _second_round(rng, name, image, pictures)
        unit, change = _round(rng, name, image, pictures)
        return Example(name, change.slots, LongContext(unit), change.target[None])

    def __iter__(self) -> Iterator[Example]:
        index = 0
        while True:
            yield self[index]
            index += 1


def _second_round(rng: np.random.Generator, name: str, image: torch.Tensor, pictures: Pictures) -> Example:
    """An example whose picture is the result of an earlier round."""
    earlier, change = _round(rng, str(rng.choice(_FIRST_ROUNDS)), image, pictures)
    results = (change.target[None],)
    if name == "undo":
        unit = ConditionUnit(_instruction(rng, "undo", _NONE), [ConditionImage(change.target[None])])
        return Example("undo", _NONE, LongContext(unit, [earlier]), image[None], results)
    unit, change = _round(rng, name, change.target, pictures)
    return Example(name, change.slots, LongContext(unit, [earlier]), change.target[None], results)


def _round(
    rng: np.random.Generator, name: str, image: torch.Tensor, pictures: Pictures
) -> tuple[ConditionUnit, Change]:
    change = EDITS[name](rng, image, pictures)
    images = [
        ConditionImage(source[None], None if mask is None else mask[None], f"{{image{number or ''}}}")
        for number, (source, mask) in enumerate(change.sources)
    ]
    return ConditionUnit(_instruction(rng, name, change.slots), images), change


def _instruction(rng: np.random.Generator, name: str, slots: Mapping[str, str]) -> str:
    return _filled(PHRASINGS[name][rng.integers(len(PHRASINGS[name]))], slots)


def _filled(phrasing: str, slots: Mapping[str, str]) -> str:
    for slot, word in slots.items():
        phrasing = phrasing.replace(f"[{slot}]", word)
    return phrasing


def all_instructions() -> dict[tuple[str, ...], tuple[str, ...]]:
    """Every instruction there is, by meaning: the edit's name and the words of its slots."""
    instructions = {}
    for name, phrasings in PHRASINGS.items():
        slots = [slot for slot in _SLOTS if f"[{slot}]" in phrasings[0]]
        for words in product(*(_SLOTS[slot] for slot in slots)):
            filled = dict(zip(slots, words, strict=True))
            instructions[(name, *words)] = tuple(_filled(phrasing, filled) for phrasing in phrasings)
    return instructions


def strip_of(example: Example) -> list[torch.Tensor]:
    """For looking at: the condition images, masked parts tinted, padded with grey to three, and the target."""
    shown = []
    for frame in resolve(example.context).frames[-3:]:
        image = frame.image[0]
        if frame.mask is not None:
            image = torch.lerp(image, image.new_tensor([1.0, 0.0, 1.0]), 0.5 * frame.mask[0][..., None])
        shown.append(image)
    blank = torch.full_like(example.target[0], 0.5)
    return [*shown, *[blank] * (3 - len(shown)), example.target[0]]


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m comfyui_ace.training.tiny.edits",
        description="Draws each edit twice: the pictures given (three at most) and the one to make.",
    )
    parser.add_argument("file", type=Path, help="PNG to write")
    parser.add_argument("--split", choices=SPLITS, default="train")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    shown = []
    for name in NAMES:
        examples = Examples(arguments.split, seed=arguments.seed, edits=(name,))
        for index in range(2):
            print(f"{name}: {examples[index].context.unit.instruction}")
            shown += strip_of(examples[index])
    save_picture(contact_sheet(shown, columns=8), arguments.file)


if __name__ == "__main__":
    main()
