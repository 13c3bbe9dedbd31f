"""Text files of people and other tools: read where their encoding is certain, refused by name where it is not.

Certain are a byte order mark (UTF-8, UTF-16, UTF-32), UTF-8 itself, and UTF-16 without a mark by where its zero bytes
lie. Anything else (cp1252, Latin-1, GB18030, Shift JIS …) could be several texts, so a guess would put wrong letters into
captions without anybody noticing.
"""

from __future__ import annotations

import codecs
import unicodedata
from pathlib import Path

LOST_LETTER = "\ufffd"
"""What stands where a program could not read a letter."""

# The longer marks first: that of UTF-32 begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_CANDIDATES = ("cp1252", "gb18030", "shift_jis", "big5", "euc_kr", "cp1251", "iso2022_jp")
_SHOWN = 24  # characters of a candidate's text


class TextEncodingError(ValueError):
    """A text file whose letters cannot be told with certainty; the message names it and what to do."""


def read_text(path: str | Path, encoding: str | None = None) -> str:
    """Reads a text file as :func:`decode_text` decodes it; line breaks stay as they are.

    Raises:
        OSError: it cannot be read.
        TextEncodingError: its encoding is not certain.
    """
    return decode_text(Path(path).read_bytes(), str(path), encoding)


def decode_text(data: bytes, label: str, encoding: str | None = None) -> str:
    """Decodes the bytes of a text file.

    Args:
        data: all of the file.
        label: what messages call it.
        encoding: what files without a byte order mark that are not UTF-8 are in; a name that Python knows.

    Raises:
        TextEncodingError: the encoding is not certain, or the bytes are not of it.
    """
    for mark, name in _MARKS:
        if data.startswith(mark):
            text = _strict(data[len(mark) :], name)
            if text is None:
                raise TextEncodingError(f"{label} begins as {name} text, but is damaged; save it again as UTF-8")
            return text
    text = _strict(data, "utf-8")
    if text is not None and _is_text(text):
        return text
    text = _unmarked_utf16(data)
    if text is not None:
        return text
    if encoding is None:
        raise TextEncodingError(
            f"{label} is not UTF-8 text{_position(data)}{_guesses(data)}. Save it as UTF-8 in a text editor"
        )
    text = _strict(data, encoding)
    if text is None:
        raise TextEncodingError(f"{label} is neither UTF-8 nor {encoding} text; save it as UTF-8 in a text editor")
    return text


def check_encoding(name: str) -> str:
    """Checks the name of an encoding.

    Raises:
        ValueError: Python knows none of that name, or it is none of text.
    """
    try:
        "".encode(name)
    except LookupError:
        raise ValueError(f"there is no text encoding {name!r}; use one such as cp1252, gb18030 or shift_jis") from None
    return name


def _strict(data: bytes, encoding: str) -> str | None:
    try:
        return data.decode(encoding)
    except ValueError:
        return None


def _is_text(text: str) -> bool:
    """No zero bytes, which UTF-16 has, and no escapes, by which 7-bit encodings of East Asia switch."""
    return "\x00" not in text and "\x1b" not in text


def _unmarked_utf16(data: bytes) -> str | None:
    """UTF-16 text without a mark, told by the zero bytes of its spaces, digits and Latin letters; None if it is none.

    Fewer of them than of other letters would be no proof.
    """
    zeros = [data[0::2].count(0), data[1::2].count(0)]
    if len(data) % 2 or bool(zeros[0]) == bool(zeros[1]) or max(zeros) * 4 < len(data):
        return None
    text = _strict(data, "utf-16-be" if zeros[0] else "utf-16-le")
    if text is None or any(unicodedata.category(c) in ("Cc", "Cn", "Co") and not c.isspace() for c in text):
        return None
    return text


def _position(data: bytes) -> str:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        return f" (line {line}, byte {data[error.start]:#04x})"
    return ""


def _guesses(data: bytes) -> str:
    """What it would say in other encodings, for people to recognise theirs; nothing for what is no text at all."""
    if 0 in data:
        return ""
    first = next((place for place, byte in enumerate(data) if byte >= 0x80 or byte == 0x1B), 0)
    start = data.rfind(b"\n", 0, first) + 1
    line = data[max(start, first - _SHOWN) :].partition(b"\n")[0]
    shown: dict[str, str] = {}
    for name in _CANDIDATES:
        text = (_strict(line, name) or "").strip()[: 2 * _SHOWN] if _strict(data, name) is not None else ""
        if text.isprintable() and text:
            shown.setdefault(text, name)
    return "".join(f"; in {name} it would read “{text}”" for text, name in list(shown.items())[:3])
