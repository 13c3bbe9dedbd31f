"""Long context in, picture out, on a small bundle with random weights."""

from __future__ import annotations

import pytest
import torch
from comfyui_ace.ace.encode import encode
from comfyui_ace.ace.lcu.indicators import INDICATORS
from comfyui_ace.ace.lcu.intake import condition_image
from comfyui_ace.ace.lcu.units import ConditionImage, ConditionUnit, LongContext
from comfyui_ace.ace.pictures.keep_detail import KeepDetail, keep_detail
from comfyui_ace.ace.pictures.preprocess import fit_image
from comfyui_ace.ace.pictures.resolution import Resolution
from comfyui_ace.ace.text import encode_text


def picture(height: int, width: int, indicator: str = "{image}", mask=None, batch: int = 1) -> ConditionImage:
    generator = torch.Generator().manual_seed(height * width)
    return ConditionImage(torch.rand(batch, height, width, 3, generator=generator), mask, indicator)


@pytest.fixture(scope="module")
def encode_with(pipeline):
    def run(context, **options):
        options = {"resolution": Resolution.published(pipeline.defaults.max_tokens), **options}
        return encode(context, pipeline.text_encoder, pipeline.vae, **options)

    return run


def test_every_frame_gets_its_text_and_the_target_the_last(encode_with, pipeline):
    history = ConditionUnit("{image} at night", [picture(32, 32)])
    unit = ConditionUnit("{image} in {image1}", [picture(48, 32), picture(16, 64, "{image1}")])
    encoded = encode_with(LongContext(unit, [history]), negative_prompt="blurry")

    def same(tensor, text):
        return torch.equal(tensor, encode_text(text, pipeline.text_encoder))

    now = "{image1} in {image2}"
    assert all(map(same, encoded.positive.context, [now, "{image} at night", now, now]))
    assert all(map(same, encoded.negative.context, ["blurry", "{image} at night", now, "blurry"]))
    assert encoded.latent_shape == (1, 4, 6, 4)
    assert [tuple(latent.shape[-2:]) for latent in encoded.positive.references] == [(4, 4), (6, 4), (2, 8)]


def test_masks_reach_their_frame_and_the_target(encode_with):
    mask = torch.zeros(1, 32, 48)
    mask[:, 16:, :24] = 1
    encoded = encode_with(LongContext(ConditionUnit("{image}", [picture(32, 48, mask=mask)])))
    expected = torch.zeros(1, 1, 4, 6)
    expected[..., 2:, :3] = 1
    assert torch.equal(encoded.positive.target_mask, expected)
    assert torch.equal(encoded.positive.reference_masks[0], expected)
    assert torch.equal(encoded.negative.target_mask, expected)


def test_in_a_batch_of_masks_an_empty_one_means_everywhere(encode_with):
    masks = torch.zeros(2, 32, 32)
    masks[1, :16] = 1
    encoded = encode_with(LongContext(ConditionUnit("{image}", [picture(32, 32, mask=masks, batch=2)])))
    assert encoded.positive.target_mask[0].eq(1).all()
    assert encoded.positive.target_mask[1].flatten().tolist() == [1] * 8 + [0] * 8


def test_a_mask_too_thin_for_the_latent_is_thickened_and_one_cropped_away_changes_nothing(encode_with):
    told = []
    thin, away = torch.zeros(1, 64, 64), torch.zeros(1, 16, 128)
    thin[:, 30, :] = 1
    away[:, :, :8] = 1
    encoded = encode_with(LongContext(ConditionUnit("{image}", [picture(64, 64, mask=thin)])), notify=told.append)
    assert encoded.positive.target_mask.sum() == 8 and encoded.positive.target_mask[0, 0, 3].eq(1).all()
    encoded = encode_with(LongContext(ConditionUnit("{image}", [picture(16, 128, mask=away)])), notify=told.append)
    assert not encoded.positive.target_mask.any()
    assert any("thickened" in message for message in told) and any("nothing may change" in message for message in told)


def test_batches_must_agree_across_rounds(encode_with):
    history = ConditionUnit("{image}", [picture(32, 32, batch=3)])
    with pytest.raises(ValueError, match=r"\{image\}: 3, \{image1\}: 2"):
        encode_with(LongContext(ConditionUnit("{image}", [picture(32, 32, batch=2)]), [history]))


def test_text_alone_fills_the_canvas(encode_with):
    encoded = encode_with(LongContext(ConditionUnit("a house")), resolution=Resolution.exact(48, 96))
    assert encoded.latent_shape == (1, 4, 6, 12) and encoded.target_fit is None and encoded.positive.references == ()


def test_ten_pictures_are_taken_with_a_warning(encode_with):
    told = []
    unit = ConditionUnit(" ".join(INDICATORS), [picture(16, 16, word) for word in INDICATORS])
    encoded = encode_with(LongContext(unit), notify=told.append)
    assert encoded.positive.num_references == 10 and encoded.positive.indicator_embeddings.shape[0] == 11
    assert any("more than the published models" in message for message in told)


def test_edit_keeps_the_picture_size_and_repeats_by_seed(pipeline):
    context = LongContext(ConditionUnit("{image} snow", [picture(50, 70)]))
    first = pipeline(context, seed=5, steps=2)
    assert first.images.shape == (1, 48, 64, 3)
    assert (first.fit.source_height, first.fit.source_width) == (50, 70)
    assert torch.equal(first.images, pipeline(context, seed=5, steps=2).images)
    assert not torch.equal(first.images, pipeline(context, seed=6, steps=2).images)


def test_seeds_of_a_batch_are_independent(pipeline):
    context = LongContext(ConditionUnit("{image} snow", [picture(32, 32)]))
    both = pipeline(context, seed=[5, 6], steps=2).latents
    one = pipeline(context, seed=6, steps=2).latents
    assert torch.allclose(both[1:], one, rtol=1e-3, atol=1e-3 * one.abs().max())


def test_a_batch_of_pictures_makes_one_result_each(pipeline):
    context = LongContext(
        ConditionUnit("{image} like {image1}", [picture(32, 32, batch=2), picture(16, 16, "{image1}")])
    )
    assert pipeline(context, steps=1).images.shape[0] == 2
    with pytest.raises(ValueError, match="batch of 2"):
        pipeline(context, steps=1, batch_size=3)


def test_instruction_picture_and_mask_all_matter(pipeline):
    mask = torch.zeros(1, 32, 32)
    mask[:, :16] = 1
    units = [
        ConditionUnit("{image} snow", [picture(32, 32)]),
        ConditionUnit("{image} turn it into a drawing", [picture(32, 32)]),
        ConditionUnit("{image} snow", [ConditionImage(1 - picture(32, 32).image)]),
        ConditionUnit("{image} snow", [picture(32, 32, mask=mask)]),
    ]
    results = [pipeline(LongContext(unit), seed=1, steps=2).latents for unit in units]
    assert all(not torch.allclose(results[0], other, rtol=1e-4) for other in results[1:])


def test_intake_of_odd_pictures_and_masks():
    told = []
    image = torch.rand(1, 32, 48, 4)
    small, empty = torch.zeros(1, 16, 24), torch.zeros(1, 64, 64)
    small[:, 4:] = 1
    taken = condition_image(image, small, "<image1>", told.append)
    assert taken.image.shape == (1, 32, 48, 3) and taken.mask.shape == (1, 32, 48) and taken.indicator == "{image1}"
    assert len(told) == 2 and "white" in told[0] and "scaled" in told[1]
    assert condition_image(image[..., :3], empty).mask is None
    with pytest.raises(ValueError, match="another shape"):
        condition_image(image[..., :3], torch.ones(1, 64, 64))


def test_detail_is_kept_at_the_edited_pictures_own_size(pipeline):
    """The result is that of Keep Detail on what the pipeline makes without it, each side of the mask by itself."""
    mask = torch.zeros(1, 70, 100)
    mask[:, 10:50, 20:70] = 1
    for given in (None, mask):
        context = LongContext(ConditionUnit("{image} in snow", [picture(70, 100, mask=given)]))
        plain, kept = (
            pipeline(context, steps=2, seed=1, keep_detail=wanted) for wanted in (None, KeepDetail(strength=0.5))
        )
        assert plain.images.shape == (1, 64, 96, 3) and torch.equal(plain.latents, kept.latents)
        source = context.unit.images[0].image
        round_trip = pipeline.vae.decode(pipeline.vae.encode(fit_image(source, plain.fit)))
        expected = plain.images
        for part in (None,) if given is None else (mask, 1 - mask):
            expected = keep_detail(source, expected, round_trip, part, fit=plain.fit, settings=KeepDetail(strength=0.5))
        assert expected.shape == kept.images.shape == (1, 70, 100, 3)
        assert torch.equal(kept.images, expected)


def test_a_picture_from_text_alone_has_no_detail_to_keep(pipeline):
    told = []
    context = LongContext(ConditionUnit("snow"))
    options = {"steps": 1, "resolution": Resolution.exact(32, 32)}
    kept = pipeline(context, keep_detail=KeepDetail(), notify=told.append, **options)
    assert torch.equal(kept.images, pipeline(context, **options).images)
    assert any("made from text alone has no source" in message for message in told)
