"""The canvas of ACE++, pixel by pixel beside another calculation of the published preparation."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from comfyui_ace.ace.lcu.units import ConditionImage, ConditionUnit, LongContext
from comfyui_ace.ace.plus.canvas import GREY, PlusCanvas, PlusSettings, canvas_size, make_canvas
from comfyui_ace.ace.plus.request import Request, read_request

from .published import Prepared, prepare

SIZES = {
    "square": (64, 64),
    "odd": (101, 77),
    "portrait": (150, 90),
    "landscape": (93, 161),
    "higher than 4:1": (259, 50),
    "wider than 4:1": (41, 233),
    "beyond the budget": (333, 517),
}
BUDGET = 256  # tokens: 256 x 256 pixels


def picture(height: int, width: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(1, height, width, 3, generator=torch.Generator().manual_seed(seed))


def spot(height: int, width: int) -> torch.Tensor:
    """A mask with soft edges and a value on either side of the threshold."""
    mask = torch.zeros(1, height, width)
    mask[:, height // 4 : height // 2, width // 3 : -width // 5] = 1.0
    mask[:, height // 2 : height // 2 + 3, width // 3 :] = 128 / 255
    mask[:, height // 2 + 3 : height // 2 + 6, width // 3 :] = 129 / 255
    return mask


def both(request: Request, settings: PlusSettings) -> tuple[PlusCanvas, Prepared]:
    """Ours and the published one, of one sample."""
    parts = (None if part is None else part[0].numpy() for part in (request.source, request.mask, request.reference))
    options = {name: getattr(settings, name) for name in ("repainting_scale", "keep_pixels", "max_seq_len")}
    return make_canvas(request, settings), prepare(*parts, size=request.size, **options)


def assert_same(canvas: PlusCanvas, published: Prepared) -> None:
    assert canvas.image.shape[1:3] == published.mask.shape[1:]
    assert np.array_equal(canvas.mask[0].numpy(), published.mask[0])
    assert (canvas.fit.canvas.before if canvas.fit.canvas else 0) == published.slice_width
    for ours, theirs in (
        (canvas.image, published.image),
        (canvas.kept, published.edit),
        (canvas.changed, published.change),
    ):
        pixels = np.moveaxis(ours[0].numpy() * 2.0 - 1, -1, 0)
        assert np.abs(pixels - theirs).max() < 1e-4  # an eightieth of a level; the filters' weights are float32


@pytest.mark.parametrize("scale", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("source", SIZES)
def test_an_edit_without_reference(source, scale):
    size = SIZES[source]
    assert_same(*both(Request("", picture(*size), spot(*size), None), PlusSettings(scale, False, BUDGET)))


@pytest.mark.parametrize("keep_pixels", [False, True])
@pytest.mark.parametrize("reference", SIZES)
@pytest.mark.parametrize("source", SIZES)
def test_an_edit_with_a_reference(source, reference, keep_pixels):
    size = SIZES[source]
    request = Request("", picture(*size), spot(*size), picture(*SIZES[reference], seed=1))
    assert_same(*both(request, PlusSettings(1.0, keep_pixels, BUDGET)))


@pytest.mark.parametrize("keep_pixels", [False, True])
@pytest.mark.parametrize("reference", SIZES)
def test_a_new_picture_after_a_reference(reference, keep_pixels):
    request = Request("", None, None, picture(*SIZES[reference]), (176, 144))
    canvas, published = both(request, PlusSettings(1.0, keep_pixels, BUDGET))
    assert_same(canvas, published)
    own = published.mask[0].astype(bool)
    assert own.any() and (canvas.image[0].numpy()[own] == GREY).all()


def test_a_new_picture_from_words_alone():
    canvas, published = both(Request("", None, None, None, (96, 128)), PlusSettings(max_seq_len=BUDGET))
    assert_same(canvas, published)
    assert canvas.mask.all() and canvas.fit.canvas is None and (canvas.fit.height, canvas.fit.width) == (96, 128)


@pytest.mark.parametrize("mask", [None, torch.zeros(1, 101, 77), torch.full((1, 101, 77), 0.5)])
def test_a_mask_that_marks_nothing_means_everywhere(mask):
    canvas, published = both(Request("", picture(101, 77), mask, picture(60, 60, 1)), PlusSettings(max_seq_len=BUDGET))
    assert_same(canvas, published)
    own = canvas.mask[0].any(0)
    assert own.any() and not own.all()  # never the reference


def test_a_reference_that_keeps_its_pixels_stands_between_grey():
    small = picture(40, 30, 1)
    canvas = make_canvas(Request("", picture(96, 96), None, small), PlusSettings(keep_pixels=True, max_seq_len=BUDGET))
    assert canvas.fit.canvas.before == 30 and canvas.image.shape[1:3] == (96, 112)
    free = make_canvas(Request("", picture(96, 98), None, small), PlusSettings(keep_pixels=True, max_seq_len=BUDGET))
    assert torch.equal(free.image[:, 28:68, :30], small)
    assert (free.image[:, :28, :30] == GREY).all() and (free.image[:, 68:, :30] == GREY).all()


def test_nothing_is_erased_with_a_scale_of_0():
    source = picture(64, 64)
    canvas = make_canvas(Request("", source, spot(64, 64), None), PlusSettings(0.0, False, BUDGET))
    assert torch.equal(canvas.image, source) and torch.equal(canvas.whole, source)
    half = make_canvas(Request("", source, spot(64, 64), None), PlusSettings(0.5, False, BUDGET))
    inside = half.mask > 0
    assert torch.allclose(half.image[inside], (source[inside] + GREY) / 2)
    assert torch.equal(half.image[~inside], source[~inside]) and torch.equal(half.whole, source)


def test_each_of_a_batch_has_its_own_mask():
    source = torch.cat([picture(48, 48, seed) for seed in range(3)])
    masks = torch.cat([spot(48, 48), torch.zeros(1, 48, 48), spot(48, 48).flip(1)])
    reference = picture(48, 32, 9)
    together = make_canvas(Request("", source, masks, reference), PlusSettings(max_seq_len=BUDGET))
    assert together.image.shape == (3, 48, 80, 3)
    for k in range(3):
        alone, published = both(
            Request("", source[k : k + 1], masks[k : k + 1], reference), PlusSettings(max_seq_len=BUDGET)
        )
        assert_same(alone, published)
        assert torch.equal(together.image[k], alone.image[0]) and torch.equal(together.mask[k], alone.mask[0])
    with pytest.raises(ValueError, match=r"batches of 3, 1, 2"):
        make_canvas(Request("", source, spot(48, 48), torch.cat([reference] * 2)))


@pytest.mark.parametrize("size", [(5, 7), (3, 4000), (16, 16), (1000, 2)])
def test_the_smallest_canvas_is_one_patch_high(size):
    height, width = canvas_size(*size, BUDGET)
    assert height % 16 == width % 16 == 0 and min(height, width) >= 16
    assert make_canvas(Request("", picture(*size), None, None), PlusSettings(max_seq_len=BUDGET)).image.isfinite().all()


def test_what_is_lost_is_told():
    told = []
    thin = torch.zeros(1, 517, 517)
    thin[:, :, 2] = 1  # between the columns that are kept
    canvas = make_canvas(Request("", picture(517, 517), thin, None), PlusSettings(max_seq_len=BUDGET), told.append)
    assert not canvas.mask.any() and any("so thin" in each for each in told)
    told.clear()
    outside = torch.zeros(1, 20, 200)
    outside[:, :, :20] = 1
    make_canvas(Request("", picture(20, 200), outside, None, source_indicator="{image}"), None, told.append)
    assert any("centre cropped to 80x20" in each for each in told) and any("lies outside" in each for each in told)


def unit(*images: ConditionImage, target: str | None = None) -> LongContext:
    return LongContext(ConditionUnit("put it there", images, target))


def shown(seed: int, word: str = "auto", mask: torch.Tensor | None = None) -> ConditionImage:
    return ConditionImage(picture(32, 32, seed), mask, word)


def test_the_edited_picture_is_the_source_and_the_other_the_reference():
    first, second = shown(0, mask=spot(32, 32)), shown(1)
    request = read_request(unit(first, second))
    assert request.source is first.image and request.mask is first.mask and request.reference is second.image
    assert (request.source_indicator, request.reference_indicator) == ("{image}", "{image1}")
    told = []
    turned = read_request(unit(first, second, target="{image1}"), None, told.append)
    assert turned.source is second.image and turned.reference is first.image and turned.mask is None
    assert told == ["the mask of {image} is not used: ACE++ is shown a reference as a whole"]
    assert read_request(unit(first)).reference is None
    assert request.instruction == "put it there"  # no word is put before it


def test_the_only_picture_of_a_new_one_is_the_reference():
    first = shown(0)
    request = read_request(unit(first), (64, 96))
    assert request.source is None and request.reference is first.image and request.size == (64, 96)
    assert read_request(unit(), (64, 96)).reference is None


def test_what_it_does_not_take_is_refused_with_what_to_do():
    round_ = ConditionUnit("", (shown(0),))
    with pytest.raises(ValueError, match=r"1 earlier round.*connect the Condition Unit itself"):
        read_request(LongContext(round_, (round_,)))
    with pytest.raises(
        ValueError, match=r"beside the picture to edit, {image}, but the unit has {image1}, {image2}.*disc"
    ):
        read_request(unit(shown(0), shown(1), shown(2)))
    with pytest.raises(ValueError, match=r"one reference at most.*{image}, {image1}.*disconnect"):
        read_request(unit(shown(0), shown(1)), (64, 64))
    with pytest.raises(ValueError, match=r"no picture to edit.*“new picture”"):
        read_request(unit())
