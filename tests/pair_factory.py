"""Pictures and pairs for the tests of the store: cheap, distinct by seed, and never blank."""

from __future__ import annotations

import io

import numpy as np
from comfyui_ace.training.dataset.store import Pair
from PIL import Image


def picture(seed: int, height: int = 24, width: int = 32) -> np.ndarray:
    """(height, width, 3) uint8 noise."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def half_mask(height: int = 24, width: int = 32) -> np.ndarray:
    """White on the left half."""
    mask = np.zeros((height, width), dtype=np.uint8)
    mask[:, : width // 2] = 255
    return mask


def encoded(image: Image.Image | np.ndarray, format: str = "PNG", **options) -> bytes:
    """The picture as a file."""
    buffer = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(buffer, format, **options)
    return buffer.getvalue()


def pair(seed: int, /, **changes) -> Pair:
    """A pair that passes every check: the result is the source inverted."""
    source = picture(seed)
    values = {"source": source, "target": 255 - source, "instruction": "{image} as a negative", "seed": seed}
    return Pair(**{**values, **changes})
