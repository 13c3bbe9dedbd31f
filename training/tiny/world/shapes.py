"""Outlines of the shapes that have a name, in a square from -1 to 1 with y downwards."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

Points = np.ndarray  # (N, 2), x and y

RING_HOLE = 0.55  # radius of a ring's hole over its own


def _regular(corners: int, first: float, radius: float = 1.0) -> Points:
    """Corners of a regular polygon; ``first`` is the direction of one in degrees, clockwise from the right."""
    angles = np.radians(first) + np.linspace(0, 2 * math.pi, corners, endpoint=False)
    return radius * np.stack((np.cos(angles), np.sin(angles)), axis=1)


def _star() -> Points:
    points = np.empty((10, 2))
    points[0::2], points[1::2] = _regular(5, -90, 1.22), _regular(5, -54, 0.44)
    return points + np.array((0.0, 0.1))


def _heart() -> Points:
    t = np.linspace(0, 2 * math.pi, 48, endpoint=False)
    x = 16 * np.sin(t) ** 3
    y = 13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)
    return np.stack((x, -y - 2.5), axis=1) / 15.5


OUTLINES: Mapping[str, Points] = MappingProxyType(
    {
        "circle": _regular(64, 0),
        "square": _regular(4, 45, 1.25),
        "triangle": _regular(3, -90, 1.2) + np.array((0.0, 0.25)),
        "star": _star(),
        "heart": _heart(),
        "diamond": _regular(4, -90, 1.15) * np.array((0.8, 1.0)),
        "ring": _regular(64, 0),
    }
)
SHAPES = tuple(OUTLINES)


def outline(shape: str, x: float, y: float, radius: float, turned: float = 0.0) -> list[tuple[float, float]]:
    """Corners of a shape around (x, y), turned by so many degrees."""
    angle = math.radians(turned)
    rotation = np.array(((math.cos(angle), math.sin(angle)), (-math.sin(angle), math.cos(angle))))
    return [tuple(point) for point in OUTLINES[shape] @ rotation * radius + np.array((x, y))]
