"""Draws an overview of what the model will be given as one picture."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F

from ..lcu.indicators import INDICATORS, indicator_number
from .overview import Card, Overview, Round, describe_coverage
from .typesetting import Color, Font, Word, draw_chip, draw_line, split_words, wrap

if TYPE_CHECKING:
    from PIL import Image, ImageDraw

PAGE: Color = (24, 25, 29)
PANEL: Color = (37, 39, 45)
LINE: Color = (70, 73, 82)
TEXT: Color = (236, 238, 242)
DIM: Color = (160, 165, 176)
EDITED: Color = (255, 255, 255)
MAY_CHANGE: Color = (255, 45, 100)
STRIPE: Color = (255, 255, 255)
WARNING: Color = (255, 190, 60)
RESULT: Color = (200, 204, 214)
INDICATOR_COLORS: tuple[Color, ...] = (
    (98, 171, 255),
    (255, 166, 77),
    (98, 217, 148),
    (190, 152, 255),
    (255, 221, 92),
    (80, 218, 232),
    (255, 138, 190),
    (188, 228, 90),
    (222, 176, 136),
    (196, 202, 236),
)

_INDICATOR = re.compile("(" + "|".join(map(re.escape, INDICATORS)) + ")")

MARGIN = 28
GAP = 20
PICTURE = 340
"""Sides of the square that a picture is fitted into."""
PADDING = 14
CARD = PICTURE + 2 * PADDING
MAX_COLUMNS = 4
MIN_COLUMNS = 2
INSTRUCTION_LINES = 6
WARNING_LINES = 4

_TITLE, _HEADING, _BODY, _SMALL = Font(30, bold=True), Font(22, bold=True), Font(21), Font(17)
_CHIP, _QUESTION = Font(20, bold=True), Font(96, bold=True)
# Under each picture: indicator, size and tokens, what may change, where it comes from.
CAPTION_HEIGHT = _CHIP.line_height + 6 + 3 * _SMALL.line_height + PADDING


def draw_contact_sheet(overview: Overview) -> Image.Image:
    """Draws an overview as a picture of 800 to 1600 pixels in width and as high as it needs to be."""
    from PIL import Image, ImageDraw

    columns = _columns(max(len(one.cards) for one in overview.rounds))
    width = 2 * MARGIN + columns * CARD + (columns - 1) * GAP
    inner = width - 2 * MARGIN
    headings = [wrap(_instruction_words(one.instruction), _BODY, inner, INSTRUCTION_LINES) for one in overview.rounds]
    warnings = [wrap(split_words(text), _BODY, inner - 3 * PADDING - 20, WARNING_LINES) for text in overview.warnings]
    legend = _legend(overview)
    height = MARGIN + _header_height(legend, inner)
    height += sum(_round_height(one, lines, columns) for one, lines in zip(overview.rounds, headings, strict=True))
    height += _warnings_height(warnings) + MARGIN

    sheet = Image.new("RGB", (width, height), PAGE)
    pen = ImageDraw.Draw(sheet)
    y = _draw_header(pen, overview, legend, MARGIN, inner)
    for one, lines in zip(overview.rounds, headings, strict=True):
        y = _draw_round(sheet, pen, one, lines, overview.max_tokens, y, columns)
    _draw_warnings(pen, warnings, y, inner)
    return sheet


def _columns(cards: int) -> int:
    """How many cards lie side by side, so that no row holds a single one."""
    return 3 if cards in (5, 6, 9) else min(max(cards, MIN_COLUMNS), MAX_COLUMNS)


def to_tensor(sheet: Image.Image) -> torch.Tensor:
    """A Pillow picture -> (1, H, W, 3) float32, 0 … 1."""
    return torch.from_numpy(np.asarray(sheet, dtype=np.float32) / 255.0)[None]


def card_color(card: Card) -> Color:
    """The colour of a card's indicator on the whole sheet."""
    return INDICATOR_COLORS[indicator_number(card.indicator)] if card.indicator else RESULT


def _instruction_words(instruction: str) -> list[Word]:
    """The instruction with its indicators as chips in the colours of their cards."""
    words: list[Word] = []
    spaced = False
    for piece in _INDICATOR.split(instruction):
        if piece in INDICATORS:
            words.append(Word(piece, INDICATOR_COLORS[indicator_number(piece)], spaced))
        else:
            words += split_words(piece, spaced)
        spaced = piece[-1:].isspace()
    return words or [Word("(no instruction)")]


# Header: how long the sequence is and what it is spent on


def _legend(overview: Overview) -> list[Word]:
    words = split_words(f"{overview.tokens} tokens:")
    for card in overview.cards:
        words.append(Word(card.label, card_color(card), spaced=True))
        words.append(Word(str(card.tokens), spaced=True))
    if overview.max_tokens:
        words += split_words(f"· at most {overview.max_tokens} a picture", spaced=True)
    return words


def _header_height(legend: list[Word], inner: int) -> int:
    lines = wrap(legend, _SMALL, inner, 9)
    return _TITLE.line_height + PADDING + 16 + PADDING + len(lines) * _SMALL.line_height + GAP


def _draw_header(pen: ImageDraw.ImageDraw, overview: Overview, legend: list[Word], y: int, inner: int) -> int:
    _TITLE.draw(pen, MARGIN, y, overview.title, TEXT)
    y += _TITLE.line_height + PADDING
    x = float(MARGIN)
    for card in overview.cards:
        end = x + inner * card.tokens / overview.tokens
        pen.rectangle((x, y, max(x, end - 3), y + 15), fill=card_color(card))
        x = end
    y += 16 + PADDING
    for line in wrap(legend, _SMALL, inner, 9):
        draw_line(pen, MARGIN, y, line, _SMALL, TEXT)
        y += _SMALL.line_height
    return y + GAP


# Rounds


def _rows(one: Round, columns: int) -> list[tuple[Card, ...]]:
    return [one.cards[start : start + columns] for start in range(0, len(one.cards), columns)]


def _row_height(row: tuple[Card, ...]) -> int:
    """Height of the cards of one row: of the tallest picture and the caption."""
    return max(_drawn_size(card)[1] for card in row) + 2 * PADDING + CAPTION_HEIGHT


def _heading_height(lines: list[list[Word]]) -> int:
    return PADDING + _HEADING.line_height + len(lines) * _BODY.line_height + PADDING


def _round_height(one: Round, lines: list[list[Word]], columns: int) -> int:
    return _heading_height(lines) + sum(_row_height(row) + GAP for row in _rows(one, columns)) + PADDING


def _draw_round(
    sheet: Image.Image,
    pen: ImageDraw.ImageDraw,
    one: Round,
    lines: list[list[Word]],
    max_tokens: int | None,
    top: int,
    columns: int,
) -> int:
    pen.line((MARGIN, top, sheet.width - MARGIN, top), fill=LINE, width=2)
    y = top + PADDING
    _HEADING.draw(pen, MARGIN, y, one.title, DIM)
    y += _HEADING.line_height
    for line in lines:
        draw_line(pen, MARGIN, y, line, _BODY, TEXT)
        y += _BODY.line_height
    y += PADDING
    for row in _rows(one, columns):
        height = _row_height(row)
        for column, card in enumerate(row):
            x = MARGIN + column * (CARD + GAP)
            _draw_frame(sheet, pen, card, x, y, height)
            _draw_caption(pen, card, max_tokens, x + PADDING, y + height - CAPTION_HEIGHT)
        y += height + GAP
    return y + PADDING


def _draw_frame(sheet: Image.Image, pen: ImageDraw.ImageDraw, card: Card, x: int, y: int, height: int) -> None:
    """The card's box with its picture in the middle."""
    box = (x, y, x + CARD - 1, y + height - 1)
    pen.rounded_rectangle(box, radius=12, fill=PANEL, outline=EDITED if card.edited else PANEL, width=4)
    picture = _picture(card)
    sheet.paste(picture, (x + (CARD - picture.width) // 2, y + (height - CAPTION_HEIGHT - picture.height) // 2))
    if card.edited:
        draw_chip(pen, x + PADDING, y + PADDING, "edited", _SMALL, EDITED)
    if card.batch > 1:
        label = f"1 of {card.batch}"
        draw_chip(pen, x + CARD - PADDING - _SMALL.width(label) - 12, y + PADDING, label, _SMALL, DIM)


def _draw_caption(pen: ImageDraw.ImageDraw, card: Card, max_tokens: int | None, x: int, y: int) -> None:
    end = draw_chip(pen, x, y, card.label, _CHIP, card_color(card))
    if card.own_indicator != card.indicator:
        _SMALL.draw(pen, end + 8, y + 3, _SMALL.shorten(f"was {card.own_indicator}", x + PICTURE - end - 8), DIM)
    y += _CHIP.line_height + 6
    size = f"{card.width}×{card.height} · {card.tokens} tokens"
    too_large = max_tokens is not None and card.tokens > max_tokens
    _SMALL.draw(pen, x, y, _SMALL.shorten(size, PICTURE), WARNING if too_large else TEXT)
    y += _SMALL.line_height
    square = _SMALL.size - 3
    pen.rectangle((x, y + 5, x + square, y + 5 + square), fill=MAY_CHANGE, outline=TEXT)
    _SMALL.draw(pen, x + square + 8, y, _SMALL.shorten(describe_coverage(card), PICTURE - square - 8), TEXT)
    y += _SMALL.line_height
    _SMALL.draw(pen, x, y, _SMALL.shorten(card.origin, PICTURE), DIM)


# Pictures


def _drawn_size(card: Card) -> tuple[int, int]:
    """(width, height) a card's picture is drawn in."""
    scale = PICTURE / max(card.width, card.height)
    return max(1, round(card.width * scale)), max(1, round(card.height * scale))


def _picture(card: Card) -> Image.Image:
    """A card's picture in the size it is drawn, what may change marked on it."""
    from PIL import Image, ImageDraw

    size = _drawn_size(card)
    if card.image is None:
        picture = Image.new("RGB", size, (52, 55, 63))
    else:
        # Of a huge picture, three pixels for each that is drawn are plenty.
        step = max(1, min(card.image.shape[0] // (3 * size[1]), card.image.shape[1] // (3 * size[0])))
        pixels = (card.image[::step, ::step].clamp(0, 1) * 255).round().to(torch.uint8).cpu().contiguous()
        picture = Image.fromarray(pixels.numpy())
        if card.width < size[0] or card.height < size[1]:
            # A small picture shows the pixels that the model gets.
            picture = picture.resize((card.width, card.height), Image.Resampling.BICUBIC)
            picture = picture.resize(size, Image.Resampling.NEAREST)
        else:
            picture = picture.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
    marked = card.mask is not None and card.coverage < 1
    if marked:
        picture = _mark(picture, card.mask)
    if card.image is None:
        pen = ImageDraw.Draw(picture)
        _dashed_frame(pen, *size)
        if not marked and size[1] >= _QUESTION.size:
            x, y = (size[0] - _QUESTION.width("?")) / 2, (size[1] - _QUESTION.line_height) / 2
            _QUESTION.draw(pen, x, y, "?", DIM)
    return picture


def _mark(picture: Image.Image, mask: torch.Tensor) -> Image.Image:
    """Tints and hatches where the mask (H, W) is 1, within an outline of white on black that shows on any picture."""
    from PIL import Image

    inside = _shrink_mask(mask, picture.height, picture.width)
    rows, columns = torch.meshgrid(torch.arange(picture.height), torch.arange(picture.width), indexing="ij")
    stripes = ((rows + columns) % 16 < 3).float()
    pixels = torch.from_numpy(np.asarray(picture, dtype=np.float32))
    for color, weight in ((MAY_CHANGE, 0.5 * inside), (STRIPE, 0.4 * inside * stripes)):
        pixels = torch.lerp(pixels, torch.tensor(color, dtype=torch.float32), weight[..., None])
    for reach, color in ((2, 255.0), (4, 0.0)):
        ring = _dilate(inside, reach) - _dilate(inside, reach - 2)
        pixels[ring > 0] = color
    return Image.fromarray(pixels.round().to(torch.uint8).numpy())


def _shrink_mask(mask: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """(H, W) -> (height, width); the thinnest stroke is still there when it gets smaller."""
    mask = mask.float().cpu()[None, None]
    if height < mask.shape[2]:
        return F.adaptive_max_pool2d(mask, (height, width))[0, 0]
    return F.interpolate(mask, size=(height, width), mode="nearest-exact")[0, 0]


def _dilate(inside: torch.Tensor, radius: int) -> torch.Tensor:
    if radius == 0:
        return inside
    return F.max_pool2d(inside[None, None], 2 * radius + 1, stride=1, padding=radius)[0, 0]


def _dashed_frame(pen: ImageDraw.ImageDraw, width: int, height: int) -> None:
    for at in range(0, max(width, height), 18):
        for y in (0, height - 2):
            pen.rectangle((at, y, at + 9, y + 1), fill=DIM)
        for x in (0, width - 2):
            pen.rectangle((x, at, x + 1, at + 9), fill=DIM)


# Warnings


def _warnings_height(warnings: list[list[list[Word]]]) -> int:
    if not warnings:
        return 0
    return 2 * PADDING + sum(len(lines) * _BODY.line_height + PADDING // 2 for lines in warnings)


def _draw_warnings(pen: ImageDraw.ImageDraw, warnings: list[list[list[Word]]], y: int, inner: int) -> None:
    if not warnings:
        return
    height = _warnings_height(warnings)
    pen.rounded_rectangle((MARGIN, y, MARGIN + inner - 1, y + height - 1), radius=12, fill=PANEL)
    pen.rectangle((MARGIN, y + 12, MARGIN + 5, y + height - 13), fill=WARNING)
    y += PADDING
    for lines in warnings:
        draw_chip(pen, MARGIN + PADDING + 6, y, "!", _BODY, WARNING)
        for line in lines:
            draw_line(pen, MARGIN + 2 * PADDING + 26, y, line, _BODY, TEXT)
            y += _BODY.line_height
        y += PADDING // 2
