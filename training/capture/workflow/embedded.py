"""The workflow inside a picture that ComfyUI saved: in a PNG's text, or in the EXIF of a WebP, JPEG or AVIF."""

from __future__ import annotations

import codecs
import io
import json
import zlib
from collections.abc import Iterator
from typing import Any

from PIL import Image

MAX_TEXT_BYTES = 64 << 20
# The prompt first: it is what ran, while the other still has to be converted.
_KEYS = ("prompt", "workflow")
_PNG = b"\x89PNG\r\n\x1a\n"
_EXIF_TEXTS = (0x010E, 0x010F, 0x0110)  # description, make, model
_EXIF_FOLDER, _USER_COMMENT = 0x8769, 0x9286
_CHARSET = 8  # bytes before a user comment that say what it is in (Exif 2.32, section 4.6.5)
_SIGNATURES = (_PNG, b"RIFF", b"\xff\xd8\xff")


BEGIN_BYTES = 12
"""How much of a file tells whether it is a picture."""


def is_picture_file(data: bytes) -> bool:
    """Whether a file, or its first ``BEGIN_BYTES``, begins like a picture that may hold a workflow."""
    return data.startswith(_SIGNATURES) or data[4:12] == b"ftypavif"


def embedded_workflow(data: bytes) -> dict[str, Any] | None:
    """The prompt or else the workflow in a picture's file; None if it holds none, or a damaged one.

    Args:
        data: all of the file.
    """
    texts = dict(_png_texts(data) if data.startswith(_PNG) else _exif_texts(data))
    for key in _KEYS:
        try:
            found = json.loads(texts.get(key, ""))
        except (ValueError, RecursionError):
            continue
        if isinstance(found, dict) and found:
            return found
    return None


def _png_texts(data: bytes) -> Iterator[tuple[str, str]]:
    """Key and text of every text chunk (PNG, section 11.3.3), however large, as far as the file is sound."""
    place = len(_PNG)
    while place + 12 <= len(data):
        length, kind = int.from_bytes(data[place : place + 4], "big"), data[place + 4 : place + 8]
        body = data[place + 8 : place + 8 + length]
        key, _, rest = body.partition(b"\x00")
        if kind == b"tEXt":
            yield key.decode("latin-1"), _decoded(rest)
        elif kind == b"zTXt":
            yield key.decode("latin-1"), _decoded(_unpacked(rest[1:]))
        elif kind == b"iTXt":
            packed, rest = rest[:1], rest[2:].partition(b"\x00")[2].partition(b"\x00")[2]
            yield key.decode("latin-1"), _decoded(_unpacked(rest) if packed == b"\x01" else rest)
        place += 12 + length


def _unpacked(data: bytes) -> bytes:
    unpacker = zlib.decompressobj()
    try:
        text = unpacker.decompress(data, MAX_TEXT_BYTES)
    except zlib.error:
        return b""
    return b"" if unpacker.unconsumed_tail else text


def _decoded(data: bytes) -> str:
    """Latin-1 by the standard; ComfyUI writes JSON in ASCII, and other programs UTF-8."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _exif_texts(data: bytes) -> Iterator[tuple[str, str]]:
    """ComfyUI writes ``prompt:{…}`` and ``workflow:{…}`` into fields of EXIF that are meant for cameras.

    Other savers write both, or one of them, as JSON into the comment.
    """
    try:
        with Image.open(io.BytesIO(data)) as image:
            exif = image.getexif()
            comment = exif.get_ifd(_EXIF_FOLDER).get(_USER_COMMENT, exif.get(_USER_COMMENT))
            fields = [*(exif.get(tag) for tag in _EXIF_TEXTS), _comment(comment)]
    except Exception:  # damage of whatever kind: then there is no workflow in it
        return
    for field in fields:
        text = field.decode("utf-8", "replace") if isinstance(field, bytes) else field
        if isinstance(text, str):
            yield from _keyed(text.strip("\x00 "))


def _comment(field: Any) -> str | None:
    """A user comment's text: after its charset, in ASCII, in UTF-8 by many, or in UTF-16 of either byte order."""
    if not isinstance(field, bytes):
        return field if isinstance(field, str) else None
    charset, body = field[:_CHARSET], field[_CHARSET:]
    if charset.startswith(b"UNICODE"):
        if body.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            return body.decode("utf-16", "replace")
        # What is looked for begins with a Latin letter or a brace, so its first zero byte tells the order.
        order = {body[:1]: "utf-16-be", body[1:2]: "utf-16-le"}.get(b"\x00", "utf-8")
        return body.decode(order, "replace")
    return (body if charset.startswith(b"ASCII") or not charset.strip(b"\x00") else field).decode("utf-8", "replace")


def _keyed(text: str) -> Iterator[tuple[str, str]]:
    """``key:JSON``, or JSON of both keys, or of what stands behind one."""
    if not text.startswith("{"):
        key, _, rest = text.partition(":")
        yield key.strip().lower(), rest
        return
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return
    both = {key: content[key] for key in _KEYS if key in content}
    for key, value in (both or {"workflow" if "nodes" in content else "prompt": content}).items():
        yield key, value if isinstance(value, str) else json.dumps(value)
