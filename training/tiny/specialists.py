"""Seven small specialists, one for each of OmniEdit's tasks (§3.2): they know what they draw, so they paint without fault.

    pair = SPECIALISTS["object swap"].pair(np.random.default_rng(7))
    pair.source, pair.target, pair.masks, pair.instruction   # "replace the red circle in {image} with a blue star"

They stand for the graphs of ``workflows/teachers`` wherever no large model can be run. Addition is the inverse of removal,
and what a mask marks is where the specialist may paint, as in those graphs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import numpy as np
import torch

from ..dataset.store import Pair
from .world import operations
from .world.colours import COLOURS, stand_out
from .world.landscapes import Landscape, draw_landscape
from .world.language import filled, with_articles
from .world.pictures import Pictures
from .world.scenes import Scene, Thing, draw_scene
from .world.shapes import SHAPES

_MARGIN = 4  # pixels around a thing that a mask marks, as an artist's brush would
Size = tuple[int, int]  # height and width
Pixels = np.ndarray  # (H, W, 3) uint8
Spoil = Callable[[Pixels, Pixels], Pixels]  # (before, after) -> what is painted instead of ``after``


@dataclass(frozen=True, eq=False)
class Painted:
    """A specialist's work on one picture.

    Attributes:
        before, after: (H, W, 3) uint8.
        mask: (H, W) uint8, white where it may paint; None means everywhere.
        words: for the slots of the instruction.
    """

    before: Pixels
    after: Pixels
    mask: np.ndarray | None = None
    words: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Specialist:
    """One that can do a single task.

    Attributes:
        instruction: with ``[slots]`` for what is on the picture.
        paint: (random numbers, split, size) -> its work; "validation" draws what "train" never does.
        inverse: its pairs lead back, from what it has painted to what was there before.
    """

    instruction: str
    paint: Callable[[np.random.Generator, str, Size], Painted]
    inverse: bool = False

    def pair(
        self, rng: np.random.Generator, split: str = "train", size: Size = (128, 128), spoil: Spoil | None = None
    ) -> Pair:
        """The next pair of a stream of random numbers.

        Args:
            rng: decides the picture and the edit.
            split: "train" or "validation".
            size: height and width in pixels.
            spoil: paints in place of the specialist, for one that fails.
        """
        painted = self.paint(rng, split, size)
        after = painted.after if spoil is None else spoil(painted.before, painted.after)
        source, target = (after, painted.before) if self.inverse else (painted.before, after)
        instruction = with_articles(filled(self.instruction, painted.words))
        return Pair(source=source, target=target, masks=[painted.mask], instruction=instruction)


def _paint_alike(rng: np.random.Generator, size: Size, *drawn: Scene | Landscape) -> list[Pixels]:
    """Pictures that differ in nothing but what their descriptions differ in: all are painted by the same chances."""
    seed = int(rng.integers(2**32))
    return [np.asarray(one.paint(np.random.default_rng(seed), *size)) for one in drawn]


def _with_last(scene: Scene, *last: Thing) -> Scene:
    """The scene with other things, or none, in place of its last; what is painted before it stays as it was."""
    return replace(scene, things=(*scene.things[:-1], *last))


def _box(before: Pixels, after: Pixels) -> np.ndarray:
    """The mask of a box around what differs."""
    differs = (before != after).any(axis=2)
    mask = np.zeros(differs.shape, np.uint8)
    sides = [np.flatnonzero(differs.any(axis=axis)) for axis in (1, 0)]
    mask[tuple(slice(max(0, side[0] - _MARGIN), side[-1] + 1 + _MARGIN) for side in sides)] = 255
    return mask


def _name(thing: Thing) -> str:
    return f"{thing.colour} {thing.shape}"


def _another_colour(rng: np.random.Generator, *standing_out_from: str) -> str:
    """A colour that is easily told from others."""
    free = [name for name in COLOURS if all(stand_out(name, other) for other in standing_out_from)]
    return str(rng.choice(free))


def _swap(rng: np.random.Generator, split: str, size: Size) -> Painted:
    scene = draw_scene(rng, held_out=split == "validation")
    thing = scene.things[-1]
    shape = str(rng.choice([name for name in SHAPES if name != thing.shape]))
    new = replace(thing, shape=shape, colour=_another_colour(rng, thing.colour, scene.background))
    before, after = _paint_alike(rng, size, scene, _with_last(scene, new))
    return Painted(before, after, _box(before, after), {"thing": _name(thing), "new": _name(new)})


def _remove(rng: np.random.Generator, split: str, size: Size) -> Painted:
    scene = draw_scene(rng, held_out=split == "validation")
    before, after = _paint_alike(rng, size, scene, _with_last(scene))
    return Painted(before, after, _box(before, after), {"thing": _name(scene.things[-1])})


def _recolour(rng: np.random.Generator, split: str, size: Size) -> Painted:
    scene = draw_scene(rng, held_out=split == "validation")
    thing = scene.things[-1]
    new = replace(thing, colour=_another_colour(rng, thing.colour, scene.background))
    before, after = _paint_alike(rng, size, scene, _with_last(scene, new))
    return Painted(before, after, _box(before, after), {"thing": _name(thing), "colour": new.colour})


def _change_background(rng: np.random.Generator, split: str, size: Size) -> Painted:
    scene = draw_scene(rng, held_out=split == "validation")
    colour = _another_colour(rng, scene.background, *(thing.colour for thing in scene.things))
    before, after = _paint_alike(rng, size, scene, replace(scene, background=colour))
    # The inverse of a mask of the things: all that differs.
    mask = np.where((before != after).any(axis=2), np.uint8(255), np.uint8(0))
    return Painted(before, after, mask, {"colour": colour})


def _make_winter(rng: np.random.Generator, _split: str, size: Size) -> Painted:
    summer = replace(draw_landscape(rng), ground="meadow")
    before, after = _paint_alike(rng, size, summer, replace(summer, ground="snow"))
    return Painted(before, after)


def _draw_in_ink(rng: np.random.Generator, split: str, size: Size) -> Painted:
    before = Pictures(split, size).draw(rng)
    return Painted(_levels(before), _levels(operations.ink_drawing(before)))


def _levels(picture: torch.Tensor) -> Pixels:
    """(H, W, 3), 0 … 1, in 8 bits."""
    return (picture * 255).round().byte().numpy()


SPECIALISTS: Mapping[str, Specialist] = MappingProxyType(
    {
        "object swap": Specialist("replace the [thing] in {image} with a [new]", _swap),
        "object removal": Specialist("remove the [thing] from {image}", _remove),
        "object addition": Specialist("add a [thing] to {image}", _remove, inverse=True),
        "attribute": Specialist("make the [thing] in {image} [colour]", _recolour),
        "background": Specialist("change the background of {image} to [colour]", _change_background),
        "environment": Specialist("make it winter in {image}", _make_winter),
        "style": Specialist("{image} as an ink drawing over flat colors", _draw_in_ink),
    }
)
