"""Reads off a picture what it shows: shapes, colours and places on a plain background, or sky, ground and things.

No network: colours are those of regions, shapes are compared with drawn outlines. How often it is right about drawings
whose content is known is measured by :mod:`evaluate`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import permutations

import numpy as np
from PIL import Image, ImageDraw

from ..world.colours import COLOURS
from ..world.landscapes import GROUNDS, SIDES, SKIES, Landscape, dimmed
from ..world.scenes import PLACES, Scene
from ..world.shapes import RING_HOLE, SHAPES, outline

_FOREGROUND = 55.0  # distance in RGB from which a pixel is not background
_SMALLEST = 0.004  # share of the picture that a thing covers at least
_BORDER = 3  # pixels of a frame that shows the background
_SIDE = 48  # pixels of a mask when shapes are compared
_TURNS = (-9, -4, 0, 4, 9)  # degrees by which an outline may be turned
_OF_COLOUR = 75.0  # distance in RGB within which a pixel has a named colour
_ITEM = 0.005  # share of the picture that the coloured part of an item covers at least
_REACH = 0.2  # of the width, to both sides of an item's place


@dataclass(frozen=True)
class Found:
    """A thing on a plain background: names from ``SHAPES``, ``COLOURS`` and ``PLACES``, and its size.

    Attributes:
        radius: half its larger side, over the shorter side of the picture.
    """

    shape: str
    colour: str
    place: str
    radius: float


@dataclass(frozen=True)
class Reading:
    """A plain background and what is on it."""

    background: str
    things: tuple[Found, ...]


def read_scene(picture: np.ndarray) -> Reading:
    """Shapes on a plain background: (H, W, 3) bytes -> what is there, largest first."""
    from scipy import ndimage

    pixels = picture.astype(np.float32)
    frame = np.ones(pixels.shape[:2], bool)
    frame[_BORDER:-_BORDER, _BORDER:-_BORDER] = False
    ground = np.median(pixels[frame], axis=0)
    labels, count = ndimage.label(np.linalg.norm(pixels - ground, axis=-1) > _FOREGROUND)
    areas = np.bincount(labels.ravel(), minlength=count + 1)
    wanted = sorted((k for k in range(1, count + 1) if areas[k] >= _SMALLEST * labels.size), key=lambda k: -areas[k])
    return Reading(_name(ground, COLOURS), tuple(_read_thing(pixels, labels == k) for k in wanted))


def agrees(reading: Reading, scene: Scene) -> dict[str, bool]:
    """Which of what the words say is there: number of things, background, and each thing's shape, colour and place.

    Things found are matched with things named so that most agrees.
    """
    same = {"number": len(reading.things) == len(scene.things), "background": reading.background == scene.background}
    best = {"shape": False, "colour": False, "place": False}
    if same["number"]:
        for found in _orders(reading.things):
            now = {
                name: all(
                    getattr(f, name) == getattr(thing, name) for f, thing in zip(found, scene.things, strict=True)
                )
                for name in best
            }
            best = max(best, now, key=lambda matches: sum(matches.values()))
    return same | best


def read_landscape(picture: np.ndarray, scene: Landscape) -> dict[str, bool]:
    """Whether a picture (H, W, 3) bytes shows a landscape.

    It has the sky and the ground, and something in its items' colours at their places.
    """
    pixels = picture.astype(np.float32)
    height = len(pixels)
    top, bottom = (np.median(part.reshape(-1, 3), axis=0) for part in (pixels[: height // 6], pixels[-height // 8 :]))
    skies = {name: [sky.top, sky.low] for name, sky in SKIES.items()}
    sky = min(skies, key=lambda name: min(_distance_to_line(top, *skies[name])))
    grounds = {name: dimmed(ground.colour, scene.sky) for name, ground in GROUNDS.items()}
    right = {"sky": sky == scene.sky, "ground": _name(bottom, grounds) == scene.ground}
    for number, item in enumerate(scene.items, 1):
        right[f"item {number}"] = _has_colour(pixels, item.shade, SIDES[item.place])
    return right


def _read_thing(pixels: np.ndarray, mask: np.ndarray) -> Found:
    from scipy import ndimage

    height, width = mask.shape
    rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
    inner = ndimage.binary_erosion(mask, iterations=2)
    colour = np.median(pixels[inner if inner.any() else mask], axis=0)
    x, y = (left + right) / 2 / width, (top + bottom) / 2 / height
    place = min(PLACES, key=lambda name: (PLACES[name].x - x) ** 2 + (PLACES[name].y - y) ** 2)
    cut = Image.fromarray(np.uint8(255 * mask[top:bottom, left:right]))
    shape = _shape(np.asarray(cut.resize((_SIDE, _SIDE), Image.Resampling.BILINEAR)) > 127)
    return Found(shape, _name(colour, COLOURS), place, max(bottom - top, right - left) / 2 / min(height, width))


def _shape(mask: np.ndarray) -> str:
    """The shape whose outline covers a mask best, by intersection over union."""

    def likeness(shape: str) -> float:
        return max((mask & other).sum() / (mask | other).sum() for other in _templates()[shape])

    return max(SHAPES, key=likeness)


@cache
def _templates() -> Mapping[str, tuple[np.ndarray, ...]]:
    """Masks of each shape, a little turned, each filling a square."""
    return {shape: tuple(_template(shape, turned) for turned in _TURNS) for shape in SHAPES}


def _template(shape: str, turned: float) -> np.ndarray:
    picture = Image.new("L", (256, 256))
    pen = ImageDraw.Draw(picture)
    pen.polygon(outline(shape, 128, 128, 80, turned), fill=255)
    if shape == "ring":
        pen.polygon(outline("circle", 128, 128, 80 * RING_HOLE), fill=0)
    box = picture.getbbox()
    return np.asarray(picture.crop(box).resize((_SIDE, _SIDE), Image.Resampling.BILINEAR)) > 127


def _name(colour: np.ndarray, names: Mapping[str, Iterable[float]]) -> str:
    """The name of the nearest colour."""
    return min(names, key=lambda name: np.linalg.norm(colour - np.array(names[name])))


def _distance_to_line(colour: np.ndarray, first: Iterable[float], second: Iterable[float]) -> list[float]:
    """Distances to some colours between two."""
    ends = np.array(first, float), np.array(second, float)
    return [float(np.linalg.norm(colour - (ends[0] + t * (ends[1] - ends[0])))) for t in np.linspace(0, 1, 7)]


def _has_colour(pixels: np.ndarray, colour: Iterable[float], x: float) -> bool:
    width = pixels.shape[1]
    part = pixels[:, max(0, int((x - _REACH) * width)) : int((x + _REACH) * width)]
    near = np.linalg.norm(part - np.array(colour, float), axis=-1) < _OF_COLOUR
    return near.sum() >= _ITEM * pixels.shape[0] * width


def _orders(things: tuple[Found, ...]) -> list[tuple[Found, ...]]:
    return list(permutations(things))
