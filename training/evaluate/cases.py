"""Held-out pairs as the student's inputs: the same frames, sizes and words that the trainer makes of a row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from ...ace.lcu.frames import FittedFrame, fit_frames
from ...ace.lcu.indicators import indicator
from ...ace.lcu.units import (
    ConditionImage,
    ConditionUnit,
    LongContext,
    resolve,
)
from ...ace.pictures.fit import Fit
from ...ace.pictures.preprocess import binarize, fit_image, fit_mask
from ...ace.pictures.resolution import Resolution
from ..dataset.disk.images import read_image
from ..dataset.disk.rows import UNLABELLED_ADVICE, PairRow
from ..dataset.disk.storage import safe_file
from ..dataset.store import Dataset
from ..trainer.data.examples import target_fit
from ..trainer.monitoring.validation import subsample_equally
from .errors import EvaluationError

Picture = torch.Tensor  # (1, H, W, 3), 0 … 1


@dataclass(frozen=True, eq=False)
class Case:
    """One pair, with its pictures at the size the model works at.

    Attributes:
        row: the pair's.
        folder: its dataset's.
        context: the student's input.
        resolution: gives the student's result the teacher's size.
        condition_images: of all rounds, as the model sees them, labelled.
        source: the picture that is edited, before the edit; None for a picture made from text alone.
        mask: (1, H, W) of zeros and ones where the source may change; None means everywhere.
        teacher: the teacher's result.
        other_seed: the teacher's result for the same inputs with another seed, if the dataset has it.
    """

    row: PairRow
    folder: Path
    context: LongContext
    resolution: Resolution
    condition_images: tuple[tuple[str, Picture], ...]
    source: Picture | None
    mask: torch.Tensor | None
    teacher: Picture
    other_seed: Picture | None

    def pasted(self, result: Picture) -> Picture:
        """What is compared with the teacher's result.

        Args:
            result: the student's.

        Returns:
            where the case has a mask only the masked part of the result, the rest being the source, as in the replacement
            workflow.
        """
        return result if self.mask is None else torch.where(self.mask[..., None] > 0, result, self.source)


@dataclass(frozen=True)
class CaseSettings:
    """Which pairs are evaluated, and how much of their history.

    Attributes:
        split: "validation", "train" or None for both.
        max_pairs: at most so many, spread evenly over the datasets.
        max_rounds: rounds of history to keep, the latest.
        fill: what the model sees under a mask, "keep" or "blank"; as in training.
        leave_out: pairs that are not evaluated, by the dataset's folder and their id.
    """

    split: str | None = "validation"
    max_pairs: int = 32
    max_rounds: int = 4
    fill: str = "keep"
    leave_out: frozenset[tuple[Path, str]] = frozenset()


def choose_rows(folders: Sequence[Path], settings: CaseSettings) -> list[tuple[Dataset, PairRow]]:
    """The pairs to evaluate.

    Raises:
        EvaluationError: there is none.
        DatasetError: a folder is no dataset.
    """
    datasets = [Dataset(folder) for folder in folders]
    there = [[(dataset, row) for row in dataset.rows(settings.split)] for dataset in datasets]
    found = [
        [
            (dataset, row)
            for dataset, row in pairs
            if row.labelled and (dataset.folder, row.id) not in settings.leave_out
        ]
        for pairs in there
    ]
    if any(there) and not any(found):
        raise EvaluationError(f"none of the {sum(map(len, there))} pairs has an instruction yet. {UNLABELLED_ADVICE}")
    if not any(found):
        raise EvaluationError(
            f"{', '.join(str(folder) for folder in folders)} has no pair in the split {settings.split or 'of any name'}; "
            "hold pairs out with `comfyui-ace dataset split DATASET`, or evaluate on --split train, whose score is too good"
        )
    # A small dataset is an edit of its own, which must not be lost among many pairs of others.
    return subsample_equally(found, settings.max_pairs)


def make_cases(
    chosen: Sequence[tuple[Dataset, PairRow]], resolution: Resolution, settings: CaseSettings
) -> Iterator[Case]:
    """Opens the pairs one after the other.

    Args:
        chosen: from :func:`choose_rows`.
        resolution: the rule for sizes, as in training.
        settings: history and fill.

    Raises:
        ImageError, DatasetError, ValueError: a pair cannot be read or makes no sense; it is named.
    """
    rows = {dataset.folder: {row.id: row for row in dataset.rows()} for dataset, _ in chosen}
    for dataset, row in chosen:
        try:
            yield _make_case(dataset, row, rows[dataset.folder], resolution, settings)
        except (ValueError, KeyError) as error:
            raise EvaluationError(f"pair {row.id} of {dataset.folder} cannot be used: {error}") from error


def _make_case(
    dataset: Dataset, row: PairRow, rows: dict[str, PairRow], resolution: Resolution, settings: CaseSettings
) -> Case:
    units = [_unit(dataset, rows[earlier], settings.fill) for earlier in row.history]
    context = LongContext(_unit(dataset, row, settings.fill), units).keep_rounds(settings.max_rounds)
    resolved = resolve(context)
    frames = fit_frames(resolved, resolution)
    edited = None if resolved.target is None else frames[resolved.target]
    height, width, teacher = _read(dataset, row.target_file_name)
    if edited is None:
        fit = resolution.fit(height, width)
        resolution = Resolution(resolution.fit, (fit.height, fit.width))
    else:
        fit = target_fit(height, width, edited.fit)
    other = _other_seed(dataset, row, rows)
    return Case(
        row=row,
        folder=dataset.folder,
        context=context,
        resolution=resolution,
        condition_images=tuple((frame.frame.indicator, frame.image()) for frame in frames),
        source=None if edited is None else fit_image(edited.frame.image, edited.fit),
        mask=None if edited is None else _mask(edited),
        teacher=fit_image(teacher, fit),
        other_seed=None if other is None else _like(dataset, other, fit, edited),
    )


def _unit(dataset: Dataset, row: PairRow, fill: str) -> ConditionUnit:
    pair = dataset.load(row)
    images = []
    for index, pixels in enumerate(pair.images):
        mask = None if pair.masks[index] is None else _floats(pair.masks[index])
        images.append(
            ConditionImage(_floats(pixels), mask, indicator(index), "keep" if mask is None else fill),
        )
    return ConditionUnit(row.instruction, images)


def _mask(edited: FittedFrame) -> torch.Tensor | None:
    """Where the source may change, at the model's size; one that marks nothing means everywhere."""
    if edited.frame.mask is None:
        return None
    mask = fit_mask(binarize(edited.frame.mask), edited.fit)
    return mask if mask.any() else None


def _read(dataset: Dataset, name: str) -> tuple[int, int, Picture]:
    pixels = read_image(safe_file(dataset.folder, name)).pixels
    return pixels.shape[0], pixels.shape[1], _floats(pixels)


def _floats(pixels: np.ndarray) -> torch.Tensor:
    """(1, *shape), 0 … 1."""
    return torch.from_numpy(pixels)[None].float() / 255.0


def _other_seed(dataset: Dataset, row: PairRow, rows: dict[str, PairRow]) -> PairRow | None:
    """A pair of the same inputs whose result the teacher drew with another seed."""
    if row.seed is None or not row.source_hash:
        return None
    for other in rows.values():
        same = (other.source_hash, other.instruction, other.history) == (row.source_hash, row.instruction, row.history)
        if same and other.seed not in (None, row.seed) and _same_files(dataset.folder, row, other):
            return other
    return None


def _same_files(folder: Path, row: PairRow, other: PairRow) -> bool:
    """Whether references and masks are the same too."""
    ours, theirs = ((*one.reference_file_names, *one.mask_file_names) for one in (row, other))
    return len(ours) == len(theirs) and all(
        safe_file(folder, one).read_bytes() == safe_file(folder, two).read_bytes()
        for one, two in zip(ours, theirs, strict=True)
    )


def _like(dataset: Dataset, other: PairRow, fit: Fit, edited: FittedFrame | None) -> Picture | None:
    """The other result at the size of the first."""
    height, width, picture = _read(dataset, other.target_file_name)
    if edited is not None:
        return fit_image(picture, target_fit(height, width, edited.fit))
    return fit_image(picture, fit) if (height, width) == (fit.source_height, fit.source_width) else None
