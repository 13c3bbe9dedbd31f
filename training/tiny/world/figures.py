"""What stands in a drawn landscape: a house, a tree, a fir, a flower, a boat, a child; and clouds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
from PIL import ImageDraw

from .colours import Colour, shade

Painter = Callable[[np.random.Generator, ImageDraw.ImageDraw, float, float, float, str], None]
"""(random numbers, pen, x of the middle, y of the foot, size in pixels, colour by name): paints."""

_SKIN, _WOOD, _LEAF, _FIR = (245, 205, 175), (115, 75, 45), (45, 140, 55), (25, 95, 60)


@dataclass(frozen=True)
class Figure:
    """How it is painted, the colours it comes in, how people call it, and the shades unlike those of their names.

    In a phrase ``[colour]`` stands for the colour.
    """

    paint: Painter
    colours: tuple[str, ...]
    phrases: tuple[str, ...]
    shades: Mapping[str, Colour] = field(default_factory=dict)


def _house(rng: np.random.Generator, pen: ImageDraw.ImageDraw, x: float, foot: float, size: float, name: str) -> None:
    """Pale walls and a roof of the named colour."""
    width, wall = size * rng.uniform(0.95, 1.1), size * rng.uniform(0.62, 0.72)
    left, right, top = x - width / 2, x + width / 2, foot - wall
    pale = rng.normal(232, 8, 3).clip(205, 255)
    pen.rectangle((left, top, right, foot), fill=tuple(int(channel) for channel in pale))
    over, roof = width * 0.12, size * rng.uniform(0.5, 0.6)
    pen.polygon([(left - over, top), (x, top - roof), (right + over, top)], fill=shade(rng, name))
    pen.rectangle((x - width * 0.11, foot - wall * 0.55, x + width * 0.11, foot), fill=_WOOD)
    for side in (-1, 1):
        middle, half = x + side * width * 0.31, width * 0.09
        pen.rectangle(
            (middle - half, top + wall * 0.22, middle + half, top + wall * 0.22 + 2 * half), fill=(90, 120, 160)
        )


def _tree(rng: np.random.Generator, pen: ImageDraw.ImageDraw, x: float, foot: float, size: float, name: str) -> None:
    """A trunk under a round crown of the named colour."""
    crown = shade(rng, name) if name != "green" else tuple(int(c) for c in np.array(_LEAF) + rng.normal(0, 6, 3))
    pen.rectangle((x - size * 0.08, foot - size * 0.6, x + size * 0.08, foot), fill=_WOOD)
    for dx, dy, radius in ((0.0, -1.05, 0.42), (-0.3, -0.8, 0.32), (0.3, -0.8, 0.32)):
        cx, cy, r = x + dx * size, foot + dy * size, radius * size
        pen.ellipse((cx - r, cy - r, cx + r, cy + r), fill=crown)


def _fir(rng: np.random.Generator, pen: ImageDraw.ImageDraw, x: float, foot: float, size: float, _name: str) -> None:
    pen.rectangle((x - size * 0.07, foot - size * 0.25, x + size * 0.07, foot), fill=_WOOD)
    green = tuple(int(channel) for channel in (np.array(_FIR) + rng.normal(0, 6, 3)).clip(0, 255))
    for level, half in ((0.2, 0.48), (0.55, 0.38), (0.9, 0.27)):
        base = foot - level * size
        pen.polygon([(x - half * size, base), (x, base - 0.6 * size), (x + half * size, base)], fill=green)


def _flower(rng: np.random.Generator, pen: ImageDraw.ImageDraw, x: float, foot: float, size: float, name: str) -> None:
    """Petals of the named colour on a stem with a leaf."""
    y, radius = foot - size * 1.05, size * 0.24
    pen.line([(x, foot), (x, y)], fill=_LEAF, width=max(2, int(size * 0.09)))
    pen.ellipse((x, foot - size * 0.55, x + size * 0.35, foot - size * 0.38), fill=_LEAF)
    petal = shade(rng, name)
    for angle in np.linspace(0, 2 * np.pi, 5, endpoint=False) + rng.random():
        cx, cy = x + 0.3 * size * np.cos(angle), y + 0.3 * size * np.sin(angle)
        pen.ellipse((cx - radius, cy - radius, cx + radius, cy + radius), fill=petal)
    heart = 0.17 * size
    pen.ellipse((x - heart, y - heart, x + heart, y + heart), fill=(250, 215, 60) if name != "yellow" else _WOOD)


def _boat(rng: np.random.Generator, pen: ImageDraw.ImageDraw, x: float, foot: float, size: float, name: str) -> None:
    """A brown hull, a mast, a sail of the named colour."""
    deck, half = foot - size * 0.28, size * 0.68
    pen.polygon([(x - half, deck), (x + half, deck), (x + half * 0.6, foot), (x - half * 0.6, foot)], fill=_WOOD)
    pen.line([(x, deck), (x, foot - size * 1.45)], fill=_WOOD, width=max(2, int(size * 0.06)))
    side = 1 if rng.random() < 0.5 else -1
    tip, low = foot - size * 1.4, deck - size * 0.1
    pen.polygon([(x, tip), (x, low), (x + side * size * 0.62, low)], fill=shade(rng, name))


def _child(rng: np.random.Generator, pen: ImageDraw.ImageDraw, x: float, foot: float, size: float, name: str) -> None:
    """A head, a dress of the named colour, arms and legs."""
    tall, thick = size * 1.7, max(2, int(size * 0.13))
    neck, hem = foot - 0.68 * tall, foot - 0.24 * tall
    for side in (-1, 1):
        pen.line([(x + side * 0.1 * tall, hem), (x + side * 0.12 * tall, foot)], fill=_SKIN, width=thick)
        hand = (x + side * 0.34 * tall, neck + rng.uniform(0.02, 0.22) * tall)
        pen.line([(x, neck + 0.08 * tall), hand], fill=_SKIN, width=thick)
    pen.polygon(
        [(x - 0.07 * tall, neck), (x + 0.07 * tall, neck), (x + 0.2 * tall, hem), (x - 0.2 * tall, hem)],
        fill=shade(rng, name),
    )
    radius, y = 0.14 * tall, neck - 0.12 * tall
    hair = ((240, 220, 100), (110, 65, 30), (40, 30, 30), (190, 90, 40))[rng.integers(4)]
    pen.ellipse((x - 1.25 * radius, y - 1.3 * radius, x + 1.25 * radius, y + radius), fill=hair)
    pen.ellipse((x - 0.9 * radius, y - 0.8 * radius, x + 0.9 * radius, y + radius), fill=_SKIN)
    dot = max(1.0, 0.14 * radius)
    for side in (-1, 1):
        cx = x + side * 0.35 * radius
        pen.ellipse((cx - dot, y - dot, cx + dot, y + dot), fill=(30, 40, 80))


def paint_cloud(rng: np.random.Generator, pen: ImageDraw.ImageDraw, x: float, y: float, size: float) -> None:
    """A few white discs side by side."""
    for dx in (-0.9, 0.0, 0.9):
        radius = size * rng.uniform(0.5, 0.8) * (1.2 if dx == 0 else 0.8)
        cx = x + dx * size
        pen.ellipse((cx - 1.2 * radius, y - 0.7 * radius, cx + 1.2 * radius, y + 0.7 * radius), fill=(250, 252, 255))


FIGURES: Mapping[str, Figure] = MappingProxyType(
    {
        "house": Figure(
            _house,
            ("red", "blue", "orange", "purple", "brown", "gray", "green"),
            ("a house with a [colour] roof", "a little house with a [colour] roof", "a cottage with a [colour] roof"),
        ),
        "tree": Figure(
            _tree,
            ("green", "green", "orange", "red", "pink"),
            ("a tree with [colour] leaves", "a [colour] tree"),
            {"green": _LEAF},
        ),
        "fir": Figure(_fir, ("green",), ("a fir", "a fir tree", "a pine tree"), {"green": _FIR}),
        "flower": Figure(
            _flower,
            ("red", "yellow", "pink", "white", "purple", "orange", "blue"),
            ("a [colour] flower", "a flower with [colour] petals"),
        ),
        "boat": Figure(
            _boat,
            ("white", "red", "yellow", "orange", "pink"),
            ("a boat with a [colour] sail", "a sailing boat with a [colour] sail"),
        ),
        "child": Figure(
            _child,
            ("red", "blue", "pink", "yellow", "purple", "orange", "white"),
            ("a girl in a [colour] dress", "a child in a [colour] dress"),
        ),
    }
)
