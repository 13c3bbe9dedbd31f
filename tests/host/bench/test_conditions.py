"""Image, Condition Unit and Long-Context Condition in ComfyUI, with what artists plug into them."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from host.harness.edits import EditGraph, messages, run_latent, shown
from host.harness.edits import photo as make_photo
from PIL import Image


@pytest.fixture(scope="module")
def rgba(comfy) -> str:
    """A picture whose left half is transparent."""
    picture = make_photo().convert("RGBA")
    alpha = np.full((64, 96), 255, np.uint8)
    alpha[:, :48] = 0
    picture.putalpha(Image.fromarray(alpha))
    return comfy.upload_image(picture, "half.png")


def _error(comfy, g: EditGraph, link, node_type: str) -> str:
    g.show(link)
    error = comfy.run_expect_error(g)
    assert (error.kind, error.node_type) == ("execution", node_type)
    return error.message


# Image


def test_image_gives_its_indicator(comfy, photo):
    g = EditGraph()
    sink = g.show(g.picture(photo, "{image3}")[1])
    result = comfy.run(g)
    assert shown(result, sink) == "{image3}"
    assert g.model[0] not in result.executed  # no model is loaded for this


def test_mask_of_load_image_without_transparency_counts_as_none(comfy, photo):
    """It is 64 x 64 whatever the picture's size, and empty."""
    g = EditGraph()
    picture = g.picture(photo)
    sink = g.show(picture)
    result = comfy.run(g)
    assert "mask=None" in shown(result, sink)
    assert messages(result, picture) == ""


def test_alpha_is_laid_over_white_and_said(comfy, rgba):
    """An image with an alpha channel, as JoinImageWithAlpha and background removers give it, in a batch."""
    g = EditGraph()
    loaded = g.node("LoadImage", image=rgba)
    four = g.node("JoinImageWithAlpha", image=loaded[0], alpha=loaded[1])
    batch = g.node("RepeatImageBatch", image=four, amount=2)
    picture = g.node("ACEImage", image=batch, indicator="{image}")
    sink = g.show(picture)
    result = comfy.run(g)
    assert "partly transparent; it was laid over white" in messages(result, picture)
    assert "{image}" in shown(result, sink)


def test_transparent_part_is_the_mask(comfy, rgba):
    g = EditGraph()
    sink = g.show(g.picture(rgba))
    # Hosts print more or fewer numbers of a row.
    assert re.search(r"mask=tensor\(\[\[\[(1\., )+ \.\.\.(, 0\.)+\]", shown(comfy.run(g), sink))


def test_scaled_mask_is_fitted_and_said(comfy, photo):
    g = EditGraph()
    mask = g.node("SolidMask", value=1.0, width=48, height=32)
    picture = g.picture(photo, mask=mask)
    g.show(picture)
    assert "was scaled from 48x32 to its picture's 96x64" in messages(comfy.run(g), picture)


def test_mask_of_another_shape(comfy, photo):
    g = EditGraph()
    mask = g.node("SolidMask", value=1.0, width=64, height=64)
    message = _error(comfy, g, g.picture(photo, "{image1}", mask=mask), "ACEImage")
    assert "the mask of {image1} is 64x64 and its picture 96x64" in message
    assert "crop or stretch it" in message


def test_masks_of_another_number(comfy, photo):
    g = EditGraph()
    mask = g.node("SolidMask", value=1.0, width=96, height=64)
    three = g.node("MaskToImage", mask=mask)
    three = g.node("ImageToMask", image=g.node("RepeatImageBatch", image=three, amount=3), channel="red")
    two = g.node("RepeatImageBatch", image=g.node("LoadImage", image=photo), amount=2)
    message = _error(comfy, g, g.node("ACEImage", image=two, mask=three, indicator="{image}"), "ACEImage")
    assert "3 masks were given for 2 pictures" in message


def test_an_unknown_indicator_is_refused(comfy, photo):
    g = EditGraph()
    g.show(g.picture(photo, "{image10}"))
    error = comfy.run_expect_error(g)
    assert (error.kind, error.node_type) == ("validation", "ACEImage")


# Condition Unit


def test_growing_sockets(comfy, photo):
    """Ten pictures in one unit, the second in a socket after a gap; the indicators give the order."""
    g = EditGraph()
    words = ["{image}", *(f"{{image{k}}}" for k in range(1, 10))]
    pictures = [g.picture(photo, word) for word in words]
    more = {f"more.image{8 - k}": picture for k, picture in enumerate(pictures[1:])}
    unit = g.node("ACEConditionUnit", instruction=" ".join(words), image=pictures[0], edit="first image", **more)
    sink = g.show(unit)
    text = shown(comfy.run(g), sink)
    assert [f"indicator='{word}'" in text for word in words] == [True] * 10
    assert text.index("indicator='{image1}'") < text.index("indicator='{image9}'")


def test_ten_pictures_are_encoded_with_a_warning(comfy, bundle, photo):
    g = EditGraph()
    words = ["{image}", *(f"{{image{k}}}" for k in range(1, 10))]
    unit = g.unit(" ".join(words), *(g.picture(photo, word) for word in words))
    encoded = g.encode(unit)
    g.save_latent(encoded[2])
    assert "10 pictures are more than the published models were trained with" in messages(comfy.run(g), encoded)


def test_two_pictures_with_one_indicator(comfy, photo):
    other = comfy.upload_image(make_photo((64, 80)), "other.png")
    g = EditGraph()
    unit = g.unit("{image1} and {image1}", g.picture(photo, "{image1}"), g.picture(other, "{image1}"))
    message = _error(comfy, g, unit, "ACEConditionUnit")
    assert "two pictures claim the indicator {image1}" in message
    assert "96×64" in message and "64×80" in message


def test_instruction_names_a_picture_that_is_not_there(comfy, photo):
    g = EditGraph()
    message = _error(comfy, g, g.unit("put <image2> into {image}", g.picture(photo)), "ACEConditionUnit")
    assert "names {image2}, but the unit has {image}" in message


def test_instruction_names_a_number_that_ace_does_not_know(comfy, photo):
    g = EditGraph()
    assert "{image12}" in _error(comfy, g, g.unit("turn {image12}", g.picture(photo)), "ACEConditionUnit")


def test_edit_names_a_picture_that_is_not_there(comfy, photo):
    g = EditGraph()
    message = _error(comfy, g, g.unit("{image} x", g.picture(photo), edit="{image4}"), "ACEConditionUnit")
    assert "{image4} is to be edited, but the unit has no picture" in message


def test_batches_of_different_size(comfy, photo):
    g = EditGraph()
    batches = [
        g.node(
            "ACEImage", image=g.node("RepeatImageBatch", image=g.node("LoadImage", image=photo), amount=n), indicator=i
        )
        for n, i in ((2, "{image}"), (3, "{image1}"))
    ]
    message = _error(comfy, g, g.unit("{image} like {image1}", *batches), "ACEConditionUnit")
    assert "{image}: 2, {image1}: 3" in message


def test_empty_unit_makes_a_picture(comfy, bundle):
    """No text, no picture, no socket connected: ACE draws what it likes."""
    g = EditGraph()
    assert run_latent(comfy, g, g.sampler(g.unit(""), steps=1)[1]).shape == (1, 4, 16, 16)


def test_missing_name_is_added_and_said(comfy, bundle, photo):
    g = EditGraph()
    encoded = g.encode(g.unit("make it snow", g.picture(photo)))
    g.save_latent(encoded[2])
    assert "{image} was put before it" in messages(comfy.run(g), encoded)


def test_picture_that_no_instruction_names_is_said(comfy, bundle, photo):
    g = EditGraph()
    encoded = g.encode(g.unit("{image} make it snow", g.picture(photo), g.picture(photo, "{image1}")))
    g.save_latent(encoded[2])
    assert "does not name {image1}" in messages(comfy.run(g), encoded)


def test_long_instruction_is_cut_and_said(comfy, bundle):
    g = EditGraph()
    sampled = g.sampler(g.unit("a cat in the snow " * 40 + "with a hat"), steps=1)
    g.save_latent(sampled[1])
    said = messages(comfy.run(g), sampled)
    assert "ACE reads 120; this end was left out" in said and "with a hat" in said


def test_very_wide_picture_is_cropped_and_said(comfy, bundle):
    name = comfy.upload_image(make_photo((320, 32)), "wide.png")
    g = EditGraph()
    encoded = g.encode(g.unit("{image} make it snow", g.picture(name)))
    latent = g.save_latent(encoded[2])
    result = comfy.run(g)
    assert result.outputs[latent.id]["latents"]
    assert messages(result, encoded).startswith("{image}: ")


# Long-Context Condition


def _rounds(g: EditGraph, photo: str, count: int, **last):
    """A chain of so many rounds; the last Long-Context Condition."""
    context = None
    for k in range(count):
        unit = g.unit(f"{{image}} round {k}", g.picture(photo))
        context = g.context(unit, history=context, **(last if k == count - 1 else {}))
    return context


@pytest.mark.parametrize(("max_rounds", "kept"), [(4, [0, 1, 2, 3]), (1, [2, 3]), (0, [3])])
def test_rounds_that_are_kept(comfy, photo, max_rounds, kept):
    g = EditGraph()
    context = _rounds(g, photo, 4, max_rounds=max_rounds)
    sink = g.show(context)
    result = comfy.run(g)
    text = shown(result, sink)
    assert [k for k in range(4) if f"instruction='{{image}} round {k}'" in text] == kept
    left_out = 4 - len(kept)
    assert messages(result, context).startswith(f"history: the oldest {left_out} round" if left_out else "")
    assert bool(messages(result, context)) == bool(left_out)


def test_a_unit_is_a_context_of_its_own(comfy, bundle, photo):
    g = EditGraph()
    alone = run_latent(comfy, g, g.sampler(g.unit("{image} x", g.picture(photo)), steps=1)[1])
    g = EditGraph()
    wrapped = run_latent(comfy, g, g.sampler(g.context(g.unit("{image} x", g.picture(photo))), steps=1)[1])
    assert torch.equal(alone, wrapped)


def test_rounds_beyond_ten_pictures_are_dropped_and_said(comfy, bundle, photo):
    g = EditGraph()
    words = ["{image}", *(f"{{image{k}}}" for k in range(1, 6))]
    first = g.context(g.unit(" ".join(words), *(g.picture(photo, word) for word in words)))
    context = g.context(g.unit(" ".join(words), *(g.picture(photo, word) for word in words)), history=first)
    encoded = g.encode(context)
    g.save_latent(encoded[2])
    assert "the oldest round left out" in messages(comfy.run(g), encoded)


def test_a_unit_is_no_history(comfy, photo):
    """History is what was made, with its own history: a bare unit is refused before anything runs."""
    g = EditGraph()
    unit = g.unit("{image} x", g.picture(photo))
    g.show(g.node("ACELongContext", unit=unit, history=unit, max_rounds=4))
    error = comfy.run_expect_error(g)
    assert (error.kind, error.node_type) == ("validation", "ACELongContext")
    assert "ACE_CONTEXT" in error.message
