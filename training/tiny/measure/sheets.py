"""Contact sheets: all tasks on held-out pictures, and pictures from words with their words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image, ImageDraw

from .scores import Answer
from .words import Prompt, to_bytes

_GAP, _LINE = 6, 13
_SIDE = 128
_EACH = 3  # answers of a task
_GIVEN = 3  # condition images of an answer at most
_COLUMNS = 10
_LETTERS = 22  # of a caption's line


def answers_sheet(tasks: Sequence[Sequence[Answer]]) -> torch.Tensor:
    """A row a task: of each answer what is given, the result, and what was asked for; (H, W, 3)."""
    cell = _SIDE + _GAP
    width = _EACH * ((_GIVEN + 2) * cell + 3 * _GAP)
    sheet = Image.new("RGB", (width, len(tasks) * (cell + _LINE)), "white")
    pen = ImageDraw.Draw(sheet)
    for row, answers in enumerate(tasks):
        top = row * (cell + _LINE)
        for column, one in enumerate(answers[:_EACH]):
            left = column * (width // _EACH)
            sentence = one.example.context.unit.instruction
            pen.text((left, top), f"{one.example.task}: {sentence}"[:100], fill="black")
            given = [_marked(one, number) for number in range(len(one.shown))][-_GIVEN:]
            cells = [*[None] * (_GIVEN - len(given)), *given, one.result, one.target]
            for number, picture in enumerate(cells):
                if picture is not None:
                    sheet.paste(Image.fromarray(to_bytes(picture)), (left + number * cell, top + _LINE))
    return torch.from_numpy(np.asarray(sheet).copy()).float() / 255


def _marked(one: Answer, number: int) -> torch.Tensor:
    """A condition image; the one that is edited with what may change tinted a little."""
    picture = one.shown[number]
    if one.mask is None or one.source is None or not torch.equal(picture, one.source):
        return picture
    return torch.lerp(picture, picture.new_tensor((1.0, 0.0, 1.0)), 0.3 * one.mask[..., None])


def words_sheet(prompts: Sequence[Prompt], painted: Sequence[np.ndarray]) -> torch.Tensor:
    """Pictures below their words; (H, W, 3)."""
    text = 4 * _LINE
    rows = -(-len(prompts) // _COLUMNS)
    sheet = Image.new("RGB", (_COLUMNS * (_SIDE + _GAP), rows * (_SIDE + text + _GAP)), "white")
    pen = ImageDraw.Draw(sheet)
    for number, (prompt, picture) in enumerate(zip(prompts, painted, strict=True)):
        left, top = number % _COLUMNS * (_SIDE + _GAP), number // _COLUMNS * (_SIDE + text + _GAP)
        pen.multiline_text((left, top), _wrapped(prompt.sentence), fill="black", spacing=1)
        sheet.paste(Image.fromarray(picture), (left, top + text))
    return torch.from_numpy(np.asarray(sheet).copy()).float() / 255


def _wrapped(sentence: str) -> str:
    lines, line = [], ""
    for word in sentence.split():
        if line and len(line) + len(word) + 1 > _LETTERS:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}".strip()
    return "\n".join([*lines, line][:4])
