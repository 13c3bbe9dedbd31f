"""Augmentation: views of a pair that show the same edit in other pictures.

All pictures of a pair and its masks are changed alike, before they are encoded: flips after a picture has been brought to
the model's size, and crops at the scale of the whole, so that the edit keeps its size in pixels. A batch has one layout, so
either all of its pairs are whole or all are cropped.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np

from ....ace.pictures.fit import PATCH_PIXELS, Box, Fit
from .batch_sampler import BatchSampler
from .batches import Sample, SampleStore
from .equivariance import Finding, fit_local_map, judge_transform, read_pairs
from .examples import Example, Examples, Views
from .items import MaskItem, PictureItem

TRANSFORMS = ("hflip", "vflip", "crop")
AUTOMATIC = ("hflip", "vflip")
"""What "auto" decides about."""
_WORDS = {"hflip": "mirrored", "vflip": "upside down", "crop": "in parts"}
_CROPPED_SIDE = 0.75  # of a side that stays
_CROPPED_BATCHES = 0.5  # as many are whole: that is what the student will be asked about
_STREAM = 5  # tells these draws from other uses of the seed


def make_views(example: Example, transforms: Collection[str]) -> Views:
    """All views of an example.

    Args:
        example: of a pair.
        transforms: those of ``TRANSFORMS`` that are wanted. Crops are made only where all pictures have one size, since
            only then do they lie on each other.
    """
    flips = [flip for flip in ("", "h", "v", "hv") if _wanted(flip, transforms)]
    whole = tuple(_mapped(example, flip, None) for flip in flips)
    if "crop" not in transforms or len(set(example.layout)) > 1:
        return Views(whole)
    corners = [(bottom, right) for bottom in (0, 1) for right in (0, 1)]
    return Views(whole, tuple(_mapped(example, flip, corner) for flip in flips for corner in corners))


def with_views(examples: Examples, augment: str | Collection[str]) -> tuple[Examples, list[str]]:
    """The examples with the views that a configuration asks for, and what was decided, for people.

    Args:
        examples: of all datasets.
        augment: "off"; "auto", which decides for each dataset by itself, since each has a teacher of its own; or some of
            ``TRANSFORMS``, which are then used whatever the pairs say.
    """
    if augment == "off" or not augment:
        return examples, []
    if augment != "auto":
        return replace(examples, views=tuple(make_views(example, augment) for example in examples.train)), []
    datasets: dict[str, list[Example]] = {}
    for example in examples.train:
        datasets.setdefault(example.dataset, []).append(example)
    notes, chosen = [], {}
    for name, members in datasets.items():
        residuals = fit_local_map(read_pairs(members))
        found = {transform: judge_transform(transform, members, residuals) for transform in AUTOMATIC}
        chosen[name] = [transform for transform, finding in found.items() if finding.safe]
        where = f" of {name!r}" if len(datasets) > 1 else ""
        notes += [f"the pairs{where} are {_said(transform, finding)}" for transform, finding in found.items()]
    if not any(chosen.values()):
        return examples, notes
    views = tuple(make_views(example, chosen[example.dataset]) for example in examples.train)
    return replace(examples, views=views), notes


def _said(transform: str, finding: Finding) -> str:
    if finding.safe:
        return f"also shown {_WORDS[transform]}, which as far as they tell does not change the edit"
    return f"not shown {_WORDS[transform]} as well: {finding.reason}"


def _wanted(flip: str, transforms: Collection[str]) -> bool:
    return all(f"{axis}flip" in transforms for axis in flip)


def _mapped(example: Example, flip: str, corner: tuple[int, int] | None) -> Example:
    if not flip and corner is None:
        return example

    def picture(item: PictureItem) -> PictureItem:
        blanked = None if item.blanked is None else replace(item.blanked, fit=cropped_fit(item.blanked.fit, corner))
        return replace(item, fit=cropped_fit(item.fit, corner), flip=flip, blanked=blanked)

    def mask(item: MaskItem | None) -> MaskItem | None:
        return None if item is None else replace(item, fit=cropped_fit(item.fit, corner), flip=flip)

    return replace(
        example,
        target=picture(example.target),
        references=tuple(map(picture, example.references)),
        masks=tuple(map(mask, example.masks)),
    )


def cropped_fit(fit: Fit, corner: tuple[int, int] | None) -> Fit:
    """The fit of a part of the picture, at the same scale.

    Args:
        fit: of the whole.
        corner: (0, 0) is the part at the top left, (1, 1) that at the bottom right; None is the whole.
    """
    if corner is None:
        return fit
    height, width = (_shorter(side) for side in (fit.height, fit.width))
    box = fit.crop
    rows = max(1, round(box.height * height / fit.height))
    columns = max(1, round(box.width * width / fit.width))
    part = Box(box.top + corner[0] * (box.height - rows), box.left + corner[1] * (box.width - columns), rows, columns)
    return replace(fit, crop=part, height=height, width=width)


def _shorter(side: int) -> int:
    """A multiple of 16, as :class:`Fit` wants it."""
    return max(PATCH_PIXELS, int(side * _CROPPED_SIDE) // PATCH_PIXELS * PATCH_PIXELS)


class AugmentedBatches:
    """Batches of stored examples by number, each example in one of its views and phrasings.

    The examples of a batch are those that :class:`StoredBatches` would take.

    Args:
        store: of the views, in the order of ``views`` and within each the whole ones first.
        views: of each example.
        batch_sampler: which examples make up a batch.
        seed: draws views and phrasings, the same on every machine.
    """

    def __init__(self, store: SampleStore, views: Sequence[Views], batch_sampler: BatchSampler, seed: int) -> None:
        self.store, self.views, self.batch_sampler, self.seed = store, views, batch_sampler, seed
        sizes = [len(one.whole) + len(one.cropped) for one in views]
        self._starts = [0, *np.cumsum(sizes).tolist()]

    def part(self, number: int, rows: slice) -> list[Sample]:
        """Some of a batch's samples.

        Raises:
            DataError: a cached file is gone or damaged; the pair is named.
        """
        indices = self.batch_sampler.batch(number)
        draws = np.random.default_rng([self.seed, _STREAM, number])
        can_crop = all(self.views[index].cropped for index in indices)
        cropped = draws.random() < _CROPPED_BATCHES and can_crop
        which, phrasing = draws.random((2, len(indices)))
        chosen = [self._place(index, cropped, draw) for index, draw in zip(indices, which.tolist(), strict=True)]
        return [self.store.phrased(*one) for one in zip(chosen[rows], phrasing[rows].tolist(), strict=True)]

    def epoch_of(self, number: int) -> float:
        """Passes over the pairs before batch ``number``."""
        return self.batch_sampler.epoch_of(number)

    def _place(self, index: int, cropped: bool, draw: float) -> int:
        """Of one view among all."""
        views = self.views[index]
        first, count = (len(views.whole), len(views.cropped)) if cropped else (0, len(views.whole))
        return self._starts[index] + first + int(draw * count)
