"""Pictures and masks in files <-> tensors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from ..files import atomic_write
from ..notices import Notify, silent
from .files.color_profiles import to_srgb
from .files.decoding import is_high_bit_depth, opened, upright
from .files.mask_reading import mask_channels, read_as_mask
from .preprocess import to_rgb


def load_picture(path: str | Path, notify: Notify = silent) -> torch.Tensor:
    """Reads a picture, turned upright, its colours in sRGB, transparency laid on white.

    Args:
        path: of a format of :data:`ace.pictures.files.picture_folders.PICTURE_FORMATS`.
        notify: told where colours are converted, transparency is laid on white, or frames are left out.

    Returns:
        (1, H, W, 3) float32, 0 … 1.

    Raises:
        ValueError: no such file, or no picture that can be read.
    """
    with opened(path) as (picture, notes):
        turned, _ = upright(picture)
        if is_high_bit_depth(turned):
            pixels, notes = _high_bit_depth_to_tensor(turned), ()
        else:
            coloured, more = to_srgb(turned)
            notes += more
            pixels = _to_tensor(coloured.convert("RGBA" if coloured.has_transparency_data else "RGB"))
    for note in notes:
        notify(f"{path}: {note}")
    return to_rgb(pixels, notify)


def load_mask(path: str | Path, notify: Notify = silent, *, reading: str = "auto") -> torch.Tensor:
    """Reads a mask, white where the picture may change.

    Args:
        path: of a format of :data:`ace.pictures.files.picture_folders.PICTURE_FORMATS`.
        notify: told where the file could have meant something else.
        reading: what of the file is the mask; a key of :data:`ace.pictures.files.mask_reading.MASK_READINGS`.

    Returns:
        (1, H, W) float32, 0 … 1.

    Raises:
        ValueError: no such file, no picture that can be read, or no transparency where it is to be read by that.
    """
    with opened(path) as (picture, _):
        turned, _ = upright(picture)
        if is_high_bit_depth(turned):
            levels, alpha = _high_bit_depth_to_tensor(turned)[0, ..., 0].numpy(), None
        else:
            levels, alpha = mask_channels(turned)
    try:
        read = read_as_mask(levels, alpha, reading)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    if read.note:
        notify(f"the mask {path}: {read.note}")
    mask = torch.from_numpy(np.array(read.mask, dtype=np.float32))[None]
    return mask / 255 if read.mask.dtype == np.uint8 else mask


def save_picture(image: torch.Tensor, path: str | Path) -> Path:
    """Writes one picture, atomically.

    Args:
        image: (H, W, 3), 0 … 1; values beyond are clamped.
        path: its extension chooses the format, PNG where it is unknown; the folder is made.

    Returns:
        The path.

    Raises:
        ValueError: values are NaN or infinite; no file is written.
    """
    path = Path(path)
    if not image.isfinite().all():
        raise ValueError(f"{path} is not written: the picture holds values that are no numbers (NaN or infinite)")
    pixels = (image.clamp(0, 1) * 255).to(torch.uint8).cpu().numpy()
    with atomic_write(path) as temporary:
        Image.fromarray(pixels).save(temporary, format=Image.registered_extensions().get(path.suffix.lower(), "PNG"))
    return path


def _high_bit_depth_to_tensor(picture: Image.Image) -> torch.Tensor:
    """A grey picture of more than 8 bits: (1, H, W, 1) float, 0 … 1. Pillow's own conversion would clip it to white."""
    levels = np.asarray(picture).astype(np.float32)
    scale = 1.0 if picture.mode == "F" else 65535.0
    return torch.from_numpy(levels.clip(0, scale) / scale)[None, ..., None]


def _to_tensor(picture: Image.Image) -> torch.Tensor:
    """(1, H, W, C) float, 0 … 1."""
    pixels = np.asarray(picture, dtype=np.float32) / 255.0
    return torch.from_numpy(pixels.reshape(1, *pixels.shape[:2], -1))
