"""What can be asked for, task by task: what the model is given, and the picture it should make.

``EDITS`` change a picture everywhere, ``MASKED`` the same under a mask; ``TASKS`` are all of them and what
:mod:`repainting` adds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType

import numpy as np
import torch

from ....ace.pictures.random_masks import MAX_SEED, random_masks
from . import operations
from .change import Change, Maker, Source, Task
from .colours import COLOURS
from .phrasings import PHRASINGS, under_mask
from .pictures import Pictures

Operation = Callable[[torch.Tensor], torch.Tensor]

SOFT = 2.5  # pixels of a Gaussian, for blurring and back
_SHARP = {"amount": 2.0, "sigma": 2.0}
_COVERAGE = (0.1, 0.5)  # share of a picture that a mask marks

_OPERATIONS: Mapping[str, Operation] = MappingProxyType(
    {
        "invert": operations.invert,
        "grayscale": operations.grayscale,
        "sepia": operations.sepia,
        "warm": partial(operations.shift_colours, amount=1.0),
        "cool": partial(operations.shift_colours, amount=-1.0),
        "brighten": partial(operations.brighten, amount=0.7),
        "darken": partial(operations.brighten, amount=-0.7),
        "posterise": operations.posterise,
        "blur": partial(operations.blur, sigma=SOFT),
        "sharpen": partial(operations.sharpen, **_SHARP),
        "edges": operations.edges,
        "mosaic": partial(operations.mosaic, side=16),
        "flip_horizontally": operations.flip_horizontally,
        "flip_vertically": operations.flip_vertically,
    }
)
_EVERYWHERE = ("flip_horizontally", "flip_vertically")  # makes no sense under a mask


def random_mask(
    rng: np.random.Generator, image: torch.Tensor, coverage: tuple[float, float] = _COVERAGE, style: str = "thick"
) -> torch.Tensor:
    """(H, W) of zeros and ones: boxes, or broad strokes."""
    height, width = image.shape[:2]
    kind = "boxes" if rng.random() < 0.6 else "strokes"
    seed = int(rng.integers(0, MAX_SEED, dtype=np.uint64))
    return random_masks(height, width, seed=seed, kind=kind, style=style, coverage=coverage)[0]


def _everywhere(operation: Operation) -> Maker:
    def make(_rng: np.random.Generator, image: torch.Tensor, _pictures: Pictures) -> Change:
        return Change((Source(image),), operation(image))

    return make


def _under_mask(operation: Operation) -> Maker:
    def make(rng: np.random.Generator, image: torch.Tensor, _pictures: Pictures) -> Change:
        mask = random_mask(rng, image)
        return Change((Source(image, mask),), operations.inside(mask, operation(image), image))

    return make


def _deblur(_rng: np.random.Generator, image: torch.Tensor, _pictures: Pictures) -> Change:
    return Change((Source(operations.blur(image, SOFT)),), image)


def _deblur_under_mask(rng: np.random.Generator, image: torch.Tensor, _pictures: Pictures) -> Change:
    mask = random_mask(rng, image)
    return Change((Source(operations.inside(mask, operations.blur(image, SOFT), image), mask),), image)


def _fill(rng: np.random.Generator, image: torch.Tensor, _pictures: Pictures) -> Change:
    name = str(rng.choice(list(COLOURS)))
    mask = random_mask(rng, image)
    target = operations.inside(mask, operations.fill(image, COLOURS[name]), image)
    return Change((Source(image, mask, _fill_way(rng)),), target, {"colour": name})


def _paste(rng: np.random.Generator, image: torch.Tensor, pictures: Pictures) -> Change:
    mask, reference = random_mask(rng, image), pictures.draw(rng)
    sources = (Source(image, mask, _fill_way(rng)), Source(reference))
    return Change(sources, operations.inside(mask, reference, image))


def _fill_way(rng: np.random.Generator) -> str:
    """Whether the model sees what is under a mask: both ways are usual where it is replaced."""
    return "blank" if rng.random() < 0.5 else "keep"


EDITS: Mapping[str, Task] = MappingProxyType(
    {
        **{name: Task(_everywhere(operation), PHRASINGS[name], 2.0) for name, operation in _OPERATIONS.items()},
        "deblur": Task(_deblur, PHRASINGS["deblur"], 2.0),
    }
)
MASKED: Mapping[str, Task] = MappingProxyType(
    {
        **{
            f"masked_{name}": Task(_under_mask(operation), under_mask(name), 1.0)
            for name, operation in _OPERATIONS.items()
            if name not in _EVERYWHERE
        },
        "masked_deblur": Task(_deblur_under_mask, under_mask("deblur"), 1.0),
    }
)
REPLACING: Mapping[str, Task] = MappingProxyType(
    {
        "fill": Task(_fill, PHRASINGS["fill"], 3.5),
        "paste": Task(_paste, PHRASINGS["paste"], 4.0, images=2),
    }
)
