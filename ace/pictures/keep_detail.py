"""Keep Detail: what a VAE loses of a picture is given back from the source, as far as the result follows it.

A latent model returns every picture through its VAE, and works at its own size: fur, grain, skin and small text are
gone even where the edit leaves them alone. What was lost is known, though: the source less its own round trip through
the same VAE at the same size. Where the result is locally an affine map of that round trip, be it a tone curve, a tint
or an inversion, the lost part has gone the same way:

    kept = result + gain · (source − round trip)

with a 3 x 3 gain for each place (see :mod:`.local_gain`), all brought to the source's own size. The gain is 0 where the
result does not follow the source: where something was moved, added, repainted, or blurred on purpose.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from ..notices import Notify, log_notice
from .crop import without_reference
from .files.mask_reading import LUMA
from .fit import PATCH_PIXELS, Box, Fit, same_aspect
from .local_gain import local_gain
from .masks import say_if_empty
from .parameters import Parameters, number
from .paste_back import broadcast_batches, mask_in_box, result_box
from .preprocess import LATENT_PIXELS, as_mask, binarize, resize_image, resize_mask, to_rgb

_STRIP = 2**18  # pixels that are worked on at a time


@dataclass(frozen=True)
class KeepDetail(Parameters):
    """How detail is given back."""

    strength: float = number(1.0, 0.0, 2.0, "Share of the lost detail that is given back; above 1 sharpens.", 0.05)
    radius: int = number(4, 1, 64, "Pixels of the result around each within which is judged how it follows the source.")
    max_gain: float = number(
        4.0, 0.5, 16.0, "The most that detail is amplified; lower it where lifted shadows get noisy.", 0.1
    )
    color: float = number(1.0, 0.0, 1.0, "Share of the detail's colour; 0 gives back brightness alone.", 0.05)


def keep_detail(
    source: torch.Tensor,
    result: torch.Tensor,
    round_trip: torch.Tensor,
    mask: torch.Tensor | None = None,
    *,
    fit: Fit | None = None,
    settings: KeepDetail | None = None,
    notify: Notify = log_notice,
) -> torch.Tensor:
    """Give back to ``result`` the detail of ``source`` that ``round_trip`` lacks.

    Before Paste Back, not after it: what was pasted has its detail.

    Args:
        source: (B, H, W, C), the picture before the edit, at any size.
        result: (B, h, w, C'), what the model made of it, as sampled or scaled since.
        round_trip: (B, h', w', C''), what the model's VAE makes of the source, at the size the model worked at; see
            :func:`round_trip_of`.
        mask: (B, H, W) of the source's size, or of the result's: detail is given back where it is white, less where it
            is grey, and only what is white is judged. None means everywhere.
        fit: how the source was prepared; None works it out by the two sizes, see ``infer_crop``.

    Returns:
        (B, height, width, 3), the part of the source that the result shows, at the source's scale. Where the mask is 0,
        and with a strength of 0, it is the result in every bit (scaled, where the sizes differ).

    Raises:
        ValueError: sizes or batches do not belong together.
    """
    settings = settings or KeepDetail()
    source = to_rgb(source, notify, "source")
    result, round_trip = (
        to_rgb(picture, notify, name).to(source.device)
        for picture, name in ((result, "result"), (round_trip, "round trip"))
    )
    result = without_reference(result, fit)
    box = result_box(source, result, fit, "source")
    _check_round_trip(round_trip, result, fit)
    inner = _inside(mask, source, result, box, notify)
    kept = resize_image(result, box.height, box.width)
    source = source[:, box.rows, box.columns]
    if inner is None:
        names, tensors = "source, result and round trip", (source, kept, result, round_trip)
    else:
        names, tensors = "source, result, round trip and mask", (source, kept, result, round_trip, inner)
    source, kept, result, round_trip, *masks = broadcast_batches(names, *tensors)
    if kept.data_ptr() == result.data_ptr() or kept.stride(0) == 0:
        kept = kept.clone()  # it is the caller's, or a batch of one that was repeated and shares its memory
    if settings.strength == 0:
        return kept
    for index in range(kept.shape[0]):
        one = slice(index, index + 1)
        inner = masks[0][one] if masks else None
        gain = _gain(result[one], round_trip[one], inner, settings)
        _add_detail(kept[one], source[one], resize_image(round_trip[one], box.height, box.width), gain, inner, settings)
    return kept


def round_trip_of(
    source: torch.Tensor,
    result: torch.Tensor,
    through: Callable[[torch.Tensor], torch.Tensor],
    *,
    fit: Fit | None = None,
    notify: Notify = log_notice,
) -> torch.Tensor:
    """What a VAE makes of the source at the size the model worked at.

    Args:
        source, result, fit: as for :func:`keep_detail`. Without a fit the result's size is taken for the model's: right
            for a result as sampled, and too large for one that was scaled up since.
        through: encodes and decodes a picture (B, h, w, 3) whose sides are multiples of 8.

    Returns:
        (B, h, w, 3): of the fit's size, or the result's.
    """
    source = to_rgb(source, notify, "source")
    box = result_box(source, without_reference(result, fit), fit, "source")
    height, width = result.shape[1:3] if fit is None else (fit.height, fit.width)
    seen = resize_image(source[:, box.rows, box.columns], height, width).permute(0, 3, 1, 2)
    padded = F.pad(seen, (0, -width % LATENT_PIXELS, 0, -height % LATENT_PIXELS), mode="replicate")
    return through(padded.permute(0, 2, 3, 1).contiguous())[:, :height, :width].to(source.device, torch.float32)


def _inside(
    mask: torch.Tensor | None, source: torch.Tensor, result: torch.Tensor, box: Box, notify: Notify
) -> torch.Tensor | None:
    """The mask on the part of the source that the result shows; says so where it marks nothing."""
    if mask is None:
        return None
    mask = as_mask(mask).to(source.device)
    say_if_empty(mask, "No detail is given back", notify)
    return mask_in_box(mask, source, result, box, notify, "source")


def _check_round_trip(round_trip: torch.Tensor, result: torch.Tensor, fit: Fit | None) -> None:
    size, other = round_trip.shape[1:3], result.shape[1:3]
    if fit is not None and same_aspect(*size, fit.height, fit.width):
        return
    if not same_aspect(*size, *other, tolerance=PATCH_PIXELS):
        raise ValueError(
            f"the round trip is {size[1]}x{size[0]}, which is another shape than the {other[1]}x{other[0]} of the result; "
            "encode and decode the picture that the model was given"
        )


def _gain(
    result: torch.Tensor, round_trip: torch.Tensor, mask: torch.Tensor | None, settings: KeepDetail
) -> torch.Tensor:
    """Gains (1, 3, 3, h, w) at the round trip's size; ``mask`` is of the source's."""
    height, width = round_trip.shape[1:3]
    weight = None if mask is None else binarize(resize_mask(mask, height, width))[:, None]
    before, after = round_trip.movedim(-1, 1), resize_image(result, height, width).movedim(-1, 1)
    return local_gain(before, after, weight, settings.radius, settings.max_gain)


def _add_detail(
    kept: torch.Tensor,
    source: torch.Tensor,
    round_trip: torch.Tensor,
    gain: torch.Tensor,
    mask: torch.Tensor | None,
    settings: KeepDetail,
) -> None:
    """Add to ``kept`` (1, H, W, 3), in place and strip by strip; everything is of the source's size but the gain."""
    height, width = kept.shape[1:3]
    columns = F.interpolate(gain.flatten(1, 2), size=(gain.shape[-2], width), mode="bilinear")[0]  # (9, h, W)
    rows = max(1, _STRIP // width)
    for top in range(0, height, rows):
        strip = slice(top, min(height, top + rows))
        # Plane by plane: sums over channels that lie side by side take several times as long.
        detail = source.new_empty(3, strip.stop - strip.start, width)
        torch.sub(source[0, strip].movedim(-1, 0), round_trip[0, strip].movedim(-1, 0), out=detail)
        if settings.color < 1:
            grey = torch.einsum("chw,c->hw", detail, detail.new_tensor(LUMA))
            detail = torch.lerp(grey.expand_as(detail), detail, settings.color)
        added = _moved(detail, _rows_of(columns, strip, height).unflatten(0, (3, 3))).mul_(settings.strength)
        below, added = kept[0, strip], added.permute(1, 2, 0)
        if mask is None:
            below.add_(added).clamp_(0, 1)
        else:
            weight = mask[0, strip][..., None]
            below.copy_(torch.where(weight > 0, (below + weight * added).clamp_(0, 1), below))


def _moved(detail: torch.Tensor, gain: torch.Tensor) -> torch.Tensor:
    """Detail (3, H, W) through gains (3, 3, H, W)."""
    moved = detail[0] * gain[0]
    return moved.addcmul_(detail[1], gain[1]).addcmul_(detail[2], gain[2])


def _rows_of(columns: torch.Tensor, strip: slice, height: int) -> torch.Tensor:
    """Rows of a (C, h, W) grid that lie at the ``strip`` of a picture's rows, linear between: (C, rows, W)."""
    last = columns.shape[1] - 1
    place = torch.arange(strip.start, strip.stop, device=columns.device, dtype=torch.float32)
    place = ((place + 0.5) * (columns.shape[1] / height) - 0.5).clamp(0, last)
    first, end = int(place[0]), min(last, int(place[-1]) + 1) + 1
    rows = torch.arange(first, end, device=columns.device)
    weights = (1 - (place[:, None] - rows).abs()).clamp(min=0)  # (rows, of the grid)
    return weights @ columns[:, first:end]
