"""Freely licensed photographs that come inside Python packages; LICENSES.md names their authors and licences."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image

SPLITS = ("train", "validation")
_VALIDATION_PART = 0.25  # of the width of a photograph that both splits draw from


@dataclass(frozen=True)
class Source:
    """A photograph inside an installed package.

    Attributes:
        name: ours, for messages and LICENSES.md.
        package: the one it comes with.
        file: path in the package's folder.
        weight: how often it is drawn compared with the others; flat or noisy ones teach little.
        held_out: never seen in training; of the others only the right quarter is.
    """

    name: str
    package: str
    file: str
    weight: float = 1.0
    held_out: bool = False


SOURCES = (
    Source("astronaut", "skimage", "data/astronaut.png", 2.0),
    Source("brick", "skimage", "data/brick.png", 0.3),
    Source("camera", "skimage", "data/camera.png", 4.0, held_out=True),
    Source("cat", "skimage", "data/chelsea.png", 6.0, held_out=True),
    Source("cell", "skimage", "data/cell.png", 0.2),
    Source("coffee", "skimage", "data/coffee.png", 2.0),
    Source("coins", "skimage", "data/coins.png", 0.7),
    Source("grass", "skimage", "data/grass.png", 0.2),
    Source("gravel", "skimage", "data/gravel.png", 0.2),
    Source("hubble", "skimage", "data/hubble_deep_field.jpg", 0.3),
    Source("tissue", "skimage", "data/ihc.png", 0.6),
    Source("retina", "skimage", "data/retina.jpg", 0.4),
    Source("rocket", "skimage", "data/rocket.jpg", 1.3),
    Source("china", "sklearn", "datasets/images/china.jpg", 2.5),
    Source("flower", "sklearn", "datasets/images/flower.jpg", 1.5),
    Source("hopper", "matplotlib", "mpl-data/sample_data/grace_hopper.jpg", 2.0),
)


@lru_cache(maxsize=2)
def _open(split: str) -> Mapping[str, Image.Image]:
    return {source.name: _part(_read(source), source, split) for source in SOURCES if _has(source, split)}


def photograph(rng: np.random.Generator, split: str) -> Image.Image:
    """One of the photographs of a split, or the part of it that the split may see.

    Raises:
        ModuleNotFoundError: a package that holds photographs is not installed.
        ValueError: no such split.
    """
    if split not in SPLITS:
        raise ValueError(f"the split is {split!r}; expected one of {', '.join(SPLITS)}")
    sources = [source for source in SOURCES if _has(source, split)]
    weights = np.array([source.weight for source in sources])
    chosen = sources[rng.choice(len(sources), p=weights / weights.sum())]
    return _open(split)[chosen.name]


def whole(name: str) -> Image.Image:
    """A photograph by name, uncut.

    Raises:
        ValueError: there is none of that name.
    """
    for source in SOURCES:
        if source.name == name:
            return _read(source)
    raise ValueError(f"no photograph is called {name!r}; there are {', '.join(source.name for source in SOURCES)}")


def _has(source: Source, split: str) -> bool:
    return split == "validation" or not source.held_out


def _part(picture: Image.Image, source: Source, split: str) -> Image.Image:
    if source.held_out:
        return picture
    cut = round(picture.width * (1 - _VALIDATION_PART))
    left, right = (0, cut) if split == "train" else (cut, picture.width)
    return picture.crop((left, 0, right, picture.height))


def _read(source: Source) -> Image.Image:
    spec = find_spec(source.package)
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(
            f"the photograph {source.name!r} comes with the package {source.package}, which is not installed; "
            'install the test extra: pip install "ace-edit[test]"'
        )
    return Image.open(Path(next(iter(spec.submodule_search_locations))) / source.file).convert("RGB")
