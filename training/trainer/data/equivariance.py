"""Which augmentations a teacher seems to commute with, judged by its pairs alone: it cannot be asked again.

A flip is safe where flip(teacher(picture)) = teacher(flip(picture)). Three things speak against one:

*Words.* An instruction that names a side, a direction, or letters, which a mirror spoils.

*Position.* A local map is fitted to all pairs: from a cell's mean colour, its squares and products, the colour around it,
its contrast and edges, the mask and further pictures, to the colour of the result. What it leaves over, averaged over the
pairs, shows what the teacher does at a fixed place: a logo, a gradient, a vignette. Where that average is another one after
the flip, by more than chance and by more than a small share of the edit, the flip is not safe. Chance is what remains if the
sign of each pair's difference is drawn at random, which is exact for a teacher that commutes and sources that are as often
one way round as the other. (Sources are seldom so upside down: vflip is then refused once too often.) A part of the picture
is safe where the average is no other than after each pair was shifted around by chance, and where no pair as a whole departs
from the map, as it does for a teacher that looks at the whole picture, such as an automatic contrast.

*Direction.* The remainder must not follow the slope of the source along the flip's axis: an emboss, a cast shadow, a shift.

Where the map explains too little of the results, as for a teacher that moves or invents things, nothing is safe. What cannot
be seen at sixteen cells a side, or in fewer than eight pairs, is not seen.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from ...errors import DatasetError
from .encoding import fitted_pixels
from .examples import Example

FEWEST, _MOST = 8, 64  # pairs to judge by
_CELLS = 16  # a side
_DRAWS, _LEVEL = 499, 0.025  # of the tests by chance; two statistics each
_UNEXPLAINED = 0.4  # of the results' variance that the local map may leave over
_NEGLIGIBLE = 0.03  # of the edit: a pattern so faint does no harm
_OF_ITS_OWN = 0.25  # of the edit by which whole pairs may depart from the map before crops are refused
_RIDGE = 1e-4

_ENGLISH = {
    "hflip": r"left|right|mirror(ed|ing|s)?|flip(ped|ping|s)?|sideways|east|west|clockwise|rotat\w*|turn(ed|s|ing)?",
    "vflip": r"top|bottom|above|below|under(neath)?|upper|lower|up|down|upside|upward\w*|downward\w*|sky|ground|floor|"
    r"ceiling|horizon|sunset|sunrise|rain\w*|snow\w*|shadows?|flip(ped|ping|s)?|clockwise|rotat\w*|turn(ed|s|ing)?",
    "crop": r"cent(er|re)\w*|middle|corners?|edges? of|borders?|frames?|framed|vignett\w*|left|right|top|bottom|background",
    "any": r"text|letter\w*|words?|writing|written|caption\w*|watermark\w*|logo\w*|sign(s|ature)?|number\w*|digits?|title\w*",
}
_CHINESE = {
    "hflip": "左|右|镜像|翻转|旋转|东|西",
    "vflip": "上|下|顶|底|天空|地面|雨|雪|影|翻转|旋转|倒",
    "crop": "中央|中心|中间|角落|边框|边缘|暗角|背景|左|右|顶|底",
    "any": "文字|字|标志|水印|签名|数字|标题",
}
_AXES = {"hflip": -1, "vflip": -2}


@dataclass(frozen=True)
class Finding:
    """What the pairs say of one augmentation.

    Attributes:
        safe: whether it may be used.
        reason: why not, for people; empty if it may.
    """

    safe: bool
    reason: str = ""


def judge_transform(transform: str, examples: Sequence[Example], residuals: Residuals | None) -> Finding:
    """Whether the teacher of some pairs seems to commute with an augmentation.

    Args:
        transform: "hflip", "vflip" or "crop".
        examples: of one dataset.
        residuals: of :func:`fit_local_map`; None where there is nothing to judge by.
    """
    word = _telling_word(transform, _words_of(examples))
    if word:
        return Finding(False, f"an instruction says {word!r}")
    if residuals is None:
        return Finding(False, f"fewer than {FEWEST} pairs with one picture to edit are too few to judge by")
    if residuals.unexplained > _UNEXPLAINED:
        return Finding(False, "the results do not follow from the sources place by place")
    if transform == "crop":
        return _judge_crop(residuals)
    axis = _AXES[transform]
    odd = residuals.left_over - residuals.left_over.flip(axis)
    if _differs(odd, residuals.edit):
        return Finding(False, "the teacher does something at a fixed place")
    slopes = (residuals.left_over * residuals.slope(axis)[:, None]).mean(dim=(-2, -1))
    scale = residuals.slope(axis).square().mean().sqrt().item() * residuals.edit
    if _differs(slopes[..., None, None], scale):
        return Finding(False, "what the teacher does has a direction")
    return Finding(True)


@dataclass(frozen=True, eq=False)
class Residuals:
    """What a local map leaves over of the results of n pairs.

    Attributes:
        left_over: (n, 3, C, C), result less map.
        light: (n, C, C), the sources' brightness.
        edit: root mean square of what the teacher changes.
        unexplained: share of the results' variance that is left over.
    """

    left_over: torch.Tensor
    light: torch.Tensor
    edit: float
    unexplained: float

    def slope(self, axis: int) -> torch.Tensor:
        """Of the brightness along an axis, (n, C, C); its sign changes with the flip."""
        return torch.gradient(self.light, dim=axis)[0]


@dataclass(frozen=True, eq=False)
class PairPixels:
    """One pair at the model's size.

    Attributes:
        source, result: (3, H, W), 0 … 1.
        mask: (1, h, w) of zeros and ones where the source may change, of any size; None means everywhere.
        further: pictures (3, H, W) that lie on the source.
    """

    source: torch.Tensor
    result: torch.Tensor
    mask: torch.Tensor | None = None
    further: tuple[torch.Tensor, ...] = ()


def read_pairs(examples: Iterable[Example]) -> list[PairPixels]:
    """The pixels of examples that have a picture to edit, evenly spread and no more than are needed.

    One that cannot be read is left out; encoding it will say so.
    """
    usable = [example for example in examples if example.edited is not None]
    found = (_read(example) for example in usable[:: max(1, -(-len(usable) // _MOST))])
    return [pair for pair in found if pair is not None]


def _read(example: Example) -> PairPixels | None:
    try:
        pictures = [fitted_pixels(item)[0].movedim(-1, 0) for item in example.references]
        result = fitted_pixels(example.target)[0].movedim(-1, 0)
        mask = example.masks[example.edited]
        marked = None if mask is None else fitted_pixels(mask)
    except (OSError, ValueError, DatasetError):
        return None
    source = pictures.pop(example.edited)
    return PairPixels(source, result, marked, tuple(one for one in pictures if one.shape == source.shape))


def fit_local_map(pairs: Sequence[PairPixels]) -> Residuals | None:
    """Fits one map from sources to results, cell by cell, to all pairs together (ridge regression).

    Returns:
        what it leaves over; None if there are fewer than ``FEWEST`` of one kind, or the teacher changes nothing.
    """
    kinds = Counter((len(pair.further), pair.mask is not None) for pair in pairs)
    common = kinds.most_common(1)[0][0] if kinds else None
    pairs = [pair for pair in pairs if (len(pair.further), pair.mask is not None) == common]
    if len(pairs) < FEWEST:
        return None
    inputs = torch.stack([_inputs(pair) for pair in pairs]).double()  # (n, K, C, C)
    results = torch.stack([_mean(pair.result) for pair in pairs]).double()  # (n, 3, C, C)
    sources = torch.stack([_mean(pair.source) for pair in pairs]).double()
    edit = (results - sources).square().mean().sqrt().item()
    if edit == 0:
        return None
    rows, wanted = (tensor.movedim(1, -1).flatten(0, 2) for tensor in (inputs, results))
    gram = rows.T @ rows
    gram += _RIDGE * len(rows) * torch.eye(len(gram), dtype=gram.dtype)
    weights = torch.linalg.solve(gram, rows.T @ wanted)
    left_over = results - (inputs.movedim(1, -1) @ weights).movedim(-1, 1)
    variance = (results - results.mean(dim=(0, 2, 3), keepdim=True)).square().mean().item()
    unexplained = left_over.square().mean().item() / max(variance, 1e-12)
    return Residuals(left_over, sources.mean(dim=1), edit, unexplained)


def _inputs(pair: PairPixels) -> torch.Tensor:
    """(K, C, C): what the map may use of a pair. None of it knows left from right, or where in the picture it is."""
    source = pair.source
    colour, light = _mean(source), source.mean(dim=0, keepdim=True)
    contrast = (_mean(light.square()) - _mean(light).square()).clamp(min=0).sqrt()
    steps = sum(_mean(light.diff(dim=axis).abs()) for axis in (-1, -2))
    around = F.avg_pool2d(F.pad(colour[None], (1, 1, 1, 1), mode="replicate"), 3, stride=1)[0]
    products = torch.stack([colour[0] * colour[1], colour[1] * colour[2], colour[0] * colour[2]])
    further = [_mean(one) for one in pair.further]
    one = torch.ones(1, _CELLS, _CELLS)
    inputs = torch.cat([one, colour, colour**2, colour**3, products, around, contrast, steps, *further])
    return inputs if pair.mask is None else torch.cat([inputs, inputs * _mean(pair.mask)])


def _mean(picture: torch.Tensor) -> torch.Tensor:
    """(K, H, W) -> (K, C, C)."""
    return F.adaptive_avg_pool2d(picture[None], _CELLS)[0]


def _differs(odd: torch.Tensor, edit: float) -> bool:
    """Whether the mean of something that changes its sign with a flip is not 0: by chance, and by what it does.

    Args:
        odd: (n, K, h, w), of each pair.
        edit: what it is small or large beside.
    """
    flat = odd.flatten(1).numpy()
    if np.sqrt((flat.mean(axis=0) ** 2).mean()) < _NEGLIGIBLE * edit / np.sqrt(2) and (
        np.abs(flat.mean(axis=0)).max() < 5 * _NEGLIGIBLE * edit
    ):
        return False
    signs = np.random.default_rng(0).choice([-1.0, 1.0], (_DRAWS, len(flat)))
    return _stands_out(
        flat.mean(axis=0), lambda draw: (signs[draw] @ flat) / len(flat), np.sqrt((flat**2).mean(axis=0))
    )


def _judge_crop(residuals: Residuals) -> Finding:
    left_over = residuals.left_over
    own = left_over.mean(dim=(-2, -1))
    if own.square().mean().sqrt().item() > _OF_ITS_OWN * residuals.edit:
        return Finding(False, "the teacher looks at the whole picture")
    centred = (left_over - own[..., None, None]).numpy()
    mean = centred.mean(axis=0)
    if np.abs(mean).max() < 5 * _NEGLIGIBLE * residuals.edit and (
        np.sqrt((mean**2).mean()) < _NEGLIGIBLE * residuals.edit
    ):
        return Finding(True)
    shifts = np.random.default_rng(0).integers(0, _CELLS, (_DRAWS, len(centred), 2))

    def shifted(draw: int) -> np.ndarray:
        moved = [np.roll(one, tuple(by), axis=(-2, -1)) for one, by in zip(centred, shifts[draw], strict=True)]
        return np.mean(moved, axis=0).ravel()

    if _stands_out(mean.ravel(), shifted, np.ones(mean.size)):
        return Finding(False, "the teacher does something at a fixed place")
    return Finding(True)


def _stands_out(mean: np.ndarray, by_chance: Callable[[int], np.ndarray], spread: np.ndarray) -> bool:
    """Whether a mean pattern is larger, as a whole or at a place, than nearly all that chance makes.

    Args:
        mean: (K,).
        by_chance: the same of draw 0, 1, …
        spread: (K,), what a value at a place is measured by.
    """
    spread = spread + 1e-9
    drawn = [by_chance(draw) / spread for draw in range(_DRAWS)]
    mean = mean / spread
    for size in (lambda pattern: float((pattern**2).sum()), lambda pattern: float(np.abs(pattern).max())):
        observed = size(mean)
        if (1 + sum(size(pattern) >= observed for pattern in drawn)) / (1 + _DRAWS) <= _LEVEL:
            return True
    return False


def _words_of(examples: Iterable[Example]) -> set[str]:
    return {text for example in examples for texts in (example.texts, *example.phrasings) for text in texts}


def _telling_word(transform: str, texts: Iterable[str]) -> str:
    """A word for which an augmentation is not safe, or nothing."""
    english = re.compile(rf"\b(?:{_ENGLISH[transform]}|{_ENGLISH['any']})\b", re.IGNORECASE)
    chinese = re.compile(f"{_CHINESE[transform]}|{_CHINESE['any']}")
    for text in sorted(texts):
        found = english.search(text) or chinese.search(text)
        if found:
            return found.group(0)
    return ""
