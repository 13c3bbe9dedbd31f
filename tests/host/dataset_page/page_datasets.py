"""Datasets to look at: photographs, and very many small pairs."""

from __future__ import annotations

import hashlib
import io
from dataclasses import replace
from pathlib import Path

import numpy as np
from comfyui_ace.training.dataset.disk.images import write_png
from comfyui_ace.training.dataset.disk.rows import caption_file, control_file, target_file
from comfyui_ace.training.dataset.intake.prepare import PreparedPair, prepare
from comfyui_ace.training.dataset.store import Dataset, Pair
from comfyui_ace.training.dataset.writer import make_row
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

LONG_SIDE = 640  # pixels
_DIFFERENT = 20  # pictures of the small pairs
_WORDS = (
    "by night",
    "in watercolour",
    "in spring",
    "as an engraving",
    "under snow",
    "at dawn",
    "in fog",
    "in neon light",
)


def photographs() -> dict[str, Image.Image]:
    """Photographs that come with the tests' libraries, by name."""
    import skimage
    import sklearn

    skimage_data, sklearn_data = (Path(module.__file__).parent for module in (skimage, sklearn))
    files = [skimage_data / "data" / name for name in ("astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg")]
    files += [sklearn_data / "datasets" / "images" / name for name in ("china.jpg", "flower.jpg")]
    found = {}
    for file in files:
        with Image.open(file) as image:
            found[file.stem] = ImageOps.contain(image.convert("RGB"), (LONG_SIDE, LONG_SIDE))
    return found


def make_photographs(root: Path, name: str) -> Dataset:
    """Each photograph edited in four ways, one of them under a mask and one with a second picture; two rejected pairs."""
    dataset = Dataset.create(root, name)
    pictures = photographs()
    for stem, photo in pictures.items():
        warm = ImageOps.colorize(ImageOps.grayscale(photo), "#2a1407", "#ffedc8", "#b07040")
        night = ImageEnhance.Color(ImageEnhance.Brightness(photo).enhance(0.45)).enhance(0.6)
        blurred = photo.filter(ImageFilter.GaussianBlur(7))
        drawn = ImageOps.invert(ImageOps.grayscale(photo).filter(ImageFilter.FIND_EDGES)).convert("RGB")
        mask = Image.new("L", photo.size)
        mask.paste(255, (0, 0, photo.width, photo.height // 2))
        half = Image.composite(blurred, photo, mask)
        common = {"source": photo, "name": stem, "seed": 7}
        dataset.append(Pair(target=warm, instruction="{image} as an old sepia photograph", tags=("sepia",), **common))
        dataset.append(Pair(target=night, instruction="{image} at night", tags=("light",), **common))
        dataset.append(
            Pair(target=half, masks=[mask], instruction="{image} with the upper half out of focus", **common)
        )
        other = pictures["flower" if stem != "flower" else "coffee"]
        words = "{image} drawn with a pen, as plain as {image1}"
        dataset.append(Pair(target=drawn, references=[other], instruction=words, scores={"edges": 0.81}, **common))
    some = pictures["coffee"]
    dataset.append(Pair(source=some, target=some, instruction="{image} with fresh coffee", name="coffee"))
    dataset.append(Pair(source=some, target=some.resize((300, 500)), instruction="{image} as a tall picture"))
    return dataset


def make_many(root: Path, name: str, count: int) -> Dataset:
    """Small pairs, each with its own words, of a few pictures. They are written past the store, which would sync each."""
    dataset = Dataset.create(root, name)
    pictures = [_small_picture(seed) for seed in range(_DIFFERENT)]
    lines = []
    for number in range(count):
        pair_id, (pair, source, target) = f"small-{number:05d}", pictures[number % _DIFFERENT]
        words = f"number {number} {_WORDS[number % len(_WORDS)]}"
        (dataset.folder / control_file(pair_id, 0)).write_bytes(source)
        (dataset.folder / target_file(pair_id)).write_bytes(target)
        (dataset.folder / caption_file(pair_id)).write_text(words)
        row = replace(
            make_row(pair, pair_id, "validation" if number % _DIFFERENT == 0 else "train"),
            instruction=f"{{image}} {words}",
            prompt=words,
            tags=(f"set{number % 5}",),
            content_hash=hashlib.sha256(words.encode()).hexdigest(),
            fingerprint="",
        )
        lines.append(row.to_json() + "\n")
    (dataset.folder / "metadata.jsonl").write_text("".join(lines), encoding="utf-8")
    return dataset


def _small_picture(seed: int) -> tuple[PreparedPair, bytes, bytes]:
    """A pair of 64x48 pixels, and the files of its source and its result."""
    blocks = np.random.default_rng(seed).integers(0, 256, (3, 4, 3), dtype=np.uint8)
    source = np.kron(blocks, np.ones((16, 16, 1), np.uint8))
    files = [io.BytesIO(), io.BytesIO()]
    for file, pixels in zip(files, (source, 255 - source), strict=True):
        write_png(file, pixels)
    pair = prepare(Pair(source=source, target=255 - source, instruction="{image}", seed=seed))
    return pair, files[0].getvalue(), files[1].getvalue()
