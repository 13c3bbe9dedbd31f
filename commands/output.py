"""Output that no console stops: letters that its encoding lacks are written in ones that it has."""

from __future__ import annotations

import codecs
import unicodedata
from typing import TextIO

_HANDLER = "ace_readable"
_PLAIN = str.maketrans(
    {
        "…": "...", "–": "-", "—": "-", "−": "-", "‑": "-", "“": '"', "”": '"', "„": '"', "«": '"', "»": '"', "‘": "'",
        "’": "'", "×": "x", "·": "*", "•": "*", "→": "->", "←": "<-", "≥": ">=", "≤": "<=", "≈": "~", "±": "+/-",
        "√": "sqrt", "✓": "ok", "✗": "x", "│": "|", "█": "#", "▏": "|", "α": "alpha", "β": "beta", "σ": "sigma",
        "µ": "u", "°": " degrees",
    }
)  # fmt: skip


def allow_any_text(stream: TextIO) -> None:
    """Lets a stream take any text. On Windows pipes have the code page of the system, under LANG=C they have ASCII."""
    if hasattr(stream, "reconfigure"):
        codecs.register_error(_HANDLER, _readable)
        stream.reconfigure(errors=_HANDLER)


def explain(error: Exception) -> str:
    """The message of an error, in words also where the operating system gave a number."""
    if isinstance(error, OSError) and error.errno is not None:
        from ..ace.files import FileError

        return str(error if isinstance(error, FileError) else FileError(error))
    if _is_out_of_memory(error):
        return (
            "there is not enough memory for this. Make the picture smaller (--size, --megapixels), work on less at a time, "
            f"or close other programs. ({str(error).splitlines()[0] if str(error) else type(error).__name__})"
        )
    return str(error) or type(error).__name__


def _is_out_of_memory(error: Exception) -> bool:
    """Python's own error, torch's for accelerators, and the plain ones of its CPU allocator and of MPS."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    text = str(error)
    words = ("can't allocate memory", "not enough memory: you tried", "MPS backend out of memory")
    return isinstance(error, RuntimeError) and any(word in text for word in words)


def _readable(error: UnicodeError) -> tuple[str, int]:
    """An error handler of codecs: other letters for those that an encoding lacks."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end]
    plain = unicodedata.normalize("NFKD", text.translate(_PLAIN))
    plain = "".join(letter for letter in plain if not unicodedata.combining(letter))
    return "".join(letter if letter.isascii() else "?" for letter in plain), error.end
