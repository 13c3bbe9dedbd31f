"""Pictures on their way into and out of a dataset: always 8-bit RGB, masks always 8-bit grey, files always PNG.

Whatever else a file holds (16 bits, transparency, a camera's rotation, palettes, CMYK) is converted in one place and
said in ``notes``, so that nothing changes silently.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import IO, Any, Literal

import numpy as np
from PIL import Image

from ....ace.pictures.files.color_profiles import to_srgb
from ....ace.pictures.files.decoding import (
    PictureError,
    describe_reduction,
    file_label,
    is_high_bit_depth,
    opened,
    upright,
)
from ....ace.pictures.files.mask_reading import mask_channels, read_as_mask
from ...errors import ImageError

MAX_PIXELS = 100_000_000
# Run-length matching at level 1: a photograph of a megapixel takes a fifth of the time of Pillow's default and is no
# larger, because after PNG's own filters there is little else to match.
PNG_OPTIONS = {"compress_level": 1, "compress_type": zlib.Z_RLE}

_Opened = tuple[Image.Image, tuple[str, ...]]
AlphaPolicy = Literal["white", "black", "drop", "error"]


@dataclass(frozen=True)
class LoadedImage:
    """An 8-bit picture and what had to be done to get it.

    Attributes:
        pixels: (H, W, 3) uint8 for pictures, (H, W) uint8 for masks.
        alpha: (H, W) uint8 where the input was transparent somewhere, else None.
        notes: what was converted, in words.
        non_finite: share of values that were NaN or infinite, 0 to 1.
    """

    pixels: np.ndarray
    alpha: np.ndarray | None = None
    notes: tuple[str, ...] = ()
    non_finite: float = 0.0


def read_image(
    file: str | os.PathLike | IO[bytes], *, max_pixels: int = MAX_PIXELS, alpha: AlphaPolicy = "white"
) -> LoadedImage:
    """Decodes a picture to 8-bit RGB, upright.

    Args:
        max_pixels: larger pictures are refused by the size in their header, before anything is decoded.
        alpha: what stands behind transparent pixels; "drop" keeps their colour, "error" refuses them.

    Returns:
        The picture with pixels (H, W, 3).

    Raises:
        ImageError: it cannot be read, is damaged or too large, or its values fit no range.
    """
    with _opened(file, max_pixels) as (image, notes):
        return _from_pil(image, alpha, file_label(file), notes)


def read_mask(
    file: str | os.PathLike | IO[bytes], *, max_pixels: int = MAX_PIXELS, reading: str = "auto"
) -> LoadedImage:
    """Decodes a mask to (H, W) uint8, white = may change.

    Args:
        max_pixels: as for ``read_image``.
        reading: what of the file is the mask; a key of ``ace.pictures.files.mask_reading.MASK_READINGS``.

    Raises:
        ImageError: as for ``read_image``; or it has no transparency where it is to be read by that.
    """
    with _opened(file, max_pixels) as (image, notes):
        levels, alpha, more = _channels_from_pil(image, file_label(file))
        return _mask_of(levels, alpha, (*notes, *more), reading, file_label(file))


def image_size(file: str | os.PathLike | IO[bytes], *, max_pixels: int = MAX_PIXELS) -> tuple[int, int]:
    """(height, width) from the header, without decoding.

    Raises:
        ImageError: there is no picture, or it is too large.
    """
    with _opened(file, max_pixels, decode=False) as (image, _):
        return image.height, image.width


def image_format(file: str | os.PathLike | IO[bytes], *, max_pixels: int = MAX_PIXELS) -> str:
    """Format and mode from the header, for example "PNG RGB".

    Raises:
        ImageError: there is no picture, or it is too large.
    """
    with _opened(file, max_pixels, decode=False) as (image, _):
        return f"{image.format} {image.mode}"


def read_reduced(
    file: str | os.PathLike | IO[bytes], side: int, *, max_pixels: int = MAX_PIXELS, alpha: AlphaPolicy = "white"
) -> tuple[LoadedImage, tuple[int, int]]:
    """Decodes a picture no larger than needed: a JPEG at the smallest of its scales with both sides at least ``side``.

    Returns:
        The picture, and (height, width) of the whole one, upright.

    Raises:
        ImageError: as for ``read_image``.
    """
    with _opened(file, max_pixels, decode=False) as (image, notes):
        width, height = image.size
        image.draft(None, (side, side))
        loaded = _from_pil(image, alpha, file_label(file), notes)
        on_its_side = image.width != image.height and loaded.pixels.shape[:2] == image.size
    return loaded, (width, height) if on_its_side else (height, width)


def as_rgb8(image: Any, *, alpha: AlphaPolicy = "white", label: str = "image") -> LoadedImage:
    """Brings a PIL image, an array or a tensor to (H, W, 3) uint8.

    Args:
        image: arrays and tensors may be (H, W), (H, W, C) or (1, H, W, C) with 1, 3 or 4 channels; uint8, uint16, bool,
            or floating point in 0..1 (values outside are clipped, NaN becomes 0 and is counted in ``non_finite``). What
            ``read_image`` returned is handed on.
        alpha: as for ``read_image``.
        label: what messages call the picture.

    Raises:
        ImageError: another shape or number type, or values that fit no range.
    """
    if isinstance(image, LoadedImage):
        return image
    if isinstance(image, Image.Image):
        with _damage_as_image_error(label):  # a picture that was opened is decoded only now
            return _from_pil(image, alpha, label, describe_reduction(image))
    array, notes, non_finite = _to_uint8(_as_array(image), label)
    if array.ndim == 2:
        array = array[:, :, None]
    if array.ndim != 3 or array.shape[2] not in (1, 3, 4) or 0 in array.shape:
        raise ImageError(
            f"{label}: expected an array (height, width, 1, 3 or 4), got shape {tuple(array.shape)}. "
            "Split batches into single pictures."
        )
    if array.shape[2] == 4:
        pixels, opacity, more = _flatten(array, alpha, label)
        return LoadedImage(pixels, opacity, notes + more, non_finite)
    pixels = np.repeat(array, 3, axis=2) if array.shape[2] == 1 else array
    return LoadedImage(np.ascontiguousarray(pixels), None, notes, non_finite)


def as_mask8(mask: Any, *, label: str = "mask", reading: str = "auto") -> LoadedImage:
    """Brings a mask to (H, W) uint8, white = may change.

    Args:
        mask: (H, W), (1, H, W) or (H, W, C), of the types that ``as_rgb8`` takes; or what ``read_mask`` returned. Colour
            counts by its luminance; what transparency means, ``ace.pictures.files.mask_reading`` says.
        label: what messages call the mask.
        reading: as for ``read_mask``.

    Raises:
        ImageError: another shape or number type, or values that fit no range.
    """
    if isinstance(mask, LoadedImage):
        return mask
    if isinstance(mask, Image.Image):
        with _damage_as_image_error(label):
            notes = describe_reduction(mask)
            levels, alpha, more = _channels_from_pil(mask, label)
            notes += more
        non_finite = 0.0
    else:
        array, notes, non_finite = _to_uint8(_as_array(mask), label)
        levels, alpha = _channels_from_array(array, label)
    return _mask_of(levels, alpha, notes, reading, label, non_finite)


def write_png(file: IO[bytes], pixels: np.ndarray) -> None:
    """Writes (H, W, 3) or (H, W) uint8 as PNG."""
    Image.fromarray(pixels).save(file, "PNG", **PNG_OPTIONS)


def side_by_side(pictures: Sequence[np.ndarray], side: int, gap: int = 0) -> bytes:
    """Pictures (H, W, 3) uint8 from left to right as one JPEG.

    Args:
        pictures: at least one, of any sizes.
        side: pixels, at most, along a side of each.
        gap: pixels between two of them.
    """
    parts = [Image.fromarray(pixels) for pixels in pictures]
    for part in parts:
        part.thumbnail((side, side))
    width = sum(part.width for part in parts) + gap * (len(parts) - 1)
    sheet = Image.new("RGB", (width, max(part.height for part in parts)), "gray")
    left = 0
    for part in parts:
        sheet.paste(part, (left, (sheet.height - part.height) // 2))
        left += part.width + gap
    buffer = io.BytesIO()
    sheet.save(buffer, "JPEG", quality=80)
    return buffer.getvalue()


def pixel_hash(pixels: np.ndarray) -> str:
    """SHA-256 of (H, W, 3) or (H, W) uint8 and the shape: two encodings of one picture are the same picture."""
    digest = hashlib.sha256(repr(pixels.shape).encode())
    digest.update(np.ascontiguousarray(pixels).data)
    return digest.hexdigest()


@contextlib.contextmanager
def _opened(file: str | os.PathLike | IO[bytes], max_pixels: int, *, decode: bool = True) -> Iterator[_Opened]:
    """A PIL image whose size has been checked, and notes.

    Raises:
        ImageError: whatever goes wrong with it, also inside the block.
    """
    try:
        with opened(file, max_pixels=max_pixels, decode=decode, explained=(ImageError,)) as found:
            yield found
    except PictureError as error:
        raise ImageError(f"{error}.") from error


@contextlib.contextmanager
def _damage_as_image_error(label: str) -> Iterator[None]:
    """For pictures that somebody else has opened, and that are decoded only now."""
    try:
        yield
    except (ImageError, MemoryError):
        raise
    except Exception as error:  # decoders report damage by whatever it leads to
        raise ImageError(
            f"{label} is damaged: {error!s:.200}. Open it in an image editor and save it again."
        ) from error


def _mask_of(
    levels: np.ndarray,
    alpha: np.ndarray | None,
    notes: tuple[str, ...],
    reading: str,
    label: str,
    non_finite: float = 0.0,
) -> LoadedImage:
    try:
        read = read_as_mask(levels, alpha, reading)
    except ValueError as error:
        raise ImageError(f"{label}: {error}.") from error
    return LoadedImage(np.array(read.mask), None, (*notes, read.note) if read.note else notes, non_finite)


def _from_pil(image: Image.Image, alpha: AlphaPolicy, label: str, notes: tuple[str, ...]) -> LoadedImage:
    turned, more = upright(image)
    notes += more
    if is_high_bit_depth(turned):
        pixels = _grey_to_uint8(np.asarray(turned), turned.mode, label)
        return LoadedImage(np.repeat(pixels[:, :, None], 3, axis=2), None, notes)
    coloured, more = to_srgb(turned)
    notes += more
    if coloured.has_transparency_data:
        pixels, opacity, more = _flatten(np.array(coloured.convert("RGBA")), alpha, label)
        return LoadedImage(pixels, opacity, (*notes, *more))
    if coloured.mode not in ("RGB", "L", "1", "P"):
        notes += (f"{coloured.mode} converted to RGB",)
    return LoadedImage(np.array(coloured.convert("RGB")), None, notes)


def _channels_from_pil(image: Image.Image, label: str) -> tuple[np.ndarray, np.ndarray | None, tuple[str, ...]]:
    """Brightness and alpha, (H, W) uint8 each, and notes."""
    turned, notes = upright(image)
    if is_high_bit_depth(turned):
        return _grey_to_uint8(np.asarray(turned), turned.mode, label), None, notes
    return (*mask_channels(turned), notes)


def _channels_from_array(array: np.ndarray, label: str) -> tuple[np.ndarray, np.ndarray | None]:
    """Brightness and alpha, (H, W) each, of uint8 (H, W), (1, H, W) or (H, W, 1 to 4)."""
    if array.ndim == 3 and array.shape[0] == 1:
        array = array[0]
    shape = tuple(array.shape)
    if array.ndim == 2:
        array = array[:, :, None]
    if array.ndim != 3 or array.shape[2] not in (1, 2, 3, 4) or 0 in shape:
        raise ImageError(f"{label}: expected a mask (height, width), got shape {shape}.")
    alpha = array[:, :, -1] if array.shape[2] in (2, 4) else None
    colour = array[:, :, :-1] if alpha is not None else array
    if colour.shape[2] == 1:
        return colour[:, :, 0], alpha
    return np.asarray(Image.fromarray(np.ascontiguousarray(colour)).convert("L")), alpha


def _grey_to_uint8(values: np.ndarray, mode: str, label: str) -> np.ndarray:
    """16-bit or float grey to (H, W) uint8."""
    low, high = float(values.min()), float(values.max())
    top = 1.0 if mode == "F" else 65535.0
    if not (low >= 0 and high <= top):
        raise ImageError(
            f"{label}: values from {low:g} to {high:g} do not fit 0 to {top:g} (mode {mode}). "
            "Tone-map it and save it as 8- or 16-bit PNG."
        )
    return np.rint(values.astype(np.float64) * (255.0 / top)).astype(np.uint8)


def _flatten(rgba: np.ndarray, alpha: AlphaPolicy, label: str) -> tuple[np.ndarray, np.ndarray | None, tuple[str, ...]]:
    """Takes the transparency out of (H, W, 4) uint8.

    Returns:
        Pixels (H, W, 3), alpha (H, W) or None where all is opaque, and notes.
    """
    opacity = rgba[:, :, 3]
    colour = np.ascontiguousarray(rgba[:, :, :3])
    if opacity.min() == 255:
        return colour, None, ()
    if alpha == "error":
        raise ImageError(f"{label} is transparent in places. Flatten it, or choose what stands behind it.")
    if alpha == "drop":
        return colour, opacity.copy(), ("transparency dropped",)
    ground = 255 if alpha == "white" else 0
    share = opacity[:, :, None].astype(np.uint16)
    pixels = (colour * share + ground * (255 - share) + 127) // 255
    return pixels.astype(np.uint8), opacity.copy(), (f"transparency filled with {alpha}",)


def _as_array(image: Any) -> np.ndarray:
    if hasattr(image, "detach"):  # a torch tensor, without importing torch for everyone else
        image = image.detach().cpu()
        image = image.float().numpy() if image.is_floating_point() else image.numpy()
    array = np.asarray(image)
    return array[0] if array.ndim == 4 and array.shape[0] == 1 else array


def _to_uint8(array: np.ndarray, label: str) -> tuple[np.ndarray, tuple[str, ...], float]:
    """Any supported number type to uint8, whatever the shape.

    Returns:
        The array, notes, and the share of NaN and infinity, 0 to 1.
    """
    if array.dtype == np.uint8:
        return array, (), 0.0
    if array.dtype == bool:
        return array.astype(np.uint8) * 255, (), 0.0
    if array.dtype == np.uint16:
        reduced = (array.astype(np.uint32) * 255 + 32767) // 65535
        return reduced.astype(np.uint8), ("16 bits a channel reduced to 8",), 0.0
    if not np.issubdtype(array.dtype, np.floating):
        raise ImageError(f"{label}: {array.dtype} values are not understood; use uint8, uint16 or floats in 0..1.")
    finite = np.isfinite(array)
    non_finite = 0.0 if finite.all() else float(1.0 - finite.mean())
    clean = np.where(finite, array, 0) if non_finite else array
    if clean.size and clean.max() > 16:
        raise ImageError(f"{label}: floats up to {clean.max():g}; expected 0..1. Divide by 255 first.")
    # Rounding (not truncating) returns exactly the byte that a loader divided by 255.
    return np.rint(np.clip(clean, 0, 1) * 255).astype(np.uint8), (), non_finite
