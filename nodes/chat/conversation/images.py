"""Pictures of a conversation: files named by what is seen on them, so that the same picture is stored once."""

from __future__ import annotations

import io
import os
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, PngImagePlugin

from ....ace.files import atomic_write
from ....ace.pictures.files.mask_reading import THRESHOLD
from ....training.dataset.disk.images import pixel_hash, read_image, read_mask
from ....training.errors import ImageError
from .errors import ChatError, UnknownChatError
from .folder import PICTURES, SMALL
from .store import PLACE

INPUT_FOLDER = "ace-chat"  # in ComfyUI's input folder, where Load Image looks
_NAME = re.compile(r"[0-9a-f]{32}\.png")
_IN_INPUT = re.compile(rf"{INPUT_FOLDER}[/-]([0-9a-f]{{32}}\.png)")
_SMALL_SIDE = 384  # pixels
_MOST_PIXELS = 64 << 20
MOST_BYTES = 128 << 20


def add_picture(folder: Path, data: bytes) -> dict[str, Any]:
    """Stores an uploaded picture: upright, 8 bits, what is transparent on white.

    Args:
        folder: of the conversation.
        data: the file.

    Returns:
        file, width and height.

    Raises:
        ImageError: it is none that can be read.
        OSError: it cannot be written.
    """
    return add_pixels(folder, read_image(io.BytesIO(data), max_pixels=_MOST_PIXELS).pixels)


def add_pixels(folder: Path, pixels: np.ndarray, texts: dict[str, str] | None = None) -> dict[str, Any]:
    """Stores a picture.

    Args:
        folder: of the conversation.
        pixels: (H, W, 3) or, with alpha, (H, W, 4) uint8.
        texts: written into the file, as ComfyUI does with graphs.

    Returns:
        file, width and height.

    Raises:
        OSError: it cannot be written.
    """
    name = f"{pixel_hash(pixels)[:32]}.png"
    path = folder / PICTURES / name
    if not path.is_file():
        info = PngImagePlugin.PngInfo()
        for key, text in (texts or {}).items():
            info.add_text(key, text)
        with atomic_write(path, pixels.size) as temporary:
            Image.fromarray(pixels).save(temporary, format="PNG", pnginfo=info, compress_level=4)
    return {"file": name, "width": pixels.shape[1], "height": pixels.shape[0]}


def add_mask(folder: Path, file: str, data: bytes) -> dict[str, Any]:
    """Stores a picture once more, with a mask in its alpha channel as ComfyUI's Load Image reads it.

    Args:
        folder: of the conversation.
        file: the picture.
        data: a file whose brightness is the mask, white where the picture may change, of the picture's size.

    Returns:
        file, width and height; file is None where the mask marks nothing.

    Raises:
        ImageError: it cannot be read, or its size is another.
        UnknownChatError: there is no such picture.
        OSError: it cannot be written.
    """
    pixels = read_pixels(folder, file)
    mask = read_mask(io.BytesIO(data), max_pixels=_MOST_PIXELS, reading="brightness").pixels
    height, width = pixels.shape[:2]
    if mask.shape != (height, width):
        raise ImageError(f"The mask has {mask.shape[1]}x{mask.shape[0]} pixels, its picture {width}x{height}.")
    hard = np.where(mask > THRESHOLD, 255, 0).astype(np.uint8)
    if not hard.any():
        return {"file": None, "width": width, "height": height}
    return add_pixels(folder, np.dstack([pixels, 255 - hard]))


def add_edited(folder: Path, file: str, data: bytes) -> dict[str, Any]:
    """Stores what ComfyUI's mask editor made of a picture. It also paints, turns and mirrors: what is seen may be another.

    Args:
        folder: of the conversation.
        file: the picture that was edited.
        data: a file with the mask in its alpha channel, transparent where the picture may change.

    Returns:
        picture: its file, ``file`` itself where nothing but a mask was painted; mask: file of it with its mask, None where
        that marks nothing.

    Raises:
        ImageError: it cannot be read.
        UnknownChatError: there is no such picture.
        OSError: it cannot be written.
    """
    before = read_pixels(folder, file)
    saved = read_image(io.BytesIO(data), max_pixels=_MOST_PIXELS, alpha="drop")
    pixels, marked = saved.pixels, np.zeros(saved.pixels.shape[:2], bool)
    if saved.alpha is not None:
        marked = saved.alpha < 128
        if pixels.shape == before.shape:
            # A browser's canvas rounds the colour of what is half transparent, and may forget that of what is wholly so.
            told = (saved.alpha == 255) | ((saved.alpha == 0) & pixels.any(axis=2))
            pixels = np.where(told[..., None], pixels, before)
    picture, mask = add_pixels(folder, pixels)["file"], None
    if marked.any():
        mask = add_pixels(folder, np.dstack([pixels, np.where(marked, 0, 255).astype(np.uint8)]))["file"]
    return {"picture": picture, "mask": mask}


def picture_path(folder: Path, file: str) -> Path:
    """The file of a picture. Raises UnknownChatError."""
    path = folder / PICTURES / file
    if not _NAME.fullmatch(file) or not path.is_file():
        raise UnknownChatError("There is no such picture in this conversation.")
    return path


def read_pixels(folder: Path, file: str) -> np.ndarray:
    """(H, W, 3) uint8. Raises UnknownChatError or ImageError."""
    return read_image(picture_path(folder, file), max_pixels=_MOST_PIXELS, alpha="drop").pixels


def read_marks(folder: Path, file: str) -> np.ndarray:
    """(H, W) uint8, white where the picture may change. Raises UnknownChatError or ImageError."""
    alpha = read_image(picture_path(folder, file), max_pixels=_MOST_PIXELS, alpha="drop").alpha
    if alpha is None:
        raise ImageError(f"{file} has no mask")
    return 255 - alpha


def small_picture(folder: Path, file: str) -> bytes:
    """A JPEG of it, made once. Raises UnknownChatError or ImageError."""
    source, kept = picture_path(folder, file), folder / SMALL / f"{Path(file).stem}.jpg"
    if kept.is_file():
        return kept.read_bytes()
    picture = Image.fromarray(read_image(source, max_pixels=_MOST_PIXELS, alpha="drop").pixels)
    picture.thumbnail((_SMALL_SIDE, _SMALL_SIDE), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    picture.save(buffer, format="JPEG", quality=88)
    with atomic_write(kept) as temporary:
        temporary.write_bytes(buffer.getvalue())
    return buffer.getvalue()


def input_name(file: str) -> str:
    """What Load Image calls a picture of a conversation that a turn needs; its menu lists no files of folders."""
    return f"{INPUT_FOLDER}/{file}"


def menu_name(file: str) -> str:
    """What Load Image calls one in a graph that a person opens: a name that its menu lists, as it is red otherwise."""
    return f"{INPUT_FOLDER}-{file}"


def provide(names: list[str], users: Path, input_folder: Path) -> list[str]:
    """Copies pictures of conversations to where Load Image finds them; names of anything else are passed over.

    Args:
        names: whatever a graph names, among it what :func:`input_name` and :func:`menu_name` give.
        users: ComfyUI's folder with one of each user.
        input_folder: ComfyUI's.

    Returns:
        The names of what was copied.

    Raises:
        OSError: a file cannot be written.
    """
    copied = []
    for name in dict.fromkeys(names):
        match = _IN_INPUT.fullmatch(name)
        target = input_folder / name
        if match is None or target.is_file():
            continue
        for source in users.glob(f"*/{PLACE.as_posix()}/*/{PICTURES}/{match[1]}"):
            with atomic_write(target, os.path.getsize(source)) as temporary:
                shutil.copyfile(source, temporary)
            copied.append(name)
            break
    return copied


def check_upload(content_type: str, size: int | None) -> None:
    """Refuses what is no picture by its own account. Raises ChatError."""
    if not content_type.startswith("image/"):
        raise ChatError(f"Pictures are sent as image/…, not as {content_type!r:.80}.")
    if (size or 0) > MOST_BYTES:
        raise ChatError(f"A picture may have at most {MOST_BYTES >> 20} MB.")
