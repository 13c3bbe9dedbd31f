"""The published ACE csv (``Target:FILE``, ``Source:FILE``, ``Prompt``) and ACE++'s (delimiter ``#;#``)."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path

from ...errors import DatasetError, PairError
from ..intake.prepare import Pair
from ..intake.wording import one_line
from .base import ImportOptions, Item, Problem

_PLUS_DELIMITER = "#;#"


def read_ace_csv(base: Path, options: ImportOptions) -> Iterator[Item | Problem]:
    """A csv file, or a folder with exactly one (or a ``train.csv``) in it. Files are named relative to its folder.

    Raises:
        DatasetError: it cannot be read, or is no csv of ACE.
    """
    path = _table(base)
    text = options.text(path)
    plus = _PLUS_DELIMITER in text.partition("\n")[0]
    needed, build = ("target_image", _plus_pair) if plus else ("Target:FILE", _pair)
    rows = _plus_rows(text) if plus else _rows(text)
    empty = True
    for number, row in rows:
        label = f"{path.name} line {number}"
        if isinstance(row, str):
            yield Problem(label, row)
            continue
        if needed not in row:
            raise DatasetError(f"{path} is not an ACE csv: it has no column {needed}.")
        empty = False
        yield Item(label, lambda row=row: build(row, path.parent, options))
    if empty:
        raise DatasetError(f"{path} is not an ACE csv: it has no rows.")


def _table(base: Path) -> Path:
    if not base.is_dir():
        return base
    found = sorted(base.glob("*.csv"))
    train = base / "train.csv"
    if train in found or len(found) == 1:
        return train if train in found else found[0]
    raise DatasetError(f"{base} has {len(found)} csv files. Name the one to import.")


def _rows(text: str) -> Iterator[tuple[int, dict[str, str | None] | str]]:
    """Rows by the line on which they end; where one cannot be read, why."""
    reader = csv.DictReader(io.StringIO(text, newline=""))
    while True:
        try:
            row = next(reader, None)
        except csv.Error as error:
            yield reader.line_num + 1, f"cannot be read: {error}"  # it counts a line when it has read it
            continue
        if row is None:
            return
        yield reader.line_num, row


def _plus_rows(text: str) -> Iterator[tuple[int, dict[str, str | None]]]:
    """ACE++ quotes nothing: a line is a row."""
    lines = [(number, line.rstrip("\r")) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    names = [name.strip() for name in lines[0][1].split(_PLUS_DELIMITER)]
    for number, line in lines[1:]:
        cells: list[str | None] = [*line.split(_PLUS_DELIMITER), *[None] * len(names)]
        yield number, dict(zip(names, cells, strict=False))


def _file(row: dict[str, str | None], name: str, folder: Path) -> Path | None:
    """The file that a cell names; None where it is empty or the row ends before it."""
    value = (row.get(name) or "").strip()
    return folder / value if value else None


def _target(row: dict[str, str | None], name: str, folder: Path) -> Path:
    path = _file(row, name, folder)
    if path is None:
        raise PairError(f"the row names no picture in its column {name}")
    return path


def _tags(row: dict[str, str | None], name: str) -> tuple[str, ...]:
    return tuple(tag for tag in (one_line(row.get(name) or ""),) if tag)


def _pair(row: dict[str, str | None], folder: Path, options: ImportOptions) -> Pair:
    target, source = _target(row, "Target:FILE", folder), _file(row, "Source:FILE", folder)
    return Pair(
        source=options.picture(source) if source else None,
        target=options.picture(target),
        instruction=options.choose_instruction(row.get("Prompt"), row.get("prompt")),
        tags=_tags(row, "Style"),
        name=target.stem,
    )


def _plus_pair(row: dict[str, str | None], folder: Path, options: ImportOptions) -> Pair:
    """edit_image is the source with edit_mask; ref_image a reference. Without edit_image the reference is the source."""
    target = _target(row, "target_image", folder)
    edit, reference, mask = (_file(row, name, folder) for name in ("edit_image", "ref_image", "edit_mask"))
    images = [options.picture(file) for file in (edit, reference) if file is not None]
    return Pair(
        source=images[0] if images else None,
        references=tuple(images[1:]),
        masks=(options.mask_picture(mask),) if mask and edit else (),
        target=options.picture(target),
        instruction=options.choose_instruction(row.get("prompt")),
        tags=_tags(row, "data_type"),
        name=target.stem,
    )
