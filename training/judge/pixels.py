"""The judge that needs no model: faults that can be seen in the pixels, each from 0 (none) to 1.

What a workflow does to all its pairs is the edit and no fault: softness of a workflow that blurs, grain of one that adds
grain. So the score of a pair counts only what goes beyond what its task usually has.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import numpy as np
from PIL import Image

JUDGE = "pixels"
VERSION = "1"
_SIDE = 1024  # pixels; of larger pictures the middle is measured, since shrinking would hide noise and blur
_UNCHANGED_BLOCK = 8.0  # levels of the block that changed most, as of the check at the door
_BLOCK = 16  # pixels
_SHAPE = 0.1  # relative change of the aspect ratio that is a whole fault
_SHIFT = 0.05  # of the longer side, likewise
_CONFIDENT = 0.35  # height of the correlation's peak from which a shift is believed
_NOISE = 16.0  # levels of added standard deviation that are a whole fault
_BURNT = 0.5  # share of pixels that have lost all drawing to the ends of the scale, likewise
_LEAST_ROOM = 0.5  # where a task itself is nearly a whole fault, what goes a little beyond is still little
_GREY_SIDE = 256  # pixels, for the shift
_SPILT = 24.0  # levels of change outside the mask that are a whole fault, or less where less changed inside


@dataclass(frozen=True)
class Faults:
    """What is wrong with a result, 0 … 1 each.

    Attributes:
        unchanged: the result is the source again.
        shape: other proportions than the source.
        moved: the whole picture has shifted.
        blur: fine detail was lost.
        noise: grain was added.
        clipping: light or dark parts have lost their drawing.
        banding: gradients have become steps.
        spill: it changed where the mask forbids it.
        duplicate: the dataset has this pair already.
    """

    unchanged: float = 0.0
    shape: float = 0.0
    moved: float = 0.0
    blur: float = 0.0
    noise: float = 0.0
    clipping: float = 0.0
    banding: float = 0.0
    spill: float = 0.0
    duplicate: float = 0.0

    def as_dict(self) -> dict[str, float]:
        return {name: round(value, 4) for name, value in asdict(self).items()}


NAMES = tuple(field.name for field in fields(Faults))
_WORDS = {
    "unchanged": "nothing was changed",
    "shape": "other proportions",
    "moved": "shifted",
    "blur": "detail lost",
    "noise": "grain added",
    "clipping": "lights or shadows burnt out",
    "banding": "gradients in steps",
    "spill": "changed outside the mask",
    "duplicate": "there already",
}
_TOLD = 0.05  # smaller faults are not worth a word
# Never the edit itself, however many pairs of a task have it.
_ABSOLUTE = ("unchanged", "duplicate", "spill")


def measure_faults(
    source: np.ndarray | None, result: np.ndarray, mask: np.ndarray | None = None, *, duplicate: bool = False
) -> Faults:
    """Looks at one pair.

    Args:
        source, result: (H, W, 3) uint8, of any sizes; without a source only what the result shows by itself counts.
        mask: (H, W) uint8 of the source's size, white where it may change.
        duplicate: known from the other pairs.
    """
    here = Faults(duplicate=float(duplicate))
    if source is None:
        return replace(
            here, clipping=_whole(_burnt(result).mean() / _BURNT / 2), banding=_whole(_missing_levels(result))
        )
    fitted = _like(result, source)
    difference = np.abs(fitted.astype(np.int16) - source).astype(np.float32)
    before, after = _middle(source), _middle(fitted)
    return replace(
        here,
        unchanged=_whole(1 - _largest_block(difference) / _UNCHANGED_BLOCK),
        shape=_shape(source, result),
        moved=_moved(source, fitted),
        blur=_whole(1 - (_detail(after) + 1) / (_detail(before) + 1)),
        noise=_whole((_noise(after) - _noise(before)) / _NOISE),
        clipping=_whole((_burnt(fitted) & ~_burnt(source)).mean() / _BURNT),
        banding=_whole(_missing_levels(fitted) - _missing_levels(source)),
        spill=0.0 if mask is None else _spill(difference, mask),
    )


def pixel_scores(measured: Mapping[str, Faults], tasks: Mapping[str, str]) -> dict[str, float]:
    """O by id, 0 … 10: ten times the product of what each fault leaves.

    Args:
        measured: faults by id.
        tasks: task by id; faults are compared within a task.
    """
    beyond = unusual_faults(measured, tasks)
    return {pair: 10.0 * math.prod(1 - getattr(faults, name) for name in NAMES) for pair, faults in beyond.items()}


def unusual_faults(measured: Mapping[str, Faults], tasks: Mapping[str, str]) -> dict[str, Faults]:
    """What of the faults goes beyond the usual of its task, by id: what costs a pair its score."""
    groups: dict[str, list[str]] = {}
    for pair in measured:
        groups.setdefault(tasks.get(pair, ""), []).append(pair)
    found = {}
    for members in groups.values():
        usual = {name: _usual([getattr(measured[pair], name) for pair in members], name) for name in NAMES}
        for pair in members:
            found[pair] = Faults(**{name: _excess(getattr(measured[pair], name), usual[name]) for name in NAMES})
    return {pair: found[pair] for pair in measured}


def describe_faults(faults: Faults) -> str:
    """Such as "detail lost 82 %, grain added 10 %", the greatest first; empty without any."""
    told = sorted(((value, name) for name, value in asdict(faults).items() if value >= _TOLD), reverse=True)
    return ", ".join(f"{_WORDS[name]} {value:.0%}".replace("%", " %") for value, name in told)


def faults_of(scores: Mapping[str, Any]) -> Faults | None:
    """The faults in a row's ``scores``, or None if this version has not measured them."""
    group = scores.get(JUDGE)
    if not isinstance(group, Mapping) or group.get("prompt") != VERSION:
        return None
    try:
        return Faults(**{name: float(group[name]) for name in NAMES})
    except (KeyError, TypeError, ValueError):
        return None


def _usual(values: Sequence[float], name: str) -> float:
    """Up to where a fault is usual for its task: three standard deviations above the middle, the deviation by the median.

    Pictures differ, so an edit that brightens burns more of a bright one; that is no failure of the workflow. The median
    deviation holds while less than half of the pairs are spoilt in one and the same way.
    """
    if name in _ABSOLUTE or len(values) < 3:
        return 0.0
    middle = np.median(values)
    return float(middle + 3 * 1.4826 * np.median(np.abs(values - middle)))


def _excess(value: float, usual: float) -> float:
    """What goes beyond the usual, as a share of what is left to go wrong."""
    return 0.0 if value <= usual else (value - usual) / max(_LEAST_ROOM, 1 - usual)


def _whole(value: float) -> float:
    return float(min(1.0, max(0.0, value)))


def _like(result: np.ndarray, source: np.ndarray) -> np.ndarray:
    height, width = source.shape[:2]
    if result.shape[:2] == (height, width):
        return result
    return np.asarray(Image.fromarray(result).resize((width, height), Image.Resampling.BICUBIC))


def _middle(pixels: np.ndarray) -> np.ndarray:
    """(H, W) grey in levels, the middle of large pictures."""
    top, left = (max(0, (side - _SIDE) // 2) for side in pixels.shape[:2])
    part = pixels[top : top + _SIDE, left : left + _SIDE]
    return np.asarray(Image.fromarray(np.ascontiguousarray(part)).convert("L"), dtype=np.float32)


def _largest_block(difference: np.ndarray) -> float:
    """Mean of the block that changed most, in levels; blocks at the border may be smaller."""
    from scipy.ndimage import uniform_filter

    plane = difference.mean(axis=2)
    return float(uniform_filter(plane, min(_BLOCK, *plane.shape), mode="nearest").max())


def _shape(source: np.ndarray, result: np.ndarray) -> float:
    (height, width), (new_height, new_width) = source.shape[:2], result.shape[:2]
    ratio = (new_width / new_height) / (width / height)
    return _whole((max(ratio, 1 / ratio) - 1) / _SHAPE)


def _moved(source: np.ndarray, result: np.ndarray) -> float:
    """Shift of the whole picture by phase correlation (Kuglin and Hines 1975); 0 where there is no clear one."""
    one, other = (_small_grey(pixels) for pixels in (source, result))
    window = np.outer(np.hanning(one.shape[0]), np.hanning(one.shape[1]))
    product = np.fft.rfft2((one - one.mean()) * window) * np.conj(np.fft.rfft2((other - other.mean()) * window))
    surface = np.fft.irfft2(product / np.maximum(np.abs(product), 1e-9), s=one.shape)
    strength = np.abs(surface)  # of a negative the peak points down
    peak = np.unravel_index(int(strength.argmax()), surface.shape)
    if strength[peak] < _CONFIDENT:
        return 0.0
    shift = [min(place, side - place) for place, side in zip(peak, surface.shape, strict=True)]
    return _whole(max(shift) / max(surface.shape) / _SHIFT)


def _small_grey(pixels: np.ndarray) -> np.ndarray:
    image = Image.fromarray(pixels).convert("L")
    image.thumbnail((_GREY_SIDE, _GREY_SIDE), Image.Resampling.BOX)
    return np.asarray(image, dtype=np.float32)


def _detail(grey: np.ndarray) -> float:
    """Strength of the strongest 5 % of edges, after a light smoothing that takes noise for what it is."""
    from scipy.ndimage import gaussian_filter, laplace

    return float(np.quantile(np.abs(laplace(gaussian_filter(grey, 0.8))), 0.95))


def _noise(grey: np.ndarray) -> float:
    """Standard deviation of the noise in levels (Immerkær 1996): a mask that is blind to edges and slopes.

    Taken over the quieter half of blocks, since fine texture is no noise.
    """
    from scipy.ndimage import convolve, uniform_filter

    if min(grey.shape) < 8:
        return 0.0
    response = np.abs(convolve(grey, np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], dtype=np.float32)))
    blocks = uniform_filter(response, 8)
    return float(math.sqrt(math.pi / 2) / 6 * np.quantile(blocks, 0.3))


def _burnt(pixels: np.ndarray) -> np.ndarray:
    """(H, W) bool: all three channels at an end. While one of them is not, there is drawing: a tinted light, a pure red."""
    return ((pixels <= 1) | (pixels >= 254)).all(axis=2)


def _missing_levels(pixels: np.ndarray) -> float:
    """Share of the levels of grey between the dark and the light end that do not occur at all."""
    counts = np.bincount(np.asarray(Image.fromarray(pixels).convert("L")).ravel(), minlength=256)
    share = counts.cumsum() / counts.sum()
    low, high = int(np.searchsorted(share, 0.02)), int(np.searchsorted(share, 0.98))
    return 0.0 if high - low < 16 else float((counts[low : high + 1] == 0).mean())


def _spill(difference: np.ndarray, mask: np.ndarray) -> float:
    """Change outside the mask beside that inside, or beside a clearly visible one; the seam has a border of some pixels."""
    from scipy.ndimage import binary_dilation

    inside = mask >= 128
    margin = max(2, round(0.02 * max(mask.shape)))
    outside = ~binary_dilation(inside, iterations=margin)
    if not outside.any() or not inside.any():
        return 0.0
    plane = difference.mean(axis=2)
    return _whole((plane[outside].mean() - 0.5) / min(_SPILT, plane[inside].mean() + 1.0))
