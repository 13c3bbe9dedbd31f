"""Tasks in which the model makes up what it is not shown: holes, borders, pictures from lines, from colours, from words."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
import torch
import torch.nn.functional as F

from ....ace.pictures.condition_images import ColorMap, make_condition_image
from . import operations
from .change import Change, Source, Task
from .edits import random_mask
from .phrasings import CAPTIONED, PHRASINGS
from .pictures import Pictures

_HOLES = (0.05, 0.35)  # share of a picture that an inpainting's mask marks
_BORDER = (0.1, 0.34)  # share of the canvas that is new at one side
_LINES_DRAWN_AT = 2  # times the picture's size: edges are usually found on a larger picture and scaled down with it
_FEWEST_LINES, _TRIES = 0.004, 4  # a picture without lines says nothing, so another is taken
_DESCRIBED = 0.6  # of the pictures from lines or colours, those whose sentence says what they show


def _inpaint(rng: np.random.Generator, image: torch.Tensor, _pictures: Pictures) -> Change:
    style = "thick" if rng.random() < 0.5 else "medium"
    return Change((Source(image, random_mask(rng, image, _HOLES, style), "blank"),), image)


def _outpaint(rng: np.random.Generator, image: torch.Tensor, _pictures: Pictures) -> Change:
    return Change((Source(image, border_mask(rng, *image.shape[:2]), "blank"),), image)


def border_mask(rng: np.random.Generator, height: int, width: int) -> torch.Tensor:
    """(H, W), 1 on what is new at one side, at two opposite sides, or all around."""
    sides = {"left": 0.0, "right": 0.0, "top": 0.0, "bottom": 0.0}
    pattern = (("left", "right"), ("top", "bottom"), (str(rng.choice(list(sides))),), tuple(sides))[
        rng.choice(4, p=(0.4, 0.15, 0.25, 0.2))
    ]
    share = rng.uniform(*_BORDER)
    for side in pattern:
        sides[side] = share * (1.4 if len(pattern) == 1 else 0.7 if len(pattern) == 4 else 1.0)
    mask = torch.ones(height, width)
    top, bottom = round(sides["top"] * height), height - round(sides["bottom"] * height)
    left, right = round(sides["left"] * width), width - round(sides["right"] * width)
    mask[top:bottom, left:right] = 0.0
    return mask


def _from_edges(rng: np.random.Generator, _image: torch.Tensor, pictures: Pictures) -> Change:
    for _ in range(_TRIES):
        image, caption = _perhaps_described(rng, pictures, _LINES_DRAWN_AT)
        small = _smaller(image, pictures.size)
        lines = operations.edges(small) if rng.random() < 0.25 else _canny_lines(rng, image, pictures.size)
        if lines.mean() > _FEWEST_LINES:
            break
    return Change((Source(lines),), small, caption)


def _canny_lines(rng: np.random.Generator, image: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Thin lines scaled down, dimmer the larger the picture was that they were found on."""
    lines = _smaller(make_condition_image("canny", image[None])[0], size)
    return (lines * np.exp(rng.uniform(np.log(0.4), np.log(1.6)))).clamp(0, 1)


def _from_colours(rng: np.random.Generator, _image: torch.Tensor, pictures: Pictures) -> Change:
    image, caption = _perhaps_described(rng, pictures, 1)
    patches = make_condition_image("color_map", image[None], ColorMap(block=int(rng.choice((8, 10, 12, 16)))))[0]
    return Change((Source(patches),), image, caption)


def _perhaps_described(
    rng: np.random.Generator, pictures: Pictures, scale: int
) -> tuple[torch.Tensor, Mapping[str, str]]:
    """A picture so many times as large, and what it shows, if that is said."""
    if rng.random() < _DESCRIBED:
        image, caption = pictures.draw_described(rng, scale)
        return image, {"caption": caption}
    return pictures.draw(rng, scale), {}


def _words(rng: np.random.Generator, _image: torch.Tensor, pictures: Pictures) -> Change:
    image, caption = pictures.draw_described(rng)
    return Change((), image, {"caption": caption})


def _smaller(image: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    resized = F.interpolate(image.permute(2, 0, 1)[None], size, mode="bicubic", antialias=True)
    return resized[0].permute(1, 2, 0).clamp(0, 1)


REPAINTING: Mapping[str, Task] = MappingProxyType(
    {
        "inpaint": Task(_inpaint, PHRASINGS["inpaint"], 6.0),
        "outpaint": Task(_outpaint, PHRASINGS["outpaint"], 5.0),
        "from_edges": Task(_from_edges, PHRASINGS["from_edges"], 6.0, captioned=CAPTIONED["from_edges"]),
        "from_colours": Task(_from_colours, PHRASINGS["from_colours"], 3.0, captioned=CAPTIONED["from_colours"]),
        "words": Task(_words, (), 28.0, images=0, captioned=CAPTIONED["words"]),
    }
)
