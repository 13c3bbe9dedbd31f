"""The published ACE csv (`Target:FILE`, `Source:FILE`, `Prompt`) and ACE++'s (delimiter `#;#`)."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from ..errors import DatasetError
from ..images import read_image, read_mask
from ..prepare import Pair, one_line
from .base import ImportOptions, Item, Problem

_PLUS_DELIMITER = "#;#"


def read_ace_csv(base: Path, options: ImportOptions) -> Iterator[Item | Problem]:
    """A csv file, or a folder with exactly one (or a `train.csv`) in it. Files are named relative to its folder."""
    path = _table(base)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"{path} cannot be read: {error}.") from error
    first = text.partition("\n")[0]
    plus = _PLUS_DELIMITER in first
    rows = _plus_rows(text) if plus else list(csv.DictReader(text.splitlines()))
    needed = ("target_image", "prompt") if plus else ("Target:FILE",)
    missing = [name for name in needed if rows and name not in rows[0]]
    if missing or not rows:
        raise DatasetError(f"{path} is no ACE csv: it has no column {', '.join(missing) or needed[0]} or no rows.")
    for number, row in enumerate(rows, 2):
        label = f"{path.name} line {number}"
        if plus:
            yield Item(label, lambda row=row: _plus_pair(row, path.parent, options))
        else:
            yield Item(label, lambda row=row: _pair(row, path.parent, options))


def _table(base: Path) -> Path:
    if not base.is_dir():
        return base
    found = sorted(base.glob("*.csv"))
    train = base / "train.csv"
    if train in found or len(found) == 1:
        return train if train in found else found[0]
    raise DatasetError(f"{base} has {len(found)} csv files. Name the one to import.")


def _plus_rows(text: str) -> list[dict[str, str]]:
    lines = [line for line in text.splitlines() if line.strip()]
    names = [name.strip() for name in lines[0].split(_PLUS_DELIMITER)]
    return [dict(zip(names, line.split(_PLUS_DELIMITER), strict=False)) for line in lines[1:]]


def _pair(row: dict[str, str], folder: Path, options: ImportOptions) -> Pair:
    source = (row.get("Source:FILE") or "").strip()
    target = folder / row["Target:FILE"].strip()
    return Pair(
        source=read_image(folder / source).pixels if source else None,
        target=read_image(target).pixels,
        instruction=one_line(row.get("Prompt") or row.get("prompt") or options.instruction),
        tags=tuple(tag for tag in (one_line(row.get("Style") or ""),) if tag),
        name=target.stem,
    )


def _plus_pair(row: dict[str, str], folder: Path, options: ImportOptions) -> Pair:
    """edit_image is the source with edit_mask; ref_image a reference. Without edit_image the reference is the source."""

    def picture(name: str):
        value = (row.get(name) or "").strip()
        return read_image(folder / value).pixels if value else None

    edit, reference = picture("edit_image"), picture("ref_image")
    mask = (row.get("edit_mask") or "").strip()
    images = [image for image in (edit, reference) if image is not None]
    target = folder / row["target_image"].strip()
    return Pair(
        source=images[0] if images else None,
        references=tuple(images[1:]),
        masks=(read_mask(folder / mask).pixels,) if mask and edit is not None else (),
        target=read_image(target).pixels,
        instruction=one_line(row.get("prompt") or options.instruction),
        tags=tuple(tag for tag in (one_line(row.get("data_type") or ""),) if tag),
        name=target.stem,
    )
