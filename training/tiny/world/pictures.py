"""An endless, seeded supply of small pictures: parts of photographs, and drawings.

    pictures = Pictures("train", size=(128, 128), seed=0)
    pictures[7]                                            # (128, 128, 3), always the same one

``python -m comfyui_ace.training.tiny.world.pictures sheet.png`` shows some.
"""

from __future__ import annotations

import argparse
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from ....ace.pictures.image_files import save_picture
from .drawings import draw, soften
from .landscapes import Landscape, draw_landscape
from .photographs import SPLITS, photograph
from .scenes import Scene, draw_scene

_DESCRIBED = 0.5  # of the drawings, those that there are words for
_SCENES = 0.7  # of these, shapes on a plain background; the others are landscapes
_SMALLEST_PART = 96  # pixels of a photograph that a crop spans at least, so that it is seldom enlarged


@dataclass(frozen=True)
class Pictures:
    """Pictures by number; the same number always gives the same picture.

    Attributes:
        split: "train" or "validation", which share no part of a photograph and no drawing.
        size: height and width.
        seed: of all of them.
        photographs: share of photographs, 0 … 1.
    """

    split: str = "train"
    size: tuple[int, int] = (128, 128)
    seed: int = 0
    photographs: float = 0.6

    def __post_init__(self) -> None:
        if self.split not in SPLITS:
            raise ValueError(f"the split is {self.split!r}; expected one of {', '.join(SPLITS)}")

    def generator(self, index: int) -> np.random.Generator:
        """The random numbers of picture ``index``; anything that belongs to it may go on drawing from them."""
        return np.random.default_rng((zlib.crc32(self.split.encode()), self.seed, index))

    def __getitem__(self, index: int) -> torch.Tensor:
        """(H, W, 3) float, 0 … 1."""
        return self.draw(self.generator(index))

    def draw(self, rng: np.random.Generator, scale: int = 1) -> torch.Tensor:
        """The next picture of a stream of random numbers, (H, W, 3) float, 0 … 1, so many times as large."""
        height, width = (side * scale for side in self.size)
        if rng.random() < self.photographs:
            picture = _crop(rng, photograph(rng, self.split), height, width)
        elif rng.random() < _DESCRIBED:
            picture = self._draw_describable(rng).paint(rng, height, width)
        else:
            picture = draw(rng, height, width)
            if rng.random() < 0.3:
                picture = soften(rng, picture)
        return torch.from_numpy(_jitter(rng, _pixels(picture)))

    def draw_described(self, rng: np.random.Generator, scale: int = 1) -> tuple[torch.Tensor, str]:
        """A drawing and a sentence for it; of shapes on a background, the validation's are combinations never trained on."""
        described = self._draw_describable(rng)
        picture = described.paint(rng, *(side * scale for side in self.size))
        return torch.from_numpy(_pixels(picture)), described.describe(rng)

    def _draw_describable(self, rng: np.random.Generator) -> Scene | Landscape:
        if rng.random() < _SCENES:
            return draw_scene(rng, held_out=self.split == "validation")
        return draw_landscape(rng)

    def __iter__(self) -> Iterator[torch.Tensor]:
        index = 0
        while True:
            yield self[index]
            index += 1


def _crop(rng: np.random.Generator, photo: Image.Image, height: int, width: int) -> Image.Image:
    """A part of the wanted aspect ratio, of any size, perhaps mirrored."""
    most = min(photo.height / height, photo.width / width)
    least = min(most, _SMALLEST_PART / min(height, width))
    scale = np.exp(rng.uniform(np.log(least), np.log(most)))
    part_height, part_width = height * scale, width * scale
    left, top = rng.uniform(0, photo.width - part_width), rng.uniform(0, photo.height - part_height)
    box = (left, top, left + part_width, top + part_height)
    part = photo.resize((width, height), Image.Resampling.BICUBIC, box=box)
    return part.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if rng.random() < 0.5 else part


def _pixels(picture: Image.Image) -> np.ndarray:
    """(H, W, 3) float32, 0 … 1."""
    return np.asarray(picture, dtype=np.float32) / 255


def _jitter(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    """A little of other light: gamma, contrast, saturation, and a tint; (H, W, 3) float32, 0 … 1."""
    if rng.random() < 0.3:
        return image
    gamma, contrast, saturation = np.exp(rng.normal(0, (0.2, 0.12, 0.25))).astype(np.float32)
    tint = np.exp(rng.normal(0, 0.07, 3)).astype(np.float32)
    image = image**gamma * tint
    grey = image.mean(-1, keepdims=True)
    image = grey + (image - grey) * saturation
    return ((image - 0.5) * contrast + 0.5).clip(0, 1)


def contact_sheet(images: list[torch.Tensor], columns: int) -> torch.Tensor:
    """Pictures of one size side by side, row by row: N of (H, W, 3) -> (rows·H, columns·W, 3); gaps are black."""
    blank = torch.zeros_like(images[0])
    padded = [*images, *[blank] * (-len(images) % columns)]
    rows = [torch.cat(padded[start : start + columns], dim=1) for start in range(0, len(padded), columns)]
    return torch.cat(rows)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m comfyui_ace.training.tiny.world.pictures", description="Draws a sheet."
    )
    parser.add_argument("file", type=Path, help="PNG to write")
    parser.add_argument("--split", choices=SPLITS, default="train")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--size", type=int, default=128, help="side in pixels")
    parser.add_argument("--count", type=int, default=64)
    arguments = parser.parse_args()
    pictures = Pictures(arguments.split, (arguments.size, arguments.size), arguments.seed)
    save_picture(contact_sheet([pictures[k] for k in range(arguments.count)], columns=8), arguments.file)


if __name__ == "__main__":
    main()
