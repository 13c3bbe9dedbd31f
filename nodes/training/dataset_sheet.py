"""A page of a dataset as one picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw

from ...ace.preview.typesetting import Font
from ...training.dataset.disk.images import read_image
from ...training.dataset.disk.storage import safe_file
from ...training.errors import DatasetError

if TYPE_CHECKING:
    from ...training.dataset.disk.rows import PairRow
    from ...training.dataset.store import Dataset

PAGE = 12  # pairs on a sheet
_COLUMNS = 3
_SIDE = 128  # pixels, longest side of a picture
_MARGIN = 6
_WIDTH = 2 * _SIDE + 3 * _MARGIN  # of a pair
_BACKGROUND, _CHOSEN, _TEXT, _ERROR = (34, 34, 38), (230, 150, 40), (225, 225, 225), (255, 90, 90)


def draw_pairs(dataset: Dataset, rows: Sequence[PairRow], chosen: int) -> np.ndarray:
    """Draws the page of pairs that the chosen one is on, source left and result right.

    Args:
        dataset: whose files are read.
        rows: all of its pairs.
        chosen: index of the pair that is marked.

    Returns:
        (H, W, 3) uint8.
    """
    first = chosen // PAGE * PAGE
    page = rows[first : first + PAGE]
    return draw_sheet(dataset, page, [f"{first + place}  {row.id}" for place, row in enumerate(page)], chosen - first)


def draw_sheet(
    dataset: Dataset, page: Sequence[PairRow], titles: Sequence[str], chosen: int | None = None
) -> np.ndarray:
    """Draws pairs, each with a title and its words.

    Args:
        dataset: whose files are read.
        page: the pairs, at least one.
        titles: one a pair.
        chosen: index of the pair that is marked; None marks none.

    Returns:
        (H, W, 3) uint8.
    """
    font = Font(11)
    height = _SIDE + 2 * font.line_height + 3 * _MARGIN
    lines = -(-len(page) // _COLUMNS)
    sheet = Image.new("RGB", (min(_COLUMNS, len(page)) * _WIDTH, lines * height), _BACKGROUND)
    pen = ImageDraw.Draw(sheet)
    for place, row in enumerate(page):
        left, top = place % _COLUMNS * _WIDTH, place // _COLUMNS * height
        if place == chosen:
            pen.rectangle((left + 1, top + 1, left + _WIDTH - 2, top + height - 2), outline=_CHOSEN, width=3)
        for line, text in enumerate((titles[place], row.prompt)):
            y = top + _SIDE + 2 * _MARGIN + line * font.line_height
            font.draw(pen, left + _MARGIN, y, font.shorten(text, 2 * _SIDE), _TEXT)
        for column, name in enumerate((row.source_file_name, row.target_file_name)):
            corner = (left + _MARGIN + column * (_SIDE + _MARGIN), top + _MARGIN)
            try:
                if name is not None:
                    _paste(sheet, read_image(safe_file(dataset.folder, name)).pixels, corner)
            except DatasetError as error:
                font.draw(pen, *corner, font.shorten(str(error), _SIDE), _ERROR)
    return np.asarray(sheet)


def _paste(sheet: Image.Image, pixels: np.ndarray, corner: tuple[int, int]) -> None:
    picture = Image.fromarray(pixels)
    picture.thumbnail((_SIDE, _SIDE))
    sheet.paste(picture, (corner[0] + (_SIDE - picture.width) // 2, corner[1] + (_SIDE - picture.height) // 2))
