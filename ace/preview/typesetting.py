"""Text on Pillow pictures: the fonts of this system, several scripts in one line, wrapping."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL import ImageDraw

Color = tuple[int, int, int]

# File names (and faces in collections) that Linux, macOS and Windows come with; PIL looks them up in the font folders.
_REGULAR = ("NotoSans-Regular.ttf", "DejaVuSans.ttf", "segoeui.ttf", "HelveticaNeue.ttc", "Arial.ttf", "arial.ttf")
_BOLD = ("NotoSans-Bold.ttf", "DejaVuSans-Bold.ttf", "segoeuib.ttf", "Arial Bold.ttf", "arialbd.ttf")
_SIMPLIFIED_CHINESE = 2  # its face in the Noto CJK collections
_EAST_ASIAN = (
    ("NotoSansCJK-Regular.ttc", _SIMPLIFIED_CHINESE),
    ("NotoSansSC-Regular.otf", 0),
    ("NotoSansSC-Regular.ttf", 0),
    ("SourceHanSansSC-Regular.otf", 0),
    ("SourceHanSansCN-Regular.otf", 0),
    ("msyh.ttc", 0),
    ("PingFang.ttc", 0),
    ("Hiragino Sans GB.ttc", 0),
    ("STHeiti Light.ttc", 0),
    ("simhei.ttf", 0),
    ("wqy-microhei.ttc", 0),
    ("wqy-zenhei.ttc", 0),
    ("DroidSansFallbackFull.ttf", 0),
    ("DroidSansFallback.ttf", 0),
    ("Arial Unicode.ttf", 0),
)
_LINE_HEIGHT = 1.4


def _open(names: Sequence[tuple[str, int]], size: int) -> Any | None:
    from PIL import ImageFont

    for name, index in names:
        try:
            return ImageFont.truetype(name, size, index=index)
        except OSError:
            continue
    return None


def is_wide(character: str) -> bool:
    """Whether a character is Chinese, Japanese or Korean: drawn with a font of its own and broken anywhere."""
    return unicodedata.east_asian_width(character) in "WF"


@dataclass(frozen=True)
class Font:
    """A size and weight of text, in a font of the system for each script.

    A script for which the system has no font is drawn as empty boxes; nothing fails.

    Attributes:
        size: in pixels.
        bold: whether a bold font is taken, where there is one.
    """

    size: int
    bold: bool = False

    @cached_property
    def _latin(self) -> Any:
        from PIL import ImageFont

        names = (*_BOLD, *_REGULAR) if self.bold else _REGULAR
        return _open([(name, 0) for name in names], self.size) or ImageFont.load_default(self.size)

    @cached_property
    def _wide(self) -> Any:
        return _open(_EAST_ASIAN, self.size) or self._latin

    @property
    def line_height(self) -> int:
        """In pixels."""
        return round(self.size * _LINE_HEIGHT)

    def _runs(self, text: str) -> list[tuple[str, Any]]:
        """Neighbouring characters of one font together."""
        runs: list[tuple[str, Any]] = []
        for character in text:
            # A control character or a lone surrogate has no glyph and would upset the font engine.
            shown = "\ufffd" if unicodedata.category(character) in ("Cc", "Cs") else character
            font = self._wide if is_wide(shown) else self._latin
            if runs and runs[-1][1] is font:
                runs[-1] = (runs[-1][0] + shown, font)
            else:
                runs.append((shown, font))
        return runs

    def width(self, text: str) -> float:
        """Of a line, in pixels."""
        return sum(font.getlength(run) for run, font in self._runs(text))

    def draw(self, pen: ImageDraw.ImageDraw, x: float, y: float, text: str, color: Color) -> float:
        """Draws one line from (x, y), vertically centred in ``line_height``; returns the x where it ends."""
        baseline = y + self.line_height / 2 + self.size * 0.36
        for run, font in self._runs(text):
            pen.text((x, baseline), run, font=font, fill=color, anchor="ls")
            x += font.getlength(run)
        return x

    def shorten(self, text: str, width: float) -> str:
        """The text, its end replaced by "…" where it is wider than ``width``."""
        if self.width(text) <= width:
            return text
        while text and self.width(text + "…") > width:
            text = text[:-1]
        return text.rstrip() + "…"


@dataclass(frozen=True)
class Word:
    """A piece of text that stays on one line.

    Attributes:
        text: what is drawn.
        chip: colour of the chip it stands on; None for plain text.
        spaced: whether a space goes before it, unless it begins a line.
    """

    text: str
    chip: Color | None = None
    spaced: bool = False


CHIP_PADDING = 6


def word_width(word: Word, font: Font) -> float:
    """Width of a word in pixels, with the padding of its chip."""
    return font.width(word.text) + (2 * CHIP_PADDING if word.chip else 0)


def split_words(text: str, spaced: bool = False) -> list[Word]:
    """Splits a text where a line may break: at spaces, and around every wide character.

    Args:
        text: in any script.
        spaced: whether a space goes before the first word.
    """
    words: list[Word] = []
    piece = ""

    def end() -> None:
        nonlocal piece, spaced
        if piece:
            words.append(Word(piece, spaced=spaced))
            piece, spaced = "", False

    for character in text:
        if character.isspace():
            end()
            spaced = True
        elif is_wide(character):
            end()
            piece = character
            end()
        else:
            piece += character
    end()
    return words


def wrap(words: Sequence[Word], font: Font, width: float, max_lines: int) -> list[list[Word]]:
    """Breaks words into lines; a word wider than a line is cut.

    Args:
        words: in order.
        font: that they are drawn with.
        width: of a line in pixels, at most.
        max_lines: of these; where words are left out, the last line ends in "…".
    """
    gap = font.width(" ")
    lines: list[list[Word]] = [[]]
    used = 0.0
    for word in _break_long_words(words, font, width):
        before = gap if word.spaced and lines[-1] else 0.0
        needed = word_width(word, font)
        if lines[-1] and used + before + needed > width:
            lines.append([])
            used, before = 0.0, 0.0
        lines[-1].append(word)
        used += before + needed
    if len(lines) > max_lines:
        lines = lines[:max_lines]
        lines[-1] = _with_ellipsis(lines[-1], font, width)
    return [line for line in lines if line]


def draw_line(pen: ImageDraw.ImageDraw, x: float, y: float, line: Sequence[Word], font: Font, color: Color) -> None:
    """Draws one line of words from (x, y), chips as rounded boxes with dark letters."""
    gap = font.width(" ")
    for position, word in enumerate(line):
        x += gap if word.spaced and position else 0
        if word.chip is not None:
            x = draw_chip(pen, x, y, word.text, font, word.chip)
            continue
        x = font.draw(pen, x, y, word.text, color)


def draw_chip(pen: ImageDraw.ImageDraw, x: float, y: float, text: str, font: Font, chip: Color) -> float:
    """Draws a rounded box of colour ``chip`` with dark letters on it from (x, y); returns the x where it ends."""
    end = x + font.width(text) + 2 * CHIP_PADDING
    pen.rounded_rectangle((x, y + 2, end, y + font.line_height - 2), radius=font.size // 3, fill=chip)
    font.draw(pen, x + CHIP_PADDING, y, text, (16, 17, 20))
    return end


def _break_long_words(words: Sequence[Word], font: Font, width: float) -> list[Word]:
    cut: list[Word] = []
    for word in words:
        while word_width(word, font) > width and len(word.text) > 1:
            fits = next(
                length
                for length in range(len(word.text) - 1, 0, -1)
                if length == 1 or word_width(replace(word, text=word.text[:length]), font) <= width
            )
            cut.append(replace(word, text=word.text[:fits]))
            word = replace(word, text=word.text[fits:], spaced=False)
        cut.append(word)
    return cut


def _with_ellipsis(line: list[Word], font: Font, width: float) -> list[Word]:
    """The line ended by "…", words taken off until that fits."""
    gap = font.width(" ")

    def total(words: Sequence[Word]) -> float:
        return sum(word_width(word, font) + (gap if word.spaced and k else 0) for k, word in enumerate(words))

    ellipsis = Word("…")
    while line and total([*line, ellipsis]) > width:
        line = line[:-1]
    return [*line, ellipsis]
