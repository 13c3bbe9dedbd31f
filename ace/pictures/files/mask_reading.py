"""What a picture file means as a mask: its brightness, what is painted on it, or the hole cut into it.

The one rule for every way in (edit, import, capture, nodes). Masks come from many tools: black-and-white pictures, saved
with or without an alpha channel; one colour painted on a transparent layer; and photographs with a hole, as ComfyUI's
mask editor leaves them. By ``"auto"``

1. alpha that is the same everywhere says nothing, and where alpha and brightness draw the same shape they agree: the
   brightness is the mask;
2. where alpha varies and what is visible has one brightness, alpha is the mask: what is painted may change;
3. where both vary and what is visible is nothing but black and white, the visible white may change;
4. where both vary otherwise, the file is a picture with a hole, and the hole may change.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .mask_readings import MASK_READINGS

if TYPE_CHECKING:
    from PIL import Image

THRESHOLD = 128
"""Levels of 255 above this may change."""

LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in the brightness, by ITU-R BT.601, as Pillow takes it."""

_SAME = 8 / 255  # levels between which a channel counts as constant
_EXTREME = 32 / 255  # from black and from white, what still counts as black and white
_MOST = 0.98  # share of the pixels that decides
_SAMPLE = 1_000_000  # pixels that are looked at for it


@dataclass(frozen=True, eq=False)
class MaskReading:
    """How a file was read as a mask.

    Attributes:
        mask: (..., H, W) of the type given, 0 … 255 or 0 … 1; bright may change.
        reading: the key of ``MASK_READINGS`` that was taken, never "auto".
        note: for people, where the file could have meant something else; else "".
    """

    mask: np.ndarray
    reading: str
    note: str = ""


def read_as_mask(brightness: np.ndarray, alpha: np.ndarray | None, reading: str = "auto") -> MaskReading:
    """A mask out of a picture's brightness and alpha.

    Args:
        brightness: (..., H, W), uint8 or floats in 0 … 1.
        alpha: the same shape and type; None where the file has none. 1 is opaque.
        reading: a key of ``MASK_READINGS``.

    Raises:
        ValueError: no such reading, or one by alpha for a picture without.
    """
    if reading not in MASK_READINGS:
        raise ValueError(f'a mask cannot be read as "{reading}"; expected one of {", ".join(MASK_READINGS)}')
    if alpha is None:
        if reading in ("opaque", "transparent"):
            raise ValueError(
                f'the mask is to be read by what is {reading}, but it has no transparency; choose "brightness" or "auto"'
            )
        return MaskReading(brightness, "brightness")
    if reading == "auto":
        return _guess(brightness, alpha)
    return _read(brightness, alpha, reading)


def mask_channels(picture: Image.Image) -> tuple[np.ndarray, np.ndarray | None]:
    """Brightness and alpha, (H, W) uint8 each, of a Pillow picture of 8 bits; no alpha where the file has none."""
    if not picture.has_transparency_data:
        return np.asarray(picture.convert("L")), None
    layers = picture.convert("RGBA")
    return np.asarray(layers.convert("RGB").convert("L")), np.asarray(layers.getchannel("A"))


def describe_marks(mask: np.ndarray) -> str:
    """What is wrong with how much a mask marks, in words that follow "the mask …"; "" where something is marked.

    Args:
        mask: (..., H, W), uint8 or floats in 0 … 1.
    """
    level = round(float(_share(mask).max()) * 255, 1) if mask.size else 0.0  # NaN is not above either
    if level > THRESHOLD + 0.5:  # as `preprocess.binarize`
        return ""
    if level == 0:
        return "marks nothing (it is black), so it counts as no mask; paint white where the picture may change"
    return (
        f"marks nothing: it is nowhere brighter than {min(level, THRESHOLD):g} of 255, and only above {THRESHOLD} a pixel "
        "may change; paint it in full white"
    )


def _read(brightness: np.ndarray, alpha: np.ndarray, reading: str, note: str = "") -> MaskReading:
    top = alpha.dtype.type(255 if alpha.dtype == np.uint8 else 1)
    mask = {"brightness": brightness, "opaque": alpha}.get(reading)
    return MaskReading(top - alpha if mask is None else mask, reading, note)


def _guess(brightness: np.ndarray, alpha: np.ndarray) -> MaskReading:
    """The most probable reading."""
    grey, opacity = _share(brightness), _share(alpha)
    if opacity.max() - opacity.min() <= _SAME:
        return _read(brightness, alpha, "brightness")
    if min(_differing(grey, opacity), _differing(grey, 1 - opacity)) <= 1 - _MOST:
        return _read(brightness, alpha, "brightness")
    visible = grey[opacity > 0.5] if (opacity > 0.5).any() else grey[opacity > 0]
    visible = visible[:: max(1, visible.size // _SAMPLE)]
    low, high = np.quantile(visible, (1 - _MOST, _MOST))
    if high - low <= 2 * _SAME:
        plain = low >= 1 - _EXTREME
        note = "it is of one colour and partly transparent; what is painted was taken as what may change"
        return _read(brightness, alpha, "opaque", "" if plain else note)
    if ((visible <= _EXTREME) | (visible >= 1 - _EXTREME)).mean() >= _MOST:
        note = "it is black and white and partly transparent; its visible white was taken as what may change"
        return _read(_on_black(brightness, alpha), alpha, "brightness", note)
    note = "it is a picture with transparency; the hole in it was taken as what may change"
    return _read(brightness, alpha, "transparent", note)


def _differing(levels: np.ndarray, others: np.ndarray) -> float:
    """Share of the pixels in which two masks differ."""
    return float((np.abs(levels - others) > _EXTREME).mean())


def _share(levels: np.ndarray) -> np.ndarray:
    """Floats in 0 … 1."""
    return levels.astype(np.float32) / 255 if levels.dtype == np.uint8 else levels


def _on_black(brightness: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """What is visible of the brightness on black, of its type."""
    if brightness.dtype != np.uint8:
        return brightness * alpha
    return ((brightness.astype(np.uint16) * alpha + 127) // 255).astype(np.uint8)
