"""Keep Detail: exact where the edit is an affine map of colours, silent where the result does not follow the source."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from comfyui_ace.ace.pictures.fit import exact_fit
from comfyui_ace.ace.pictures.keep_detail import KeepDetail, keep_detail
from comfyui_ace.ace.pictures.local_gain import cell_side, local_gain
from comfyui_ace.ace.pictures.preprocess import fit_image, resize_image
from detail_scenes import added, blurred, distance, scene

SEPIA = torch.tensor(((0.393, 0.769, 0.189), (0.349, 0.686, 0.168), (0.272, 0.534, 0.131))).T * 0.7


AFFINE = {
    "nothing": lambda picture: picture,
    "contrast": lambda picture: 0.5 * picture + 0.3,
    "invert": lambda picture: 1 - picture,
    "sepia": lambda picture: picture @ SEPIA,
    "channels swapped": lambda picture: picture[..., [2, 0, 1]],
}


@pytest.mark.parametrize("edit", AFFINE)
@pytest.mark.parametrize("radius", [1, 4, 9])
def test_an_affine_map_of_colours_gets_its_exact_detail(edit, radius):
    source, change = scene(), AFFINE[edit]
    round_trip = blurred(source)
    kept = keep_detail(source, change(round_trip), round_trip, settings=KeepDetail(radius=radius))
    assert distance(kept, change(source)) < 0.02 * distance(change(round_trip), change(source))


@pytest.mark.parametrize("edit", AFFINE)
def test_so_it_does_at_the_sources_own_size(edit):
    """Three times the size that the model worked at: grain that the model never saw is back."""
    source, change = scene(288, 384), AFFINE[edit]
    fit = exact_fit(288, 384, 96, 128)
    round_trip = blurred(fit_image(source, fit))
    kept = keep_detail(source, change(round_trip), round_trip, fit=fit)
    assert kept.shape == source.shape
    smooth = resize_image(change(round_trip), 288, 384)
    assert distance(kept, change(source)) < 0.05 * distance(smooth, change(source))


def test_a_tone_curve_is_followed_place_by_place():
    source = scene()
    curve = lambda picture: picture.pow(0.5)  # noqa: E731
    round_trip, result = blurred(source), blurred(curve(source))
    kept = keep_detail(source, result, round_trip)
    assert distance(kept, curve(source)) < 0.2 * distance(result, curve(source))
    one_gain = result + 0.7 * (source - round_trip)
    assert distance(kept, curve(source)) < distance(one_gain, curve(source))


def test_flat_parts_take_the_gain_of_what_is_around_them():
    """A sky holds no structure to judge by but its grain; in an inverted picture that is inverted, too."""
    source = scene()
    sky = 0.6 + 0.02 * torch.randn(1, 48, 128, 3, generator=torch.Generator().manual_seed(1))
    source[:, :48] = sky
    round_trip = blurred(source)
    round_trip[:, :44] = 0.6
    kept = keep_detail(source, 1 - round_trip, round_trip)
    assert distance(kept[:, :44], 1 - source[:, :44]) < 0.1 * distance(source[:, :44], round_trip[:, :44])


@pytest.mark.parametrize("seed", range(5))
def test_an_independent_result_gets_nothing(seed):
    source, result = scene(seed=seed), blurred(scene(seed=seed + 100))
    round_trip = blurred(source)
    assert added(keep_detail(source, result, round_trip), result, source, round_trip) < 0.06


@pytest.mark.parametrize("move", [lambda p: p.flip(2), lambda p: p.flip(1), lambda p: p.roll(12, 2)])
def test_mirrored_and_moved_pictures_get_no_ghost(move):
    source = scene()
    round_trip, result = blurred(source), move(blurred(source))
    assert added(keep_detail(source, result, round_trip), result, source, round_trip) < 0.06


def test_a_new_object_gets_no_ghost_and_the_rest_its_detail():
    source = scene()
    painted = source.clone()
    painted[:, 24:72, 32:96] = scene(48, 64, seed=7)
    round_trip, result = blurred(source), blurred(painted)
    kept = keep_detail(source, result, round_trip)
    inside, beside = (slice(None), slice(30, 66), slice(38, 90)), (slice(None), slice(None), slice(0, 24))
    assert added(kept[inside], result[inside], source[inside], round_trip[inside]) < 0.1
    assert distance(kept[beside], source[beside]) < 0.1 * distance(result[beside], source[beside])


def test_what_was_blurred_on_purpose_stays_blurred():
    source = scene()
    round_trip, result = blurred(source, 3), blurred(blurred(source, 9), 9)
    assert added(keep_detail(source, result, round_trip), result, source, round_trip) < 0.1


def test_the_gain_is_that_of_the_guided_filter():
    """Where every window tells enough, the gains give what kornia's guided filter gives."""
    from kornia.filters import guided_blur

    before = torch.rand(1, 3, 60, 60, generator=torch.Generator().manual_seed(0))
    matrix = torch.tensor([[0.5, 0.1, 0.0], [0.2, 0.7, 0.1], [0.0, 0.1, -0.4]])
    after = torch.einsum("bihw,io->bohw", before, matrix) + 0.2
    gain = local_gain(before, after, None, 1, 16.0)
    assert cell_side(1) == 1 and gain.shape == (1, 3, 3, 60, 60)
    assert (gain - matrix[None, :, :, None, None]).abs().max() < 1e-3
    moved = torch.einsum("bihw,biohw->bohw", before, gain)
    mean = lambda values: F.avg_pool2d(values, 3, 1, 1, count_include_pad=False)  # noqa: E731
    offset = mean(after) - torch.einsum("bihw,biohw->bohw", mean(before), gain)
    wanted = guided_blur(before, after, 3, 1e-6)
    assert ((moved + mean(offset)) - wanted)[..., 2:-2, 2:-2].abs().max() < 2e-3


@pytest.mark.parametrize("strength", [0.0, 0.5, 1.0])
def test_strength_is_the_share_that_is_given_back(strength):
    source = scene()
    round_trip = blurred(source)
    kept = keep_detail(source, round_trip, round_trip, settings=KeepDetail(strength=strength))
    if strength == 0:
        assert torch.equal(kept, round_trip)
    assert torch.allclose(kept, torch.lerp(round_trip, source, strength), atol=2e-3)


def test_without_strength_a_larger_source_gets_the_result_scaled_and_nothing_else():
    source, result = scene(96, 96), scene(32, 32, seed=3)
    kept = keep_detail(source, result, blurred(result), settings=KeepDetail(strength=0.0))
    assert torch.equal(kept, resize_image(result, 96, 96))


@pytest.mark.parametrize(("level", "words"), [(0, "marks nothing"), (128, "brighter than 128 of 255"), (129, "")])
def test_a_mask_that_gives_nothing_back_is_said(level, words):
    source, told = torch.rand(1, 32, 48, 3), []
    mask = torch.full((1, 32, 48), level / 255)
    kept = keep_detail(source, source, source * 0.5, mask, notify=told.append)
    assert torch.equal(kept, source) is bool(words)
    assert (words in told[0] and "detail" in told[0]) if words else not told


def test_gain_is_limited():
    source = 0.5 + 0.1 * (scene() - 0.5)
    round_trip = blurred(source)
    result = 8 * (round_trip - 0.5) + 0.5
    free, limited = (
        keep_detail(source, result, round_trip, settings=KeepDetail(max_gain=most)) for most in (16.0, 2.0)
    )
    ratio = distance(limited, result) / distance(free, result)
    assert ratio == pytest.approx(2 / 8, rel=0.05)


def test_without_colour_the_detail_is_grey():
    source = scene()
    round_trip = blurred(source)
    kept = keep_detail(source, round_trip, round_trip, settings=KeepDetail(color=0.0))
    change = kept - round_trip
    assert (change - change.mean(-1, keepdim=True)).abs().mean() < 0.02 * change.abs().mean()
    luma = torch.tensor((0.299, 0.587, 0.114))
    assert torch.allclose(kept @ luma, source @ luma, atol=2e-3)
