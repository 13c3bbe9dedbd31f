"""What all exports share: choosing and grouping rows, copying files, appearing whole, notes for the user."""

from __future__ import annotations

import json
import os
import shutil
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ....ace.files import rename
from ...errors import DatasetError
from ..disk.images import read_image, read_mask, write_png
from ..disk.rows import (
    UNLABELLED_ADVICE,
    PairRow,
    caption_file,
    control_file,
    mask_file,
    numbered_folder,
)
from ..disk.storage import as_write_error, safe_file
from ..store import Dataset


@dataclass(frozen=True)
class ExportOptions:
    """How to export.

    Attributes:
        resolution: side in pixels that the trainer's configuration asks for.
        link: hard links instead of copies where possible.
        loss_masks: hand masks to trainers that weight the loss by them.
        shard_pairs: pairs a shard or parquet file.
    """

    resolution: int = 1024
    link: bool = False
    loss_masks: bool = False
    shard_pairs: int = 250

    def __post_init__(self) -> None:
        if self.resolution < 64 or self.shard_pairs < 1:
            raise DatasetError(f"resolution is at least 64 and shard_pairs at least 1, got {self}.")


@dataclass(frozen=True)
class ExportResult:
    """What was exported.

    Attributes:
        folder: what was made.
        configs: files of the trainer's own configuration.
        pairs: how many were exported.
        skipped: how many were not, by reason.
        explanation: lines for the user.
    """

    folder: Path
    configs: tuple[Path, ...]
    pairs: int
    skipped: dict[str, int]
    explanation: tuple[str, ...]


@dataclass(frozen=True)
class Group:
    """Rows of one split with the same number of condition images: trainers take one list of folders a dataset.

    Attributes:
        split: "train" or "validation".
        images: number of condition images.
        rows: in the order of writing.
    """

    split: str
    images: int
    rows: tuple[PairRow, ...]

    @property
    def name(self) -> str:
        """Name of the group's folder."""
        return f"{self.split}-{self.images}-image{'' if self.images == 1 else 's'}"


@dataclass
class Export:
    """One export under way. It is built beside its final folder and renamed when it is whole.

    Attributes:
        dataset: what is exported.
        folder: the final folder.
        options: how.
        rows: the pairs to export.
        building: where it is built.
        configs: names of the configuration files in it.
        skipped: pairs that the trainer cannot take, by reason.
        notes: lines for the user.
    """

    dataset: Dataset
    folder: Path
    options: ExportOptions
    rows: list[PairRow]
    building: Path = field(init=False)
    configs: list[str] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.building = self.folder.with_name(f".{uuid.uuid4().hex[:12]}.part")

    @property
    def training_split(self) -> str:
        """What the configuration trains on: ``train``, unless the user exports the other split alone."""
        return "train" if any(row.split == "train" for row in self.rows) else "validation"

    def final_path(self, name: str) -> str:
        """Absolute path that a file of the export will have, with forward slashes as every trainer takes them."""
        return (self.folder / name).absolute().as_posix()

    def stored_path(self, name: str) -> str:
        """Absolute path of a file of the dataset.

        Raises:
            OSError: it is not there.
            DatasetError: it is a symbolic link.
        """
        path = safe_file(self.dataset.folder, name)
        os.stat(path)
        return path.absolute().as_posix()

    def write(self, name: str, text: str, *, config: bool = False) -> None:
        """Writes a text file; config: whether it is one of the trainer's configuration."""
        path = self.building / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="\n")
        if config:
            self.configs.append(name)

    def copy(self, name: str, destination: str) -> None:
        """Copies (or hard-links) a file of the dataset to ``destination`` in the export."""
        source, target = safe_file(self.dataset.folder, name), self.building / destination
        target.parent.mkdir(parents=True, exist_ok=True)
        if self.options.link:
            try:
                os.link(source, target)
                return
            except OSError:
                pass  # another disk, or a file system without hard links
        shutil.copyfile(source, target)

    def groups(self, *, max_images: int | None = None, text_to_image: bool = False) -> list[Group]:
        """The rows by split and number of condition images; what the trainer cannot take is counted as skipped.

        Args:
            max_images: most condition images that the trainer takes.
            text_to_image: whether it takes pairs without any.

        Raises:
            DatasetError: nothing is left to train on.
        """
        found: dict[tuple[str, int], list[PairRow]] = {}
        for row in self.rows:
            count = len(row.image_files)
            if count == 0 and not text_to_image:
                self.skipped["no source image"] += 1
            elif max_images is not None and count > max_images:
                self.skipped[f"more than {max_images} condition image(s)"] += 1
            else:
                found.setdefault((row.split, count), []).append(row)
        if not any(split == self.training_split for split, _ in found):
            reasons = "; ".join(f"{count} with {reason}" for reason, count in self.skipped.items())
            raise DatasetError(f"There is nothing to export for this trainer ({reasons or 'the dataset is empty'}).")
        return [Group(split, images, tuple(rows)) for (split, images), rows in sorted(found.items())]

    def copy_group(self, group: Group, *, masks: bool = True) -> dict[str, Any]:
        """Copies a group into folders of equal file names.

        Args:
            masks: whether the trainer can weight the loss by masks.

        Returns:
            Absolute paths of the folders: {"target": …, "controls": […], "mask": … or None}.
        """
        base = group.name
        masked = masks and self.options.loss_masks and any(row.mask_file_names for row in group.rows)
        for row in group.rows:
            for index, name in enumerate(row.image_files):
                self.copy(name, f"{base}/{control_file(row.id, index)}")
            if masked:
                self._loss_mask(row, f"{base}/{mask_file(row.id, 0)}")
            self.copy(caption_file(row.id), f"{base}/{caption_file(row.id)}")
            self.copy(row.target_file_name, f"{base}/{row.target_file_name}")
        return {
            "target": self.final_path(f"{base}/target"),
            "controls": [
                self.final_path(f"{base}/{numbered_folder('control', index)}") for index in range(group.images)
            ],
            "mask": self.final_path(f"{base}/mask") if masked else None,
        }

    def _loss_mask(self, row: PairRow, destination: str) -> None:
        """The source's mask at the target's size; white where the pair has none, since trainers want one for each."""
        target = read_image(safe_file(self.dataset.folder, row.target_file_name)).pixels
        height, width = target.shape[:2]
        pixels = np.full((height, width), 255, dtype=np.uint8)
        if 0 in row.masks_by_index:
            mask = read_mask(safe_file(self.dataset.folder, row.masks_by_index[0])).pixels
            pixels = np.asarray(Image.fromarray(mask).resize((width, height), Image.Resampling.NEAREST))
        path = self.building / destination
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "xb") as file:
            write_png(file, pixels)

    def note_omissions(self, *, weights: bool = False, history: bool = False, masks: str = "") -> None:
        """Notes what of the dataset is left out, because this trainer has no place for it.

        Args:
            weights: it takes weights of pairs.
            history: it takes earlier rounds.
            masks: what it does with masks, in words.
        """
        if not weights and any(row.weight != 1 for row in self.rows):
            self.notes.append("Per-pair weights are left out: this trainer has none.")
        if not history and any(row.history for row in self.rows):
            self.notes.append("Later rounds are exported as single edits of the round before: it knows no history.")
        if any(row.mask_file_names for row in self.rows):
            self.notes.append(masks or "Masks are left out: this trainer takes none as an input.")

    def finish(self) -> ExportResult:
        """Gives the export its final name."""
        rename(self.building, self.folder)
        return ExportResult(
            folder=self.folder,
            configs=tuple(self.folder / name for name in self.configs),
            pairs=len(self.rows) - sum(self.skipped.values()),
            skipped=dict(self.skipped),
            explanation=tuple(self.notes),
        )


def open_export(dataset: Dataset, output: str | os.PathLike, split: str | None, options: ExportOptions) -> Export:
    """Checks the output folder and chooses the rows.

    Raises:
        DatasetError: something is there already, or there are no pairs.
    """
    folder = Path(output).absolute()
    if os.path.lexists(folder):
        raise DatasetError(f"{folder} is there already. Choose another output; nothing existing is overwritten.")
    rows = list(dataset.rows(split))
    labelled = [row for row in rows if row.labelled]
    where = f" in the split {split!r}" if split else ""
    if not rows:
        raise DatasetError(f"{dataset.folder} has no pairs{where} to export.")
    if not labelled:
        raise DatasetError(f"No pair of {dataset.folder}{where} has an instruction yet. {UNLABELLED_ADVICE}")
    export = Export(dataset, folder, options, labelled)
    if len(labelled) < len(rows):
        export.notes.append(
            f"{len(rows) - len(labelled)} pairs without an instruction are left out. {UNLABELLED_ADVICE}"
        )
    return export


def as_dataset_error(error: OSError, export: Export) -> DatasetError:
    """Turns a failure of the disk into an error that says on which side it happened, dataset or output."""
    name = str(error.filename or "")
    if isinstance(error, FileNotFoundError) and name.startswith(str(export.dataset.folder)):
        return DatasetError(f"{name} is missing. Run `dataset check`, then `dataset repair`.")
    return as_write_error(error, export.folder)


def toml_value(value: Any) -> str:
    """A TOML value: texts, numbers, booleans and lists of them."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(toml_value(entry) for entry in value) + "]"
    if isinstance(value, str):
        # TOML's basic strings have JSON's escapes, apart from DEL, which it wants escaped.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return repr(value)


def toml_table(header: str, values: dict[str, Any]) -> str:
    """One table with its header line, such as ``[general]`` or ``[[directory]]``."""
    return "\n".join([header, *(f"{key} = {toml_value(value)}" for key, value in values.items())]) + "\n"


def iter_shards(rows: list[PairRow], size: int) -> Iterator[tuple[str, int, int, list[PairRow]]]:
    """Divides rows into shards, the splits one after the other.

    Args:
        size: most rows in a shard.

    Yields:
        (split, number of the shard, number of shards of the split, rows).
    """
    for split in sorted({row.split for row in rows}):
        chosen = [row for row in rows if row.split == split]
        count = -(-len(chosen) // size)
        for number in range(count):
            yield split, number, count, chosen[number * size : (number + 1) * size]
