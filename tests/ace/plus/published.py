"""The published preparation of ACE++ once more, from its description alone: NumPy and Pillow, in -1 … 1."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from PIL import Image


class Prepared(NamedTuple):
    """Canvas (3, H, W), mask (1, H, W), the masked part alone, and the column of the canvas at which the source begins."""

    image: np.ndarray
    mask: np.ndarray
    change: np.ndarray
    edit: np.ndarray
    slice_width: int


def prepare(
    source: np.ndarray | None,
    mask: np.ndarray | None,
    reference: np.ndarray | None,
    *,
    size: tuple[int, int] = (1024, 1024),
    repainting_scale: float = 1.0,
    keep_pixels: bool = False,
    max_seq_len: int = 4096,
) -> Prepared:
    """Pictures (H, W, 3) and a mask (H, W), 0 … 1."""
    if source is None:
        picture, may_change = np.zeros((3, *size)), np.ones(size)
    else:
        picture = crop(to_model(source))
        may_change = np.ones(picture.shape[1:]) if mask is None else crop((mask * 255 > 128).astype(float)[None])[0]
        if mask is None or not (mask * 255 > 128).any():
            may_change = np.ones(picture.shape[1:])
    picture = picture * (1 - may_change * repainting_scale)
    slice_width = 0
    if reference is not None:
        other = beside(crop(to_model(reference)), picture.shape[1], keep_pixels)
        slice_width = other.shape[2]
        picture = np.concatenate([other, picture], axis=2)
        may_change = np.concatenate([np.zeros(other.shape[1:]), may_change], axis=1)
    height, width = may_change.shape
    scale = min(1.0, math.sqrt(max_seq_len / ((height / 16) * (width / 16))))
    new_height, new_width = int(height * scale) // 16 * 16, int(width * scale) // 16 * 16
    picture, may_change = nearest(picture, new_height, new_width), nearest(may_change[None], new_height, new_width)
    return Prepared(picture, may_change, picture * may_change, picture * (1 - may_change), slice_width)


def to_model(picture: np.ndarray) -> np.ndarray:
    return np.moveaxis(picture.astype(np.float64), -1, 0) * 2 - 1


def crop(picture: np.ndarray) -> np.ndarray:
    """The middle of at most 4:1."""
    height, width = picture.shape[1:]
    kept_height, kept_width = min(height, 4 * width), min(width, 4 * height)
    top, left = round((height - kept_height) / 2), round((width - kept_width) / 2)
    return picture[:, top : top + kept_height, left : left + kept_width]


def beside(picture: np.ndarray, height: int, keep_pixels: bool) -> np.ndarray:
    own = picture.shape[1]
    if not keep_pixels:
        return bilinear(picture, height, int(picture.shape[2] * (height / own)))
    if own >= 0.8 * height:
        lower = int(height * 0.8)
        picture = bilinear(picture, lower, int(picture.shape[2] * (lower / own)))
    missing = height - picture.shape[1]
    above = missing // 2
    return np.pad(picture, ((0, 0), (above, missing - above), (0, 0)))


def bilinear(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    """Pillow's, which widens the filter where it makes smaller."""
    if picture.shape[1:] == (height, width):
        return picture
    planes = [Image.fromarray(plane.astype(np.float32)) for plane in picture]
    return np.stack([np.asarray(plane.resize((width, height), Image.Resampling.BILINEAR)) for plane in planes])


def nearest(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    """The pixel whose middle lies nearest to that of the new one."""
    rows = [min(picture.shape[1] - 1, int((row + 0.5) * picture.shape[1] / height)) for row in range(height)]
    columns = [min(picture.shape[2] - 1, int((column + 0.5) * picture.shape[2] / width)) for column in range(width)]
    return picture[:, rows][:, :, columns]
