"""Outpainting and pasting back: what lies outside the mask comes back bit for bit."""

import pytest
import torch
from comfyui_ace.ace.pictures import outpaint as out
from comfyui_ace.ace.pictures.fit import exact_fit, published_fit, source_fit
from comfyui_ace.ace.pictures.morphology import grow
from comfyui_ace.ace.pictures.paste_back import match_seam_colors, paste_back, paste_back_outpainting
from comfyui_ace.ace.pictures.preprocess import fit_image
from hypothesis import given, settings
from hypothesis import strategies as st

RULES = {
    "published": lambda height, width: published_fit(height, width, 64),
    "exact": lambda height, width: exact_fit(height, width, 32, 64),
    "source": source_fit,
}


@st.composite
def sizes(draw, most=8192, pixels=20_000):
    long = draw(st.integers(1, most))
    short = draw(st.integers(1, max(1, min(long, pixels // long))))
    return (short, long) if draw(st.booleans()) else (long, short)


@settings(max_examples=50)
@given(
    sizes(),
    st.sampled_from(sorted(RULES)),
    st.sampled_from([0.0, 0.01, 0.6, 1.0]),
    st.sampled_from([None, 0, 1, 8]),
    st.booleans(),
    st.sampled_from([1, 3, 4]),
)
def test_outside_the_mask_every_bit_stays(size, rule, share, feather, match_colors, channels):
    height, width = size
    original = torch.rand(1, height, width, channels)
    fit = RULES[rule](height, width)
    result = torch.rand(1, fit.height, fit.width, 3)
    mask = (torch.rand(1, height, width) < share).float() * 0.9
    pasted = paste_back(
        original, result, mask, fit=fit, feather=feather, match_colors=match_colors, notify=lambda _: None
    )
    color = original if channels > 1 else original.expand(-1, -1, -1, 3)
    assert pasted.shape == color.shape
    outside = mask == 0
    assert torch.equal(pasted[outside], color[outside])
    assert torch.equal(pasted[..., 3:], color[..., 3:])
    assert pasted.min() >= 0 and pasted.max() <= 1


@pytest.mark.parametrize("batches", [(1, 3, 1), (3, 1, 1), (1, 1, 3), (3, 3, 3)])
def test_batches_of_one_serve_all(batches):
    original, result, mask = (torch.rand(count, 32, 48, 3) for count in batches)
    pasted = paste_back(original, result, (mask[..., 0] > 0.5).float(), feather=0)
    assert pasted.shape == (3, 32, 48, 3)
    inside = mask[..., :1] > 0.5
    assert torch.equal(pasted, torch.where(inside, result, original))


def test_mismatched_batches_are_refused():
    with pytest.raises(ValueError, match="batches of 2, 3, 1"):
        paste_back(torch.rand(2, 32, 32, 3), torch.rand(3, 32, 32, 3), torch.ones(1, 32, 32))


def test_scaled_result_lands_where_it_came_from():
    """A smooth picture survives being scaled down and pasted back: nothing shifts."""
    rows, columns = torch.linspace(0, 1, 1000)[:, None], torch.linspace(0, 1, 750)
    original = torch.stack([rows.expand(-1, 750), columns.expand(1000, -1), (rows * columns)], -1)[None]
    fit = published_fit(1000, 750, 256)
    assert fit.scales
    pasted = paste_back(original, fit_image(original, fit), torch.ones(1, 1000, 750), feather=0)
    assert (pasted - original).abs().max() < 0.01


def test_fit_tells_cropping_from_scaling():
    """70x100 gives a result of 64x96 by either rule; pasting back must know which, or the picture shifts."""
    original = torch.rand(1, 70, 100, 3)
    mask = torch.ones(1, 70, 100)
    fit = source_fit(70, 100)
    kept = (slice(None), fit.crop.rows, fit.crop.columns)
    result = fit_image(original, fit)
    assert torch.equal(paste_back(original, result, mask, fit=fit, feather=0), original)
    assert not torch.allclose(paste_back(original, result, mask, feather=0)[kept], original[kept], atol=0.05)


@pytest.mark.parametrize("factor", [1, 2])
def test_result_may_come_at_the_sources_size_or_enlarged(factor):
    original = torch.rand(1, 70, 101, 3)
    result = torch.zeros(1, 70 * factor, 101 * factor, 3)
    for fit in (None, published_fit(70, 101, 16)):
        pasted = paste_back(original, result, torch.ones(1, 70, 101), fit=fit, feather=0)
        assert pasted.shape == original.shape and not pasted.any()


def test_result_of_another_fit_is_refused():
    with pytest.raises(ValueError, match="connect the fit of the sampler"):
        paste_back(torch.rand(1, 64, 64, 3), torch.rand(1, 32, 96, 3), torch.ones(1, 64, 64), fit=published_fit(64, 64))


def test_cropped_picture_is_only_changed_where_the_model_saw_it():
    original = torch.rand(1, 64, 1000, 3)
    fit = published_fit(64, 1000)
    notices = []
    pasted = paste_back(original, torch.rand(1, 64, 256, 3), torch.ones(1, 64, 1000), feather=4, notify=notices.append)
    kept = fit.crop.columns
    assert torch.equal(pasted[:, :, : kept.start], original[:, :, : kept.start])
    assert torch.equal(pasted[:, :, kept.stop :], original[:, :, kept.stop :])
    assert not torch.equal(pasted[:, :, kept], original[:, :, kept])
    assert "beyond" in notices[0]


def test_mask_of_the_results_size_is_scaled_with_it():
    original, result = torch.zeros(1, 64, 64, 3), torch.ones(1, 32, 32, 3)
    mask = torch.zeros(1, 32, 32)
    mask[0, :16] = 1
    pasted = paste_back(original, result, mask, feather=0)
    assert torch.allclose(pasted[:, :32], torch.tensor(1.0)) and (pasted[:, 32:] == 0).all()
    with pytest.raises(ValueError, match="the mask is 16x16"):
        paste_back(original, result, torch.ones(1, 16, 16))


def test_feather_fades_in_from_the_masks_edge():
    original, result, mask = torch.zeros(1, 32, 64, 3), torch.ones(1, 32, 64, 3), torch.zeros(1, 32, 64)
    mask[0, :, 20:] = 1
    line = paste_back(original, result, mask, feather=8)[0, 16, :, 0]
    assert (line[:20] == 0).all() and (line[29:] == 1).all()
    assert (line[20:29].diff() > 0).all() and 0 < line[20] < 0.1


def test_soft_mask_is_taken_as_weights():
    mask = torch.full((1, 32, 32), 0.25)
    assert torch.allclose(
        paste_back(torch.zeros(1, 32, 32, 3), torch.ones(1, 32, 32, 3), mask, feather=None), mask[..., None]
    )


def test_color_match_removes_a_drift_of_the_whole_result():
    source = torch.rand(1, 64, 64, 3) * 0.5 + 0.25
    mask = torch.zeros(1, 64, 64)
    mask[0, 20:40, 20:40] = 1
    drifted = source * 0.8 + 0.1
    matched = match_seam_colors(drifted, source, mask, ring=16)
    assert (matched - source).abs().max() < 0.02 < (drifted - source).abs().max()


def test_color_match_without_surroundings_changes_nothing():
    notices = []
    region = torch.rand(1, 8, 8, 3)
    assert torch.equal(
        match_seam_colors(region, torch.rand(1, 8, 8, 3), torch.ones(1, 8, 8), 4, notices.append), region
    )
    assert "not matched" in notices[0]


@settings(max_examples=40)
@given(
    sizes(most=2000, pixels=4000),
    st.lists(st.integers(0, 40), min_size=4, max_size=4),
    st.integers(0, 6),
    st.booleans(),
    st.sampled_from([0, 8]),
)
def test_outpainted_picture_keeps_every_pixel_of_the_source(size, sides, overlap, snapped, feather):
    height, width = size
    image = torch.rand(1, height, width, 3)
    left, top, right, bottom = sides
    placement = out.place_by_pixels(height, width, left=left, top=top, right=right, bottom=bottom, overlap=overlap)
    if snapped:
        placement = out.snap(placement)
        assert placement.canvas_height % 16 == placement.canvas_width % 16 == 0
    else:
        assert (placement.canvas_height, placement.canvas_width) == (height + top + bottom, width + left + right)
    extended = out.outpaint(image, placement, notify=lambda _: None)
    box = placement.box
    assert torch.equal(extended.canvas[:, box.rows, box.columns], image)
    outside = torch.ones_like(extended.mask)
    outside[:, box.rows, box.columns] = 0
    assert (extended.canvas * outside[..., None] == 0).all(), "the border is black, -1 to the model"
    assert torch.equal(extended.mask >= outside, torch.ones_like(outside, dtype=torch.bool))
    if overlap == 0:
        assert torch.equal(extended.mask, outside)

    fit = published_fit(placement.canvas_height, placement.canvas_width, 64)
    result = torch.rand(1, fit.height, fit.width, 3)
    pasted = paste_back_outpainting(image, result, placement, feather=feather, notify=lambda _: None)
    kept = extended.mask[:, box.rows, box.columns] == 0
    assert torch.equal(pasted[:, box.rows, box.columns][kept], image[kept])


def test_overlap_lies_only_along_new_border():
    placement = out.place_by_pixels(20, 20, right=10, overlap=5)
    mask = placement.mask()[0]
    assert (mask[:, 15:] == 1).all() and (mask[:, :15] == 0).all()


def test_mask_inside_the_picture_joins_the_border():
    inner = torch.zeros(1, 20, 20)
    inner[0, 3:6, 3:6] = 1
    placement = out.place_by_pixels(20, 20, left=10)
    mask = out.outpaint(torch.rand(1, 20, 20, 3), placement, inner).mask
    assert torch.equal(mask[0, :, 10:], inner[0]) and (mask[0, :, :10] == 1).all()


def test_outpainted_seam_does_not_fade_from_black():
    original, result = torch.ones(1, 32, 32, 3), torch.ones(1, 32, 64, 3)
    pasted = paste_back_outpainting(original, result, out.place_by_pixels(32, 32, right=32), feather=8)
    assert (pasted == 1).all()


def test_ratio_extension_is_the_published_one():
    placement = out.place_by_ratio(101, 203, left=0.25, right=0.3, top=0.1)
    assert (placement.canvas_height, placement.canvas_width) == (int(101 * 1.1), int(203 * 1.55))
    assert (placement.box.top, placement.box.left) == (10, 50)


@settings(max_examples=200)
@given(
    st.integers(1, 8192),
    st.integers(1, 8192),
    st.integers(1, 50),
    st.integers(1, 50),
    st.sampled_from(sorted(out.ANCHORS)),
)
def test_extension_to_an_aspect_ratio_only_adds(height, width, aspect_width, aspect_height, anchor):
    placement = out.place_to_aspect(height, width, aspect_width, aspect_height, anchor)
    left, right, top, bottom = placement.margins
    assert min(placement.margins) >= 0
    assert left + right == 0 or top + bottom == 0 or max(left + right, top + bottom) <= 1
    short = min(placement.canvas_width / aspect_width, placement.canvas_height / aspect_height)
    assert abs(placement.canvas_width / aspect_width - placement.canvas_height / aspect_height) <= max(
        0.51 / aspect_width, 0.51 / aspect_height, 1e-6 * short
    )
    assert "left" not in anchor or left == 0
    assert "bottom" not in anchor or bottom == 0
    assert anchor != "center" or (abs(left - right) <= 1 and abs(top - bottom) <= 1)


def test_nothing_to_extend_is_told():
    notices = []
    extended = out.outpaint(torch.rand(1, 8, 8, 3), out.place_to_aspect(8, 8, 1, 1), notify=notices.append)
    assert "adds nothing" in notices[0] and not extended.mask.any()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: out.place_by_pixels(8, 8, left=-1), "left is -1"),
        (lambda: out.place_by_ratio(8, 8, top=float("nan")), "top is nan"),
        (lambda: out.place_to_aspect(8, 8, 0, 1), "above 0"),
        (lambda: out.place_to_aspect(8, 8, 1, 1, "middle"), "center, top"),
        (lambda: out.place_by_pixels(8, 8, overlap=-2), "overlap is -2"),
        (lambda: out.place_by_pixels(8, 8).extend(torch.rand(1, 9, 8, 3)), "connect the picture"),
        (lambda: paste_back(torch.rand(1, 64, 64, 3), torch.rand(1, 32, 96, 3), torch.ones(1, 64, 64)), "aspect ratio"),
    ],
)
def test_impossible_wishes_are_explained(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_ring_is_what_surrounds_the_mask():
    """Colours far from the mask have no say in the match."""
    source = torch.full((1, 64, 64, 3), 0.5)
    mask = torch.zeros(1, 64, 64)
    mask[0, 28:36, 28:36] = 1
    region = torch.full((1, 64, 64, 3), 0.6)
    region[grow(mask, 8) == 0] = 0.0
    matched = match_seam_colors(region, source, mask, ring=8)
    assert torch.allclose(matched[mask > 0], torch.tensor(0.5), atol=1e-3)


@pytest.mark.parametrize(
    ("level", "feather", "said"), [(100, 8, True), (128, 0, True), (129, 8, False), (100, None, False)]
)
def test_a_mask_too_dim_for_a_seam_is_said(level, feather, said):
    original, told = torch.rand(1, 32, 48, 3), []
    mask = torch.full((1, 32, 48), level / 255)
    pasted = paste_back(original, 1 - original, mask, feather=feather, notify=told.append)
    assert torch.equal(pasted, original) is said
    assert [f"nowhere brighter than {level} of 255" in text and "comes back" in text for text in told] == [True] * said


def test_load_images_empty_mask_fits_paste_back():
    original, result = torch.rand(1, 40, 60, 3), torch.rand(1, 32, 48, 3)
    told: list[str] = []
    assert torch.equal(paste_back(original, result, torch.zeros(1, 64, 64), notify=told.append), original)
    assert len(told) == 1 and "marks nothing" in told[0]
