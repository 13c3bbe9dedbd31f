"""Collections for the tests: groups of look-alikes as picture files, and what runs have found in them."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from comfyui_ace.training.match.disk.columns import Tables
from comfyui_ace.training.match.engines.local import LocalEngine
from comfyui_ace.training.match.run import Found, find_sets
from comfyui_ace.training.match.settings import MatchSettings
from comfyui_ace.training.tiny.world.pictures import Pictures
from PIL import Image, ImageEnhance


def photograph(number: int, seed: int = 11, side: int = 160) -> Image.Image:
    """A part of a photograph; the same number gives the same one."""
    pixels = Pictures("train", size=(side, side), seed=seed, photographs=1.0)[number].numpy()
    return Image.fromarray((pixels * 255).astype(np.uint8))


def variant(picture: Image.Image, number: int) -> Image.Image:
    """The picture with other colours and light, and a block of one colour in it."""
    rng = np.random.default_rng((3, number))
    changed = ImageEnhance.Color(picture).enhance(rng.uniform(0.3, 1.6))
    pixels = np.array(ImageEnhance.Brightness(changed).enhance(rng.uniform(0.7, 1.2)))
    height, width = pixels.shape[:2]
    top, left = rng.integers(0, height * 3 // 4), rng.integers(0, width * 3 // 4)
    pixels[top : top + height // 6, left : left + width // 6] = rng.integers(0, 256, 3)
    return Image.fromarray(pixels)


def write_groups(folder: Path, sizes: list[int], seed: int = 11) -> dict[str, int]:
    """Groups of variants as JPEG files. Returns the group of each file name."""
    folder.mkdir(parents=True, exist_ok=True)
    found = {}
    for group, size in enumerate(sizes):
        picture = photograph(group, seed)
        for number in range(size):
            name = f"g{group:03d}-{number}.jpg"
            shown = picture if number == 0 else variant(picture, 100 * group + number)
            shown.save(folder / name, quality=92)
            found[name] = group
    return found


def encoded(picture: Image.Image, kind: str = "JPEG", **options) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def sets_by_name(sets: Tables) -> dict[str, list[str]]:
    """Members' file names of every set, sorted, by the first of them."""
    found: dict[int, list[str]] = {}
    for bucket in sets.names():
        columns = sets.read(bucket)
        for name, path in zip(columns["set"].tolist(), columns["path"], strict=True):
            found.setdefault(name, []).append(Path(path).name)
    return {min(members): sorted(members) for members in found.values()}


def contents(sets: Tables, pairs: Tables) -> tuple[set, set]:
    """All that sets and pairs say, whatever the buckets: (set, key, place), and (set, pair, scores)."""
    members, tested = set(), set()
    for bucket in sets.names():
        columns = sets.read(bucket)
        members |= set(zip(columns["set"].tolist(), columns["key"].tolist(), columns["place"].tolist(), strict=True))
        found = pairs.read(bucket)
        for name, one, other, scores in zip(
            *(found[c].tolist() for c in ("set", "one", "other", "scores")), strict=True
        ):
            tested.add((name, min(one, other), max(one, other), tuple(scores)))
    return members, tested


def silent(step: str, done: int, total: int) -> None:
    """No progress."""


def settings(folder: Path | str, output: Path | str, **changes) -> MatchSettings:
    return MatchSettings(**{"folders": (str(folder),), "output": str(output), "shard_pictures": 16, **changes})


def find(folder: Path | str, output: Path | str, **changes) -> Found:
    """A run on this machine."""
    return find_sets(settings(folder, output, **changes), LocalEngine(workers=1), silent)
