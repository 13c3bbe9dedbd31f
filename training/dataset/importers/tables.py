"""Published data sets in parquet (or saved by ``datasets``): MagicBrush, InstructPix2Pix, OmniEdit, or named columns."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ...errors import DatasetError, PairError
from ..disk.images import LoadedImage, read_image, read_mask
from ..intake.black_masks import without_black
from ..intake.prepare import Pair
from ..intake.wording import one_line
from .base import ImportOptions, Item, Problem

Row = dict[str, Any]
Reader = Callable[[Row, Path], Pair]


def read_magicbrush(base: Path, options: ImportOptions) -> Iterator[Item | Problem]:
    """MagicBrush: img_id, turn_index, source_img, mask_img (transparent where the edit is), instruction, target_img.

    The turns of one picture become rounds of a history.

    Raises:
        DatasetError: there is no such table.
    """
    turns: dict[str, list[str]] = {}
    for label, row in _rows(base, ("source_img", "target_img", "instruction")):
        picture, turn = str(row.get("img_id", label)), row.get("turn_index", 1)
        earlier = turns.setdefault(picture, [])
        key = f"{picture}/{turn}"
        yield Item(label, lambda row=row, folder=base: _magicbrush(row, folder, options), key, tuple(earlier))
        earlier.append(key)


def read_instructpix2pix(base: Path, options: ImportOptions) -> Iterator[Item | Problem]:
    """InstructPix2Pix: original_image (or input_image), edit_prompt, edited_image.

    Raises:
        DatasetError: there is no such table.
    """
    for label, row in _rows(base, ("edited_image", "edit_prompt")):
        yield Item(label, lambda row=row, label=label: _instructpix2pix(row, base, label, options))


def read_omniedit(base: Path, options: ImportOptions) -> Iterator[Item | Problem]:
    """OmniEdit: src_img, edited_img, edited_prompt_list (the first is taken), task, and the scores of the two judges.

    Raises:
        DatasetError: there is no such table.
    """
    for label, row in _rows(base, ("src_img", "edited_img", "edited_prompt_list")):
        yield Item(label, lambda row=row: _omniedit(row, base, options))


def read_columns(base: Path, options: ImportOptions) -> Iterator[Item | Problem]:
    """Any parquet: the usual names of columns, or those given.

    Raises:
        DatasetError: there is no table with these columns.
    """
    source = options.source or "source"
    target = options.target or "target"
    for label, row in _rows(base, (source, target)):
        yield Item(label, lambda row=row, label=label: _columns(row, base, label, source, target, options))


def _magicbrush(row: Row, folder: Path, options: ImportOptions) -> Pair:
    source = _picture_cell(row["source_img"], folder, options)
    mask = _magicbrush_mask(row.get("mask_img"), folder, source.pixels, options)
    pixels, notes = without_black([None if mask is None else mask.pixels])
    return Pair(
        source=source,
        target=_picture_cell(row["target_img"], folder, options),
        masks=() if pixels[0] is None else (replace(mask, pixels=_resized(mask.pixels, source.pixels)),),
        notes=(*(mask.notes if notes else ()), *notes),
        instruction=options.choose_instruction(row["instruction"]),
        tags=("magicbrush",),
        name=f"magicbrush-{row.get('img_id', '')}-{row.get('turn_index', '')}",
    )


def _magicbrush_mask(cell: Any, folder: Path, source: np.ndarray, options: ImportOptions) -> LoadedImage | None:
    """The mask picture is the source with a hole: transparent pixels are the ones to edit, if the options do not say else.

    One without transparency is read as other masks are; but the source itself, without a hole, marks nothing.
    """
    if cell is None:
        return None
    if options.mask_from != "auto":
        return options.mask_picture(_file(cell, folder))
    shown = read_image(_file(cell, folder), alpha="drop")
    if shown.alpha is not None:
        return read_mask(_file(cell, folder), reading="transparent")
    if np.array_equal(shown.pixels, source):
        return replace(shown, pixels=np.zeros_like(source[..., 0]), notes=("it is the source without a hole",))
    note = "it has no transparency; its white was taken as what may change"
    loaded = options.mask_picture(_file(cell, folder))
    return replace(loaded, notes=(*loaded.notes, note))


def _resized(mask: np.ndarray, picture: np.ndarray) -> np.ndarray:
    """A mask (h, w) at the size of a picture (H, W, 3), by nearest pixels."""
    height, width = picture.shape[:2]
    if mask.shape == (height, width):
        return mask
    return np.asarray(Image.fromarray(mask).resize((width, height), Image.Resampling.NEAREST))


def _instructpix2pix(row: Row, folder: Path, label: str, options: ImportOptions) -> Pair:
    source = row.get("original_image", row.get("input_image"))
    if source is None:
        raise PairError(f"{label} has neither original_image nor input_image")
    return Pair(
        source=_picture_cell(source, folder, options),
        target=_picture_cell(row["edited_image"], folder, options),
        instruction=options.choose_instruction(row["edit_prompt"]),
        tags=("instructpix2pix",),
        name="ip2p",
    )


def _omniedit(row: Row, folder: Path, options: ImportOptions) -> Pair:
    prompts = row["edited_prompt_list"]
    prompts = json.loads(prompts) if isinstance(prompts, str) and prompts.startswith("[") else prompts
    texts = [prompts] if isinstance(prompts, str) else prompts or ()
    names = ("sc_score_1", "sc_score_2", "pq_score", "o_score")
    scores = {name: float(row[name]) for name in names if row.get(name) is not None}
    task = one_line(row.get("task") or "")
    return Pair(
        source=_picture_cell(row["src_img"], folder, options),
        target=_picture_cell(row["edited_img"], folder, options),
        instruction=options.choose_instruction(*texts),
        tags=tuple(tag for tag in ("omniedit", task) if tag),
        scores={"omniedit": scores} if scores else {},
        name=f"omniedit-{row.get('omni_edit_id', '')}",
    )


def _columns(row: Row, folder: Path, label: str, source: str, target: str, options: ImportOptions) -> Pair:
    texts = (row.get(name) for name in ("instruction", "prompt", "edit_prompt", "caption", "text"))
    masks: tuple = ()
    pictures = [_picture_cell(row[source], folder, options)] if row[source] is not None else []
    extra = [row[name] for name in options.references] or list(row.get("references") or ())
    pictures += [_picture_cell(cell, folder, options) for cell in extra]
    if options.mask:
        masks = (_mask_cell(row[options.mask], folder, options),)
    elif row.get("masks"):
        by_index = dict(zip(row.get("mask_indices") or range(len(row["masks"])), row["masks"], strict=True))
        masks = tuple(_mask_cell(by_index.get(index), folder, options) for index in range(len(pictures)))
    return Pair(
        source=pictures[0] if pictures else None,
        references=tuple(pictures[1:]),
        target=_picture_cell(row[target], folder, options),
        masks=masks,
        instruction=options.choose_instruction(*texts),
        seed=row.get("seed"),
        weight=1.0 if row.get("weight") is None else float(row["weight"]),
        scores=_parsed_scores(row.get("scores")),
        tags=tuple(row.get("tags") or ()),
        name=str(row.get("id") or label),
    )


def _parsed_scores(scores: Any) -> Row:
    """Scores as an object, or as the JSON text that our own parquet export holds."""
    value = json.loads(scores) if isinstance(scores, str) else scores
    return value if isinstance(value, dict) else {}


def _picture_cell(cell: Any, folder: Path, options: ImportOptions) -> LoadedImage:
    """Decodes a picture in a table.

    Args:
        cell: {"bytes", "path"}, plain bytes, a path beside the table, or a PIL image.
        folder: of the table.

    Raises:
        PairError: there is no picture in the cell.
        ImageError: it cannot be read.
    """
    return options.picture(_file(cell, folder))


def _mask_cell(cell: Any, folder: Path, options: ImportOptions) -> LoadedImage | None:
    return None if cell is None else options.mask_picture(_file(cell, folder))


def _file(cell: Any, folder: Path) -> Any:
    if isinstance(cell, Image.Image):
        buffer = io.BytesIO()
        cell.save(buffer, "PNG")
        buffer.seek(0)
        return buffer
    if isinstance(cell, dict):
        cell = cell.get("bytes") or cell.get("path")
    if isinstance(cell, (bytes, bytearray)):
        return io.BytesIO(cell)
    if isinstance(cell, str):
        base = folder if folder.is_dir() else folder.parent
        return base / cell
    raise PairError(f"there is no picture in the cell ({type(cell).__name__})")


def _rows(base: Path, needed: tuple[str, ...]) -> Iterator[tuple[str, Row]]:
    """Rows one small batch at a time, with a label that says where each stands."""
    if base.is_dir() and (base / "state.json").is_file():
        yield from _saved_rows(base, needed)
        return
    files = sorted(base.rglob("*.parquet")) if base.is_dir() else [base]
    if not files or not files[0].is_file():
        raise DatasetError(
            f"{base} has no parquet files. Download the data set's parquet files first (for example with "
            "`hf download --repo-type dataset NAME --local-dir FOLDER`) and name their folder."
        )
    try:
        from pyarrow import ArrowException, parquet
    except ImportError as error:
        raise DatasetError("Reading parquet needs pyarrow: pip install pyarrow") from error
    for path in files:
        try:
            table = parquet.ParquetFile(path)
        except (ArrowException, OSError) as error:
            raise DatasetError(f"{path} is not a parquet file: {error}.") from error
        _check_columns(path, table.schema_arrow.names, needed)
        number = 0
        batches = table.iter_batches(batch_size=8)
        while True:
            try:
                batch = next(batches, None)
            except (ArrowException, OSError) as error:
                raise DatasetError(f"{path} is damaged after row {number}: {error}.") from error
            if batch is None:
                break
            for row in batch.to_pylist():
                number += 1
                yield f"{path.name} row {number}", row


def _saved_rows(base: Path, needed: tuple[str, ...]) -> Iterator[tuple[str, Row]]:
    try:
        import datasets
    except ImportError as error:
        raise DatasetError("Reading a folder saved by `datasets` needs it: pip install datasets") from error
    table = datasets.load_from_disk(str(base))
    _check_columns(base, table.column_names, needed)
    for number, row in enumerate(table, 1):
        yield f"row {number}", row


def _check_columns(path: Path, names: list[str], needed: tuple[str, ...]) -> None:
    missing = [name for name in needed if name not in names]
    if missing:
        raise DatasetError(
            f"{path} has no column {', '.join(missing)}; it has {', '.join(names)}. "
            "Choose another --format, or name the columns with --format columns --source … --target …"
        )
