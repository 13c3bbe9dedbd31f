"""Drawn landscapes with a house, a tree, a sun …, in flat colours, and the sentences that describe them.

landscape = draw_landscape(rng)
landscape.paint(rng, 128, 128), landscape.describe(rng)     # "a house with a red roof in a green meadow, sunny day"
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from PIL import Image, ImageDraw

from . import figures
from .colours import COLOURS, Colour, word
from .language import with_articles

_OVERSAMPLE = 3
_BRIEF = 0.08  # of the sentences
_SPREAD = 8.0  # of a shade around the usual one, each channel


@dataclass(frozen=True)
class Sky:
    """Colours at the top and at the horizon, what people call it, and a whole landscape under it."""

    top: Colour
    low: Colour
    words: tuple[str, ...]
    brief: tuple[str, ...]


SKIES: Mapping[str, Sky] = MappingProxyType(
    {
        "day": Sky(
            (85, 150, 245),
            (165, 210, 255),
            ("under a blue sky", "on a sunny day", "by day", "in daylight", "on a clear day", "in the sunshine"),
            ("a sunny day", "a landscape by day", "a bright day"),
        ),
        "sunset": Sky(
            (225, 85, 75),
            (255, 190, 90),
            ("at sunset", "at dusk", "in the evening", "under an orange sky", "at sunrise"),
            ("a sunset", "an evening landscape"),
        ),
        "night": Sky(
            (8, 12, 48),
            (38, 42, 100),
            ("at night", "under a dark sky", "by night", "in the dark of the night"),
            ("a starry night", "a landscape at night"),
        ),
    }
)


@dataclass(frozen=True)
class Ground:
    """Colour by day, and what people call it."""

    colour: Colour
    words: tuple[str, ...]


GROUNDS: Mapping[str, Ground] = MappingProxyType(
    {
        "meadow": Ground((85, 195, 80), ("in a green meadow", "on a green hill", "on the grass", "in a green field")),
        "sea": Ground((25, 85, 170), ("by the sea", "on the water", "on the blue sea", "on a lake")),
        "desert": Ground((232, 198, 118), ("in the desert", "on the sand", "on a sandy beach", "in the yellow dunes")),
        "snow": Ground((240, 245, 252), ("in the snow", "on a snowy hill", "in winter", "on white snow")),
    }
)
_DIMMED = {"day": 1.0, "sunset": 0.72, "night": 0.42}  # what the ground keeps of its colour
_SETTINGS = {
    "meadow": ("a green meadow", "green hills", "a hilly landscape", "a grassy landscape"),
    "sea": ("the sea", "the blue sea", "a calm lake", "open water"),
    "desert": ("a desert", "sand dunes", "a sandy beach"),
    "snow": ("a snowy landscape", "a winter landscape", "white snowy hills"),
}
_SUN_WORDS = ("with a yellow sun", "and the sun shines", "with the sun")
_MOON_WORDS = ("with a moon", "and the moon shines", "with the moon and stars")
_ON = {"meadow": ("house", "tree", "fir", "flower", "child"), "sea": ("boat",)}
_ON |= {"desert": ("house", "tree", "child"), "snow": ("house", "fir", "child")}
_PLACE_WORDS = {
    "left": ("on the left", "on the left side"),
    "right": ("on the right", "on the right side"),
    "middle": ("", "in the middle", ""),
}
SIDES = {"left": 0.25, "middle": 0.5, "right": 0.75}


@dataclass(frozen=True)
class Item:
    """Something on the ground: a kind of ``figures.FIGURES``, its colour by name, and a key of ``SIDES``."""

    kind: str
    colour: str
    place: str

    @property
    def shade(self) -> Colour:
        """What its coloured part looks like."""
        return figures.FIGURES[self.kind].shades.get(self.colour, COLOURS[self.colour])


@dataclass(frozen=True)
class Landscape:
    """A sky, a ground, and what is there.

    Attributes:
        sky, ground: keys of ``SKIES`` and ``GROUNDS``.
        light: whether the sun (at night the moon) is seen.
        mountains: whether there are some at the horizon.
        items: at most two, from left to right.
    """

    sky: str
    ground: str
    light: bool
    mountains: bool
    items: tuple[Item, ...]

    def paint(self, rng: np.random.Generator, height: int, width: int) -> Image.Image:
        """One of the pictures that the words mean, RGB."""
        large = _paint_sky(rng, self.sky, height * _OVERSAMPLE, width * _OVERSAMPLE)
        pen = ImageDraw.Draw(large)
        horizon = rng.uniform(0.56, 0.7)
        _paint_heavens(rng, pen, self, large.size)
        if self.mountains:
            _paint_ridge(
                rng, pen, large.size, horizon, 0.16, _near(rng, (120, 125, 150), _DIMMED[self.sky]), jagged=True
            )
        wave = 0.004 if self.ground == "sea" else 0.045
        colour = _near(rng, GROUNDS[self.ground].colour, _DIMMED[self.sky])
        _paint_ridge(rng, pen, large.size, horizon, wave, colour)
        if self.ground != "sea" and rng.random() < 0.5:
            nearer = tuple(int(channel * 0.88) for channel in colour)
            _paint_ridge(rng, pen, large.size, horizon + 0.17, wave, nearer)
        for item in self.items:
            _paint_item(rng, pen, item, large.size, horizon)
        return large.resize((width, height), Image.Resampling.BOX)

    def describe(self, rng: np.random.Generator) -> str:
        """A sentence for it. Now and then it names the sky alone; colours of things are else never left out."""
        if rng.random() < _BRIEF:
            return str(rng.choice(SKIES[self.sky].brief))
        sky, ground = str(rng.choice(SKIES[self.sky].words)), GROUNDS[self.ground]
        light = str(rng.choice(_MOON_WORDS if self.sky == "night" else _SUN_WORDS)) if self.light else ""
        if not self.items:
            thing = str(rng.choice(_SETTINGS[self.ground]))
            place = "with mountains" if self.mountains else ""
        else:
            thing = " and ".join(_describe_item(rng, item) for item in self.items)
            place = str(rng.choice(ground.words))
            if self.mountains:
                place += str(rng.choice((" in front of mountains", " with mountains behind")))
        order = (thing, place, sky, light) if rng.random() < 0.8 else (thing, place, light, sky)
        return with_articles(" ".join(part for part in order if part))


def dimmed(colour: Colour, sky: str) -> Colour:
    """What the ground's colour by day looks like under a sky."""
    return tuple(int(channel * _DIMMED[sky]) for channel in colour)


def draw_landscape(rng: np.random.Generator, sky: str | None = None) -> Landscape:
    """Any landscape, or one under a certain sky."""
    sky = sky or str(rng.choice(list(SKIES), p=(0.56, 0.22, 0.22)))
    ground = str(rng.choice(list(GROUNDS), p=(0.5, 0.2, 0.15, 0.15)))
    count = int(rng.choice(3, p=(0.25, 0.5, 0.25)))
    places = {0: (), 1: (str(rng.choice(list(SIDES))),), 2: ("left", "right")}[count]
    items = tuple(_draw_item(rng, ground, place) for place in places)
    return Landscape(sky, ground, bool(rng.random() < 0.5), bool(rng.random() < 0.2), items)


def _draw_item(rng: np.random.Generator, ground: str, place: str) -> Item:
    kind = str(rng.choice(_ON[ground]))
    return Item(kind, str(rng.choice(figures.FIGURES[kind].colours)), place)


def _describe_item(rng: np.random.Generator, item: Item) -> str:
    figure = figures.FIGURES[item.kind]
    phrase = str(rng.choice(figure.phrases)).replace("[colour]", word(rng, item.colour))
    return f"{phrase} {rng.choice(_PLACE_WORDS[item.place])}".strip()


# Painting


def _near(rng: np.random.Generator, colour: Colour, dimmed: float = 1.0) -> Colour:
    channels = np.array(colour) * dimmed + rng.normal(0, _SPREAD, 3)
    return tuple(int(channel) for channel in channels.clip(0, 255))


def _paint_sky(rng: np.random.Generator, name: str, height: int, width: int) -> Image.Image:
    """Flat, as children paint it, or paler towards the horizon."""
    sky = SKIES[name]
    top, low = np.array(_near(rng, sky.top)), np.array(_near(rng, sky.low))
    if rng.random() < 0.5:
        middle = top if name == "night" else top + 0.35 * (low - top)
        return Image.new("RGB", (width, height), tuple(int(channel) for channel in middle))
    ramp = np.linspace(0, 1.4, height).clip(0, 1)[:, None, None]
    rows = np.uint8((top + ramp * (low - top)).clip(0, 255))
    return Image.fromarray(np.broadcast_to(rows, (height, width, 3)).copy())


def _paint_heavens(rng: np.random.Generator, pen: ImageDraw.ImageDraw, scene: Landscape, size: tuple[int, int]) -> None:
    width, height = size
    shorter = min(size)
    if scene.sky == "night":
        for _ in range(rng.integers(4, 14)):
            x, y, radius = rng.uniform(0, width), rng.uniform(0, 0.45) * height, rng.uniform(0.006, 0.014) * shorter
            pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=_near(rng, (245, 245, 220)))
    if scene.light:
        x, y, radius = (
            rng.uniform(0.15, 0.85) * width,
            rng.uniform(0.14, 0.26) * height,
            rng.uniform(0.08, 0.11) * shorter,
        )
        disc = {"day": (255, 228, 60), "sunset": (255, 235, 130), "night": (240, 238, 205)}[scene.sky]
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=_near(rng, disc))
    if scene.sky == "day":
        for _ in range(rng.integers(0, 4)):
            x, y = rng.uniform(0, width), rng.uniform(0.08, 0.35) * height
            figures.paint_cloud(rng, pen, x, y, rng.uniform(0.07, 0.13) * shorter)


def _paint_ridge(
    rng: np.random.Generator,
    pen: ImageDraw.ImageDraw,
    size: tuple[int, int],
    level: float,
    height: float,
    colour: Colour,
    jagged: bool = False,
) -> None:
    """Everything below a wavy (or jagged) line; level and height are shares of the picture's height."""
    width, tall = size
    if jagged:
        steps = np.linspace(0, 1, 2 * int(rng.integers(3, 6)) + 1)
        rise = np.where(np.arange(len(steps)) % 2, rng.uniform(0.6, 1.3, len(steps)), rng.uniform(0.0, 0.3, len(steps)))
    else:
        steps = np.linspace(0, 1, 48)
        rise = sum(rng.uniform(-1, 1) / k * np.sin(2 * np.pi * (k * steps * 0.7 + rng.random())) for k in (1, 2, 3))
    points = [(x * width, (level - up * height) * tall) for x, up in zip(steps, rise, strict=True)]
    pen.polygon([*points, (width, tall), (0, tall)], fill=colour)


def _paint_item(
    rng: np.random.Generator, pen: ImageDraw.ImageDraw, item: Item, size: tuple[int, int], horizon: float
) -> None:
    width, height = size
    x = (SIDES[item.place] + rng.normal(0, 0.025)) * width
    foot = min(horizon + rng.uniform(0.1, 0.2), 0.92) * height
    paint: Callable[..., None] = figures.FIGURES[item.kind].paint
    paint(rng, pen, x, foot, rng.uniform(0.25, 0.31) * min(size), item.colour)
