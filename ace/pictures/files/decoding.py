"""A picture's file opened and decoded, or one clear sentence on why not, whatever is wrong with it."""

from __future__ import annotations

import contextlib
import io
import os
import re
import stat
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from PIL import Image, UnidentifiedImageError

from .picture_folders import PICTURE_FORMATS

MAX_PIXELS = 178_956_970
"""Where Pillow suspects a decompression bomb."""
MAX_FILE_BYTES = 1 << 30

_PNG = b"\x89PNG\r\n\x1a\n"
_NO_SIGNATURE = "TGA"  # any file could be one, so its ending has to say so
_KEPT = (b"tRNS", b"eXIf")  # chunks that are not critical and change what is seen
_RAW_16_BIT = re.compile(r";16[BLNS]")  # in raw modes; "BGR;16" is five or six bits a channel
_PROFILE_BYTES = 1 << 20  # of a colour profile, above which Pillow refuses it

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


class PictureError(ValueError):
    """A file that is no picture, is damaged or too large; the message names it and says what to do."""


def file_label(file: object) -> str:
    """What messages call a file."""
    return str(file) if isinstance(file, (str, os.PathLike)) else str(getattr(file, "name", "image"))


@contextlib.contextmanager
def opened(
    file: str | os.PathLike | IO[bytes],
    *,
    max_pixels: int = MAX_PIXELS,
    decode: bool = True,
    explained: tuple[type[Exception], ...] = (),
) -> Iterator[tuple[Image.Image, tuple[str, ...]]]:
    """A Pillow picture whose size has been checked, and notes on what of the file it leaves out.

    Args:
        file: a path, or a stream that can be rewound.
        max_pixels: larger pictures are refused by the size in their header.
        decode: whether the pixels are wanted; False reads the header alone.
        explained: errors that the block raises with a sentence of its own; they are no damage, and pass as they are.

    Raises:
        PictureError: it cannot be read, is damaged or too large; also for what goes wrong with it inside the block.
    """
    label = file_label(file)
    if isinstance(file, (str, os.PathLike)):
        _check_file(file, label)
    with _damage_explained(label, explained):
        try:
            image, notes = _open(file, label, max_pixels, decode)
        except (PictureError, MemoryError):
            raise
        except Exception:
            # A picture of which only the remarks are damaged, or hold more text than Pillow allows: a PNG of ComfyUI
            # carries its whole workflow.
            bare = _without_remarks(file)
            if bare is None:
                raise
            image, notes = _open(bare, label, max_pixels, decode)
        with image:
            yield image, notes


@contextlib.contextmanager
def _damage_explained(label: str, explained: tuple[type[Exception], ...]) -> Iterator[None]:
    """Takes whatever Pillow's decoders raise for damage.

    It depends on the damaged bytes (SyntaxError, struct.error, zlib.error and more). One bad file among ten thousand must
    not end a capture.
    """
    try:
        yield
    except (PictureError, MemoryError, *explained):
        raise
    except UnidentifiedImageError:
        raise PictureError(
            f"{label} is not a picture that can be read here (damaged, or a format such as 16-bit colour TIFF); open it "
            "in an image editor and save it as PNG"
        ) from None
    except Image.DecompressionBombError as error:
        raise PictureError(f"{label}: {error} Scale it down first") from None
    except Exception as error:
        raise PictureError(
            f"{label} is damaged: {error!s:.200}; open it in an image editor and save it again"
        ) from error


def upright(image: Image.Image) -> tuple[Image.Image, tuple[str, ...]]:
    """The picture as the camera was held, and notes. A camera's remarks that cannot be read do not spoil its picture."""
    image.load()  # so that what fails below is the remarks and not the picture
    try:
        turn = _UPRIGHT.get(image.getexif().get(_ORIENTATION, 1))
    except MemoryError:
        raise
    except Exception:
        return image, ("EXIF that cannot be read, ignored",)
    return (image, ()) if turn is None else (image.transpose(turn), ("rotated as the camera says (EXIF)",))


def is_high_bit_depth(image: Image.Image) -> bool:
    """Whether Pillow has it as grey levels beyond 8 bits: PNGs of 16 bits come as "I" or "I;16", floats as "F"."""
    return image.mode.startswith("I") or image.mode == "F"


def _is_16_bit(tile: tuple[Any, ...]) -> bool:
    """Whether a part of a file holds 16 bits a channel, by the raw mode that its decoder is told, such as "RGB;16B"."""
    told = tile[3] if isinstance(tile[3], tuple) else (tile[3],)
    return any(isinstance(mode, str) and _RAW_16_BIT.search(mode) for mode in told[:1])


def describe_reduction(image: Image.Image) -> tuple[str, ...]:
    """Notes on what a file has more than one picture of 8 bits; to be asked before it is decoded."""
    notes: tuple[str, ...] = ()
    if getattr(image, "n_frames", 1) > 1:
        notes += (f"{image.n_frames} frames, the first one taken",)
    if image.mode.startswith("I") or any(map(_is_16_bit, getattr(image, "tile", ()))):
        notes += ("16 bits a channel reduced to 8",)
    return notes


def _open(
    file: str | os.PathLike | IO[bytes], label: str, max_pixels: int, decode: bool
) -> tuple[Image.Image, tuple[str, ...]]:
    if not isinstance(file, (str, os.PathLike)):
        file.seek(0)
    image = Image.open(file, formats=_formats(label))
    try:
        width, height = image.size
        if width * height > max_pixels:
            raise PictureError(
                f"{label} is {width}x{height} = {width * height / 1e6:.0f} megapixels, at most "
                f"{max_pixels / 1e6:.0f} are decoded. Scale it down first"
            )
        notes = describe_reduction(image) if decode else ()
        if decode:
            image.load()
    except BaseException:
        if isinstance(file, (str, os.PathLike)):  # a stream is its owner's to close, and is read once more
            image.close()
        raise
    return image, notes


def _formats(label: str) -> list[str]:
    """Of the formats that are read, those that this Pillow has."""
    Image.init()
    wanted = (name for name in PICTURE_FORMATS if name in Image.OPEN)
    is_named = Path(label).suffix.lower() in PICTURE_FORMATS[_NO_SIGNATURE]
    return [name for name in wanted if is_named or name != _NO_SIGNATURE]


def _check_file(path: str | os.PathLike, label: str) -> None:
    try:
        status = os.stat(path)
    except FileNotFoundError:
        raise PictureError(
            f"{label} cannot be read: there is no file of that name; check the name and the folder"
        ) from None
    except (OSError, ValueError) as error:
        raise PictureError(f"{label} cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if not stat.S_ISREG(status.st_mode):
        raise PictureError(f"{label} is not a file")
    if status.st_size == 0:
        raise PictureError(f"{label} is empty (0 bytes)")
    if status.st_size > MAX_FILE_BYTES:
        raise PictureError(f"{label} has {status.st_size / 1e9:.1f} GB, at most {MAX_FILE_BYTES / 1e9:.1f} GB are read")


def _without_remarks(file: str | os.PathLike | IO[bytes]) -> io.BytesIO | None:
    """A PNG without the chunks that do not change what is seen; None for other files."""
    with contextlib.nullcontext(file) if hasattr(file, "read") else open(file, "rb") as stream:
        stream.seek(0)
        if stream.read(len(_PNG)) != _PNG:
            return None
        data = _PNG + stream.read()
    parts, place = [_PNG], len(_PNG)
    while place + 12 <= len(data):
        length = int.from_bytes(data[place : place + 4], "big")
        kind, end = data[place + 4 : place + 8], place + 12 + length
        if kind[:1].isupper() or kind in _KEPT or (kind == b"iCCP" and _profile_is_sound(data[place + 8 : end - 4])):
            parts.append(data[place:end])
        if kind == b"IEND":
            break
        place = end
    return io.BytesIO(b"".join(parts))


def _profile_is_sound(content: bytes) -> bool:
    """Whether Pillow would read a colour profile: a name, a zero, a method and compressed bytes."""
    name, _, rest = content.partition(b"\x00")
    unpacker = zlib.decompressobj()
    try:
        unpacker.decompress(rest[1:], _PROFILE_BYTES)
    except zlib.error:
        return False
    return bool(name) and rest[:1] == b"\x00" and not unpacker.unconsumed_tail
