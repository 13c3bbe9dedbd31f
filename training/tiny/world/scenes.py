"""Shapes on a plain background, and the sentences that describe them.

    scene = draw_scene(rng)
    scene.paint(rng, 128, 128), scene.describe(rng)        # "a red circle on a blue background"

Some combinations of shape, colour and background are kept for measuring (:func:`is_held_out`): a model that paints them
has understood the words and does not remember a picture.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from PIL import Image, ImageDraw

from .colours import COLOURS, shade, stand_out, word
from .language import with_articles
from .shapes import RING_HOLE, SHAPES, outline

_OVERSAMPLE = 4  # drawn larger and scaled down, for smooth edges
_HELD_OUT = 10  # one of so many combinations is held out


@dataclass(frozen=True)
class Place:
    """Somewhere on a picture: shares of its width and height, and how people call it."""

    x: float
    y: float
    words: tuple[str, ...]


PLACES: Mapping[str, Place] = MappingProxyType(
    {
        "middle": Place(0.5, 0.5, ("in the middle", "in the center", "in the centre")),
        "left": Place(0.25, 0.5, ("on the left", "at the left", "on the left side")),
        "right": Place(0.75, 0.5, ("on the right", "at the right", "on the right side")),
        "top": Place(0.5, 0.25, ("at the top", "in the upper part")),
        "bottom": Place(0.5, 0.75, ("at the bottom", "in the lower part")),
        "top left": Place(0.25, 0.25, ("at the top left", "in the top left corner", "in the upper left")),
        "top right": Place(0.75, 0.25, ("at the top right", "in the top right corner", "in the upper right")),
        "bottom left": Place(0.25, 0.75, ("at the bottom left", "in the bottom left corner", "in the lower left")),
        "bottom right": Place(0.75, 0.75, ("at the bottom right", "in the bottom right corner", "in the lower right")),
    }
)
# Radius over the shorter side, and what people say for it.
SIZES: Mapping[str, tuple[float, tuple[str, ...]]] = MappingProxyType(
    {"small": (0.15, ("small", "little", "tiny")), "": (0.2, ("",)), "big": (0.31, ("big", "large", "huge"))}
)
_PAIRS = (("left", "right"), ("right", "left"), ("top", "bottom"), ("bottom", "top"))
_RELATIONS: Mapping[tuple[str, str], tuple[str, ...]] = MappingProxyType(
    {
        ("left", "right"): ("left of", "to the left of", "next to", "beside", "and"),
        ("right", "left"): ("right of", "to the right of"),
        ("top", "bottom"): ("above", "over", "on top of"),
        ("bottom", "top"): ("below", "under", "beneath"),
    }
)
_SHAPE_WORDS = {"circle": ("circle", "circle", "disc", "dot"), "square": ("square", "square", "box")}
_WITH_BACKGROUND = (
    "{things} on a {background} background",
    "{things} on a {background} background",
    "{things} on {background}",
    "{things} against a {background} background",
    "{things} in front of a {background} background",
    "a {background} background with {things}",
    "a {background} picture with {things}",
    "{background} background, {things}",
)
_WITHOUT = ("{things}", "{things} on a plain background", "just {things}")


@dataclass(frozen=True)
class Thing:
    """One shape: keys of ``SHAPES``, ``COLOURS``, ``SIZES`` and ``PLACES``."""

    shape: str
    colour: str
    size: str = ""
    place: str = "middle"


@dataclass(frozen=True)
class Scene:
    """Things on a plain background, in the order in which they are named."""

    things: tuple[Thing, ...]
    background: str

    def paint(self, rng: np.random.Generator, height: int, width: int) -> Image.Image:
        """One of the pictures that the words mean, RGB."""
        large = Image.new("RGB", (width * _OVERSAMPLE, height * _OVERSAMPLE), shade(rng, self.background))
        pen = ImageDraw.Draw(large)
        ground = large.getpixel((0, 0))
        for thing in self.things:
            _paint_thing(rng, pen, thing, large.size, ground)
        return large.resize((width, height), Image.Resampling.BOX)

    def describe(self, rng: np.random.Generator) -> str:
        """A sentence for it. A white background and the middle may go without saying."""
        things = self._describe_things(rng)
        said = self.background != "white" or rng.random() < 0.5
        background = word(rng, self.background)
        sentence = str(rng.choice(_WITH_BACKGROUND if said else _WITHOUT))
        return with_articles(sentence.format(things=things, background=background))

    def _describe_things(self, rng: np.random.Generator) -> str:
        if len(self.things) == 1:
            (thing,) = self.things
            place = str(rng.choice(PLACES[thing.place].words))
            if thing.place == "middle" and rng.random() < 0.7:
                place = ""
            return f"{_describe(rng, thing)} {place}".strip()
        first, second = (_describe(rng, thing) for thing in self.things)
        places = tuple(thing.place for thing in self.things)
        if places in _RELATIONS and rng.random() < 0.5:
            return f"{first} {rng.choice(_RELATIONS[places])} {second}"
        here, there = (str(rng.choice(PLACES[place].words)) for place in places)
        return f"{first} {here} and {second} {there}"


def draw_scene(rng: np.random.Generator, held_out: bool = False) -> Scene:
    """One or two things.

    Args:
        held_out: of the combinations that training never sees, or only of the others.
    """
    while True:
        scene = _two(rng) if rng.random() < 0.4 else _one(rng)
        if all(is_held_out(thing, scene.background) == held_out for thing in scene.things):
            return scene


def is_held_out(thing: Thing, background: str) -> bool:
    """Whether this shape in this colour on this background is kept for measuring."""
    return zlib.crc32(f"{thing.shape} {thing.colour} {background}".encode()) % _HELD_OUT == 0


def _one(rng: np.random.Generator) -> Scene:
    place = "middle" if rng.random() < 0.35 else str(rng.choice(list(PLACES)))
    odds = (0.2, 0.5, 0.3) if place == "middle" else (0.35, 0.65, 0.0)
    size = str(rng.choice(list(SIZES), p=odds))
    colour, background = _colours(rng)
    return Scene((Thing(str(rng.choice(SHAPES)), colour, size, place),), background)


def _two(rng: np.random.Generator) -> Scene:
    places = _PAIRS[rng.integers(len(_PAIRS))]
    first, background = _colours(rng)
    while True:
        second = str(rng.choice(list(COLOURS)))
        if stand_out(second, background):
            break
    shapes = rng.choice(SHAPES, 2)
    return Scene(
        tuple(
            Thing(str(shape), colour, "", place)
            for shape, colour, place in zip(shapes, (first, second), places, strict=True)
        ),
        background,
    )


def _colours(rng: np.random.Generator) -> tuple[str, str]:
    """Of a thing and of its background; white ones are the most usual."""
    while True:
        colour = str(rng.choice(list(COLOURS)))
        background = "white" if rng.random() < 0.15 else str(rng.choice(list(COLOURS)))
        if stand_out(colour, background):
            return colour, background


def _paint_thing(
    rng: np.random.Generator, pen: ImageDraw.ImageDraw, thing: Thing, size: tuple[int, int], ground: tuple[int, ...]
) -> None:
    width, height = size
    place, shorter = PLACES[thing.place], min(size)
    x, y = (share * side + rng.normal(0, 0.015) * side for share, side in ((place.x, width), (place.y, height)))
    radius = SIZES[thing.size][0] * shorter * rng.uniform(0.93, 1.07)
    ink, turned = shade(rng, thing.colour), rng.normal(0, 3)
    pen.polygon(outline(thing.shape, x, y, radius, turned), fill=ink)
    if thing.shape == "ring":
        pen.polygon(outline("circle", x, y, radius * RING_HOLE), fill=ground)


def _describe(rng: np.random.Generator, thing: Thing) -> str:
    """ "a small red circle" and the like."""
    size = str(rng.choice(SIZES[thing.size][1]))
    shape = str(rng.choice(_SHAPE_WORDS.get(thing.shape, (thing.shape,))))
    words = " ".join(part for part in (size, word(rng, thing.colour), shape) if part)
    return f"a {words}"
