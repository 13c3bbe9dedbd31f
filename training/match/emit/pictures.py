"""Pictures brought to one shape and a bounded size.

ACE gives the result the size of the picture that is edited, so the first condition picture of an example must have the
target's shape. The target is never cut: it is what is learnt.
"""

from __future__ import annotations

import io
import math

import numpy as np
from PIL import Image

from ...dataset.disk.images import read_image
from ...errors import ImageError
from ..disk.pictures import read_picture
from ..embed.records import content_key
from ..errors import SetAside


def load_whole(path: str, key: int, megapixels: float) -> np.ndarray:
    """A picture (H, W, 3) uint8, scaled down to at most so many million pixels.

    Raises:
        SetAside: it cannot be read, or is not the picture that was embedded.
    """
    try:
        data = read_picture(path)
        if content_key(data) != key:
            raise SetAside(f"{path} has changed since it was looked at. Run the same command again")
        pixels = read_image(io.BytesIO(data)).pixels
    except (OSError, ImageError) as error:
        raise SetAside(f"{path}: {error}") from error
    height, width = pixels.shape[:2]
    scale = math.sqrt(megapixels * 1e6 / (height * width))
    if scale >= 1:
        return pixels
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS))


def cut_away(shape: tuple[int, int], wanted: tuple[int, int]) -> float:
    """Share of a picture (height, width) that is lost when it is cut to another's aspect ratio."""
    one, other = shape[0] / shape[1], wanted[0] / wanted[1]
    return 1 - min(one / other, other / one)


def fit_to(pixels: np.ndarray, wanted: tuple[int, int]) -> np.ndarray:
    """The middle of a picture with the aspect ratio of `wanted` (height, width), at that size."""
    height, width = pixels.shape[:2]
    if (height, width) == wanted:
        return pixels
    scale = min(height / wanted[0], width / wanted[1])
    inner = wanted[0] * scale, wanted[1] * scale
    top, left = (height - inner[0]) / 2, (width - inner[1]) / 2
    box = (left, top, left + inner[1], top + inner[0])
    image = Image.fromarray(pixels).resize((wanted[1], wanted[0]), Image.Resampling.LANCZOS, box=box)
    return np.asarray(image)
