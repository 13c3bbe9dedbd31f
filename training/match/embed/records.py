"""One picture, read once: what it is, how it looks as a whole, and what the descriptor needs of it."""

from __future__ import annotations

import hashlib
import io
import warnings
from dataclasses import dataclass

import numpy as np
from PIL import Image

from ...dataset.disk.images import read_reduced
from ...dataset.disk.perceptual_hash import DIFFERENCE_HASH_BYTES, perceptual_hash
from ...errors import ImageError
from ..descriptors.base import Prepare
from ..disk.pictures import read_picture
from ..errors import SetAside

BLOCKS = 8  # squares along a side, whose mean colours tell nearly equal pictures from locally edited ones
LOOKS_BYTES = DIFFERENCE_HASH_BYTES + BLOCKS * BLOCKS * 3 + 1
_FINE_SIDE, _FINE_STEPS = 64, 15  # pixels a side at which sharpness is taken; steps for each doubling of it
_FINE_LEAST = 1 / 512  # half a level of 255: below it there is but noise
_LEAST_SIDE = 16  # pixels; smaller ones are icons and tracking dots


@dataclass(frozen=True)
class Record:
    """A picture that was read, or why it was not.

    Attributes:
        path: as it can be read again.
        key: 64 bits of the file's SHA-256, signed: the picture's identity, whatever it is called.
        looks: a difference hash, mean colours of an 8 x 8 grid, and how sharp it is (209 bytes).
        height, width: of the whole picture, upright.
        prepared: what the descriptor made of the pixels.
        reason: why it is set aside, "" if it is not.
    """

    path: str
    key: int = 0
    looks: bytes = bytes(LOOKS_BYTES)
    height: int = 0
    width: int = 0
    prepared: np.ndarray | None = None
    reason: str = ""


def read_record(path: str, prepare: Prepare, side: int) -> Record:
    """Reads a picture once. Whatever is wrong with it becomes the record's reason."""
    try:
        data = read_picture(path)
        key = content_key(data)
        pixels, (height, width) = decode_reduced(data, side)
        if min(height, width) < _LEAST_SIDE:
            return Record(path, reason=f"{width}x{height} pixels, at least {_LEAST_SIDE} a side are wanted")
        return Record(path, key, looks_of(pixels), height, width, prepare(pixels))
    except ImageError as error:
        return Record(path, reason=str(error).removeprefix("image").lstrip(": "))
    except SetAside as error:
        return Record(path, reason=str(error))
    except OSError as error:
        return Record(path, reason=f"cannot be read: {error.strerror or error}")


def content_key(data: bytes) -> int:
    """64 bits of the SHA-256, signed."""
    return int.from_bytes(hashlib.sha256(data).digest()[:8], "big", signed=True)


def decode_reduced(data: bytes, side: int) -> tuple[np.ndarray, tuple[int, int]]:
    """An encoded picture, decoded no larger than needed for `side`, and the whole one's (height, width).

    Raises:
        ImageError: no picture, a damaged or a too large one.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # remarks of decoders on files that they can read
        loaded, size = read_reduced(io.BytesIO(data), max(side, 4 * BLOCKS))
    return loaded.pixels, size


def looks_of(pixels: np.ndarray) -> bytes:
    """(H, W, 3) uint8 -> 209 bytes."""
    image = Image.fromarray(pixels)
    blocks = image.resize((BLOCKS, BLOCKS), Image.Resampling.BOX)
    return perceptual_hash(pixels)[:DIFFERENCE_HASH_BYTES] + blocks.tobytes() + bytes([_sharpness(image)])


def _sharpness(image: Image.Image) -> int:
    """Logarithm of the mean strength of the Laplacian, at a size at which JPEG and scaling hardly change it; 0 … 165."""
    light = (
        np.asarray(image.convert("L").resize((_FINE_SIDE, _FINE_SIDE), Image.Resampling.BOX), dtype=np.float32) / 255
    )
    around = light[:-2, 1:-1] + light[2:, 1:-1] + light[1:-1, :-2] + light[1:-1, 2:]
    strength = float(np.abs(4 * light[1:-1, 1:-1] - around).mean())
    return round(_FINE_STEPS * (np.log2(max(strength, _FINE_LEAST)) - np.log2(_FINE_LEAST)))
