"""From LoadImage to SaveImage in ComfyUI: our sampler, core's samplers and the pipeline without a host agree."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from comfyui_ace.ace.lcu.units import ConditionUnit, LongContext
from comfyui_ace.ace.pictures.resolution import Resolution
from host.harness.edits import EditGraph, as_tensor, condition, difference, run_latent, saved_latent, standalone
from host.harness.edits import photo as make_photo
from PIL import Image

TOLERANCE = 1e-4  # relative; host and standalone use other kernels for attention and normalisation
_SNOW = "{image} make it snow"


@pytest.fixture(scope="module")
def photos(comfy) -> list[str]:
    """Three input files of different sizes."""
    sizes = ((96, 64), (64, 64), (48, 80))
    return [comfy.upload_image(make_photo(size, turn=90 * k), f"photo{k}.png") for k, size in enumerate(sizes)]


@pytest.fixture(scope="module")
def units() -> dict[str, ConditionUnit]:
    """The same conditions as objects, by name."""
    pictures = [make_photo(size, turn=90 * k) for k, size in enumerate(((96, 64), (64, 64), (48, 80)))]
    one, two, three = (
        condition(p, indicator=i) for p, i in zip(pictures, ("{image}", "{image1}", "{image2}"), strict=True)
    )
    return {
        "one": ConditionUnit(_SNOW, [one]),
        "three": ConditionUnit("{image} in the style of {image1}, with {image2}", [one, two, three]),
    }


def _snow(g: EditGraph, photo: str):
    return g.unit(_SNOW, g.picture(photo))


def test_photo_in_edited_picture_out(comfy, bundle, pipeline, photo, units):
    g = EditGraph()
    edited = g.sampler(_snow(g, photo), seed=5, negative="blurry", steps=3)
    saved = g.node("SaveImage", images=edited[0], filename_prefix="edit")
    g.save_latent(edited[1])
    result = comfy.run(g)
    (picture,) = result.images[saved.id]
    assert picture.size == (96, 64)
    expected = pipeline(LongContext(units["one"]), seed=5, steps=3, guidance_scale=4.5, negative_prompt="blurry")
    assert difference(saved_latent(comfy, result), expected.latents / 0.18215) < TOLERANCE
    worst = np.abs(np.asarray(picture, dtype=float) - expected.images[0].numpy() * 255).max()
    assert worst < 1.1  # the saver cuts fractions off
    assert np.asarray(picture).std() > 5  # a picture, if one of noise, and not a plain colour


@pytest.mark.parametrize("sampler_name", ["ddim", "euler"])
@pytest.mark.parametrize("steps", [5, 7])
def test_ksampler_gives_what_our_sampler_gives(comfy, bundle, pipeline, photo, units, sampler_name, steps):
    """Seven steps do not divide the thousand timesteps, so both must resolve the fractions alike."""
    g = EditGraph()
    context = _snow(g, photo)
    core = run_latent(comfy, g, g.encoded_ksampler(context, steps=steps, seed=7, sampler_name=sampler_name))
    g = EditGraph()
    ours = run_latent(comfy, g, g.sampler(_snow(g, photo), steps=steps, seed=7)[1])
    assert difference(core, ours) < 1e-5
    assert difference(ours, standalone(pipeline, units["one"], steps=steps, seed=7)) < TOLERANCE


def test_thirty_steps(comfy, bundle, pipeline, photo, units):
    g = EditGraph()
    ours = run_latent(comfy, g, g.sampler(_snow(g, photo), steps=30, seed=8)[1])
    assert difference(ours, standalone(pipeline, units["one"], steps=30, seed=8)) < TOLERANCE


def test_sampler_custom_advanced(comfy, bundle, pipeline, photo, units):
    g = EditGraph()
    encoded = g.encode(_snow(g, photo))
    model = g.node("ACEGuidanceRescale", model=g.model, guidance_rescale=0.7)
    guider = g.node("CFGGuider", model=model, positive=encoded[0], negative=encoded[1], cfg=3.0)
    sampled = g.node(
        "SamplerCustomAdvanced",
        noise=g.node("RandomNoise", noise_seed=9),
        guider=guider,
        sampler=g.node("KSamplerSelect", sampler_name="euler"),
        sigmas=g.node("BasicScheduler", model=g.model, scheduler="simple", steps=4, denoise=1.0),
        latent_image=encoded[2],
    )
    found = run_latent(comfy, g, sampled)
    expected = standalone(pipeline, units["one"], seed=9, guidance_scale=3.0, guidance_rescale=0.7)
    assert difference(found, expected) < TOLERANCE


def test_without_guidance(comfy, bundle, pipeline, photo, units):
    """At a scale of 1 the host leaves the negative branch out and passes zeros for it."""
    g = EditGraph()
    ours = run_latent(comfy, g, g.sampler(_snow(g, photo), cfg=1.0, seed=2)[1])
    g = EditGraph()
    core = run_latent(comfy, g, g.encoded_ksampler(_snow(g, photo), cfg=1.0, seed=2))
    expected = standalone(pipeline, units["one"], guidance_scale=1.0, seed=2)
    assert difference(ours, expected) < TOLERANCE
    assert difference(core, expected) < TOLERANCE


def test_rescale_matters(comfy, bundle, pipeline, photo, units):
    """Guards the comparisons above: without Guidance Rescale KSampler gives something else, and just what it should."""
    g = EditGraph()
    plain = run_latent(comfy, g, g.encoded_ksampler(_snow(g, photo), rescale=None, seed=2))
    assert difference(plain, standalone(pipeline, units["one"], guidance_rescale=0.0, seed=2)) < TOLERANCE
    assert difference(plain, standalone(pipeline, units["one"], guidance_rescale=0.5, seed=2)) > 0.01


def test_variants(comfy, bundle, pipeline, photo, units):
    g = EditGraph()
    ours = run_latent(comfy, g, g.sampler(_snow(g, photo), batch_size=2, seed=11)[1])
    g = EditGraph()
    encoded = g.encode(_snow(g, photo), batch_size=2)
    core = run_latent(comfy, g, g.ksampler(encoded[0], encoded[1], encoded[2], seed=11))
    assert difference(core, ours) < 1e-5
    assert difference(ours, standalone(pipeline, units["one"], batch_size=2, seed=11)) < TOLERANCE
    assert difference(ours[:1], ours[1:]) > 0.01


def test_a_variant_can_be_made_again_alone(comfy, bundle, pipeline, photo, units):
    """Core's LatentFromBatch keeps a picture's place in the batch, and with it its noise."""
    g = EditGraph()
    encoded = g.encode(_snow(g, photo), batch_size=3)
    second = g.node("LatentFromBatch", samples=encoded[2], batch_index=1, length=1)
    alone = run_latent(comfy, g, g.ksampler(encoded[0], encoded[1], second, seed=12))
    assert difference(alone, standalone(pipeline, units["one"], batch_size=3, seed=12)[1:2]) < TOLERANCE


def test_batch_of_pictures(comfy, bundle, pipeline, photos):
    pictures = [make_photo(turn=0), make_photo(turn=180)]
    second = comfy.upload_image(pictures[1], "turned.png")
    g = EditGraph()
    batch = g.node("ImageBatch", image1=g.node("LoadImage", image=photos[0]), image2=g.node("LoadImage", image=second))
    found = run_latent(
        comfy, g, g.sampler(g.unit(_SNOW, g.node("ACEImage", image=batch, indicator="{image}")), seed=3)[1]
    )
    images = torch.cat([as_tensor(picture) for picture in pictures])
    unit = ConditionUnit(_SNOW, [condition(pictures[0]).__class__(images)])
    expected = standalone(pipeline, unit, seed=3)
    assert found.shape[0] == 2
    assert difference(found, expected) < TOLERANCE
    assert difference(found[:1], expected[1:]) > 0.01


def test_batch_of_pictures_and_variants_do_not_mix(comfy, bundle, photo):
    g = EditGraph()
    batch = g.node("RepeatImageBatch", image=g.node("LoadImage", image=photo), amount=2)
    unit = g.unit(_SNOW, g.node("ACEImage", image=batch, indicator="{image}"))
    g.save_latent(g.sampler(unit, batch_size=3)[1])
    error = comfy.run_expect_error(g)
    assert error.node_type == "ACESampler"
    assert "batch of 2" in error.message and "set it to 1" in error.message


def test_picture_from_text_alone(comfy, bundle, pipeline):
    g = EditGraph()
    wide = {"resolution": "exact size", "resolution.width": 80, "resolution.height": 48}
    made = g.sampler(g.unit("a cat in the snow"), seed=4, **wide)
    saved = g.node("SaveImage", images=made[0], filename_prefix="made")
    g.save_latent(made[1])
    result = comfy.run(g)
    assert result.images[saved.id][0].size == (80, 48)
    expected = standalone(pipeline, ConditionUnit("a cat in the snow"), seed=4, resolution=Resolution.exact(48, 80))
    assert difference(saved_latent(comfy, result), expected) < TOLERANCE


@pytest.mark.parametrize(
    ("choice", "size"),
    [
        ({"resolution": "as the model"}, (96, 64)),
        ({"resolution": "1024 px model"}, (96, 64)),
        ({"resolution": "megapixels", "resolution.megapixels": 0.015}, (160, 96)),
        ({"resolution": "exact size", "resolution.width": 32, "resolution.height": 48}, (32, 48)),
    ],
)
def test_resolutions(comfy, bundle, photo, choice, size):
    g = EditGraph()
    latent = g.encode(_snow(g, photo), **choice)[2]
    found = run_latent(comfy, g, latent)
    assert (found.shape[-1] * 8, found.shape[-2] * 8) == size
    assert not found.any()


def test_size_the_model_was_trained_at(comfy, bundle, pipeline):
    """The bundle says 64 patches, so a large picture is scaled down; without a model, Encode knows only the default."""
    large = comfy.upload_image(make_photo((320, 320)), "large.png")
    sizes = []
    for model in ({}, {"model": None}):
        g = EditGraph()
        settings = {"clip": g.clip, "vae": g.vae, "context": _snow(g, large), "negative": "", "batch_size": 1}
        if not model:
            settings["model"] = g.model
        encoded = g.node("ACEEncode", resolution="as the model", **settings)
        sizes.append(run_latent(comfy, g, encoded[2]).shape[-1] * 8)
    assert sizes == [128, 320]


@pytest.mark.parametrize("node", ["sampler", "ksampler"])
def test_three_pictures_of_different_sizes(comfy, bundle, pipeline, photos, units, node):
    g = EditGraph()
    pictures = [g.picture(name, word) for name, word in zip(photos, ("{image}", "{image1}", "{image2}"), strict=True)]
    unit = g.unit("{image} in the style of {image1}, with {image2}", *pictures)
    latent = g.sampler(unit, seed=6)[1] if node == "sampler" else g.encoded_ksampler(unit, seed=6)
    assert difference(run_latent(comfy, g, latent), standalone(pipeline, units["three"], seed=6)) < TOLERANCE


def test_another_picture_is_edited(comfy, bundle, pipeline, photos, units):
    """The result takes the size of the picture that is named in `edit`."""
    g = EditGraph()
    pictures = [g.picture(name, word) for name, word in zip(photos, ("{image}", "{image1}", "{image2}"), strict=True)]
    unit = g.unit("{image} in the style of {image1}, with {image2}", *pictures, edit="{image2}")
    found = run_latent(comfy, g, g.sampler(unit, seed=6)[1])
    three = units["three"]
    expected = standalone(pipeline, ConditionUnit(three.instruction, three.images, "{image2}"), seed=6)
    assert found.shape[-2:] == (10, 6)
    assert difference(found, expected) < TOLERANCE


def test_two_rounds(comfy, bundle, pipeline, photo, units):
    """The second round edits the picture that the first one made, and sees what the first one was told."""
    second_text = "{image} now make it night"
    g = EditGraph()
    first = g.context(_snow(g, photo))
    made = g.sampler(first, seed=1)
    unit = g.unit(second_text, g.node("ACEImage", image=made[0], indicator="{image}"))
    found = run_latent(comfy, g, g.sampler(g.context(unit, history=first), seed=2)[1])

    result = pipeline(LongContext(units["one"]), seed=1, steps=4, guidance_scale=4.5)
    again = ConditionUnit(second_text, [type(condition(make_photo()))(result.images)])
    # Decoding and encoding a picture of noise in between enlarges rounding errors.
    assert difference(found, standalone(pipeline, LongContext(again, [units["one"]]), seed=2)) < 1e-3
    assert difference(found, standalone(pipeline, again, seed=2)) > 0.01


def test_masked_edit(comfy, bundle, pipeline):
    """The transparent part of a picture is LoadImage's mask."""
    picture = make_photo().convert("RGBA")
    alpha = np.full((64, 96), 255, np.uint8)
    alpha[16:48, 32:80] = 0
    picture.putalpha(Image.fromarray(alpha))
    name = comfy.upload_image(picture, "hole.png")
    g = EditGraph()
    found = run_latent(comfy, g, g.sampler(g.unit(_SNOW, g.picture(name)), seed=3)[1])
    mask = torch.from_numpy(alpha == 0).float()[None]
    masked, plain = (ConditionUnit(_SNOW, [condition(make_photo(), m)]) for m in (mask, None))
    assert difference(found, standalone(pipeline, masked, seed=3)) < TOLERANCE
    assert difference(found, standalone(pipeline, plain, seed=3)) > 0.01
