"""Pictures and masks in files <-> tensors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError

from ..files import atomic_write
from ..notices import Notify, silent
from .preprocess import to_rgb

# Pillow's modes for grey levels beyond 8 bits; PNGs of 16 bits come as "I" or "I;16", floats are 0 … 1.
_HIGH_BIT_DEPTH = ("I;16", "I;16L", "I;16B", "I;16N", "I", "F")


def load_picture(path: str | Path, notify: Notify = silent) -> torch.Tensor:
    """Reads a picture, turned upright, transparency laid on white.

    Args:
        path: of any format that Pillow reads.
        notify: told where transparency is laid on white.

    Returns:
        (1, H, W, 3) float32, 0 … 1.

    Raises:
        ValueError: no such file, or no picture that can be read.
    """
    with _open(path) as picture:
        if picture.mode in _HIGH_BIT_DEPTH:
            return to_rgb(_high_bit_depth_to_tensor(picture), notify)
        mode = "RGBA" if picture.has_transparency_data else "RGB"
        return to_rgb(_to_tensor(picture.convert(mode)), notify)


def load_mask(path: str | Path) -> torch.Tensor:
    """Reads a mask, white where the picture may change; of a file with transparency the alpha counts.

    Returns:
        (1, H, W) float32, 0 … 1.

    Raises:
        ValueError: no such file, or no picture that can be read.
    """
    with _open(path) as picture:
        if picture.mode in _HIGH_BIT_DEPTH:
            return _high_bit_depth_to_tensor(picture)[..., 0]
        grey = picture.convert("RGBA").getchannel("A") if picture.has_transparency_data else picture.convert("L")
        return _to_tensor(grey.convert("L"))[..., 0]


def save_picture(image: torch.Tensor, path: str | Path) -> Path:
    """Writes one picture, atomically.

    Args:
        image: (H, W, 3), 0 … 1; values beyond are clamped.
        path: its extension chooses the format, PNG where it is unknown; the folder is made.

    Returns:
        The path.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = (image.clamp(0, 1) * 255).to(torch.uint8).cpu().numpy()
    with atomic_write(path) as temporary:
        Image.fromarray(pixels).save(temporary, format=Image.registered_extensions().get(path.suffix.lower(), "PNG"))
    return path


def _open(path: str | Path) -> Image.Image:
    try:
        return ImageOps.exif_transpose(Image.open(path))
    except FileNotFoundError:
        raise ValueError(f"there is no file {path}; check the name and the folder") from None
    except (UnidentifiedImageError, OSError, Image.DecompressionBombError) as error:
        raise ValueError(
            f"{path} is not a picture that can be read: {error}; choose a PNG, JPEG or WebP file"
        ) from None


def _high_bit_depth_to_tensor(picture: Image.Image) -> torch.Tensor:
    """A grey picture of more than 8 bits: (1, H, W, 1) float, 0 … 1. Pillow's own conversion would clip it to white."""
    levels = np.asarray(picture).astype(np.float32)
    scale = 1.0 if picture.mode == "F" else 65535.0
    return torch.from_numpy(levels.clip(0, scale) / scale)[None, ..., None]


def _to_tensor(picture: Image.Image) -> torch.Tensor:
    """(1, H, W, C) float, 0 … 1."""
    pixels = np.asarray(picture, dtype=np.float32) / 255.0
    return torch.from_numpy(pixels.reshape(1, *pixels.shape[:2], -1))
