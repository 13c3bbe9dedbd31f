"""Keep Detail under masks, at any size, in strips and batches, and what it refuses."""

from __future__ import annotations

import pytest
import torch
from comfyui_ace.ace.pictures.fit import exact_fit, megapixels_fit, published_fit, source_fit
from comfyui_ace.ace.pictures.keep_detail import KeepDetail, keep_detail
from comfyui_ace.ace.pictures.paste_back import paste_back
from comfyui_ace.ace.pictures.preprocess import fit_image, resize_image
from detail_scenes import blurred, distance, scene
from hypothesis import given, settings
from hypothesis import strategies as st


def test_outside_the_mask_every_bit_of_the_result_stays():
    source, result = scene(), scene(seed=2)
    mask = torch.zeros(1, 96, 128)
    mask[:, 20:70, 30:100] = 1
    kept = keep_detail(source, result, blurred(source), mask)
    assert torch.equal(kept[mask == 0], result[mask == 0])


def test_only_what_the_mask_marks_is_judged():
    """Inverted under the mask, untouched around it: up to the mask's edge the detail inside is the inverted one."""
    source = scene()
    mask = torch.zeros(1, 96, 128)
    mask[:, 24:72, 32:96] = 1
    edited = torch.where(mask[..., None] > 0, 1 - source, source)
    round_trip = blurred(source)
    result = torch.where(mask[..., None] > 0, 1 - round_trip, round_trip)
    kept = keep_detail(source, result, round_trip, mask)
    edge = (slice(None), slice(24, 28), slice(32, 96))
    assert distance(kept[edge], edited[edge]) < 0.1 * distance(result[edge], edited[edge])
    whole = keep_detail(source, result, round_trip)
    assert distance(kept[edge], edited[edge]) < distance(whole[edge], edited[edge])


def test_grey_of_a_mask_gives_part():
    source = scene()
    round_trip = blurred(source)
    kept = keep_detail(source, round_trip, round_trip, torch.full((1, 96, 128), 0.75))
    assert torch.allclose(kept, torch.lerp(round_trip, source, 0.75), atol=2e-3)


def test_an_empty_mask_changes_nothing():
    source, result = scene(), scene(seed=2)
    assert torch.equal(keep_detail(source, result, blurred(source), torch.zeros(1, 96, 128)), result)


def test_with_paste_back_the_rest_is_the_source_bit_for_bit():
    source = scene(150, 210)
    fit = published_fit(150, 210, 64)
    mask = torch.zeros(1, 150, 210)
    mask[:, 40:110, 50:150] = 1
    round_trip = blurred(fit_image(source, fit))
    kept = keep_detail(source, 1 - round_trip, round_trip, mask, fit=fit)
    pasted = paste_back(source, kept, mask, fit=fit, feather=8)
    assert torch.equal(pasted[mask == 0], source[mask == 0])
    inside = (slice(None), slice(50, 100), slice(60, 140))
    assert distance(pasted[inside], 1 - source[inside]) < 0.1 * distance(
        resize_image(1 - round_trip, fit.crop.height, fit.crop.width)[inside], 1 - source[inside]
    )


RULES = {
    "published": lambda height, width: published_fit(height, width, 64),
    "exact": lambda height, width: exact_fit(height, width, 32, 64),
    "source": source_fit,
    "enlarged": lambda height, width: megapixels_fit(height, width, 0.01),
}


@settings(max_examples=60)
@given(
    st.integers(1, 200),
    st.integers(1, 200),
    st.sampled_from(sorted(RULES)),
    st.sampled_from([1, 3, 4]),
    st.sampled_from([torch.float32, torch.float16, torch.bfloat16]),
    st.sampled_from([None, 0.0, 0.5, 1.0]),
    st.sampled_from(["noise", "flat", "black"]),
    st.sampled_from([1, 4, 64]),
)
def test_any_size_gives_a_picture(height, width, rule, channels, dtype, share, kind, radius):
    """Of the size of what the result shows, in 0 … 1, and without a NaN, be the pictures as plain or tiny as they may."""
    make = {"noise": torch.rand, "flat": lambda *shape: torch.full(shape, 0.4), "black": torch.zeros}[kind]
    source = make(1, height, width, channels).to(dtype)
    fit = RULES[rule](height, width)
    result, round_trip = (make(1, fit.height, fit.width, 3).to(dtype) for _ in range(2))
    mask = None if share is None else (torch.rand(1, height, width) < share).float()
    kept = keep_detail(
        source, result, round_trip, mask, fit=fit, settings=KeepDetail(radius=radius), notify=lambda _: None
    )
    assert kept.shape == (1, fit.crop.height, fit.crop.width, 3) and kept.dtype == torch.float32
    assert kept.isfinite().all() and kept.min() >= 0 and kept.max() <= 1
    if kind != "noise":
        assert torch.equal(kept, resize_image(result.float(), fit.crop.height, fit.crop.width))


@settings(max_examples=20)
@given(st.floats(0.2, 0.9), st.floats(0.0, 0.05), st.integers(24, 120), st.integers(24, 120), st.integers(0, 99))
def test_detail_never_makes_an_affine_edit_worse(contrast, shift, height, width, seed):
    source = scene(height, width, seed)
    round_trip = blurred(source)
    wanted, result = contrast * source + shift, contrast * round_trip + shift
    assert distance(keep_detail(source, result, round_trip), wanted) < 0.1 * distance(result, wanted)


def test_strips_leave_no_seams(monkeypatch):
    """A picture worked on in many strips is the same as one worked on whole."""
    from comfyui_ace.ace.pictures import keep_detail as module
    from comfyui_ace.ace.pictures import local_gain as gains

    source = scene(150, 110)
    fit = exact_fit(150, 110, 96, 64, "stretch")
    round_trip = blurred(fit_image(source, fit))
    whole = keep_detail(source, round_trip.sqrt(), round_trip, fit=fit)
    monkeypatch.setattr(module, "_STRIP", 1000)
    monkeypatch.setattr(gains, "_STRIP", 1000)
    assert torch.allclose(keep_detail(source, round_trip.sqrt(), round_trip, fit=fit), whole, atol=1e-5)


@pytest.mark.parametrize("counts", [(1, 3, 1, 1), (1, 3, 1, 3), (3, 1, 3, 1), (3, 3, 3, 3)])
def test_batches_of_one_serve_all(counts):
    sources, results, masks = (torch.cat([scene(32, 48, seed=k) for k in range(n)]) for n in counts[:2] + counts[3:])
    trips = blurred(torch.cat([scene(32, 48, seed=k) for k in range(counts[2])]))
    mask = (masks[..., 0] > 0.5).float()
    kept = keep_detail(sources, results, trips, mask)
    assert kept.shape == (3, 32, 48, 3)
    for index in range(3):
        one = [batch[min(index, len(batch) - 1)][None] for batch in (sources, results, trips, mask)]
        assert torch.equal(kept[index], keep_detail(*one)[0])


def test_inputs_stay_as_they_were():
    source, result = scene(), scene(seed=1)
    copies = source.clone(), result.clone()
    keep_detail(source, result, blurred(source))
    assert torch.equal(source, copies[0]) and torch.equal(result, copies[1])


def test_transparent_sources_are_laid_over_white_as_the_model_saw_them():
    source = scene(channels=4)
    told = []
    laid = source[..., 3:] * source[..., :3] + 1 - source[..., 3:]
    round_trip = blurred(laid)
    kept = keep_detail(source, round_trip, round_trip, notify=told.append)
    assert kept.shape[3] == 3 and distance(kept, laid) < 0.02 * distance(round_trip, laid)
    assert any("transparent" in message for message in told)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"source": scene(64, 200)}, "another aspect ratio than its source of 200x64"),
        ({"round_trip": scene(96, 64)}, "the round trip is 64x96.*128x96 of the result.*encode and decode"),
        ({"mask": torch.ones(1, 50, 50)}, "the mask is 50x50; expected the source's size, 128x96"),
        ({"fit": published_fit(64, 64, 64)}, "the source is 128x96, but the fit was made for 64x64"),
        ({"result": scene().expand(2, -1, -1, -1), "source": scene().expand(3, -1, -1, -1)}, "batches of 3, 2, 2, 1"),
    ],
)
def test_what_does_not_belong_together_is_refused(change, message):
    given_ = {"source": scene(), "result": scene(seed=1), "round_trip": scene(), "mask": None, "fit": None} | change
    if given_["result"].shape[0] == 2:
        message = "source, result and round trip are batches of 3, 2, 2?"
    with pytest.raises(ValueError, match=message):
        keep_detail(given_["source"], given_["result"], given_["round_trip"], given_["mask"], fit=given_["fit"])


def test_settings_out_of_bounds_are_refused():
    with pytest.raises(ValueError, match=r"strength is 3; expected 0\.0 to 2\.0"):
        KeepDetail(strength=3)
