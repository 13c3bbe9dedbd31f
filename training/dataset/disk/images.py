"""Pictures on their way into and out of a dataset: always 8-bit RGB, masks always 8-bit grey, files always PNG.

Whatever else a file holds (16 bits, transparency, a camera's rotation, palettes, CMYK) is converted in one place and
said in ``notes``, so that nothing changes silently.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any, Literal

import numpy as np
from PIL import Image, UnidentifiedImageError

from ...errors import ImageError

MAX_PIXELS = 100_000_000
MAX_FILE_BYTES = 1 << 30
# Run-length matching at level 1: a photograph of a megapixel takes a fifth of the time of Pillow's default and is no
# larger, because after PNG's own filters there is little else to match.
PNG_OPTIONS = {"compress_level": 1, "compress_type": zlib.Z_RLE}
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".gif")

AlphaPolicy = Literal["white", "black", "drop", "error"]

_ORIENTATION = 0x0112  # of EXIF
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


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
    with _opened(file, max_pixels) as image:
        return _from_pil(image, alpha, _label(file))


def read_mask(file: str | os.PathLike | IO[bytes], *, max_pixels: int = MAX_PIXELS) -> LoadedImage:
    """Decodes a mask to (H, W) uint8. A colour file counts by its luminance.

    Raises:
        ImageError: as for ``read_image``.
    """
    with _opened(file, max_pixels) as image:
        return as_mask8(image, label=_label(file))


def image_size(file: str | os.PathLike | IO[bytes], *, max_pixels: int = MAX_PIXELS) -> tuple[int, int]:
    """(height, width) from the header, without decoding.

    Raises:
        ImageError: there is no picture, or it is too large.
    """
    with _opened(file, max_pixels) as image:
        return image.height, image.width


def image_format(file: str | os.PathLike | IO[bytes], *, max_pixels: int = MAX_PIXELS) -> str:
    """Format and mode from the header, for example "PNG RGB".

    Raises:
        ImageError: there is no picture, or it is too large.
    """
    with _opened(file, max_pixels) as image:
        return f"{image.format} {image.mode}"


def as_rgb8(image: Any, *, alpha: AlphaPolicy = "white", label: str = "image") -> LoadedImage:
    """Brings a PIL image, an array or a tensor to (H, W, 3) uint8.

    Args:
        image: arrays and tensors may be (H, W), (H, W, C) or (1, H, W, C) with 1, 3 or 4 channels; uint8, uint16, bool,
            or floating point in 0..1 (values outside are clipped, NaN becomes 0 and is counted in ``non_finite``).
        alpha: as for ``read_image``.
        label: what messages call the picture.

    Raises:
        ImageError: another shape or number type, or values that fit no range.
    """
    if isinstance(image, Image.Image):
        with _damage_as_image_error(label):  # a picture that was opened is decoded only now
            return _from_pil(image, alpha, label)
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


def as_mask8(mask: Any, *, label: str = "mask") -> LoadedImage:
    """Brings a mask to (H, W) uint8, white = may change.

    Args:
        mask: (H, W), (1, H, W) or (H, W, C), of the types that ``as_rgb8`` takes. Colour counts by its luminance.
        label: what messages call the mask.

    Raises:
        ImageError: another shape or number type, or values that fit no range.
    """
    if isinstance(mask, Image.Image):
        with _damage_as_image_error(label):
            if mask.mode in ("L", "1"):
                return LoadedImage(np.array(_upright(mask)[0].convert("L")))
            loaded = _from_pil(mask, "drop", label)
        pixels = loaded.pixels
        notes, non_finite = loaded.notes, loaded.non_finite
    else:
        pixels, notes, non_finite = _to_uint8(_as_array(mask), label)
        if pixels.ndim == 3 and pixels.shape[0] == 1:
            pixels = pixels[0]
        if pixels.ndim == 3 and pixels.shape[2] == 1:
            pixels = pixels[:, :, 0]
    if pixels.ndim == 3 and pixels.shape[2] == 3:
        pixels = np.asarray(Image.fromarray(pixels).convert("L"))
    if pixels.ndim != 2 or 0 in pixels.shape:
        raise ImageError(f"{label}: expected a mask (height, width), got shape {tuple(pixels.shape)}.")
    return LoadedImage(np.ascontiguousarray(pixels), None, notes, non_finite)


def write_png(file: IO[bytes], pixels: np.ndarray) -> None:
    """Writes (H, W, 3) or (H, W) uint8 as PNG."""
    Image.fromarray(pixels).save(file, "PNG", **PNG_OPTIONS)


def pixel_hash(pixels: np.ndarray) -> str:
    """SHA-256 of (H, W, 3) or (H, W) uint8 and the shape: two encodings of one picture are the same picture."""
    digest = hashlib.sha256(repr(pixels.shape).encode())
    digest.update(np.ascontiguousarray(pixels).data)
    return digest.hexdigest()


@contextlib.contextmanager
def _opened(file: str | os.PathLike | IO[bytes], max_pixels: int) -> Iterator[Image.Image]:
    """A PIL image whose size has been checked; whatever goes wrong with it inside the block is an ``ImageError``."""
    label = _label(file)
    if isinstance(file, (str, os.PathLike)):
        _check_file(file, label)
    try:
        image = Image.open(file)
    except MemoryError:
        raise
    except Image.DecompressionBombError as error:
        raise ImageError(f"{label}: {error} Scale it down first.") from error
    except UnidentifiedImageError as error:
        raise ImageError(
            f"{label} is not a picture that can be read here (damaged, or a format such as 16-bit colour TIFF). "
            "Open it in an image editor and save it as PNG."
        ) from error
    except Exception as error:  # as below
        raise ImageError(f"{label} cannot be read: {error!s:.200}.") from error
    with image, _damage_as_image_error(label):
        width, height = image.size
        if width * height > max_pixels:
            raise ImageError(
                f"{label} is {width}x{height} = {width * height / 1e6:.0f} megapixels, at most "
                f"{max_pixels / 1e6:.0f} are decoded. Scale it down first."
            )
        yield image


@contextlib.contextmanager
def _damage_as_image_error(label: str) -> Iterator[None]:
    """Pillow's decoders report damage by whatever exception the damaged bytes lead to (TypeError, struct.error, zlib.error
    and more), so all are taken for it. One bad file among ten thousand must not end a capture.
    """
    try:
        yield
    except (ImageError, MemoryError):
        raise
    except Exception as error:
        raise ImageError(
            f"{label} is damaged: {error!s:.200}. Open it in an image editor and save it again."
        ) from error


def _check_file(path: str | os.PathLike, label: str) -> None:
    try:
        status = os.stat(path)
    except OSError as error:
        raise ImageError(f"{label} cannot be read: {error.strerror or error}.") from error
    if not stat.S_ISREG(status.st_mode):
        raise ImageError(f"{label} is not a file.")
    size = status.st_size
    if size == 0:
        raise ImageError(f"{label} is empty (0 bytes).")
    if size > MAX_FILE_BYTES:
        raise ImageError(f"{label} has {size / 1e9:.1f} GB, at most {MAX_FILE_BYTES / 1e9:.1f} GB are read.")


def _label(file: object) -> str:
    return str(file) if isinstance(file, (str, os.PathLike)) else str(getattr(file, "name", "image"))


def _from_pil(image: Image.Image, alpha: AlphaPolicy, label: str) -> LoadedImage:
    notes: list[str] = []
    if getattr(image, "n_frames", 1) > 1:
        notes.append(f"{image.n_frames} frames, the first one taken")
    if "16" in str([tile[3] for tile in getattr(image, "tile", [])]) or image.mode.startswith("I"):
        notes.append("16 bits a channel reduced to 8")
    upright, turned = _upright(image)
    notes += turned
    if upright.mode.startswith("I") or upright.mode == "F":
        pixels = _grey_to_uint8(np.asarray(upright), upright.mode, label)
        return LoadedImage(np.repeat(pixels[:, :, None], 3, axis=2), None, tuple(notes))
    if upright.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in upright.info:
        pixels, opacity, more = _flatten(np.array(upright.convert("RGBA")), alpha, label)
        return LoadedImage(pixels, opacity, (*notes, *more))
    if upright.mode not in ("RGB", "L", "1", "P"):
        notes.append(f"{upright.mode} converted to RGB")
    return LoadedImage(np.array(upright.convert("RGB")), None, tuple(notes))


def _upright(image: Image.Image) -> tuple[Image.Image, tuple[str, ...]]:
    """The picture as the camera was held, and notes. A camera's remarks that cannot be read do not spoil its picture."""
    image.load()  # so that what fails below is the remarks and not the picture
    try:
        orientation = image.getexif().get(_ORIENTATION, 1)
        turn = _UPRIGHT.get(orientation)
    except MemoryError:
        raise
    except Exception:
        return image, ("EXIF that cannot be read, ignored",)
    return (image, ()) if turn is None else (image.transpose(turn), ("rotated as the camera says (EXIF)",))


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
