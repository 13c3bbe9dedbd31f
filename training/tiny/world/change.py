"""What a task is, and one of them carried out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
import torch

from .language import filled
from .pictures import Pictures

NONE: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, eq=False)
class Source:
    """A condition image: (H, W, 3), its mask (H, W) or None, and what the model sees under the mask."""

    image: torch.Tensor
    mask: torch.Tensor | None = None
    fill: str = "keep"


@dataclass(frozen=True, eq=False)
class Change:
    """A task carried out on one picture.

    Attributes:
        sources: for ``{image}``, ``{image1}`` …
        target: the result, (H, W, 3).
        slots: words for the slots of the sentences; with a "caption" the sentence names what the picture shows.
    """

    sources: tuple[Source, ...]
    target: torch.Tensor
    slots: Mapping[str, str] = field(default_factory=dict)


# (random numbers, a picture, supply of more) -> the task carried out
Maker = Callable[[np.random.Generator, torch.Tensor, Pictures], Change]


@dataclass(frozen=True, eq=False)
class Task:
    """Something that can be asked for.

    Attributes:
        make: carries it out.
        sentences: that ask for it.
        share: how often it is drawn, compared with the others.
        images: condition images it takes.
        captioned: sentences for changes with a caption.
    """

    make: Maker
    sentences: tuple[str, ...]
    share: float
    images: int = 1
    captioned: tuple[str, ...] = ()

    def sentence(self, rng: np.random.Generator, slots: Mapping[str, str]) -> str:
        """One of the sentences, its slots filled."""
        pool = self.captioned if "caption" in slots else self.sentences
        return filled(pool[rng.integers(len(pool))], slots)
