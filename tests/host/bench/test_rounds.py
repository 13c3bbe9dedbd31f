"""Preview and Next Round in a real ComfyUI: what is shown is what is sampled, round after round."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from comfyui_ace.ace.lcu.indicators import INDICATORS
from comfyui_ace.ace.lcu.units import ConditionImage, ConditionUnit, LongContext
from comfyui_ace.ace.pictures.resolution import Resolution
from comfyui_ace.ace.preview.contact_sheet import draw_contact_sheet
from comfyui_ace.ace.preview.overview import overview
from comfyui_ace.ace.vae import SCALING_FACTOR
from host.harness.edits import EditGraph, condition, difference, messages, saved_latent, shown
from host.harness.edits import photo as make_photo

SNOW, SCARF, NIGHT = "{image} make it snow", "{image} add a red scarf", "let it be night in {image}"


def preview(g: EditGraph, context, resolution: str = "as the model", **inputs):
    return g.node("ACEPreview", context=context, resolution=resolution, **inputs)


@pytest.fixture(scope="module")
def colors(comfy) -> list[str]:
    """Ten plain pictures, each of its own size: 16, 32 … 160 pixels wide."""
    from PIL import Image

    pictures = [Image.new("RGB", (16 * (k + 1), 48), (25 * k, 80, 255 - 25 * k)) for k in range(10)]
    return [comfy.upload_image(picture, f"color{k}.png") for k, picture in enumerate(pictures)]


def test_preview_draws_the_sheet_without_a_model(comfy, photo):
    g = EditGraph()
    sheet = preview(g, g.unit("make it snow", g.picture(photo)), resolution="512 px model")
    words = g.show(sheet[1])
    again = g.node("PreviewImage", images=sheet[0])
    result = comfy.run(g)
    unit = ConditionUnit("make it snow", [condition(make_photo())])
    expected = overview(LongContext(unit), Resolution.published(1024), 1024)
    assert shown(result, words) == expected.summary()
    assert "! the instruction names no picture; {image} was put before it" in shown(result, words)
    assert "1" not in result.executed, "the model's loader must not run for a preview"
    (drawn,) = result.images[sheet.id]
    assert np.array_equal(np.asarray(drawn), np.asarray(result.images[again.id][0]))
    assert drawn.size == draw_contact_sheet(expected).size


def test_preview_asks_a_connected_model_for_its_size(comfy, bundle, photo):
    """The small bundle was "trained" at 64 tokens a picture."""
    g = EditGraph()
    unit = g.unit(SNOW, g.picture(comfy.upload_image(make_photo((640, 320)), "large.png")))
    fitting = g.show(preview(g, unit, model=g.model)[1])
    too_large = g.show(preview(g, unit, "source size", model=g.model)[1])
    unknown = g.show(preview(g, unit, "source size")[1])
    result = comfy.run(g)
    assert "176×80, 55 tokens" in shown(result, fitting) and "at most 64 a picture" in shown(result, fitting)
    assert "640×320, 800 tokens" in shown(result, too_large)
    assert "more tokens than the 64 a picture" in shown(result, too_large)
    assert "at most" not in shown(result, unknown)


def test_preview_of_ten_pictures_and_history(comfy, colors):
    g = EditGraph()
    pictures = [g.picture(name, word) for name, word in zip(colors, INDICATORS, strict=True)]
    ten = g.unit(" ".join(INDICATORS), *pictures)
    full = preview(g, ten)
    later = preview(g, g.context(g.unit(SNOW, g.picture(colors[0])), history=g.context(ten)))
    words = g.show(full[1]), g.show(later[1])
    result = comfy.run(g)
    for number, word in enumerate(INDICATORS):
        assert f"- {word}: {16 * (number + 1)}×48" in shown(result, words[0])
    assert "more than the published models were trained with" in shown(result, words[0])
    assert "the oldest round left out" in shown(result, words[1])
    assert all(picture.width > 700 for node in (full, later) for picture in result.images[node.id])


def test_preview_without_pictures(comfy):
    g = EditGraph()
    words = g.show(preview(g, g.unit("a lighthouse at dusk"), "512 px model")[1])
    result = comfy.run(g)
    assert "- result: 512×512, 1024 tokens" in shown(result, words)


def test_three_rounds_are_those_of_the_pipeline(comfy, bundle, pipeline, photo):
    """Next Round gives the history and picture that one would have wired by hand."""
    g = EditGraph()
    first = g.context(g.unit(SNOW, g.picture(photo)))
    edited = g.sampler(first, seed=1)
    after_first = g.node("ACERound", context=first, result=edited[0])
    second = g.context(g.unit(SCARF, after_first[1]), history=after_first[0])
    edited = g.sampler(second, seed=2)
    after_second = g.node("ACERound", context=second, result=edited[0])
    third = g.context(g.unit(NIGHT, after_second[1]), history=after_second[0])
    edited = g.sampler(third, seed=3)
    g.save_latent(edited[1])
    words = g.show(preview(g, third, model=g.model)[1])
    result = comfy.run(g)

    picture, units = condition(make_photo()), []
    for seed, instruction in ((1, SNOW), (2, SCARF), (3, NIGHT)):
        units.append(ConditionUnit(instruction, [picture]))
        made = pipeline(LongContext(units[-1], units[:-1]), seed=seed, steps=4, guidance_scale=4.5)
        picture = ConditionImage(made.images)
    # Three decodings and encodings between the two.
    assert difference(saved_latent(comfy, result), made.latents / SCALING_FACTOR) < 1e-2
    assert f"This round: {NIGHT.replace('{image}', '{image2}')}" in shown(result, words)
    assert shown(result, words).count("Earlier round") == 2


def test_round_takes_a_single_unit_and_a_mask(comfy, photo):
    g = EditGraph()
    mask = g.node("SolidMask", value=1.0, width=96, height=64)
    half = g.node("MaskComposite", destination=mask, source=mask, x=0, y=32, operation="subtract")
    one = g.node(
        "ACERound",
        context=g.unit(SNOW, g.picture(photo)),
        result=g.node("LoadImage", image=photo)[0],
        mask=half,
    )
    seen = preview(g, g.context(g.unit(SCARF, one[1]), history=one[0]), "512 px model")
    words = g.show(seen[1])
    result = comfy.run(g)
    assert "- {image1}: 96×64, 24 tokens, 50 % may change, edited" in shown(result, words)
    assert "- {image}: 96×64, 24 tokens, all of it may change" in shown(result, words)


def test_oldest_rounds_are_forgotten_and_it_is_told(comfy, photo):
    g = EditGraph()
    picture = g.picture(photo)
    context = g.context(g.unit("{image} round 0", picture))
    for number in range(1, 4):
        context = g.context(g.unit(f"{{image}} round {number}", picture), history=context, max_rounds=2)
    words = g.show(preview(g, context)[1])
    result = comfy.run(g)
    assert "round 0" not in shown(result, words) and "{image2} round 3" in shown(result, words)
    assert "left out (at most 2 kept)" in messages(result, context)


def test_exact_and_megapixel_sizes_are_previewed_as_sampled(comfy, bundle, photo):
    g = EditGraph()
    unit = g.unit(SNOW, g.picture(photo))
    sizes = (
        {"resolution": "exact size", "resolution.width": 64, "resolution.height": 128},
        {"resolution": "megapixels", "resolution.megapixels": 0.01},
        {"resolution": "source size"},
    )
    pairs = []
    for size in sizes:
        words = g.show(preview(g, unit, **size)[1])
        sampled = g.sampler(unit, steps=1, **size)
        pairs.append((words, g.node("PreviewImage", images=sampled[0])))
    result = comfy.run(g)
    for words, picture in pairs:
        width, height = result.images[picture.id][0].size
        assert f"- result: {width}×{height}" in shown(result, words)


def test_two_pictures_with_one_indicator_are_both_named(comfy, colors):
    g = EditGraph()
    preview(g, g.unit("{image1}", g.picture(colors[0], "{image1}"), g.picture(colors[1], "{image1}")))
    told = comfy.run_expect_error(g).message
    assert "two pictures claim the indicator {image1}" in told and "16×48" in told and "32×48" in told


def test_sheet_is_a_picture_for_other_nodes(comfy, photo):
    g = EditGraph()
    sheet = preview(g, g.unit(SNOW, g.picture(photo)))
    saved = g.node("PreviewImage", images=g.node("ImageInvert", image=sheet[0]))
    result = comfy.run(g)
    inverted, drawn = (np.asarray(result.images[node.id][0]) for node in (saved, sheet))
    assert torch.tensor(inverted.astype(int) + drawn - 255).abs().max() <= 1
