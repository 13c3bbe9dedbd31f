"""How near ace-tiny's answers are, by pictures of which everything is known."""

from __future__ import annotations

import pytest
import torch
from comfyui_ace.training.tiny.measure.scores import Answer, score, score_holes

HALF = torch.zeros(4, 4)
HALF[:, :2] = 1


def _answer(mask: torch.Tensor | None) -> Answer:
    """Black becomes white under the mask; the model reaches 0.5, the VAE 0.9, and they spoil the rest by 0.2 and 0.1."""
    marked = torch.ones(4, 4, 1) if mask is None else mask[..., None]

    def picture(inside: float, outside: float) -> torch.Tensor:
        return torch.where(marked > 0.5, torch.tensor(inside), torch.tensor(outside)).expand(4, 4, 3)

    return Answer(
        example=None,
        shown=(),
        mask=mask,
        source=picture(0.0, 0.0),
        target=picture(1.0, 0.0),
        ceiling=picture(0.9, 0.1),
        result=picture(0.5, 0.2),
    )


def test_what_is_not_marked_counts_unless_it_is_pasted_back():
    found = score([_answer(HALF), _answer(HALF)])
    assert (found.student, found.source, found.ceiling) == pytest.approx((0.35, 0.5, 0.1))
    assert found.outside == pytest.approx(0.2)
    assert found.share == pytest.approx(0.3 / 0.8)
    assert (found.pasted.student, found.pasted.source, found.pasted.ceiling) == pytest.approx((0.25, 0.5, 0.05))
    assert found.pasted.share == pytest.approx(0.5 / 0.9)


def test_without_a_mask_nothing_is_pasted_back():
    found = score([_answer(None)])
    assert found.outside is None and found.pasted is None
    assert found.share == pytest.approx(0.5 / 0.9)


def test_a_hole_is_compared_with_the_mean_colour_and_with_a_smooth_fill():
    """Of a slope, the smooth fill is right, and the mean colour of what is seen nowhere."""
    pytest.importorskip("skimage")
    slope = torch.linspace(0, 1, 16)[:, None, None].expand(16, 16, 3).contiguous()
    hole = torch.zeros(16, 16)
    hole[6:10, 6:10] = 1
    spoilt = slope + 0.25 * hole[..., None]
    found = score_holes([Answer(None, (), hole, slope, slope, slope + 0.125, spoilt)])
    assert (found.student, found.ceiling) == pytest.approx((0.25, 0.125))
    assert found.smooth == pytest.approx(0, abs=1e-4) and found.smooth_ratio < 0.01
    assert found.mean_colour == pytest.approx((slope[6:10, 0, 0] - 0.5).abs().mean().item())
    assert found.ratio == pytest.approx(found.student / found.mean_colour)
