"""The artist's choice of size, as one rule for every picture of a context."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from .fit import PATCH_PIXELS, Fit, check_sides, exact_fit, megapixels_fit, published_fit, source_fit


@dataclass(frozen=True)
class Resolution:
    """Gives every picture a size, and a canvas to pictures made from text alone.

    Attributes:
        fit: function from (height, width) of a picture to its ``Fit``.
        canvas: (height, width) of a result without a picture to edit.
    """

    fit: Callable[[int, int], Fit]
    canvas: tuple[int, int]

    @classmethod
    def published(cls, max_tokens: int) -> Resolution:
        """ACE's own rule: at most ``max_tokens`` patches, never scaled up; a square canvas of that many."""
        return cls(lambda height, width: published_fit(height, width, max_tokens), _square(max_tokens))

    @classmethod
    def megapixels(cls, megapixels: float) -> Resolution:
        """Every picture gets about this area (in 1024 x 1024 pixels), small ones too."""
        square = megapixels_fit(PATCH_PIXELS, PATCH_PIXELS, megapixels)
        return cls(lambda height, width: megapixels_fit(height, width, megapixels), (square.height, square.width))

    @classmethod
    def exact(cls, height: int, width: int) -> Resolution:
        """Every picture is cropped to this shape and scaled to this size.

        Raises:
            ValueError: a side is no positive multiple of 16.
        """
        check_sides(height, width)
        return cls(
            lambda source_height, source_width: exact_fit(source_height, source_width, height, width), (height, width)
        )

    @classmethod
    def source(cls, max_tokens: int) -> Resolution:
        """Every picture keeps its own pixels, up to 15 a side cut off; the canvas is that of ``max_tokens``."""
        return cls(source_fit, _square(max_tokens))


def _square(max_tokens: int) -> tuple[int, int]:
    side = max(1, math.isqrt(max_tokens)) * PATCH_PIXELS
    return side, side
