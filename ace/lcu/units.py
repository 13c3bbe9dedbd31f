"""What the artist means: condition images, condition units and long contexts (Han et al. 2024, section 2.1.2).

Nothing here knows about latents, tokens or models. :func:`resolve` turns a long context into the frames the model
will see, which is also what a preview draws.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import torch

from ..notices import Notify, silent
from ..pictures.masks import INPAINT_FILLS
from .indicators import (
    AUTO,
    INDICATORS,
    MAX_IMAGES,
    indicator,
    indicator_number,
    mentioned_images,
    normalize_indicators,
    renumber_indicators,
)


@dataclass(frozen=True, eq=False)
class ConditionImage:
    """A picture, what may change in it, and the word an instruction calls it by.

    Attributes:
        image: (B, H, W, 3) float, 0 … 1. A batch means one edit for each picture.
        mask: (B or 1, H, W) float, 0 … 1, 1 where the picture may change; None means everywhere.
        indicator: ``{image}``, ``{image1}`` … ``{image9}``; other spellings are normalized. ``AUTO`` leaves it to the
            unit, which gives such pictures the first free ones in their order.
        fill: what the model sees under the mask, a key of ``INPAINT_FILLS``: "keep" shows it the picture, "blank" black.
    """

    image: torch.Tensor
    mask: torch.Tensor | None = None
    indicator: str = INDICATORS[0]
    fill: str = "keep"

    def __post_init__(self) -> None:
        if self.fill not in INPAINT_FILLS:
            raise ValueError(f'fill is "{self.fill}"; expected one of {", ".join(INPAINT_FILLS)}')
        if self.indicator != AUTO:
            object.__setattr__(self, "indicator", indicator(indicator_number(self.indicator)))
        if self.image.ndim != 4 or self.image.shape[-1] != 3 or 0 in self.image.shape:
            raise ValueError(
                f"{picture_name(self.indicator)} must be (batch, height, width, 3), got {tuple(self.image.shape)}"
            )
        mask = self.mask
        if mask is None:
            return
        if mask.ndim != 3 or mask.shape[1:] != self.image.shape[1:3]:
            raise ValueError(
                f"{mask_name(self.indicator)} is {tuple(mask.shape)}, but its picture is {self.image.shape[2]}×"
                f"{self.image.shape[1]} (width×height); fit the mask to the picture first"
            )
        if mask.shape[0] not in (1, self.image.shape[0]):
            raise ValueError(
                f"{mask.shape[0]} masks were given for {self.image.shape[0]} pictures of {self.indicator}; "
                "give one mask for all of them or one for each"
            )

    @property
    def number(self) -> int:
        """Of the indicator; ``{image}`` is 0.

        Raises:
            ValueError: it is ``AUTO``; a picture of a unit has a number.
        """
        return indicator_number(self.indicator)

    @property
    def description(self) -> str:
        """For messages: indicator and size."""
        return f"{self.indicator} ({self.image.shape[2]}×{self.image.shape[1]})"


def picture_name(word: str) -> str:
    """What messages call a picture with this indicator, or ``AUTO``."""
    return "the picture" if word == AUTO else f"the picture for {word}"


def mask_name(word: str) -> str:
    """What messages call the mask of a picture with this indicator, or ``AUTO``."""
    return "the mask" if word == AUTO else f"the mask of {word}"


def _named(images: Sequence[ConditionImage]) -> list[ConditionImage]:
    """The same images, those with ``AUTO`` under the first indicators that no other one has.

    Raises:
        ValueError: there are more images than indicators.
    """
    taken = {image.indicator for image in images}
    free = iter([word for word in INDICATORS if word not in taken])
    if len(images) > MAX_IMAGES:
        raise ValueError(
            f"the unit has {len(images)} pictures; ACE takes at most {MAX_IMAGES}. Disconnect some of them"
        )
    return [replace(image, indicator=next(free)) if image.indicator == AUTO else image for image in images]


@dataclass(frozen=True, eq=False)
class ConditionUnit:
    """One instruction and the images it speaks of, in the order of their indicators.

    Attributes:
        instruction: indicators in any accepted spelling; normalized.
        images: sorted by indicator; those with ``AUTO`` have got one, in the order in which they were given.
        target: indicator of the image that is being edited, whose size and mask the result takes; the first by default.

    Raises:
        ValueError: two images share an indicator, the instruction or ``target`` names an image that is not there, or the
            batches differ in size.
    """

    instruction: str
    images: Sequence[ConditionImage] = ()
    target: str | None = None

    def __post_init__(self) -> None:
        images = tuple(sorted(_named(self.images), key=lambda image: image.number))
        for before, after in pairwise(images):
            if before.number == after.number:
                raise ValueError(
                    f"two pictures claim the indicator {after.indicator}: one of {before.description} and one of "
                    f"{after.description}; give one of them another indicator"
                )
        numbers = [image.number for image in images]
        instruction = normalize_indicators(self.instruction)
        missing = [indicator(number) for number in mentioned_images(instruction) if number not in numbers]
        if missing:
            have = ", ".join(image.indicator for image in images) or "no picture at all"
            raise ValueError(
                f"the instruction names {', '.join(missing)}, but the unit has {have}; connect a picture with that "
                "indicator, or change the instruction"
            )
        _check_batches(images)
        target = self.target
        if target is not None:
            target = indicator(indicator_number(target))
            if indicator_number(target) not in numbers:
                raise ValueError(
                    f"{target} is to be edited, but the unit has no picture with that indicator; connect one, or choose "
                    "another picture to edit"
                )
        object.__setattr__(self, "images", images)
        object.__setattr__(self, "instruction", instruction)
        object.__setattr__(self, "target", target)


@dataclass(frozen=True, eq=False)
class LongContext:
    """Earlier rounds, oldest first, and the present one.

    Attributes:
        unit: the present round.
        history: earlier rounds with the pictures and instructions they had.
    """

    unit: ConditionUnit
    history: Sequence[ConditionUnit] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "history", tuple(self.history))

    @property
    def units(self) -> tuple[ConditionUnit, ...]:
        """All rounds, the present one last."""
        return (*self.history, self.unit)

    def keep_rounds(self, rounds: int, notify: Notify = silent) -> LongContext:
        """At most so many rounds of history; the oldest are dropped first.

        Raises:
            ValueError: ``rounds`` is negative.
        """
        if rounds < 0:
            raise ValueError(f"the number of rounds to keep must not be negative, got {rounds}")
        surplus = len(self.history) - rounds
        if surplus <= 0:
            return self
        notify(
            f"history: the oldest {_count(surplus, 'round')} of {len(self.history)} left out (at most {rounds} kept)"
        )
        return LongContext(self.unit, self.history[surplus:])


@dataclass(frozen=True, eq=False)
class Frame:
    """One condition image as the model will see it.

    Attributes:
        image: (B, H, W, 3) float, 0 … 1.
        mask: (B or 1, H, W) float, 0 … 1; None means everywhere.
        instruction: text of this frame, its indicators counted over the whole context.
        indicator: the word for this frame over the whole context.
        round: index of the unit it comes from.
        fill: as in :class:`ConditionImage`.
    """

    image: torch.Tensor
    mask: torch.Tensor | None
    instruction: str
    indicator: str
    round: int
    fill: str = "keep"


@dataclass(frozen=True, eq=False)
class ResolvedContext:
    """Frames in the order of the model's sequence.

    Attributes:
        frames: condition images of all rounds, oldest first.
        instruction: the target's text.
        target: index into ``frames`` of the image being edited, or None when a picture is made from text alone.
        rounds: number of units that contribute.
    """

    frames: tuple[Frame, ...]
    instruction: str
    target: int | None
    rounds: int = field(default=1)


def _check_batches(images: Sequence[ConditionImage | Frame]) -> None:
    if len({image.image.shape[0] for image in images} - {1}) > 1:
        sizes = ", ".join(f"{image.indicator}: {image.image.shape[0]}" for image in images)
        raise ValueError(
            f"the pictures come in batches of different size ({sizes}); every batch must have the same number of "
            "pictures, or just one that is shared"
        )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")


def resolve(context: LongContext, notify: Notify = silent) -> ResolvedContext:
    """Orders the images of all rounds, numbers them and renumbers the indicators in every instruction to match.

    Args:
        context: all rounds.
        notify: told, in words an artist understands, about everything that is added, dropped or probably not meant.

    Raises:
        ValueError: the present round alone has more than ten images, or the rounds hold batches of different size.
    """
    if len(context.unit.images) > MAX_IMAGES:
        raise ValueError(
            f"the unit has {len(context.unit.images)} pictures; ACE takes at most {MAX_IMAGES}. Disconnect some of them"
        )
    units = list(context.units)
    while sum(len(unit.images) for unit in units) > MAX_IMAGES:
        notify(f"history: the oldest round left out, because all rounds together have more than {MAX_IMAGES} pictures")
        units.pop(0)

    frames: list[Frame] = []
    instruction, target = "", None
    for index, unit in enumerate(units):
        present = index == len(units) - 1
        if not present and not unit.images:
            notify("history: a round without pictures cannot be shown to the model and is left out")
            continue
        offset = len(frames)
        numbers = {image.number: offset + rank for rank, image in enumerate(unit.images)}
        instruction = renumber_indicators(_complete(unit, notify if present else silent), numbers)
        for image in unit.images:
            number = numbers[image.number]
            frames.append(Frame(image.image, image.mask, instruction, indicator(number), index, image.fill))
        if present and unit.images:
            target = offset + next(
                rank for rank, image in enumerate(unit.images) if unit.target in (None, image.indicator)
            )
    _check_batches(frames)
    return ResolvedContext(tuple(frames), instruction, target, len(units))


def _complete(unit: ConditionUnit, notify: Notify) -> str:
    """The unit's instruction, with ``{image}`` put before it if it names none of its images."""
    named = mentioned_images(unit.instruction)
    if unit.images and not named:
        first = unit.images[0].indicator
        if len(unit.images) == 1:
            notify(f"the instruction names no picture; {first} was put before it")
            return f"{first} {unit.instruction}".strip()
    unnamed = [image.indicator for image in unit.images if image.number not in named]
    if unnamed:
        notify(
            f"the instruction does not name {', '.join(unnamed)}: the model sees "
            f"{'it' if len(unnamed) == 1 else 'them'}, but is not told what for"
        )
    return unit.instruction
