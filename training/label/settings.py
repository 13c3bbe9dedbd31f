"""What a labeller is asked for, and what it is shown of a pair."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image, ImageOps

from ..dataset.disk.rows import PairRow
from ..dataset.store import Dataset

FORMS = ("imperative", "short", "long", "casual")
LANGUAGES = ("en", "zh")


@dataclass(frozen=True)
class LabelSettings:
    """How pairs are labelled.

    Attributes:
        languages: of the instructions; "en" is what the published models read.
        forms: of the instructions, some of ``FORMS``.
        rewrites: further wordings asked for, one after the other.
        tasks: recognise tasks by the pixels, and take the templates for them.
        split: "train", "validation" or None for both.
        limit: at most so many pairs; 0 for all.
        again: also pairs that have a label or were left without one.
        sets: what the pictures of a pair's set share is told beforehand; pairs labelled without it are labelled anew.
        identical: how many pairs are also shown with the source in both places, which must give no difference.
        seed: of the templates' phrasings.
    """

    languages: tuple[str, ...] = ("en",)
    forms: tuple[str, ...] = FORMS
    rewrites: int = 0
    tasks: bool = True
    split: str | None = None
    limit: int = 0
    again: bool = False
    sets: bool = False
    identical: int = 5
    seed: int = 0

    def __post_init__(self) -> None:
        for given, known, what in ((self.languages, LANGUAGES, "languages"), (self.forms, FORMS, "forms")):
            unknown = [name for name in given if name not in known]
            if unknown or not given:
                raise ValueError(f"{what} are some of {', '.join(known)}, got {', '.join(given) or 'none'}")
        if self.rewrites < 0 or self.limit < 0 or self.identical < 0:
            raise ValueError("rewrites, limit and identical are numbers of at least 0")


@dataclass(frozen=True, eq=False)
class Shown:
    """A pair as a labeller sees it.

    Attributes:
        source: None for a picture made from text alone.
        result: what was made of it.
        references: further pictures, which an instruction calls {image1}, {image2} …
        masked: whether a mask marks where the source may change.
    """

    source: Image.Image | None
    result: Image.Image
    references: tuple[Image.Image, ...] = ()
    masked: bool = False

    @property
    def images(self) -> int:
        """Condition images."""
        return (self.source is not None) + len(self.references)

    def mirrored(self) -> Shown:
        """All pictures, left and right exchanged."""
        source = None if self.source is None else ImageOps.mirror(self.source)
        return replace(
            self,
            source=source,
            result=ImageOps.mirror(self.result),
            references=tuple(map(ImageOps.mirror, self.references)),
        )

    def exchanged(self) -> Shown:
        """The result in the source's place."""
        return replace(self, source=self.result, result=self.source)

    def unchanged(self) -> Shown:
        """The source in both places."""
        return replace(self, result=self.source)


def shown_pair(dataset: Dataset, row: PairRow) -> Shown:
    """A row's pictures. Raises `DatasetError`."""
    pair = dataset.load(row)
    source, *references = _pictures(pair.images) or [None]
    return Shown(
        source, Image.fromarray(pair.target), tuple(references), bool(pair.masks) and pair.masks[0] is not None
    )


def _pictures(images: Sequence[np.ndarray]) -> list[Image.Image]:
    return [Image.fromarray(image) for image in images]
