"""Sizes, crops and layouts: the published rule, the invariants behind it, and the way back."""

import numpy as np
import pytest
import torch
from comfyui_ace.ace.pictures.fit import Box, Fit, exact_fit, infer_crop, megapixels_fit, published_fit, source_fit
from comfyui_ace.ace.pictures.preprocess import (
    as_mask,
    binarize,
    fit_image,
    fit_mask,
    mask_to_latent,
    resize_image,
    to_rgb,
    undo_fit,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

sides = st.integers(1, 8192)
budgets = st.sampled_from([4, 64, 1024, 4096])


@st.composite
def thin_sizes(draw):
    """(height, width) up to 8192 long and aspect ratios to 1:50 and beyond, few pixels in all."""
    long = draw(sides)
    short = draw(st.integers(1, max(1, min(long, 200_000 // long))))
    return (short, long) if draw(st.booleans()) else (long, short)


def check_invariants(fit, height, width):
    assert fit.height % 16 == fit.width % 16 == 0
    assert fit.height >= 16 and fit.width >= 16
    assert fit.crop.top >= 0 and fit.crop.top + fit.crop.height <= height
    assert fit.crop.left >= 0 and fit.crop.left + fit.crop.width <= width


@settings(max_examples=500)
@given(sides, sides, budgets)
def test_published_rule_holds_for_every_size(height, width, max_tokens):
    fit = published_fit(height, width, max_tokens)
    check_invariants(fit, height, width)
    assert fit.tokens <= max_tokens
    assert max(fit.crop.height, fit.crop.width) <= 4 * min(fit.crop.height, fit.crop.width)
    assert fit.crops == (max(height, width) > 4 * min(height, width))
    if min(height, width) >= 16:
        assert fit.height <= fit.crop.height and fit.width <= fit.crop.width, "scaled up"
    else:
        assert min(fit.height, fit.width) == 16
    # Flooring costs at most one token a side, so that the budget is used and the aspect ratio kept.
    if (fit.crop.height / 16) * (fit.crop.width / 16) > max_tokens:
        assert (fit.height / 16 + 1) * (fit.width / 16 + 1) >= max_tokens


@pytest.mark.parametrize(
    ("height", "width", "max_tokens", "expected"),
    [
        (512, 512, 1024, (512, 512)),
        (400, 500, 1024, (400, 496)),  # within the budget: floored, not scaled up
        (1024, 1024, 1024, (512, 512)),
        (1080, 1920, 1024, (384, 672)),
        (1080, 1920, 4096, (768, 1360)),
        (100, 1000, 1024, (96, 400)),  # cropped to 4:1
        (1000, 100, 1024, (400, 96)),
        (1, 1, 1024, (16, 16)),
        (1, 8192, 1024, (16, 64)),
        (15, 60, 4, (16, 64)),
    ],
)
def test_published_rule_by_hand(height, width, max_tokens, expected):
    fit = published_fit(height, width, max_tokens)
    assert (fit.height, fit.width) == expected


def test_crop_is_centred():
    assert published_fit(100, 1001).crop == Box(0, 300, 100, 400)
    assert published_fit(1003, 100).crop == Box(302, 0, 400, 100)  # 301.5 rounds to even, as in torchvision


@settings(max_examples=200)
@given(sides, sides, st.floats(0.01, 4))
def test_megapixels_come_near_in_both_directions(height, width, megapixels):
    fit = megapixels_fit(height, width, megapixels)
    check_invariants(fit, height, width)
    wanted = megapixels * 1024 * 1024
    # Each side is rounded by at most 8 pixels; the shorter one is at least half of what it takes at 4:1.
    short = (wanted / 4) ** 0.5
    assert (1 - 8 / short) ** 2 * 0.99 <= fit.height * fit.width / wanted <= (1 + 8 / short) ** 2 * 1.01


@settings(max_examples=200)
@given(sides, sides)
def test_source_rule_never_scales(height, width):
    fit = source_fit(height, width)
    check_invariants(fit, height, width)
    if min(height, width) >= 16:
        assert not fit.scales
        assert height - fit.height < 16 and width - fit.width < 16


@settings(max_examples=200)
@given(sides, sides, st.integers(1, 100), st.integers(1, 100), st.sampled_from(["crop", "stretch"]))
def test_exact_size_is_exact(height, width, rows, columns, when_aspect_differs):
    fit = exact_fit(height, width, 16 * rows, 16 * columns, when_aspect_differs)
    check_invariants(fit, height, width)
    assert (fit.height, fit.width) == (16 * rows, 16 * columns)
    assert when_aspect_differs == "crop" or not fit.crops


def test_exact_size_crops_to_the_targets_shape():
    assert exact_fit(1000, 2000, 512, 512).crop == Box(0, 500, 1000, 1000)
    with pytest.raises(ValueError, match="another aspect ratio"):
        exact_fit(1000, 2000, 512, 512, "error")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: exact_fit(64, 64, 100, 250), "try 256x96"),
        (lambda: exact_fit(64, 64, 64, 64, "pad"), '"error", "crop" or "stretch"'),
        (lambda: published_fit(0, 64), "no pixels"),
        (lambda: published_fit(64, 64, 3), "at least 4"),
        (lambda: megapixels_fit(64, 64, 0.0), "above 0"),
        (lambda: megapixels_fit(64, 64, float("nan")), "above 0"),
        (lambda: Fit(64, 64, Box(10, 0, 60, 64), 64, 64), "does not lie in"),
    ],
)
def test_impossible_sizes_are_explained(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@settings(max_examples=40)
@given(thin_sizes(), budgets, st.sampled_from(["random", "empty", "full", "fractional"]))
def test_any_picture_goes_there_and_back(size, max_tokens, kind):
    height, width = size
    image = torch.rand(1, height, width, 3)
    mask = {
        "random": torch.rand(1, height, width),
        "empty": torch.zeros(1, height, width),
        "full": torch.ones(1, height, width),
        "fractional": torch.full((1, height, width), 0.3),
    }[kind]
    fit = published_fit(height, width, max_tokens)
    fitted, fitted_mask = fit_image(image, fit), fit_mask(mask, fit)
    assert fitted.shape == (1, fit.height, fit.width, 3)
    assert fitted.min() >= 0 and fitted.max() <= 1
    assert set(fitted_mask.unique().tolist()) <= {0.0, 1.0}
    if kind != "random":
        assert fitted_mask.mean() == (kind == "full")
    assert mask_to_latent(fitted_mask, notify=lambda _: None).shape == (1, 1, fit.height // 8, fit.width // 8)
    region, box = undo_fit(fitted, fit)
    assert region.shape == (1, box.height, box.width, 3)
    assert infer_crop(height, width, fit.height, fit.width) == fit.crop
    assert infer_crop(height, width, height, width) == Box(0, 0, height, width)


def test_untouched_sizes_are_returned_bit_for_bit():
    image = torch.rand(2, 64, 48, 3)
    fit = published_fit(64, 48)
    assert torch.equal(fit_image(image, fit), image)
    assert torch.equal(undo_fit(image, fit)[0], image)


@pytest.mark.parametrize("size", [(37, 61), (200, 90), (96, 128)])
def test_resizing_is_pillows_bicubic(size):
    """The published code resizes PIL images; on levels that do not overshoot, rounding to bytes is all that differs."""
    pixels = np.random.default_rng(0).integers(80, 176, (83, 121, 3), dtype=np.uint8)
    expected = np.asarray(Image.fromarray(pixels).resize(size[::-1], Image.Resampling.BICUBIC))
    got = resize_image(torch.from_numpy(pixels).float()[None] / 255, *size)
    assert (got[0] * 255 - torch.tensor(expected).float()).abs().max() < 2


def test_masks_are_resized_as_pillow_does():
    pixels = np.random.default_rng(0).integers(0, 256, (83, 121), dtype=np.uint8)
    fit = published_fit(83, 121, 16)
    expected = np.asarray(Image.fromarray(pixels).resize((fit.width, fit.height), Image.Resampling.NEAREST)) > 128
    assert torch.equal(fit_mask(torch.from_numpy(pixels).float() / 255, fit)[0] > 0, torch.from_numpy(expected))


def test_every_byte_is_binarised_as_published():
    levels = torch.arange(256)
    expected = (levels > 128).float()
    assert torch.equal(binarize((levels / 255)[None, None])[0, 0], expected)
    assert torch.equal(binarize((1 - (255 - levels) / 255)[None, None])[0, 0], expected), "read from alpha"


def test_latent_mask_takes_the_pixel_next_to_the_blocks_centre():
    mask = torch.zeros(1, 16, 16)
    mask[0, 4, 12] = 1
    assert torch.equal(mask_to_latent(mask)[0, 0], torch.tensor([[0.0, 1.0], [0.0, 0.0]]))


def test_vanishing_masks_are_told():
    notices = []
    mask = torch.zeros(1, 16, 16)
    mask[0, 0, :] = 1
    assert not mask_to_latent(mask, notices.append).any()
    assert "grow it" in notices[0]
    with pytest.raises(ValueError, match="multiples of 8"):
        mask_to_latent(torch.ones(1, 20, 16))


def test_result_of_another_shape_is_refused():
    with pytest.raises(ValueError, match="another aspect ratio"):
        infer_crop(1000, 1000, 512, 768)


def test_fit_of_another_picture_is_refused():
    with pytest.raises(ValueError, match="32x64, but the fit was made for 64x64"):
        fit_image(torch.rand(1, 64, 32, 3), published_fit(64, 64))


def test_grey_and_transparent_pictures_become_rgb():
    notices = []
    grey = torch.rand(1, 4, 5, 1)
    assert torch.equal(to_rgb(grey, notices.append), grey.expand(-1, -1, -1, 3))
    opaque = torch.cat([torch.rand(1, 4, 5, 3), torch.ones(1, 4, 5, 1)], 3)
    assert torch.equal(to_rgb(opaque, notices.append), opaque[..., :3])
    assert not notices
    half = torch.tensor([0.2, 0.4, 0.6, 0.5]).view(1, 1, 1, 4)
    assert torch.allclose(to_rgb(half, notices.append), torch.tensor([0.6, 0.7, 0.8]))
    assert to_rgb(torch.zeros(1, 4, 5, 2), notices.append).eq(1).all()
    assert len(notices) == 2 and "white" in notices[0]


def test_values_out_of_range_are_clamped_and_told():
    notices = []
    assert to_rgb(torch.full((1, 2, 2, 3), 1.5), notices.append).eq(1).all()
    assert "clamped" in notices[0]


@pytest.mark.parametrize(
    ("image", "error", "message"),
    [
        (torch.rand(8, 8, 3), ValueError, "without its batch"),
        (torch.rand(1, 3, 8, 8), ValueError, "channels last"),
        (torch.rand(1, 2, 8, 8, 3), ValueError, "video"),
        (torch.rand(0, 8, 8, 3), ValueError, "no pixel"),
        (torch.zeros(1, 8, 8, 3, dtype=torch.uint8), TypeError, "divide bytes"),
        (torch.full((1, 8, 8, 3), float("nan")), ValueError, "not finite"),
        (None, TypeError, "NoneType"),
    ],
)
def test_what_is_no_image_is_explained(image, error, message):
    with pytest.raises(error, match=message):
        to_rgb(image)


def test_mask_layouts():
    mask = torch.rand(8, 9)
    for layout in (mask, mask[None], mask[None, None]):
        assert torch.equal(as_mask(layout), mask[None])
    with pytest.raises(ValueError, match="looks like an image"):
        as_mask(torch.rand(1, 8, 9, 3))
