"""Letters in pictures, as AnyText (Tuo et al. 2023) measures them: line by line, read by OCR.

What ACE's table 7 calls "Edit Distance" is AnyText's NED, a similarity: higher is better.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from PIL import Image

from ....ace.pictures.files.mask_reading import THRESHOLD
from ..errors import EvaluationError

_EPSILON = 1e-5
_UPRIGHT = 1.2  # height over width from which a line is turned
_HEIGHT, _WIDTH = 48, 320  # pixels, of a line as it is read


class LineReader(Protocol):
    """Reads one line of text.

    Attributes:
        name: of the OCR, with its version.
    """

    name: str

    def read(self, line: Image.Image) -> str: ...


def edit_distance(one: Sequence[Any], other: Sequence[Any]) -> int:
    """Levenshtein's: insertions, deletions and replacements that make one of the other."""
    row = list(range(len(other) + 1))
    for place, left in enumerate(one, 1):
        before, row[0] = row[0], place
        for column, right in enumerate(other, 1):
            before, row[column] = row[column], min(row[column] + 1, row[column - 1] + 1, before + (left != right))
    return row[-1]


def normalised_similarity(read: str, wanted: str, alphabet: Mapping[str, int] | None = None) -> float:
    """AnyText's NED: 1 − edit distance / (longer length + 1e-5).

    Args:
        alphabet: places of the characters the OCR knows; all others count as one and the same, as in AnyText's script.
            Without it characters are compared as they are.
    """
    one, other = (_ids(text, alphabet) for text in (read, wanted))
    return 1 - edit_distance(one, other) / (max(len(one), len(other)) + _EPSILON)


def line_accuracy(read: str, wanted: str) -> float:
    """AnyText's Sen. Acc: 1 for exactly the same text, capitals included, else 0."""
    return float(read == wanted)


def crop_line(image: Image.Image, mask: Image.Image) -> Image.Image | None:
    """The line that a mask marks: its largest patch, upright. None where the mask marks nothing."""
    cv2 = _opencv()
    marked = (np.asarray(mask.convert("L").resize(image.size, Image.Resampling.NEAREST)) > THRESHOLD).astype(np.uint8)
    outlines, _ = cv2.findContours(marked, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    if not outlines:
        return None
    corners = _in_order(cv2.boxPoints(cv2.minAreaRect(max(outlines, key=cv2.contourArea))))
    width = max(1, round(float(np.linalg.norm(corners[1] - corners[0]))))
    height = max(1, round(float(np.linalg.norm(corners[3] - corners[0]))))
    target = np.array([[0, 0], [width, 0], [width, height], [0, height]], dtype=np.float32)
    turn = cv2.getPerspectiveTransform(corners, target)
    return Image.fromarray(cv2.warpPerspective(np.asarray(image.convert("RGB")), turn, (width, height)))


def prepare_line(line: Image.Image) -> Image.Image:
    """As AnyText hands lines to the OCR: upright ones turned, 48 high, at most 320 wide and padded with black."""
    if line.height > line.width * _UPRIGHT:
        line = line.transpose(Image.Transpose.ROTATE_90)
    width = min(_WIDTH, int(np.ceil(_HEIGHT * line.width / line.height)))
    padded = Image.new("RGB", (_WIDTH, _HEIGHT))
    padded.paste(line.resize((width, _HEIGHT), Image.Resampling.BILINEAR), (0, 0))
    return padded


class RapidReader:
    """PaddleOCR's models by rapidocr, whose package brings them along."""

    def __init__(self) -> None:
        try:
            from rapidocr import RapidOCR
        except ImportError as error:
            raise EvaluationError(
                "reading letters needs the packages rapidocr and onnxruntime: pip install rapidocr onnxruntime"
            ) from error
        from importlib.metadata import version

        self.name = f"rapidocr {version('rapidocr')}"
        self._engine = RapidOCR(params={"Global.log_level": "error"})

    def read(self, line: Image.Image) -> str:
        # The package works on OpenCV's order of colours.
        pixels = np.ascontiguousarray(np.asarray(line.convert("RGB"))[..., ::-1])
        found = self._engine(pixels, use_det=False, use_cls=False, use_rec=True)
        return "".join(found.txts or ())


def _ids(text: str, alphabet: Mapping[str, int] | None) -> list[Any]:
    return list(text) if alphabet is None else [alphabet.get(letter, len(alphabet)) for letter in text]


def _in_order(corners: np.ndarray) -> np.ndarray:
    """Top left, top right, bottom right, bottom left, for lines that lean by less than 45 degrees."""
    total, difference = corners.sum(axis=1), np.diff(corners, axis=1)[:, 0]
    places = [total.argmin(), difference.argmin(), total.argmax(), difference.argmax()]
    return corners[places].astype(np.float32)


def _opencv():
    try:
        import cv2
    except ImportError as error:
        raise EvaluationError(
            "cutting lines out of pictures needs opencv-python-headless, which comes with rapidocr"
        ) from error
    return cv2
