"""How one picture follows another, place by place: a 3 x 3 matrix of gains, judged at every scale at once.

Around each place the colours ``after`` an edit are taken for an affine function of those ``before`` it, as the guided
filter does (He, Sun and Tang, "Guided image filtering", 2013, equations 4 to 6, and section 3.3 for colour). Two things
differ. Where a window holds too little structure to tell, the filter falls back to a gain of 0 and here the gain falls back
to that of the window three times as wide, and so on up to the whole picture: a flat sky inverts with the rest. And a
gain only counts as far as the finest structures follow it, too, since any two soft gradients correlate.

``kornia.filters.guided_blur`` gives the filtered picture and keeps the gains to itself, so of kornia's filter only the
window means are used; a test holds the gains against it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F

_STEP = 3
"""Cells along the side of a window, and from one scale to the next."""
_LEAST_VARIANCE, _LEAST_SHARE = 1e-4, 0.05
"""A window says nothing against a wider one by less variance than this, nor by less than this share of its own."""
_WHOLE_VARIANCE = 1e-7
"""The same for the whole picture, which has no wider one above it."""
_FINE_NOISE = 2e-6
"""Variance of fine structures, below which they say nothing."""
_UNRELATED, _RELATED = 0.3, 0.7
"""Correlations of fine structures by which the gain falls to 0, and from which on it counts in full."""
_LOST, _FOLLOWED = 0.4, 0.85
"""Shares of the contrast of fine structures for the same: what was blurred on purpose stays so."""
_MOST_PIXELS = 2**21
"""Of a larger picture not every pixel is judged."""
_STRIP = 2**20
"""Pixels that are worked on at a time."""

_SYMMETRIC = [0, 1, 2, 1, 3, 4, 2, 4, 5]
"""Where the elements of a symmetric 3 x 3 matrix stand among its six different ones."""


@dataclass(frozen=True)
class _Moments:
    """Means over the cells of a grid, each (B, …, h, w): of pixels that count, times their share.

    Attributes:
        share: of the pixels that count.
        before, after: colours, (B, 3, h, w).
        square: before x before, (B, 3, 3, h, w).
        product: before x after.
        fine_square, fine_product: the same of what a 3 x 3 mean takes away.
        fine_after: fine structure of after, squared, summed over channels.
    """

    share: torch.Tensor
    before: torch.Tensor
    after: torch.Tensor
    square: torch.Tensor
    product: torch.Tensor
    fine_square: torch.Tensor
    fine_product: torch.Tensor
    fine_after: torch.Tensor

    @classmethod
    def unpack(cls, planes: torch.Tensor) -> _Moments:
        """From (B, 38, h, w)."""
        share, before, after, *matrices, fine_after = planes.split((1, 3, 3, 6, 9, 6, 9, 1), dim=1)
        square, product, fine_square, fine_product = (
            one[:, _SYMMETRIC if one.shape[1] == 6 else slice(None)].unflatten(1, (3, 3)) for one in matrices
        )
        return cls(share, before, after, square, product, fine_square, fine_product, fine_after)


def local_gain(
    before: torch.Tensor, after: torch.Tensor, weight: torch.Tensor | None, radius: int, max_gain: float
) -> torch.Tensor:
    """The gains on a grid of cells over the picture.

    Args:
        before, after: (B, 3, H, W), of one size.
        weight: (B, 1, H, W) of zeros and ones: only pixels with a 1 are judged; None takes all.
        radius: half the side of the smallest window, in pixels.
        max_gain: root mean square over the three channels that the gains are limited to.

    Returns:
        (B, 3, 3, h, w), from channel (dimension 1) to channel (dimension 2); 0 where after does not follow before.
    """
    levels = _pyramid(_cell_moments(before, after, weight, cell_side(radius)))
    gain = fine = None
    for planes in reversed(levels):
        moments = _Moments.unpack(_window_mean(planes))
        if gain is not None:
            gain, fine = (_finer(values, planes.shape[-2:]) for values in (gain, fine))
        gain = _gain(moments, gain)
        fine = _fine_agreement(moments, gain, fine)
    related = _ramp(fine[:, :1], _UNRELATED, _RELATED)
    if weight is None:
        # The least of the window: one that reaches into a new object agrees in part, and would paste a rim of the old
        # one. A mask says itself where the new begins.
        related = -F.max_pool2d(-related, _STEP, stride=1, padding=1)
    gain = gain * (related * _ramp(fine[:, 1:], _LOST, _FOLLOWED))[:, None]
    size = gain.square().sum(dim=(1, 2), keepdim=True).div(3).sqrt()
    gain = gain * (max_gain / size.clamp(min=max_gain))
    return _window_mean(gain.flatten(1, 2)).unflatten(1, (3, 3))


def cell_side(radius: int) -> int:
    """Pixels along a cell, so that three of them are the smallest window."""
    return max(1, round(2 * radius / _STEP))


def _cell_moments(before: torch.Tensor, after: torch.Tensor, weight: torch.Tensor | None, cell: int) -> torch.Tensor:
    """(B, 38, h, w); a cell covers ``cell`` pixels a side, or as many times more as pixels are skipped."""
    height, width = before.shape[-2:]
    # As in the fast guided filter (He and Sun, 2015): of a large picture every second or third pixel tells enough.
    step = max(1, round((height * width / _MOST_PIXELS) ** 0.5))
    # Fine structures next to the edge of a mask come from that edge.
    inner_weight = None if weight is None else -F.max_pool2d(-weight, 3, stride=1, padding=1)
    rows = []
    for top, bottom in _strips(height, width, cell * step):
        pictures, fine, parts = [], [], []
        for picture in (before, after):
            sampled, mean = _sampled(picture, top, bottom, step)
            pictures.append(sampled)
            fine.append(sampled - mean)
        for planes, counts in ((_coarse_planes(*pictures), weight), (_fine_planes(*fine), inner_weight)):
            share = None if counts is None else counts[..., top:bottom:step, ::step]
            parts += [_cell_mean(plane, share, cell) for plane in planes]
        rows.append(torch.cat(parts, dim=1))
    return torch.cat(rows, dim=2)


def _sampled(picture: torch.Tensor, top: int, bottom: int, step: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Every ``step``-th pixel of the rows from ``top`` to ``bottom``, and the 3 x 3 means around them."""
    start = max(0, top - step)
    part = picture[..., start : bottom + 1, :].contiguous()  # plane by plane
    sampled = part[..., top - start : bottom - start : step, ::step].contiguous()
    means = F.avg_pool2d(part, 3, stride=step, padding=1, count_include_pad=False)
    first = (top - start) // step
    return sampled, means[..., first : first + sampled.shape[-2], : sampled.shape[-1]]


def _coarse_planes(before: torch.Tensor, after: torch.Tensor) -> Iterator[torch.Tensor]:
    """The first planes of :class:`_Moments` in their order, few channels at a time."""
    yield torch.ones_like(before[:, :1])
    yield before
    yield after
    yield from _squares(before)
    yield from _products(before, after)


def _fine_planes(before: torch.Tensor, after: torch.Tensor) -> Iterator[torch.Tensor]:
    yield from _squares(before)
    yield from _products(before, after)
    yield after.square().sum(dim=1, keepdim=True)


def _squares(values: torch.Tensor) -> Iterator[torch.Tensor]:
    """The six different products of three channels."""
    return (values[:, channel : channel + 1] * values[:, channel:] for channel in range(3))


def _products(left: torch.Tensor, right: torch.Tensor) -> Iterator[torch.Tensor]:
    return (left[:, channel : channel + 1] * right for channel in range(3))


def _strips(height: int, width: int, multiple: int) -> Iterator[tuple[int, int]]:
    rows = max(1, _STRIP // (width * multiple)) * multiple
    for top in range(0, height, rows):
        yield top, min(height, top + rows)


def _cell_mean(values: torch.Tensor, weight: torch.Tensor | None, cell: int) -> torch.Tensor:
    """Means over squares of ``cell`` pixels; those at the right and lower edge may be smaller."""
    values = values if weight is None else values * weight
    return F.avg_pool2d(values, cell, ceil_mode=True, count_include_pad=False) if cell > 1 else values


def _pyramid(planes: torch.Tensor) -> list[torch.Tensor]:
    """The grid, and each next one of a third of the cells a side, until one cell is left."""
    levels = [planes]
    while max(levels[-1].shape[-2:]) > 1:
        levels.append(_cell_mean(levels[-1], None, _STEP))
    return levels


def _window_mean(values: torch.Tensor) -> torch.Tensor:
    return F.avg_pool2d(values, _STEP, stride=1, padding=1, count_include_pad=False)


def _finer(values: torch.Tensor, size: torch.Size) -> torch.Tensor:
    """Values of a grid on the next finer one."""
    flat = values.flatten(1, -3)
    larger = F.interpolate(flat, scale_factor=float(_STEP), mode="bilinear", align_corners=False)
    return larger[..., : size[0], : size[1]].unflatten(1, values.shape[1:-2])


def _gain(moments: _Moments, wider: torch.Tensor | None) -> torch.Tensor:
    """Least squares, drawn towards the gain of the wider window by as much as this one says too little."""
    share = moments.share[:, None].clamp(min=1e-6)
    square = moments.square - _outer(moments.before, moments.before) / share
    product = moments.product - _outer(moments.before, moments.after) / share
    unit = torch.eye(3, device=square.device, dtype=square.dtype)[None, :, :, None, None]
    if wider is None:
        return _solve(square + _WHOLE_VARIANCE * unit, product)
    spread = square.diagonal(dim1=1, dim2=2).mean(dim=-1)[:, None, None].clamp(min=0)
    doubt = _LEAST_VARIANCE + _LEAST_SHARE * spread
    return _solve(square + doubt * unit, product + doubt * wider)


def _outer(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    return left[:, :, None] * right[:, None]


def _solve(square: torch.Tensor, product: torch.Tensor) -> torch.Tensor:
    """square⁻¹ product of symmetric (B, 3, 3, h, w), by cofactors: many times faster than a batched solver."""
    (a, b, c), (_, d, e), (_, _, f) = (row.unbind(1) for row in square.unbind(1))
    cofactors = (d * f - e * e, c * e - b * f, b * e - c * d, a * f - c * c, b * c - a * e, a * d - b * b)
    aa, ab, ac, bb, bc, cc = cofactors
    inverse = torch.stack([torch.stack(row, 1) for row in ((aa, ab, ac), (ab, bb, bc), (ac, bc, cc))], 1)
    determinant = a * aa + b * ab + c * ac
    return torch.einsum("bijhw,bjkhw->bikhw", inverse, product) / determinant[:, None, None]


def _fine_agreement(moments: _Moments, gain: torch.Tensor, wider: torch.Tensor | None) -> torch.Tensor:
    """Correlation, and share of contrast, of the fine structures with those that the gain foretells: (B, 2, h, w)."""
    together = (gain * moments.fine_product).sum(dim=(1, 2))
    foretold = torch.einsum("bikhw,bijhw,bjkhw->bhw", gain, moments.fine_square, gain).clamp(min=0)
    both = (foretold * moments.fine_after[:, 0].clamp(min=0)).sqrt()
    prior = 0.0 if wider is None else _FINE_NOISE * wider
    return (torch.stack([together, together], 1) + prior) / (torch.stack([both, foretold], 1) + _FINE_NOISE)


def _ramp(values: torch.Tensor, low: float, high: float) -> torch.Tensor:
    """0 up to ``low``, 1 from ``high`` on, smooth between."""
    share = ((values - low) / (high - low)).clamp(0, 1)
    return share * share * (3 - 2 * share)
