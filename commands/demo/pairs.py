"""The demo's teacher: a chain of image operations as an artist would wire them, and the photographs it is shown."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from ...ace.pictures.files.picture_folders import PICTURE_SUFFIXES, list_folder
from ...training.dataset.disk.images import read_image
from ...training.dataset.store import Dataset, Pair
from ...training.errors import ImageError
from ...training.evaluate.memory import MemoryMeter
from ...training.tiny.world.operations import cyanotype

INSTRUCTION = "{image} as a cyanotype print"
EMBEDDED = Path(__file__).parent.parent / "data" / "cat.jpg"
SIDE = 128  # pixels: 64 patches, what ace-tiny was trained at
_LEAST_WEIGHT = 0.5  # photographs of bare texture teach little


@dataclass(frozen=True)
class Photograph:
    """A picture to show the teacher, and whether the student may learn from it."""

    name: str
    image: Image.Image
    held_out: bool


def photographs(folder: Path | None) -> list[Photograph]:
    """Those of a folder, every fifth held out; without one, those inside installed packages, and ours held out.

    Raises:
        ValueError: the folder holds too few pictures.
    """
    if folder is None:
        return _embedded()
    if not folder.is_dir():
        raise ValueError(f"there is no folder {folder}; give one with at least two photographs")
    opened = []
    listing = list_folder(folder)
    for path in listing.pictures:
        try:
            opened.append((path.stem, _open(path)))
        except ImageError as error:
            print(f"left out: {error}", file=sys.stderr)
    if len(opened) < 2:
        raise ValueError(
            f"{folder} holds {len(opened)} readable pictures ({', '.join(PICTURE_SUFFIXES)}); give a folder with at "
            f"least two, so that one can be held out. {listing.inventory()}"
        )
    return [Photograph(stem, image, number % 5 == 0) for number, (stem, image) in enumerate(opened)]


def _embedded() -> list[Photograph]:
    from ...training.tiny.world.photographs import SOURCES, whole

    found = []
    for source in SOURCES:
        if source.held_out or source.weight < _LEAST_WEIGHT:
            continue
        try:
            found.append(Photograph(source.name, whole(source.name), False))
        except ModuleNotFoundError:
            continue
    cat = _open(EMBEDDED)
    if found:
        return [*found, Photograph("cat", cat, True)]
    cut = cat.width * 3 // 5
    left, right = cat.crop((0, 0, cut, cat.height)), cat.crop((cut, 0, cat.width, cat.height))
    return [Photograph("cat left", left, False), Photograph("cat right", right, True)]


def _open(path: Path) -> Image.Image:
    return Image.fromarray(read_image(path).pixels)


def capture(pictures: list[Photograph], dataset: Dataset, count: int, held_out: int) -> None:
    """Shows the teacher squares of the photographs and keeps the pairs, with the teacher's time and memory.

    Args:
        pictures: those held out make the pairs to evaluate on.
        dataset: where the pairs go.
        count: pairs to train on.
        held_out: pairs to evaluate on.
    """
    splits, memory = {}, MemoryMeter(torch.device("cpu"))
    for validation, number in ((False, count), (True, held_out)):
        chosen = [picture for picture in pictures if picture.held_out == validation]
        for name, square in _crops(chosen, number):
            source = torch.from_numpy(np.array(square)).float() / 255
            started = time.perf_counter()
            result = cyanotype(source)
            seconds = time.perf_counter() - started
            pair = Pair(source=source.numpy(), target=result.numpy(), instruction=INSTRUCTION, seed=0, name=name)
            memory.update()
            kept = dataset.append(replace(pair, teacher_seconds=seconds, teacher_memory=memory.peak))
            if kept.stored:
                splits[kept.id] = "validation" if validation else "train"
    dataset.rewrite(lambda row: replace(row, split=splits.get(row.id, row.split)))


def _crops(pictures: list[Photograph], count: int) -> Iterator[tuple[str, Image.Image]]:
    """Squares of the photographs in turn: some of the whole, some of a detail, some mirrored."""
    rng = np.random.default_rng(count)
    for number in range(count):
        picture = pictures[number % len(pictures)]
        image = picture.image
        side = int(min(image.size) * rng.uniform(0.4, 1.0))
        left, top = (int(rng.integers(0, room + 1)) for room in (image.width - side, image.height - side))
        square = image.crop((left, top, left + side, top + side)).resize((SIDE, SIDE), Image.Resampling.LANCZOS)
        yield picture.name, square.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if rng.random() < 0.5 else square
