"""Rows of a dataset -> examples: the frames that the model will see for each pair, by the same rules as in sampling.

No picture is decoded here. The condition units are built from stand-ins that have a picture's shape and no pixels, so
that the order of frames, their words and sizes come from `ace.lcu.resolve` and nowhere else.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from ....ace.encode import branch_texts
from ....ace.lcu.indicators import indicator
from ....ace.lcu.units import (
    ConditionImage,
    ConditionUnit,
    LongContext,
    ResolvedContext,
    resolve,
)
from ....ace.pictures.fit import Fit, exact_fit
from ....ace.pictures.preprocess import LATENT_PIXELS
from ....ace.pictures.resolution import Resolution
from ...dataset.disk.rows import PairRow
from ...dataset.disk.storage import safe_file
from ...dataset.store import Dataset
from ...errors import DatasetError
from ..errors import DataError
from ..progress import Progress, silent_progress
from .file_index import FileIndex

_log = logging.getLogger(__name__)
Size = tuple[int, int]
_ASPECT_TOLERANCE = 0.02  # a teacher that rounds sides to its own multiples; more is another picture


@dataclass(frozen=True)
class MaskItem:
    """A mask file at one size."""

    path: Path
    digest: str
    fit: Fit


@dataclass(frozen=True)
class PictureItem:
    """A picture file at one size; ``blanked`` is the mask under which its pixels are hidden, if they are."""

    path: Path
    digest: str
    fit: Fit
    blanked: MaskItem | None = None

    @property
    def latent_size(self) -> Size:
        return self.fit.height // LATENT_PIXELS, self.fit.width // LATENT_PIXELS


@dataclass(frozen=True)
class Example:
    """One pair as the model is given it.

    Attributes:
        id: the pair's.
        folder: its dataset's.
        target: the picture to learn.
        references: condition images of all rounds, in the order of the sequence.
        masks: one for each reference, or None.
        edited: index of the reference whose mask is also the target's; None for a picture made from text alone.
        texts, negative_texts: of the target and of each reference, in both branches of guidance.
        weight: the pair's importance.
    """

    id: str
    folder: Path
    target: PictureItem
    references: tuple[PictureItem, ...]
    masks: tuple[MaskItem | None, ...]
    edited: int | None
    texts: tuple[str, ...]
    negative_texts: tuple[str, ...]
    weight: float

    @property
    def layout(self) -> tuple[Size, ...]:
        """Latent sizes of all frames, the target first: what all samples of a batch have in common."""
        return (self.target.latent_size, *(picture.latent_size for picture in self.references))

    @property
    def place(self) -> str:
        """For messages."""
        return f"pair {self.id} of {self.folder}"


@dataclass(frozen=True)
class Plan:
    """What a run trains on and is measured on.

    Attributes:
        train, validation: examples in the order of the datasets.
        left_out: pairs that are not used, by reason.
        instruction: the most frequent one of the training pairs.
    """

    train: tuple[Example, ...]
    validation: tuple[Example, ...]
    left_out: dict[str, int] = field(default_factory=dict)
    instruction: str = ""

    @property
    def digest(self) -> str:
        """SHA-256 over everything that the examples say, pixels included."""
        digest = hashlib.sha256()
        for split in (self.train, self.validation):
            for example in split:
                digest.update(_describe(example).encode())
            digest.update(b"\0")
        return digest.hexdigest()


@dataclass(frozen=True)
class PlanSettings:
    """See ``DataSection``."""

    max_images: int = 10
    max_rounds: int = 4
    weights: str = "soft"
    weight_threshold: float = 0.5
    fill: str = "keep"
    skip_bad: bool = False


def make_plan(
    folders: Sequence[Path],
    resolution: Resolution,
    files: FileIndex,
    settings: PlanSettings,
    progress: Progress = silent_progress,
) -> Plan:
    """Reads the rows of all datasets and decides the frames of every pair.

    Raises:
        DataError: a dataset cannot be opened, a pair makes no sense (unless it may be skipped), or none is left.
    """
    train: list[Example] = []
    validation: list[Example] = []
    left_out: Counter[str] = Counter()
    instructions: Counter[str] = Counter()
    faults: list[str] = []
    for folder in folders:
        try:
            rows = {row.id: row for row in Dataset(folder).rows()}
        except DatasetError as error:
            raise DataError(str(error)) from error
        files.scan((folder / name for row in rows.values() for name in _pictures(row)), progress)
        builder = _Builder(folder, rows, resolution, files, settings)
        for row in rows.values():
            try:
                example = builder.build(row)
            except _LeftOut as reason:
                left_out[str(reason)] += 1
                continue
            except (ValueError, DatasetError) as error:
                faults.append(f"{row.id} of {folder}: {error}")
                continue
            (train if row.split == "train" else validation).append(example)
            if row.split == "train":
                instructions[row.instruction] += 1
    files.save()
    if faults:
        _report(faults, settings.skip_bad)
        left_out["cannot be read or makes no sense"] += len(faults)
    if not train:
        raise DataError(
            f"no pair is left to train on in {', '.join(map(str, folders))}; left out: {dict(left_out) or 'none'}. "
            "Capture pairs first, or relax data.max_images and data.weights"
        )
    common = instructions.most_common(1)[0][0]
    return Plan(tuple(train), tuple(validation), dict(left_out), common)


class _LeftOut(Exception):
    """A sound pair that the settings exclude; the text is the reason."""


class _Builder:
    """Makes the examples of one dataset."""

    def __init__(
        self,
        folder: Path,
        rows: dict[str, PairRow],
        resolution: Resolution,
        files: FileIndex,
        settings: PlanSettings,
    ) -> None:
        self.folder, self.rows, self.resolution, self.files, self.settings = folder, rows, resolution, files, settings

    def build(self, row: PairRow) -> Example:
        weight = self._weight(row)
        stand_ins = _StandIns(self.folder, self.files, self.settings.fill)
        context = LongContext(stand_ins.unit(row), [stand_ins.unit(earlier) for earlier in self._history(row)])
        resolved = resolve(context.keep_rounds(self.settings.max_rounds))
        if len(resolved.frames) > self.settings.max_images:
            raise _LeftOut(f"more than {self.settings.max_images} images")
        references, masks = self._references(resolved, stand_ins)
        texts, negative = branch_texts(resolved)
        return Example(
            id=row.id,
            folder=self.folder,
            target=self._target(row, None if resolved.target is None else references[resolved.target]),
            references=references,
            masks=masks,
            edited=resolved.target,
            texts=tuple(texts),
            negative_texts=tuple(negative),
            weight=weight,
        )

    def _weight(self, row: PairRow) -> float:
        if self.settings.weights == "ignore":
            return 1.0
        if self.settings.weights == "binary":
            if row.weight < self.settings.weight_threshold:
                raise _LeftOut(f"weight under {self.settings.weight_threshold:g}")
            return 1.0
        if row.weight == 0:
            raise _LeftOut("weight 0")
        return float(row.weight)

    def _history(self, row: PairRow) -> list[PairRow]:
        missing = [earlier for earlier in row.history if earlier not in self.rows]
        if missing:
            raise ValueError(f"its earlier rounds {', '.join(missing)} are not in the dataset")
        return [self.rows[earlier] for earlier in row.history]

    def _references(
        self, resolved: ResolvedContext, stand_ins: _StandIns
    ) -> tuple[tuple[PictureItem, ...], tuple[MaskItem | None, ...]]:
        pictures, masks = [], []
        for frame in resolved.frames:
            picture, mask = stand_ins.items(frame.image)
            fit = self.resolution.fit(picture.fit.source_height, picture.fit.source_width)
            mask = None if mask is None else replace(mask, fit=fit)
            blanked = mask if frame.fill != "keep" else None
            pictures.append(replace(picture, fit=fit, blanked=blanked))
            masks.append(mask)
        return tuple(pictures), tuple(masks)

    def _target(self, row: PairRow, edited: PictureItem | None) -> PictureItem:
        path = safe_file(self.folder, row.target_file_name)
        info = self.files.picture(path)
        if edited is None:
            fit = self.resolution.fit(info.height, info.width)
        else:
            fit = target_fit(info.height, info.width, edited.fit)
        return PictureItem(path, info.sha256, fit)


def target_fit(height: int, width: int, edited: Fit) -> Fit:
    """The result lies on the edited picture pixel by pixel, whatever size the teacher gave it."""
    if (height, width) == (edited.source_height, edited.source_width):
        return edited
    ratio = (height / width) / (edited.source_height / edited.source_width)
    slightly = abs(ratio - 1.0) <= _ASPECT_TOLERANCE
    return exact_fit(
        height, width, edited.height, edited.width, "crop" if edited.crops else "stretch" if slightly else "error"
    )


class _StandIns:
    """Condition units whose images have a shape but no pixels, and the way back from such an image to its file."""

    def __init__(self, folder: Path, files: FileIndex, fill: str) -> None:
        self.folder, self.files, self.fill = folder, files, fill
        self._items: list[tuple[torch.Tensor, PictureItem, MaskItem | None]] = []

    def unit(self, row: PairRow) -> ConditionUnit:
        masks = row.masks_by_index
        images = []
        for index, name in enumerate(row.image_files):
            picture, size = self._item(PictureItem, name)
            image, mask, mask_item = _shape_only(*size, 3), None, None
            if index in masks:
                mask_item, mask_size = self._item(MaskItem, masks[index])
                mask = _shape_only(*mask_size)
            self._items.append((image, picture, mask_item))
            fill = "keep" if mask is None else self.fill
            images.append(ConditionImage(image, mask, indicator(index), fill))
        return ConditionUnit(row.instruction, images)

    def items(self, image: torch.Tensor) -> tuple[PictureItem, MaskItem | None]:
        """What a stand-in stands for."""
        return next((picture, mask) for known, picture, mask in self._items if known is image)

    def _item(self, kind, name: str):
        path = safe_file(self.folder, name)
        info = self.files.picture(path)
        return kind(path, info.sha256, _whole(info.height, info.width)), (info.height, info.width)


def _shape_only(*shape: int) -> torch.Tensor:
    """(1, *shape) in the memory of one number."""
    return torch.zeros(()).expand(1, *shape)


def _whole(height: int, width: int) -> Fit:
    """Stands in until the frame's own fit is known; it only carries the source's size."""
    from ....ace.pictures.fit import PATCH_PIXELS, Box

    return Fit(height, width, Box(0, 0, height, width), PATCH_PIXELS, PATCH_PIXELS)


def _pictures(row: PairRow) -> Iterable[str]:
    return (*row.image_files, *row.mask_file_names, row.target_file_name)


def _report(faults: list[str], skip: bool) -> None:
    shown = "\n  ".join(faults[:10]) + (f"\n  … and {len(faults) - 10} more" if len(faults) > 10 else "")
    if skip:
        _log.warning("%d pairs are skipped:\n  %s", len(faults), shown)
        return
    raise DataError(
        f"{len(faults)} pairs cannot be used:\n  {shown}\nMend them (`comfyui-ace dataset check` and `repair`), or set "
        "data.on_bad_pair to skip to go on without them"
    )


def _describe(example: Example) -> str:
    """One line of JSON, without paths: the same pairs elsewhere are the same pairs."""

    def picture(item: PictureItem | MaskItem | None):
        return None if item is None else [item.digest, *fit_numbers(item.fit)]

    parts = [
        example.id,
        picture(example.target),
        [[picture(item), picture(item.blanked)] for item in example.references],
        [picture(item) for item in example.masks],
        example.edited,
        example.texts,
        example.negative_texts,
        example.weight,
    ]
    return json.dumps(parts) + "\n"


def fit_numbers(fit: Fit) -> tuple[int, ...]:
    """All that a fit says, for hashing."""
    crop = fit.crop
    return (fit.source_height, fit.source_width, crop.top, crop.left, crop.height, crop.width, fit.height, fit.width)
