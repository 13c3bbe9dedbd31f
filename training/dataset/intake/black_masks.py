"""Black masks of tools that have one where there is none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ....ace.pictures.files.mask_reading import describe_marks
from .prepare import image_labels


def without_black(masks: Sequence[Any]) -> tuple[list[Any], tuple[str, ...]]:
    """Masks by image with None for those that are black, as tools have them where there is none; and notes on these."""
    kept = [mask if mask is not None and bool(mask.any()) else None for mask in masks]
    labels = [
        label for label, mask, left in zip(image_labels(len(masks)), masks, kept, strict=True) if mask is not left
    ]
    return kept, tuple(f"mask of the {label}: it {describe_marks(np.zeros(1))}" for label in labels)
