"""Makes ``pictures/``: the photographs and drawings that the workflows use, and masks of what the photographs show.

    .venv/bin/python tools/make_pictures.py

Needs the packages that hold the photographs (the test extra). ``pictures/LICENSES.md`` names authors and licences.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from comfyui_ace.training.tiny.world.landscapes import draw_landscape
from comfyui_ace.training.tiny.world.photographs import whole
from PIL import Image, ImageDraw

EXAMPLES = Path(__file__).resolve().parent.parent / "pictures"
_LONGEST = 640  # pixels
_QUALITY = 88
_DRAWN = 512  # pixels of a drawing's side
_WHOLE = (0.0, 0.0, 1.0, 1.0)


@dataclass(frozen=True)
class Example:
    """A photograph, or a part of one.

    Attributes:
        name: of the file.
        photograph: where it comes from.
        subject: box of an ellipse around what it shows; left, top, right and bottom, 0 … 1 of the example.
        part: box of what is kept of the photograph, 0 … 1.
    """

    name: str
    photograph: str
    subject: tuple[float, float, float, float]
    part: tuple[float, float, float, float] = _WHOLE


EXAMPLES_MADE = (
    Example("astronaut", "astronaut", (0.22, 0.02, 0.82, 0.98), (0.0, 0.0, 0.7, 0.72)),
    Example("cat", "cat", (0.02, 0.02, 0.86, 0.99)),
    Example("coffee", "coffee", (0.10, 0.02, 0.84, 0.96)),
    Example("cup", "coffee", (0.06, 0.02, 0.78, 0.92), (0.24, 0.0, 0.76, 0.78)),
    Example("eyes", "cat", (0.28, 0.30, 0.98, 0.74), (0.0, 0.12, 1.0, 0.66)),
    Example("flower", "flower", (0.26, 0.17, 0.68, 0.86)),
    Example("launch pad", "rocket", (0.36, 0.05, 0.62, 0.98), (0.12, 0.3, 0.98, 1.0)),
    Example("petals", "flower", (0.03, 0.04, 0.90, 0.95), (0.28, 0.14, 0.74, 0.88)),
    Example("photographer", "camera", (0.02, 0.08, 0.68, 0.99)),
    Example("portrait", "hopper", (0.22, 0.02, 0.82, 0.98), (0.06, 0.02, 0.94, 0.62)),
    Example("rocket", "rocket", (0.42, 0.26, 0.60, 0.99)),
    Example("roofs", "china", (0.10, 0.05, 0.78, 0.97), (0.08, 0.02, 0.62, 0.72)),
    Example("shuttle", "astronaut", (0.05, 0.02, 0.80, 0.98), (0.62, 0.0, 1.0, 0.62)),
    Example("temple", "china", (0.10, 0.04, 0.56, 0.95)),
)


DRAWINGS = {"house": 407}
"""Landscapes of ace-tiny's small world, each by the number that it is drawn from."""


def make(example: Example) -> tuple[Image.Image, Image.Image]:
    """The photograph, and its mask of the same size: white is what it shows."""
    photo = whole(example.photograph)
    photo = photo.crop(_scaled(example.part, photo.size))
    photo.thumbnail((_LONGEST, _LONGEST), Image.Resampling.LANCZOS)
    mask = Image.new("L", photo.size)
    ImageDraw.Draw(mask).ellipse(_scaled(example.subject, photo.size), fill=255)
    return photo, mask


def _scaled(box: tuple[float, float, float, float], size: tuple[int, int]) -> tuple[int, ...]:
    return tuple(round(edge * size[k % 2]) for k, edge in enumerate(box))


def main() -> None:
    """Makes all of them."""
    for folder in ("photos", "masks"):
        (EXAMPLES / folder).mkdir(parents=True, exist_ok=True)
    for example in EXAMPLES_MADE:
        photo, mask = make(example)
        photo.save(EXAMPLES / "photos" / f"{example.name}.jpg", quality=_QUALITY)
        mask.save(EXAMPLES / "masks" / f"{example.name}.png", optimize=True)
    (EXAMPLES / "drawings").mkdir(exist_ok=True)
    for name, number in DRAWINGS.items():
        rng = np.random.default_rng(number)
        draw_landscape(rng).paint(rng, _DRAWN, _DRAWN).save(EXAMPLES / "drawings" / f"{name}.png", optimize=True)
    total = sum(file.stat().st_size for file in EXAMPLES.rglob("*") if file.is_file())
    print(
        f"{len(EXAMPLES_MADE)} photographs with masks, {len(DRAWINGS)} drawings, {total / 1e6:.1f} MB in all",
        file=sys.stderr,
    )


if __name__ == "__main__":
    main()
