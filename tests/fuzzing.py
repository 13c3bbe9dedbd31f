"""Damaged files for the tests of readers: seeded, and alike what disks, downloads and editors do to files."""

from __future__ import annotations

import random
import struct
import zlib

_SIZES = (0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF)


def damaged(data: bytes, seed: int) -> bytes:
    """The file with one to three kinds of damage, the same for the same seed."""
    rng = random.Random(seed)
    if data.startswith(b"\x89PNG") and rng.random() < 0.5:
        return _damaged_chunk(data, rng)
    result = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 3))):
        rng.choice(_DAMAGES)(result, rng)
    return bytes(result)


def png_chunk(kind: bytes, body: bytes, checksum: int | None = None) -> bytes:
    """A chunk of a PNG as it lies in the file.

    Args:
        checksum: None for the right one.
    """
    checksum = zlib.crc32(kind + body) if checksum is None else checksum
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", checksum)


def with_chunk(png: bytes, chunk: bytes, before: bytes = b"IEND") -> bytes:
    """The PNG with one more chunk; before its end Pillow reads it after the pixels."""
    at = png.index(before) - 4
    return png[:at] + chunk + png[at:]


def _place(data: bytearray, rng: random.Random) -> int:
    """Somewhere in the file; more often near its beginning, where readers trust what they read."""
    return rng.randrange(max(1, min(len(data), rng.choice((16, 80, 300, len(data) or 1)))))


def _flip(data: bytearray, rng: random.Random) -> None:
    for _ in range(rng.choice((1, 2, 8))):
        if data:
            data[_place(data, rng)] = rng.randrange(256)


def _cut(data: bytearray, rng: random.Random) -> None:
    del data[_place(data, rng) :]


def _drop(data: bytearray, rng: random.Random) -> None:
    start = _place(data, rng)
    del data[start : start + rng.choice((1, 2, 16, 200))]


def _insert(data: bytearray, rng: random.Random) -> None:
    start = _place(data, rng)
    data[start:start] = rng.randbytes(rng.choice((1, 4, 64)))


def _repeat(data: bytearray, rng: random.Random) -> None:
    start = _place(data, rng)
    data[start:start] = data[start : start + rng.choice((4, 32, 200))]


def _zero(data: bytearray, rng: random.Random) -> None:
    start, count = _place(data, rng), rng.choice((1, 8, 100))
    data[start : start + count] = bytes(len(data[start : start + count]))


def _resize(data: bytearray, rng: random.Random) -> None:
    """What could be a length or an offset becomes another one."""
    start = _place(data, rng)
    data[start : start + 4] = struct.pack(rng.choice("<>") + "I", rng.choice(_SIZES))


_DAMAGES = (_flip, _cut, _drop, _insert, _repeat, _zero, _resize)


def _damaged_chunk(png: bytes, rng: random.Random) -> bytes:
    """A PNG with damage inside a chunk whose checksum is right again, so that it gets past the first gate."""
    chunks, place = [], 8
    while place + 12 <= len(png):
        length = int.from_bytes(png[place : place + 4], "big")
        chunks.append((png[place + 4 : place + 8], png[place + 8 : place + 8 + length]))
        place += 12 + length
    number = rng.randrange(len(chunks))
    kind, body = chunks[number]
    changed = bytearray(body)
    rng.choice(_DAMAGES)(changed, rng)
    action = rng.randrange(4)
    if action == 0:
        chunks.insert(rng.randrange(len(chunks)), (kind, bytes(changed)))
    elif action == 1:
        chunks[number] = (rng.choice((b"zTXt", b"iTXt", b"iCCP", b"tRNS", b"PLTE", b"eXIf", b"fdAT")), bytes(changed))
    else:
        chunks[number] = (kind, bytes(changed))
    return png[:8] + b"".join(png_chunk(kind, body) for kind, body in chunks)
