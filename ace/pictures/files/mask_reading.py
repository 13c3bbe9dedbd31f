"""What a picture file means as a mask: its brightness, what is painted on it, or the hole cut into it.

The one rule for every way in (edit, import, capture, nodes). Masks come from many tools: black-and-white pictures, saved
with or without an alpha channel; one colour painted on a transparent layer; and photographs with a hole, as ComfyUI's
mask editor leaves them. By ``"auto"``

1. alpha that is the same everywhere says nothing, and where alpha and brightness draw the same shape, or the opposite
   one, they agree: the brightness is the mask;
2. but a picture that is transparent everywhere and more than black and white was marked everywhere: all of it may change;
3. where alpha varies and what is visible has one brightness, alpha is the mask: what is painted may change;
4. where both vary and what is visible is nothing but black and white, the visible white may change;
5. where both vary otherwise, the file is a picture with a hole, and the hole may change.

What a few pixels may spoil is measured on the smaller of marked and unmarked, never on the whole picture: most masks mark
a spot, and everything agrees on the rest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from .mask_readings import MASK_READINGS

if TYPE_CHECKING:
    from PIL import Image

THRESHOLD = 128
"""Levels of 255 above this may change."""

_NO_MASK = (64, 64)  # (H, W) of the black mask that ComfyUI's Load Image gives for every picture without transparency

LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in the brightness, by ITU-R BT.601, as Pillow takes it."""

_SAME = 8 / 255  # levels between which a channel counts as constant
_EXTREME = 32 / 255  # from black and from white, what still counts as black and white
_GRAIN = 3 / 255  # what a drawing's black and white stay within, and a photograph's do not
_FEW = 0.02  # share of the smaller area that may be otherwise, as lossy files are
_EDGES = 0.1  # the same where two shapes are compared: their edges may be soft in different ways
_SAMPLE = 1_000_000  # pixels that are looked at for the middle level

Mask = TypeVar("Mask")  # numpy's array or torch's tensor


def given_mask(mask: Mask | None) -> Mask | None:
    """The mask that an artist has given: None for the black one that Load Image gives where there is none.

    Args:
        mask: array or tensor (B, H, W) or (H, W). A black one of another size was made by somebody, and stays.
    """
    return None if mask is None or (tuple(mask.shape[-2:]) == _NO_MASK and not mask.any()) else mask


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
        return _guess_flat(brightness, alpha, grey, opacity)
    if _same_shape(grey, opacity):
        return _read(brightness, alpha, "brightness")
    if _same_shape(grey, 1 - opacity):
        note = "its white is transparent and its black is not; the white was taken as what may change"
        return _read(brightness, alpha, "brightness", note)
    shown = opacity > (0.5 if opacity.max() > 0.5 else 0)
    visible = grey[shown]
    middle = _middle(visible)
    if (np.abs(visible - middle) > 2 * _SAME).sum() <= _FEW * _smaller(shown):
        note = "it is of one colour and partly transparent; what is painted was taken as what may change"
        return _read(brightness, alpha, "opaque", "" if middle >= 1 - _EXTREME else note)
    if _black_and_white(visible):
        note = "it is black and white and partly transparent; its visible white was taken as what may change"
        return _read(_on_black(brightness, alpha), alpha, "brightness", note)
    note = "it is a picture with transparency; the hole in it was taken as what may change"
    return _read(brightness, alpha, "transparent", note)


def _guess_flat(brightness: np.ndarray, alpha: np.ndarray, grey: np.ndarray, opacity: np.ndarray) -> MaskReading:
    """The most probable reading where alpha is the same everywhere."""
    if opacity.max() > _SAME:
        return _read(brightness, alpha, "brightness")
    if grey.max() - grey.min() <= _SAME or _black_and_white(grey):
        note = "it is transparent everywhere; its white was taken as what may change"
        return _read(brightness, alpha, "brightness", note)
    note = "it is a picture that is transparent everywhere; all of it was taken as what may change"
    return _read(brightness, alpha, "transparent", note)


def _same_shape(levels: np.ndarray, others: np.ndarray) -> bool:
    """Whether two masks mark the same, but for a small part of what either marks or leaves."""
    differing = (np.abs(levels - others) > _EXTREME).sum()
    return bool(differing <= _EDGES * min(_smaller(levels > 0.5), _smaller(others > 0.5)))


def _black_and_white(levels: np.ndarray) -> bool:
    """Whether levels are one black and one white, but for edges; photographs by night have many, and glow around lamps."""
    black, white = levels[levels <= _EXTREME], levels[levels >= 1 - _EXTREME]
    between = levels.size - black.size - white.size
    if between > min(_FEW * levels.size, black.size, white.size):
        return False
    return all(
        (np.abs(part - _middle(part)) > _GRAIN).sum() <= _FEW * part.size for part in (black, white) if part.size
    )


def _middle(levels: np.ndarray) -> float:
    """The median, of a sample where there are many."""
    return float(np.median(levels[:: max(1, levels.size // _SAMPLE)]))


def _smaller(marked: np.ndarray) -> int:
    """Pixels of the smaller of a mask's two areas."""
    count = int(np.count_nonzero(marked))
    return min(count, marked.size - count)


def _share(levels: np.ndarray) -> np.ndarray:
    """Floats in 0 … 1."""
    return levels.astype(np.float32) / 255 if levels.dtype == np.uint8 else levels


def _on_black(brightness: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """What is visible of the brightness on black, of its type."""
    if brightness.dtype != np.uint8:
        return brightness * alpha
    return ((brightness.astype(np.uint16) * alpha + 127) // 255).astype(np.uint8)
