"""What a benchmark asks: sessions of one or several turns of editing, whose pictures are opened when they are needed."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from PIL import Image

from ....ace.text_files import TextEncodingError, read_text
from ...dataset.disk.images import read_image, read_mask
from ...errors import ImageError
from ..errors import EvaluationError

Picture = Callable[[], Image.Image]
Setting = Literal["single", "multi", "history"]
SETTINGS: tuple[Setting, ...] = ("single", "multi", "history")
_UNSAFE = re.compile(r"[^A-Za-z0-9.-]+")


@dataclass(frozen=True, eq=False)
class Turn:
    """One edit.

    Attributes:
        id: unique in its benchmark, and a file name everywhere.
        instruction: what is asked for, in plain words.
        source: the picture before the edit; None where one is made from words alone.
        target: the ground truth, where there is one.
        mask: grey, white where the source may change.
        source_caption, target_caption: what the pictures show.
        task: kind of edit.
        references: further pictures.
        lines: text the result shall show, each with its mask.
    """

    id: str
    instruction: str
    source: Picture | None
    target: Picture | None = None
    mask: Picture | None = None
    source_caption: str = ""
    target_caption: str = ""
    task: str = ""
    references: tuple[Picture, ...] = ()
    lines: tuple[tuple[str, Picture], ...] = ()


@dataclass(frozen=True, eq=False)
class Session:
    """Turns that follow each other on one picture, oldest first."""

    turns: tuple[Turn, ...]

    @property
    def id(self) -> str:
        return self.turns[0].id

    def measured(self, setting: Setting) -> tuple[Turn, ...]:
        """The turns whose results count: all of them on their own, or the last of the chain."""
        return self.turns if setting == "single" else self.turns[-1:]


def safe_id(*parts: object) -> str:
    """A file name out of what a benchmark calls a turn."""
    name = _UNSAFE.sub("-", "-".join(str(part) for part in parts)).strip("-.")
    if not name:
        raise EvaluationError(f"{parts!r:.80} gives no name for a file")
    return name[:120]


def file_picture(root: Path, name: str, *, mask: bool = False) -> Picture:
    """A picture by its name below ``root``.

    Args:
        root: folder.
        name: of the file.
        mask: it is one, in any of the ways that ``ace.pictures.files.mask_reading`` knows; it is then opened as grey.

    Raises:
        EvaluationError: the name leads out of the folder. A missing file is said when it is opened.
    """
    path = (root / name).resolve()
    if not path.is_relative_to(root.resolve()):
        raise EvaluationError(f"{name!r:.120} leads out of {root}")

    def load() -> Image.Image:
        try:
            return Image.fromarray((read_mask if mask else read_image)(path).pixels)
        except (ImageError, OSError) as error:
            raise EvaluationError(f"{path} cannot be read: {error}") from error

    return load


def numbered_lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines of a JSONL file that hold something, counted from 1.

    Line feeds alone part them: the texts in them may have other breaks, such as U+2028.

    Raises:
        EvaluationError: it cannot be read, or its letters are not certain.
    """
    try:
        text = read_text(path)
    except (TextEncodingError, OSError) as error:
        raise EvaluationError(f"{path} cannot be read: {error}") from error
    return ((number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip())


def cell_picture(cell: Any, root: Path) -> Picture | None:
    """A picture in a table: bytes, a path, or both as ``datasets`` writes them; None for an empty cell."""
    if isinstance(cell, dict):
        cell = cell.get("bytes") or cell.get("path")
    if not cell:
        return None
    if isinstance(cell, str):
        return file_picture(root, cell)

    def load() -> Image.Image:
        try:
            return Image.fromarray(read_image(io.BytesIO(cell)).pixels)
        except ImageError as error:
            raise EvaluationError(f"a picture in a table of {root} cannot be read: {error}") from error

    return load


def table_rows(folder: Path) -> Iterator[dict[str, Any]]:
    """Rows of the parquet files in a folder and below, file by file.

    Raises:
        EvaluationError: there is none, one cannot be read, or the package that reads them is missing.
    """
    files = sorted(folder.rglob("*.parquet"))
    if not files:
        raise EvaluationError(f"{folder} has no parquet files")
    try:
        import pyarrow.parquet as parquet
    except ImportError as error:
        raise EvaluationError("parquet files are read by the package pyarrow: pip install pyarrow") from error
    for file in files:
        try:
            for batch in parquet.ParquetFile(file).iter_batches(batch_size=8):
                yield from batch.to_pylist()
        except (OSError, ValueError) as error:
            raise EvaluationError(f"{file} cannot be read: {error}") from error


def single_sessions(turns: Sequence[Turn]) -> Iterator[Session]:
    """Turns that have nothing to do with each other."""
    return (Session((turn,)) for turn in turns)
