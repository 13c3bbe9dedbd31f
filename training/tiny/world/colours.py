"""The colours that ace-tiny knows by name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

Colour = tuple[int, int, int]

COLOURS: Mapping[str, Colour] = MappingProxyType(
    {
        "red": (220, 30, 30),
        "orange": (245, 140, 20),
        "yellow": (245, 225, 40),
        "green": (40, 160, 50),
        "cyan": (40, 210, 215),
        "blue": (35, 60, 215),
        "purple": (130, 40, 170),
        "pink": (250, 150, 190),
        "brown": (120, 75, 35),
        "white": (250, 250, 250),
        "gray": (128, 128, 128),
        "black": (8, 8, 8),
    }
)

_OTHER_WORDS = {"gray": ("grey",), "purple": ("violet",), "cyan": ("turquoise",)}
_SPREAD = 6.0  # of a shade around its name, each channel
_CONTRAST = 110.0  # distance in RGB below which one colour is hard to see on another


def shade(rng: np.random.Generator, name: str) -> Colour:
    """A colour one would call by this name."""
    channels = np.array(COLOURS[name]) + rng.normal(0, _SPREAD, 3)
    return tuple(int(channel) for channel in channels.clip(0, 255))


def word(rng: np.random.Generator, name: str) -> str:
    """What people call the colour: its name, or now and then another word."""
    others = _OTHER_WORDS.get(name, ())
    return str(rng.choice(others)) if others and rng.random() < 0.3 else name


def stand_out(first: str, second: str) -> bool:
    """Whether one is easily seen on the other."""
    return float(np.linalg.norm(np.subtract(COLOURS[first], COLOURS[second]))) > _CONTRAST
