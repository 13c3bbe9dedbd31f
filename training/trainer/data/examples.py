"""Rows of a dataset -> examples: the frames that the model will see for each pair, by the same rules as in sampling.

No picture is decoded here. The condition units are built from placeholders that have a picture's shape and no pixels, so
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

from ....ace.encode import branch_texts
from ....ace.lcu.units import LongContext, ResolvedContext, resolve
from ....ace.pictures.fit import Fit, exact_fit
from ....ace.pictures.resolution import Resolution
from ...dataset.disk.rows import UNLABELLED_ADVICE, PairRow
from ...dataset.disk.storage import safe_file
from ...dataset.store import Dataset
from ...errors import DatasetError
from ...listing import first_lines
from ..errors import DataError
from ..progress import Progress, silent_progress
from .division import outside_subset
from .file_index import FileIndex
from .items import MaskItem, PictureItem, Size, fit_numbers
from .placeholders import Placeholders

_log = logging.getLogger(__name__)
_FAULTS_SHOWN = 10  # in a message
_UNLABELLED = "no instruction yet"
_ADVICE = "Capture pairs first, or relax data.max_images and data.weights"
_ASPECT_TOLERANCE = 0.02  # a teacher that rounds sides to its own multiples; more is another picture


@dataclass(frozen=True)
class Example:
    """One pair as the model is given it.

    Attributes:
        id: the pair's.
        folder: its dataset's.
        dataset: the name by which the run tells it from its other datasets.
        target: the picture to learn.
        references: condition images of all rounds, in the order of the sequence.
        masks: one for each reference, or None.
        edited: index of the reference whose mask is also the target's; None for a picture made from text alone.
        texts, negative_texts: of the target and of each reference, in both branches of guidance.
        weight: the pair's importance.
        phrasings: texts as ``texts`` has them, in the further phrasings of the pair's instruction.
    """

    id: str
    folder: Path
    dataset: str
    target: PictureItem
    references: tuple[PictureItem, ...]
    masks: tuple[MaskItem | None, ...]
    edited: int | None
    texts: tuple[str, ...]
    negative_texts: tuple[str, ...]
    weight: float
    phrasings: tuple[tuple[str, ...], ...] = ()

    @property
    def layout(self) -> tuple[Size, ...]:
        """Latent sizes (h, w) of all frames, the target first: what all samples of a batch have in common."""
        return (self.target.latent_size, *(picture.latent_size for picture in self.references))

    @property
    def all_texts(self) -> tuple[tuple[str, ...], ...]:
        """Whatever of it may have to be encoded: the texts, those of the negative branch, and all phrasings."""
        return (self.texts, self.negative_texts, *self.phrasings)

    @property
    def place(self) -> str:
        """For messages."""
        return f"pair {self.id} of {self.folder}"


@dataclass(frozen=True)
class Views:
    """What augmentation makes of one example: the same edit in other pictures.

    Attributes:
        whole: of the example's own layout, itself the first.
        cropped: parts of it, all of one smaller layout; empty where there are none.
    """

    whole: tuple[Example, ...]
    cropped: tuple[Example, ...] = ()


@dataclass(frozen=True)
class Examples:
    """What a run trains on and is measured on.

    Attributes:
        train, validation: examples in the order of the datasets.
        left_out: pairs that are not used, by reason.
        instruction: the most frequent one of the training pairs.
        triggers: the same within each dataset.
        views: of each of the training examples, in their order; empty without augmentation.
    """

    train: tuple[Example, ...]
    validation: tuple[Example, ...]
    left_out: dict[str, int] = field(default_factory=dict)
    instruction: str = ""
    triggers: dict[str, str] = field(default_factory=dict)
    views: tuple[Views, ...] = ()

    @property
    def further_views(self) -> tuple[Example, ...]:
        """What augmentation has added to the training examples."""
        return tuple(view for views in self.views for view in (*views.whole[1:], *views.cropped))

    @property
    def digest(self) -> str:
        """SHA-256 over everything that the examples say, pixels included."""
        digest = hashlib.sha256()
        for split in (self.train, self.validation):
            for example in split:
                digest.update(_describe(example).encode())
            digest.update(b"\0")
        for example in self.further_views:
            digest.update(_describe(example).encode())
        return digest.hexdigest()


@dataclass(frozen=True)
class ExampleSettings:
    """Which pairs become examples, and how: the settings of :class:`DataSection` of the same names.

    Attributes:
        skip_bad: log pairs that cannot be used instead of raising.
    """

    max_images: int = 10
    max_rounds: int = 4
    weights: str = "soft"
    weight_threshold: float = 0.5
    fill: str = "keep"
    subset: str = "all"
    skip_bad: bool = False


def make_examples(
    folders: Sequence[Path],
    resolution: Resolution,
    files: FileIndex,
    settings: ExampleSettings,
    progress: Progress = silent_progress,
) -> Examples:
    """Reads the rows of all datasets and decides the frames of every pair.

    Args:
        folders: of the datasets.
        resolution: the rule for sizes.
        files: hashes and sizes of the pictures; new ones are added and saved.
        settings: which pairs are used.
        progress: told how many pictures have been read.

    Raises:
        DataError: a dataset cannot be opened, a pair makes no sense (unless it may be skipped), or none is left.
    """
    train: list[Example] = []
    validation: list[Example] = []
    left_out: Counter[str] = Counter()
    instructions: dict[str, Counter[str]] = {}
    faults: list[str] = []
    for folder, name in zip(folders, dataset_names(folders), strict=True):
        try:
            rows = {row.id: row for row in Dataset(folder).rows()}
        except DatasetError as error:
            raise DataError(str(error)) from error
        files.scan((folder / name for row in rows.values() for name in _picture_files(row)), progress)
        builder = _Builder(folder, name, rows, resolution, files, settings)
        outside = outside_subset(rows.values(), settings.subset)
        for row in rows.values():
            if row.id in outside:
                left_out[f"not in the {settings.subset}"] += 1
                continue
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
                instructions.setdefault(name, Counter())[row.instruction] += 1
    files.save()
    if faults:
        _report_faults(faults, settings.skip_bad)
        left_out["cannot be read or makes no sense"] += len(faults)
    if not train:
        raise DataError(
            f"no pair is left to train on in {', '.join(map(str, folders))}; left out: {dict(left_out) or 'none'}. "
            f"{UNLABELLED_ADVICE if _UNLABELLED in left_out else _ADVICE}"
        )
    triggers = {name: found.most_common(1)[0][0] for name, found in instructions.items()}
    common = sum(instructions.values(), Counter()).most_common(1)[0][0]
    return Examples(tuple(train), tuple(validation), dict(left_out), common, triggers)


def dataset_names(folders: Sequence[Path]) -> list[str]:
    """Names that tell datasets apart: that of the folder, with those above it where two have the same."""
    names = [folder.name for folder in folders]
    return [name if names.count(name) == 1 else folder.as_posix() for name, folder in zip(names, folders, strict=True)]


class _LeftOut(Exception):
    """A sound pair that the settings exclude; the text is the reason."""


class _Builder:
    """Makes the examples of one dataset."""

    def __init__(
        self,
        folder: Path,
        name: str,
        rows: dict[str, PairRow],
        resolution: Resolution,
        files: FileIndex,
        settings: ExampleSettings,
    ) -> None:
        self.folder, self.name, self.rows = folder, name, rows
        self.resolution, self.files, self.settings = resolution, files, settings

    def build(self, row: PairRow) -> Example:
        """The example of one pair.

        Raises:
            _LeftOut: the settings exclude the pair.
            ValueError, DatasetError: it makes no sense, or a file cannot be read.
        """
        weight = self._weight(row)
        rounds = [*self._history(row), row]
        if not all(one.labelled for one in rounds):
            raise _LeftOut(_UNLABELLED)
        placeholders = Placeholders(self.folder, self.files, self.settings.fill)
        resolved = self._resolve(rounds, placeholders)
        if len(resolved.frames) > self.settings.max_images:
            raise _LeftOut(f"more than {self.settings.max_images} images")
        references, masks = self._references(resolved, placeholders)
        texts, negative = branch_texts(resolved)
        return Example(
            id=row.id,
            folder=self.folder,
            dataset=self.name,
            target=self._target(row, None if resolved.target is None else references[resolved.target]),
            references=references,
            masks=masks,
            edited=resolved.target,
            texts=tuple(texts),
            negative_texts=tuple(negative),
            weight=weight,
            phrasings=self._phrasings(rounds),
        )

    def _resolve(self, rounds: Sequence[PairRow], placeholders: Placeholders, phrasing: int = 0) -> ResolvedContext:
        units = [placeholders.unit(row, _nth(row.all_instructions, phrasing)) for row in rounds]
        return resolve(LongContext(units[-1], units[:-1]).keep_rounds(self.settings.max_rounds))

    def _phrasings(self, rounds: Sequence[PairRow]) -> tuple[tuple[str, ...], ...]:
        """The texts in each further phrasing; a round that has fewer begins anew."""
        count = max(len(row.all_instructions) for row in rounds)
        found = []
        for number in range(1, count):
            placeholders = Placeholders(self.folder, self.files, self.settings.fill)
            found.append(tuple(branch_texts(self._resolve(rounds, placeholders, number))[0]))
        return tuple(found)

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
        self, resolved: ResolvedContext, placeholders: Placeholders
    ) -> tuple[tuple[PictureItem, ...], tuple[MaskItem | None, ...]]:
        pictures, masks = [], []
        for frame in resolved.frames:
            picture, mask = placeholders.items(frame.image)
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
    """How a result is fitted: it lies on the edited picture pixel by pixel, whatever size the teacher gave it.

    Args:
        height, width: of the result's file.
        edited: how the edited picture is fitted.

    Raises:
        ValueError: the result has another aspect ratio.
    """
    if (height, width) == (edited.source_height, edited.source_width):
        return edited
    ratio = (height / width) / (edited.source_height / edited.source_width)
    slightly = abs(ratio - 1.0) <= _ASPECT_TOLERANCE
    return exact_fit(
        height, width, edited.height, edited.width, "crop" if edited.crops else "stretch" if slightly else "error"
    )


def _nth(texts: Sequence[str], number: int) -> str:
    return texts[number % len(texts)]


def _picture_files(row: PairRow) -> Iterable[str]:
    return (*row.image_files, *row.mask_file_names, row.target_file_name)


def _report_faults(faults: list[str], skip: bool) -> None:
    """Logs faults where their pairs are skipped.

    Raises:
        DataError: they are not skipped.
    """
    shown = "\n  ".join(first_lines(faults, _FAULTS_SHOWN))
    if skip:
        _log.warning("%d pairs are skipped:\n  %s", len(faults), shown)
        return
    raise DataError(
        f"{len(faults)} pairs cannot be used:\n  {shown}\nRepair them (`comfyui-ace dataset check` and `repair`), or set "
        "data.on_bad_pair to skip to go on without them"
    )


def _describe(example: Example) -> str:
    """One line of JSON, without paths: the same pairs elsewhere are the same pairs."""

    def picture(item: PictureItem | MaskItem | None):
        return None if item is None else [item.digest, *fit_numbers(item.fit), *([item.flip] if item.flip else [])]

    parts = [
        example.id,
        picture(example.target),
        [[picture(item), picture(item.blanked)] for item in example.references],
        [picture(item) for item in example.masks],
        example.edited,
        example.texts,
        example.negative_texts,
        example.weight,
        *([example.phrasings] if example.phrasings else []),
    ]
    return json.dumps(parts) + "\n"
