"""Masks: what prepare, grow, feather, fit and inpaint promise, for every size and every kind of mask."""

import pytest
import torch
from comfyui_ace.ace.pictures import masks
from comfyui_ace.ace.pictures.morphology import feather, fill_holes, grow
from hypothesis import given, settings
from hypothesis import strategies as st
from kornia.morphology import dilation, erosion
from scipy.ndimage import binary_fill_holes


def disc(radius):
    steps = torch.arange(-radius, radius + 1)
    return (steps[:, None] ** 2 + steps**2 <= radius**2).float()


def blobs(height, width, share, seed=0):
    """Random mask (1, height, width); about ``share`` of it marked, fractional values on both sides of the threshold."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.rand(1, height, width, generator=generator)
    return torch.where(noise < share, 0.6 + 0.4 * noise, 0.4 * noise)


@st.composite
def any_mask(draw):
    long = draw(st.integers(1, 8192))
    short = draw(st.integers(1, max(1, min(long, 40_000 // long))))
    size = (short, long) if draw(st.booleans()) else (long, short)
    share = draw(st.sampled_from([0.0, 0.001, 0.3, 0.97, 1.0]))
    return blobs(*size, share, draw(st.integers(0, 99)))


@pytest.mark.parametrize("radius", [1, 2, 5, 9])
@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99, 1.0])
def test_growth_equals_kornias_morphology(radius, share):
    mask = torch.cat([blobs(37, 53, share, seed) for seed in (1, 2)])
    binary = (mask > 0.5).float()[:, None]
    assert torch.equal(grow(mask, radius), dilation(binary, disc(radius))[:, 0])
    assert torch.equal(grow(mask, -radius), erosion(binary, disc(radius))[:, 0])
    square = torch.ones(2 * radius + 1, 2 * radius + 1)
    assert torch.equal(grow(mask, radius, "square"), dilation(binary, square)[:, 0])
    assert torch.equal(grow(mask, -radius, "square"), erosion(binary, square)[:, 0])


def test_growth_past_sixteen_bits_stays_a_disc():
    """Squared distances beyond 127 pixels overflow the narrow integers that smaller radii use."""
    mask = torch.zeros(1, 401, 401)
    mask[0, 200, 200] = 1
    steps = torch.arange(-200, 201)
    assert torch.equal(grow(mask, 150)[0], (steps[:, None] ** 2 + steps**2 <= 150**2).float())


@settings(max_examples=40)
@given(any_mask(), st.integers(-20, 20), st.sampled_from(["round", "square"]))
def test_growing_only_adds_and_shrinking_only_takes(mask, radius, corners):
    before, after = mask > 0.5, grow(mask, radius, corners) > 0
    assert after.shape == before.shape
    assert (after >= before).all() if radius >= 0 else (after <= before).all()
    if before.all() or not before.any():
        assert torch.equal(after, before), "the picture's edge is no edge of the mask"


@settings(max_examples=30)
@given(any_mask(), st.integers(0, 24))
def test_feather_stays_inside_and_reaches_full_strength(mask, radius):
    binary, soft = mask > 0.5, feather(mask, radius)
    assert torch.equal(soft > 0, binary), "exactly 0 outside, above 0 inside"
    assert soft.max() == binary.any()


def test_feather_rises_smoothly_from_a_straight_edge():
    mask = torch.zeros(1, 5, 40)
    mask[:, :, 10:] = 1
    ramp = torch.arange(1, 31).clamp(max=9) / 9
    assert torch.allclose(feather(mask, 8)[0, 2, 10:], ramp**2 * (3 - 2 * ramp))


def test_thin_strokes_survive_the_feather():
    mask = torch.zeros(1, 64, 64)
    mask[0, 30:33] = 1
    soft = feather(mask, 16)
    assert (soft[0, 31] == 1).all() and (soft[0, 30] > 0).all() and (soft[0, 30] < 1).all()


@settings(max_examples=60)
@given(any_mask())
def test_filling_holes_is_scipys(mask):
    mask = torch.cat([mask, mask.flip(1)])
    expected = [torch.from_numpy(binary_fill_holes(one > 0.5)) for one in mask.numpy()]
    assert torch.equal(fill_holes(mask), torch.stack(expected).float())


def test_outlines_are_filled_and_open_shapes_are_not():
    outline = torch.zeros(1, 60, 60)
    outline[0, 10:50, 10:50] = 1
    outline[0, 12:48, 12:48] = 0
    assert fill_holes(outline).sum() == 1600
    outline[0, 30, 10:12] = 0  # a gap of one pixel
    assert torch.equal(fill_holes(outline), outline)
    corner = torch.zeros(1, 20, 20)
    corner[0, :10, 9] = corner[0, 9, :10] = 1  # closed only by the picture's edge
    assert torch.equal(fill_holes(corner), corner)


def test_prepare_does_everything_in_order():
    image = torch.rand(1, 40, 60, 3)
    mask = torch.ones(2, 20, 30)
    mask[0, 5:10, 5:10] = 0.2
    mask[1, 5:10, 20:25] = 0.2
    prepared = masks.prepare_mask(mask, image=image, invert=True, unite=True, grow=2, feather=3)
    expected = torch.zeros(1, 40, 60)
    expected[0, 10:20, 10:20] = expected[0, 10:20, 40:50] = 1
    assert torch.equal(prepared.binary, grow(expected, 2))
    assert torch.equal(prepared.soft, feather(grow(expected, 2), 3))


@settings(max_examples=40)
@given(any_mask(), st.integers(-8, 8), st.integers(0, 8), st.booleans(), st.booleans())
def test_prepare_gives_binary_and_soft_masks_for_anything(mask, radius, feather_radius, invert, unite):
    notices = []
    prepared = masks.prepare_mask(
        mask, grow=radius, feather=feather_radius, invert=invert, unite=unite, notify=notices.append
    )
    assert set(prepared.binary.unique().tolist()) <= {0.0, 1.0}
    assert torch.equal(prepared.soft > 0, prepared.binary > 0)
    assert bool(notices) == (masks.coverage(prepared.binary).item() in (0, 1))


def test_notice_counts_the_masks_that_mark_nothing():
    notices = []
    mask = torch.zeros(3, 8, 8)
    mask[1, :4] = 1
    masks.prepare_mask(mask, notify=notices.append)
    assert notices == ["mask 1 and 3 marks nothing; the model may then change the whole picture"]


def test_masks_of_another_shape_need_a_choice():
    mask = torch.zeros(1, 20, 20)
    mask[0, :, 5:] = 1
    with pytest.raises(ValueError, match="does not belong to this picture"):
        masks.fit_to_image(mask, 40, 20)
    assert masks.fit_to_image(mask, 40, 20, "stretch").mean() == 0.75
    assert masks.fit_to_image(mask, 40, 20, "crop").eq(1).all(), "its centre, columns 5 to 15"
    assert masks.fit_to_image(mask, 10, 10).shape == (1, 10, 10)


def test_load_images_placeholder_fits_every_picture():
    assert torch.equal(masks.fit_to_image(torch.zeros(1, 64, 64), 30, 500), torch.zeros(1, 30, 500))


def test_alpha_is_read_as_load_image_does():
    image = torch.rand(2, 6, 7, 4)
    assert torch.equal(masks.from_image(image, "transparent"), 1 - image[..., 3])
    assert torch.equal(masks.from_image(image[..., 2:], "opaque"), image[..., 3])
    assert torch.equal(masks.from_image(image[..., 1:2]), image[..., 1])
    with pytest.raises(ValueError, match="no transparency"):
        masks.from_image(image[..., :3], "opaque")


def test_inpaint_blanks_or_keeps():
    image, mask = torch.rand(2, 8, 8, 3) + 0.1, torch.zeros(1, 8, 8)
    mask[0, 2:5, 3:6] = 0.8
    blanked = masks.inpaint_image(image, mask, "blank")
    assert (blanked[:, 2:5, 3:6] == 0).all()
    outside = (mask == 0).expand(2, -1, -1)
    assert torch.equal(blanked[outside], image[outside])
    assert torch.equal(masks.inpaint_image(image, mask, "keep"), image)
    with pytest.raises(ValueError, match="fit the mask"):
        masks.inpaint_image(image, mask[:, :4])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: grow(m, 3, "pointed"), "round, square"),
        (lambda m: feather(m, -1), "0 or more"),
        (lambda m: masks.inpaint_image(torch.rand(1, 8, 8, 3), m, "grey"), "blank, keep"),
        (lambda m: masks.from_image(torch.rand(1, 8, 8, 4), "both"), "opaque, transparent"),
        (lambda m: masks.fit_to_image(m, 8, 8, "pad"), '"error", "crop" or "stretch"'),
    ],
)
def test_unknown_choices_are_explained(call, message):
    with pytest.raises(ValueError, match=message):
        call(torch.ones(1, 8, 8))
