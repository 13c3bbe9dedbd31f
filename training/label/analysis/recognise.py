"""Tasks that can be told from the pixels with certainty, and the words for them.

Han et al. 2024, section 3.2: pairs with non-natural images get their instructions from templates. A picture is taken for a
map of the other one only if the map that is computed from the other is the same, or hardly differs. Depth, poses and
segmentation cannot be computed here, so they are left to a model.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

import numpy as np
from PIL import Image

from ....ace.instructions import render, render_bilingual
from ..labels import LabelText
from ..settings import LabelSettings, Shown
from .words import comparable

_MEAN, _MOST = 2.0, 10.0  # levels of 255, on average and at 99 of 100 pixels: rounding and other weights of grey
_COLOURFUL = 6.0  # levels between the channels, on average
_BLOCKS = range(4, 65)  # pixels
_TRIES = 60  # seeds for distinct phrasings
_GREYS = ((0.299, 0.587, 0.114), (0.2126, 0.7152, 0.0722), (1 / 3, 1 / 3, 1 / 3))  # BT.601, BT.709, mean
_NEAR = 2  # pixels that a line may lie beside another

# Tasks without a template among the published ones.
_PHRASINGS: Mapping[str, tuple[tuple[str, str], ...]] = {
    "invert": (
        ("{image} invert all colors", "{image} 反转所有颜色"),
        ("Make a negative of {image}.", "把 {image} 变成负片。"),
        ("Turn every color of {image} into its opposite.", "把 {image} 的每种颜色变成其补色。"),
        ("Show {image} as a photographic negative.", "将 {image} 显示为照片负片。"),
    ),
    "mirror": (
        ("{image} mirror it from left to right", "{image} 左右镜像"),
        ("Flip {image} horizontally.", "水平翻转 {image}。"),
        ("Swap left and right in {image}.", "交换 {image} 的左右。"),
        ("Show {image} as it looks in a mirror.", "显示镜子中的 {image}。"),
    ),
    "upside-down": (
        ("{image} turn it upside down", "{image} 上下颠倒"),
        ("Flip {image} vertically.", "垂直翻转 {image}。"),
        ("Swap top and bottom in {image}.", "交换 {image} 的上下。"),
        ("Put {image} on its head.", "把 {image} 倒过来。"),
    ),
    "upscale": (
        ("{image} make it larger with fine details", "{image} 放大并补充细节"),
        ("Upscale {image}.", "放大 {image}。"),
        ("Raise the resolution of {image}.", "提高 {image} 的分辨率。"),
        ("Enlarge {image} and keep it sharp.", "放大 {image} 并保持清晰。"),
    ),
}


@dataclass(frozen=True)
class Recognised:
    """A task.

    Attributes:
        id: a subtask of ``ace.instructions``, or one of this module's own.
        captioned: whether its template takes a caption of the result.
    """

    id: str
    captioned: bool = False


def recognise(shown: Shown) -> Recognised | None:
    """The task of a pair, or None where it is not certain. Masks and references make it uncertain."""
    if shown.source is None or shown.references or shown.masked:
        return None
    source, result = (np.asarray(image.convert("RGB")) for image in (shown.source, shown.result))
    if source.shape != result.shape:
        return Recognised("upscale") if _upscaled(shown.source, shown.result) else None
    if _same(source, result):
        return None
    for name, makes in _TURNED.items():
        if _same(makes(source), result):
            return Recognised(name)
    for name, is_map in _MAPS.items():
        if is_map(source, result):
            return Recognised(f"analysis-{name}")
        if is_map(result, source):
            return Recognised(f"control-{name}", captioned=True)
    return None


def template_texts(
    task: Recognised, caption: str, settings: LabelSettings, rejected: Collection[str] = ()
) -> tuple[LabelText, ...]:
    """Distinct phrasings in the languages that are asked for, drawn by the seed.

    Args:
        rejected: texts that are not wanted, as `comparable`.
    """
    wanted = max(1, len(settings.forms) + settings.rewrites)
    found: list[LabelText] = []
    for language in settings.languages:
        texts: dict[str, None] = {}
        for seed in range(settings.seed, settings.seed + _TRIES):
            text = _phrase(task, caption, language, seed)
            if comparable(text) not in rejected:
                texts[text] = None
            if len(texts) == wanted:
                break
        found += [LabelText(text, language, "template", "template", task.id) for text in texts]
    return tuple(found)


def _phrase(task: Recognised, caption: str, language: str, seed: int) -> str:
    if task.id in _PHRASINGS:
        choices = _PHRASINGS[task.id]
        return choices[seed % len(choices)][language == "zh"]
    if language == "en":
        return render(task.id, {"caption": caption.rstrip(".")} if caption and task.captioned else {}, seed=seed)
    return render_bilingual(task.id, {}, seed)[1]  # a caption is written in English


def _is_grey(picture: np.ndarray) -> bool:
    return int(np.ptp(picture.astype(np.int16), axis=2).max()) <= 2


def _grayscale(picture: np.ndarray, grey: np.ndarray) -> bool:
    if not _is_grey(grey) or np.ptp(picture.astype(np.int16), axis=2).mean() < _COLOURFUL:
        return False
    return any(_same(picture @ np.array(weights), grey[..., 0]) for weights in _GREYS)


def _mosaic(picture: np.ndarray, tiles: np.ndarray) -> bool:
    flat = (np.abs(np.diff(tiles.astype(np.int16), axis=1)).max(axis=2) == 0).mean()
    if flat < 0.7 or min(picture.shape[:2]) < 2 * _BLOCKS.start:
        return False
    return any(_same(_tiled(picture, block), tiles) for block in _BLOCKS if block <= min(picture.shape[:2]) // 2)


def _tiled(picture: np.ndarray, block: int) -> np.ndarray:
    starts = [np.arange(0, side, block) for side in picture.shape[:2]]
    sums = np.add.reduceat(np.add.reduceat(picture.astype(np.float64), starts[0], axis=0), starts[1], axis=1)
    sizes = [np.diff(np.append(start, side)) for start, side in zip(starts, picture.shape[:2], strict=True)]
    means = sums / (sizes[0][:, None, None] * sizes[1][None, :, None])
    return means.repeat(sizes[0], axis=0).repeat(sizes[1], axis=1)


def _edge(picture: np.ndarray, lines: np.ndarray) -> bool:
    """White lines on black that run where the picture has edges, and nowhere else."""
    if not _is_grey(lines):
        return False
    level = lines[..., 0]
    white = level >= 128
    if ((level > 16) & (level < 239)).mean() > 0.05 or not 0.002 < white.mean() < 0.3:
        return False
    faint, strong = (_canny(picture, *limits) for limits in ((0.1, 0.2), (0.6, 0.9)))
    near = _dilated(faint)
    if near.mean() > 0.6 or not strong.any():
        return False  # edges everywhere prove nothing
    return near[white].mean() > 0.9 and _dilated(white)[strong].mean() > 0.8


def _canny(picture: np.ndarray, low: float, high: float) -> np.ndarray:
    import torch

    from ....ace.pictures.condition_images import CONDITION_IMAGES, make_condition_image

    image = torch.from_numpy(picture.copy())[None].float() / 255.0
    limits = CONDITION_IMAGES["canny"].parameters(low=low, high=high)
    return make_condition_image("canny", image, limits)[0, ..., 0].numpy() > 0.5


def _dilated(mask: np.ndarray) -> np.ndarray:
    from scipy.ndimage import binary_dilation

    return binary_dilation(mask, iterations=_NEAR)


def _upscaled(source: Image.Image, result: Image.Image) -> bool:
    ratios = [large / small for large, small in zip(result.size, source.size, strict=True)]
    if min(ratios) < 1.4 or max(ratios) / min(ratios) > 1.02:
        return False
    small = result.convert("RGB").resize(source.size, Image.Resampling.BOX)
    difference = np.abs(np.asarray(small, np.float32) - np.asarray(source.convert("RGB"), np.float32))
    return float(difference.mean()) < 2 * _MEAN


def _same(one: np.ndarray, other: np.ndarray) -> bool:
    difference = np.abs(one.astype(np.float32) - other.astype(np.float32))
    return float(difference.mean()) <= _MEAN and float(np.quantile(difference, 0.99)) <= _MOST


_TURNED: Mapping[str, Callable[[np.ndarray], np.ndarray]] = {
    "mirror": lambda picture: picture[:, ::-1],
    "upside-down": lambda picture: picture[::-1],
    "invert": lambda picture: 255 - picture,
}
_MAPS: Mapping[str, Callable[[np.ndarray, np.ndarray], bool]] = {
    "grayscale": _grayscale,
    "mosaic": _mosaic,
    "edge": _edge,
}
