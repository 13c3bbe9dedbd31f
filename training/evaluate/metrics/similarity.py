"""Cosines and directions of encoders' vectors, and means that say how many cases were not defined, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import torch


@dataclass(frozen=True)
class Undefined:
    """A metric that a case does not have. It is counted and shown, and never taken for 0."""

    reason: str


@dataclass(frozen=True)
class Several:
    """Numbers of one case that count alike with those of others, such as of the lines of text in a picture."""

    values: tuple[float, ...]


Value = float | Several | Undefined
SAME_CAPTION = Undefined("the captions before and after are the same")
SAME_PICTURE = Undefined("the picture did not change at all")


@dataclass(frozen=True)
class Mean:
    """Mean of the defined values.

    Attributes:
        value: None where no value is defined.
        count: values in it.
        skipped: undefined ones by reason.
    """

    value: float | None
    count: int
    skipped: Mapping[str, int] = field(default_factory=dict)


def mean_of(values: Iterable[Value]) -> Mean:
    """Averages; undefined values are counted by their reason."""
    defined, skipped = [], Counter()
    for value in values:
        if isinstance(value, Undefined):
            skipped[value.reason] += 1
        elif isinstance(value, Several):
            defined += value.values
        else:
            defined.append(value)
    return Mean(sum(defined) / len(defined) if defined else None, len(defined), dict(skipped))


def cosine(one: torch.Tensor, other: torch.Tensor) -> float:
    """Of two vectors (D,) of any length but 0; in double precision, as the published scripts' scipy."""
    one, other = one.double(), other.double()
    return float((one @ other) / (one.norm() * other.norm()))


def direction(before: torch.Tensor, after: torch.Tensor, caption: torch.Tensor, new_caption: torch.Tensor) -> Value:
    """CLIP's directional similarity (Gal et al. 2022): does the picture change as its caption does?

    Args:
        before: vector (D,) of the picture, of length 1.
        after: that of the edited picture.
        caption: vector (D,) of the picture's caption, of length 1.
        new_caption: that of the edited picture's.

    Returns:
        cos(after − before, new_caption − caption); undefined where either difference is nothing.
    """
    pictures, words = after.double() - before.double(), new_caption.double() - caption.double()
    if words.norm() < 1e-6:
        return SAME_CAPTION
    if pictures.norm() < 1e-6:
        return SAME_PICTURE
    return cosine(pictures, words)
