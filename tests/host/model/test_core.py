"""Core's conditioning, latent and model nodes between ours: those that work on ACE, and those that must say why not."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from comfyui_ace.ace.lcu.units import ConditionUnit
from host.harness.edits import EditGraph, condition, difference, messages, run_latent, standalone
from host.harness.edits import photo as make_photo
from PIL import Image

TOLERANCE = 1e-4
_SNOW = "{image} make it snow"


@pytest.fixture(scope="module")
def photos(comfy) -> list[str]:
    """Two input files of the same size."""
    return [comfy.upload_image(make_photo(turn=turn), f"turned{turn}.png") for turn in (0, 180)]


@pytest.fixture(scope="module")
def unit() -> ConditionUnit:
    return ConditionUnit(_SNOW, [condition(make_photo())])


def _encoded(g: EditGraph, photo: str, text: str = _SNOW, **settings):
    return g.encode(g.unit(text, g.picture(photo)), **settings)


def _reference(g: EditGraph, conditioning, photo: str):
    pixels = g.node("LoadImage", image=photo)
    return g.node("ReferenceLatent", conditioning=conditioning, latent=g.node("VAEEncode", pixels=pixels, vae=g.vae))


# ReferenceLatent

_EXACT = {"resolution": "exact size", "resolution.width": 96, "resolution.height": 64}


def _referenced(g: EditGraph, photos: list[str], text: str):
    """A text-only unit whose pictures come by core's node, in both branches, as for other edit models."""
    encoded = g.encode(g.unit(text), **_EXACT)
    positive, negative = encoded[0], encoded[1]
    for name in photos:
        positive, negative = _reference(g, positive, name)[0], _reference(g, negative, name)[0]
    return positive, negative, encoded[2]


def test_reference_latents_are_what_our_image_node_makes(comfy, bundle, photos):
    """Two pictures that the text does not name: both ways give the model the same.

    With one picture, or with the negative branch, they differ by design: a unit puts {image} before an instruction that
    names nothing, and its negative keeps the instruction on all pictures but the last, where core's node knows but one
    text for all of them.
    """
    text = "make it snow"
    g = EditGraph()
    core = run_latent(comfy, g, g.ksampler(*_referenced(g, photos, text), cfg=1.0, seed=3))
    g = EditGraph()
    pictures = [g.picture(name, word) for name, word in zip(photos, ("{image}", "{image1}"), strict=True)]
    encoded = g.encode(g.unit(text, *pictures), **_EXACT)
    ours = run_latent(comfy, g, g.ksampler(encoded[0], encoded[1], encoded[2], cfg=1.0, seed=3))
    assert difference(core, ours) < 1e-5

    swapped = EditGraph()
    other = run_latent(comfy, swapped, swapped.ksampler(*_referenced(swapped, photos[::-1], text), cfg=1.0, seed=3))
    assert difference(other, ours) > 0.01  # the order of the pictures counts, so the equality above says something


def test_reference_latent_with_guidance(comfy, bundle, photos):
    g = EditGraph()
    found = run_latent(comfy, g, g.ksampler(*_referenced(g, photos[:1], "make it snow"), seed=3))
    assert found.shape == (1, 4, 8, 12)
    assert found.isfinite().all()


def test_reference_latent_beside_a_picture_of_our_own(comfy, bundle, photos, pipeline):
    """It comes last and takes the target's text, like a second picture in the same unit."""
    g = EditGraph()
    encoded = _encoded(g, photos[0])
    positive, negative = (_reference(g, encoded[k], photos[1]) for k in range(2))
    found = run_latent(comfy, g, g.ksampler(positive, negative, encoded[2], cfg=1.0, seed=3))
    pictures = [condition(make_photo(turn=180 * k), indicator=word) for k, word in enumerate(("{image}", "{image1}"))]
    expected = standalone(pipeline, ConditionUnit(_SNOW, pictures), guidance_scale=1.0, seed=3)
    assert difference(found, expected) < TOLERANCE


def test_reference_latent_on_one_branch_only(comfy, bundle, photos):
    """A common mistake, and at times meant: the branches then run one after the other."""
    g = EditGraph()
    encoded = _encoded(g, photos[0])
    positive = _reference(g, encoded[0], photos[1])
    assert run_latent(comfy, g, g.ksampler(positive, encoded[1], encoded[2], seed=3)).isfinite().all()


# Other conditioning nodes


def test_conditioning_of_clip_text_encode(comfy, bundle):
    g = EditGraph()
    text = g.node("CLIPTextEncode", text="a cat", clip=g.clip)
    latent = g.node("EmptyLatentImage", width=64, height=64, batch_size=1)
    g.save_latent(g.ksampler(text, text, latent))
    error = comfy.run_expect_error(g)
    assert error.node_type == "KSampler"
    assert "this conditioning was not made for ACE" in error.message
    assert "“ACE Edit: Encode”" in error.message


def test_zero_out_as_negative(comfy, bundle, photos):
    g = EditGraph()
    encoded = _encoded(g, photos[0])
    zero = g.node("ConditioningZeroOut", conditioning=encoded[1])
    found = run_latent(comfy, g, g.ksampler(encoded[0], zero, encoded[2], seed=3))
    g = EditGraph()
    plain = run_latent(comfy, g, g.encoded_ksampler(g.unit(_SNOW, g.picture(photos[0])), seed=3))
    assert found.isfinite().all()
    assert difference(found, plain) > 0.01


def test_concatenated_conditioning(comfy, bundle, photos):
    g = EditGraph()
    encoded = _encoded(g, photos[0])
    more = _encoded(g, photos[0], "{image} make it night")
    joined = g.node("ConditioningConcat", conditioning_to=encoded[0], conditioning_from=more[0])
    g.save_latent(g.ksampler(joined, encoded[1], encoded[2]))
    message = comfy.run_expect_error(g).message
    assert "nodes that join or shorten conditionings" in message
    assert "encode the instruction as a whole" in message


def test_average_of_a_conditioning_with_itself(comfy, bundle, photos, pipeline, unit):
    """Core averages the texts and keeps the rest of the first."""
    g = EditGraph()
    encoded = _encoded(g, photos[0])
    half = {"conditioning_to": encoded[0], "conditioning_from": encoded[0], "conditioning_to_strength": 0.5}
    average = g.node("ConditioningAverage", **half)
    found = run_latent(comfy, g, g.ksampler(average, encoded[1], encoded[2], seed=3))
    assert difference(found, standalone(pipeline, unit, seed=3)) < TOLERANCE


def test_combined_conditionings(comfy, bundle, photos, pipeline, unit):
    """Core predicts with each and averages; twice the same is the same."""
    g = EditGraph()
    encoded = _encoded(g, photos[0])
    both = g.node("ConditioningCombine", conditioning_1=encoded[0], conditioning_2=encoded[0])
    found = run_latent(comfy, g, g.ksampler(both, encoded[1], encoded[2], seed=3))
    assert difference(found, standalone(pipeline, unit, seed=3)) < TOLERANCE


def test_conditioning_for_a_part_of_the_steps(comfy, bundle, photos, pipeline, unit):
    """One instruction for the first half, the same again for the second."""
    g = EditGraph()
    encoded = _encoded(g, photos[0])
    halves = [
        g.node("ConditioningSetTimestepRange", conditioning=encoded[0], start=start, end=end)
        for start, end in ((0.0, 0.5), (0.5, 1.0))
    ]
    both = g.node("ConditioningCombine", conditioning_1=halves[0], conditioning_2=halves[1])
    found = run_latent(comfy, g, g.ksampler(both, encoded[1], encoded[2], seed=3))
    assert difference(found, standalone(pipeline, unit, seed=3)) < TOLERANCE


# Latents


def _noise_masked(g: EditGraph, photo: str, value: float):
    """The photograph's latent with a noise mask over its middle, as for inpainting with other models."""
    latent = g.node("VAEEncode", pixels=g.node("LoadImage", image=photo), vae=g.vae)
    small = g.node("SolidMask", value=value, width=32, height=32)
    mask = g.node("SolidMask", value=0.0, width=96, height=64)
    mask = g.node("MaskComposite", destination=mask, source=small, x=32, y=16, operation="add")
    return latent, g.node("SetLatentNoiseMask", samples=latent, mask=mask)


def test_noise_mask_keeps_what_lies_outside(comfy, bundle, photos):
    g = EditGraph()
    latent, masked = _noise_masked(g, photos[0], 1.0)
    source = run_latent(comfy, g, latent)
    g = EditGraph()
    _, masked = _noise_masked(g, photos[0], 1.0)
    encoded = _encoded(g, photos[0])
    found = run_latent(comfy, g, g.ksampler(encoded[0], encoded[1], masked, seed=3))
    changed = (found - source).abs().amax(dim=1)[0] > 1e-3
    expected = torch.zeros(8, 12, dtype=torch.bool)
    expected[2:6, 4:8] = True
    assert torch.equal(changed, expected)


def test_noise_mask_of_nothing_gives_the_picture_back(comfy, bundle, photos):
    g = EditGraph()
    latent, masked = _noise_masked(g, photos[0], 0.0)
    source = run_latent(comfy, g, latent)
    g = EditGraph()
    _, masked = _noise_masked(g, photos[0], 0.0)
    encoded = _encoded(g, photos[0])
    assert difference(run_latent(comfy, g, g.ksampler(encoded[0], encoded[1], masked)), source) < TOLERANCE


def test_mask_of_the_picture_and_core_noise_mask(comfy, bundle):
    """A mask in ACE Image tells the model where; a noise mask, in addition, guarantees it."""
    picture = make_photo().convert("RGBA")
    alpha = np.full((64, 96), 255, np.uint8)
    alpha[16:48, 32:64] = 0
    picture.putalpha(Image.fromarray(alpha))
    name = comfy.upload_image(picture, "window.png")
    g = EditGraph()
    loaded = g.node("LoadImage", image=name)
    image = g.node("ACEImage", image=loaded[0], mask=loaded[1], indicator="{image}")
    encoded = g.encode(g.unit(_SNOW, image))
    latent = g.node("SetLatentNoiseMask", samples=encoded[2], mask=loaded[1])
    assert run_latent(comfy, g, g.ksampler(encoded[0], encoded[1], latent)).isfinite().all()


def test_partial_denoise_starts_from_the_picture(comfy, bundle, photos):
    g = EditGraph()
    encoded = _encoded(g, photos[0])
    latent = g.node("VAEEncode", pixels=g.node("LoadImage", image=photos[0]), vae=g.vae)
    source = run_latent(comfy, g, latent)
    near = []
    for denoise in (0.02, 1.0):
        g = EditGraph()
        encoded = _encoded(g, photos[0])
        latent = g.node("VAEEncode", pixels=g.node("LoadImage", image=photos[0]), vae=g.vae)
        found = run_latent(comfy, g, g.ksampler(encoded[0], encoded[1], latent, denoise=denoise, steps=2))
        near.append(difference(found, source))
    assert near[0] < 0.5 < near[1]


def test_latent_of_another_size_than_the_picture(comfy, bundle, photos):
    """The target need not have the size of the picture that is edited; its mask is scaled along."""
    g = EditGraph()
    encoded = _encoded(g, photos[0])
    latent = g.node("EmptyLatentImage", width=72, height=88, batch_size=1)  # odd sides in latent pixels
    assert run_latent(comfy, g, g.ksampler(encoded[0], encoded[1], latent)).shape == (1, 4, 11, 9)


def test_latent_of_sixteen_channels(comfy, bundle, photos):
    """An empty latent for SD3 or FLUX; the host makes an empty one of four channels of it."""
    g = EditGraph()
    encoded = _encoded(g, photos[0])
    latent = g.node("EmptySD3LatentImage", width=96, height=64, batch_size=1)
    assert run_latent(comfy, g, g.ksampler(encoded[0], encoded[1], latent)).shape == (1, 4, 8, 12)


# Model nodes


@pytest.mark.parametrize("sampler_name", ["dpmpp_2m", "euler_ancestral", "uni_pc", "lcm"])
def test_other_samplers_run(comfy, bundle, photos, sampler_name):
    g = EditGraph()
    context = g.unit(_SNOW, g.picture(photos[0]))
    found = run_latent(comfy, g, g.encoded_ksampler(context, sampler_name=sampler_name, scheduler="karras"))
    assert found.isfinite().all()


@pytest.mark.parametrize("node", ["sampler", "ksampler"])
@pytest.mark.parametrize("kind", ["EasyCache", "LazyCache"])
def test_easy_cache_skips_steps(comfy, bundle, photos, pipeline, unit, kind, node):
    mark = comfy.log_mark()
    g = EditGraph()
    limits = {"reuse_threshold": 3.0, "start_percent": 0.0, "end_percent": 1.0, "verbose": False}
    g.model = g.node(kind, model=g.model, **limits)[0]
    context = g.unit(_SNOW, g.picture(photos[0]))
    steps = 10
    if node == "sampler":
        made = g.sampler(context, steps=steps, seed=3)
        latent, image = made[1], made[0]
    else:
        latent = g.encoded_ksampler(context, steps=steps, seed=3)[0]
        image = g.node("VAEDecode", samples=latent, vae=g.vae)
    saved = g.node("SaveImage", images=image, filename_prefix="cached")
    g.save_latent(latent)
    result = comfy.run(g)
    assert np.asarray(result.images[saved.id][0]).std() > 5
    skipped = re.search(rf"{kind} - skipped (\d+)/(\d+) steps", comfy.log_text(mark))
    assert skipped is not None and int(skipped[1]) > 0 and int(skipped[2]) == steps


def test_the_last_guidance_rescale_wins(comfy, bundle, photos, pipeline, unit):
    """As with core's RescaleCFG: each replaces the guidance."""
    g = EditGraph()
    g.model = g.node("ACEGuidanceRescale", model=g.model, guidance_rescale=1.0)[0]
    found = run_latent(comfy, g, g.encoded_ksampler(g.unit(_SNOW, g.picture(photos[0])), seed=3))
    assert difference(found, standalone(pipeline, unit, seed=3)) < TOLERANCE


def test_no_message_where_nothing_was_changed(comfy, bundle, photos):
    g = EditGraph()
    encoded = _encoded(g, photos[0])
    g.save_latent(encoded[2])
    assert messages(comfy.run(g), encoded) == ""
