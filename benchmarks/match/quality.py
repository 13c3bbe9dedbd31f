"""What is found of what was planted, at every threshold, and what the built-in descriptors see.

python -m comfyui_ace.benchmarks.match.quality [--quick] [--json]
"""

from __future__ import annotations

import io
import sys
import tempfile
from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

from ...training.match.descriptors.base import Descriptor
from ...training.match.descriptors.layout import LayoutDescriptor
from ...training.match.descriptors.style import StyleDescriptor
from ...training.match.engines.local import LocalEngine
from ...training.match.link.relation import Window
from ...training.match.settings import PRESETS, MatchSettings
from ...training.match.similarity.base import Similarity
from ...training.match.similarity.registry import make_similarity
from ...training.tiny.world.photographs import SOURCES, whole
from ..report import Table
from .synthetic import planted, random_keys, search_features
from .tables import print_tables

_SIDE = 256  # pixels of the photographs' parts
_LAYOUT_LOW = MatchSettings(("",), "").first_window.low
_KEYPOINT_LOW = 0.1
_FAMILY = 0.75


def planted_groups(quick: bool) -> Table:
    """Groups of ten, in fives that are like each other, among features that stand alone; and how far chains would lead."""
    groups, singles = (30, 300) if quick else (300, 3000)
    rows = []
    for spread in (0.35, 0.5, 0.65):
        features, group, keys = _collection(groups, singles, spread)
        for low in (0.6, 0.7, 0.8, 0.9):
            with tempfile.TemporaryDirectory() as folder:
                found = search_features(features, keys, Path(folder), LocalEngine(workers=1), window=Window(low))
                pairs = np.concatenate([np.zeros((0, 2), int), *map(_ends, map(found.pairs.read, found.pairs.names()))])
            by_key = dict(zip(keys.tolist(), group.tolist(), strict=True))
            right = sum(by_key[one] == by_key[other] >= 0 for one, other in pairs.tolist())
            passing = found.counts["linked pairs"]
            rows.append(
                (
                    f"{1 / (1 + spread**2):.2f}",
                    low,
                    f"{right / (groups * 45):.1%}",
                    f"{right / len(pairs):.1%}" if len(pairs) else None,
                    f"{len(pairs) / passing:.1%}" if passing else None,
                    found.counts.get("largest group", 0),
                    found.counts.get("largest set", 0),
                )
            )
    columns = (
        "mean cosine in a group",
        "threshold",
        "recall of pairs",
        "precision",
        "passing pairs that are in a set",
        "largest linked group",
        "largest set",
    )
    note = (
        f"{groups} groups of 10, whose middles are in fives at a cosine of {_FAMILY:g}, and {singles} features that stand "
        "alone; 64 dimensions. Recall is of the pairs within groups, precision of the pairs found."
    )
    return Table("Planted groups of features", columns, rows, (note,))


def _collection(groups: int, singles: int, spread: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features, the group of each (-1 for none), and keys."""
    together, group = planted(groups, 10, 64, spread, seed=1, family=_FAMILY)
    alone, _ = planted(singles, 1, 64, 0.0, seed=2)
    features = np.concatenate([together, alone])
    return features, np.concatenate([group, np.full(singles, -1)]), random_keys(len(features))


def _ends(columns: dict[str, np.ndarray]) -> np.ndarray:
    return np.stack([columns["one"], columns["other"]], axis=1)


def descriptors(quick: bool) -> Table:
    """What the built-in descriptors still find of changed photographs."""
    style = PRESETS["style"].values["window"].low
    tests = {
        f"layout > {_LAYOUT_LOW:g}": _cosines(LayoutDescriptor(), _LAYOUT_LOW),
        f"style > {style:g}": _cosines(StyleDescriptor(), style),
    }
    return _seen("What the built-in descriptors see", tests, _photographs(2 if quick else 8))


def keypoints(quick: bool) -> Table:
    """The same for keypoints, which cost some hundred times as much."""
    tests = {f"keypoints > {_KEYPOINT_LOW:g}": _compared(make_similarity("keypoints"), _KEYPOINT_LOW)}
    return _seen("What keypoints see", tests, _photographs(1 if quick else 2))


def _seen(title: str, tests: dict[str, tuple[Callable, Callable]], photographs: list[tuple[str, Image.Image]]) -> Table:
    """Share of changed photographs that every test finds, and of unrelated pairs that it takes.

    Args:
        title: of the table.
        tests: by heading, what is compared of pictures, and whether two of these pass.
        photographs: names and pictures; of equal names nothing is unrelated.
    """
    looks = {name: look([picture for _, picture in photographs]) for name, (look, _) in tests.items()}
    rows = []
    for change, function in _CHANGES.items():
        changed = [function(picture) for _, picture in photographs]
        cells = []
        for name, (look, passes) in tests.items():
            found = zip(looks[name], look(changed), strict=True)
            cells.append(f"{np.mean([passes(one, other) for one, other in found]):.0%}")
        rows.append((change, *cells))
    unrelated = [(a, b) for a, b in combinations(range(len(photographs)), 2) if photographs[a][0] != photographs[b][0]]
    taken = [
        np.mean([passes(looks[name][a], looks[name][b]) for a, b in unrelated]) for name, (_, passes) in tests.items()
    ]
    rows.append(("another photograph (should not pass)", *(f"{share:.2%}" for share in taken)))
    note = (
        f"{len(photographs)} parts of {len({name for name, _ in photographs})} photographs, {_SIDE} px; "
        f"{len(unrelated):,} unrelated pairs."
    )
    return Table(title, ("the same photograph …", *tests), rows, (note,))


def _cosines(descriptor: Descriptor, low: float):
    def look(pictures: list[Image.Image]) -> list[np.ndarray]:
        return list(descriptor.describe([descriptor.prepare(np.asarray(picture)) for picture in pictures]))

    return look, lambda one, other: float(one @ other) > low


def _compared(similarity: Similarity, low: float):
    def passes(one, other) -> bool:
        return one is not None and other is not None and similarity.compare(one, other) > low

    return lambda pictures: similarity.looks([np.asarray(picture) for picture in pictures]), passes


def _photographs(parts: int) -> list[tuple[str, Image.Image]]:
    """Random parts of every photograph, with its name."""
    rng = np.random.default_rng(3)
    found = []
    for source in SOURCES:
        picture = whole(source.name)
        for _ in range(parts):
            side = int(min(picture.size) * rng.uniform(0.5, 0.9))
            left, top = (int(rng.integers(0, length - side + 1)) for length in picture.size)
            part = picture.crop((left, top, left + side, top + side))
            found.append((source.name, part.resize((_SIDE, _SIDE), Image.Resampling.LANCZOS)))
    return found


def _as_jpeg(picture: Image.Image) -> Image.Image:
    file = io.BytesIO()
    picture.resize((128, 128)).save(file, "JPEG", quality=30)
    return Image.open(file).convert("RGB").resize(picture.size)


def _cropped(share: float) -> Callable[[Image.Image], Image.Image]:
    def crop(picture: Image.Image) -> Image.Image:
        cut = round(picture.width * share)
        return picture.crop((cut, cut, picture.width, picture.height)).resize(picture.size)

    return crop


def _covered(picture: Image.Image) -> Image.Image:
    result = picture.copy()
    result.paste((200, 40, 40), (90, 90, 186, 186))
    return result


_CHANGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "at half the size, JPEG quality 30": _as_jpeg,
    "grey": lambda picture: ImageOps.grayscale(picture).convert("RGB"),
    "darker by half": lambda picture: ImageEnhance.Brightness(picture).enhance(0.5),
    "posterised to 4 levels": lambda picture: ImageOps.posterize(picture, 2),
    "blurred by 4 px": lambda picture: picture.filter(ImageFilter.GaussianBlur(4)),
    "its edges alone": lambda picture: ImageOps.invert(picture.filter(ImageFilter.FIND_EDGES)),
    "inverted": ImageOps.invert,
    "a seventh covered": _covered,
    "cropped by 5 %": _cropped(0.05),
    "cropped by 15 %": _cropped(0.15),
    "cropped by 30 %": _cropped(0.30),
    "turned by 5°": lambda picture: picture.rotate(5, Image.Resampling.BICUBIC),
    "turned by 90°": lambda picture: picture.transpose(Image.Transpose.ROTATE_90),
    "mirrored": ImageOps.mirror,
}


if __name__ == "__main__":
    sys.exit(print_tables(__doc__, {"planted": planted_groups, "descriptors": descriptors, "keypoints": keypoints}))
