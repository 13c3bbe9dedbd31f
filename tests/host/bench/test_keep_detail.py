"""Keep Detail in a real ComfyUI: the node, the Sampler's option, and both before Paste Back."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from comfyui_ace.ace.pictures.fit import published_fit
from comfyui_ace.ace.pictures.keep_detail import KeepDetail, keep_detail, round_trip_of
from host.harness.comfy_server import PromptFailedError
from host.harness.edits import EditGraph, as_tensor, messages
from host.harness.edits import photo as make_photo
from PIL import Image, ImageDraw

WIDTH, HEIGHT = 210, 150  # beyond what the random bundle works at, and no multiple of 16
SETTINGS = {"strength": 1.0, "radius": 4, "max_gain": 4.0, "color": 1.0}


@pytest.fixture(scope="module")
def source(comfy) -> str:
    return comfy.upload_image(make_photo((WIDTH, HEIGHT)), "detail-photo.png")


@pytest.fixture(scope="module")
def mask_file(comfy) -> str:
    mask = Image.new("L", (WIDTH, HEIGHT))
    ImageDraw.Draw(mask).ellipse((60, 30, 150, 120), fill=255)
    return comfy.upload_image(mask.convert("RGB"), "detail-mask.png")


class DetailGraph(EditGraph):
    """A graph with Keep Detail at hand."""

    def image(self, name: str):
        return self.node("LoadImage", image=name)[0]

    def mask(self, name: str):
        return self.node("LoadImageMask", image=name, channel="red")[0]

    def keep_detail(self, source, result, **inputs):
        return self.node("ACEKeepDetail", source=source, result=result, **{**SETTINGS, **inputs})

    def paste(self, original, result, **inputs):
        seam = {"match_colors": False, "seam": "fade in", "seam.feather": 4}
        return self.node("ACEPasteBack", original=original, result=result, **seam, **inputs)

    def show_image(self, image):
        return self.node("PreviewImage", images=image)


def pixels(result, node) -> torch.Tensor:
    (picture,) = result.images[node.id]
    return as_tensor(picture.convert("RGB"))


def levels(one: torch.Tensor, other: torch.Tensor) -> float:
    """The largest difference in levels of 255."""
    assert one.shape == other.shape
    return (one - other).abs().max().item() * 255


def test_the_node_gives_what_the_function_gives(comfy, bundle, pipeline, source):
    """An inverted picture that the VAE blurred, at the model's size: the photograph's own size and detail come out."""
    g = DetailGraph()
    photo = g.image(source)
    seen = g.node("ImageScale", image=photo, upscale_method="area", width=96, height=64, crop="disabled")
    inverted = g.node("ImageInvert", image=seen)
    result = g.node("VAEDecode", samples=g.node("VAEEncode", pixels=inverted, vae=g.vae), vae=g.vae)
    kept, shown = g.show_image(g.keep_detail(photo, result, vae=g.vae)), g.show_image(result)
    run = comfy.run(g)
    original, got = as_tensor(make_photo((WIDTH, HEIGHT))), pixels(run, shown)
    trip = round_trip_of(original, got, lambda picture: pipeline.vae.decode(pipeline.vae.encode(picture)))
    assert pixels(run, kept).shape == (1, HEIGHT, WIDTH, 3)
    assert levels(pixels(run, kept), keep_detail(original, got, trip)) < 3


def test_a_round_trip_takes_the_place_of_the_vae(comfy, bundle, source):
    g = DetailGraph()
    photo = g.image(source)
    soft = g.node("ImageBlur", image=photo, blur_radius=3, sigma=2.0)
    result = g.node("ImageInvert", image=soft)
    kept = g.show_image(g.keep_detail(photo, result, round_trip=soft))
    off = g.show_image(g.keep_detail(photo, result, round_trip=soft, strength=0.0))
    plain = g.show_image(result)
    run = comfy.run(g)
    wanted = 1 - as_tensor(make_photo((WIDTH, HEIGHT)))
    blurred = pixels(run, plain)
    assert (pixels(run, kept) - wanted).abs().mean() < 0.1 * (blurred - wanted).abs().mean()
    assert torch.equal(pixels(run, off), blurred)


def test_many_results_share_a_source(comfy, bundle, source):
    g = DetailGraph()
    photo = g.image(source)
    soft = g.node("ImageBlur", image=photo, blur_radius=3, sigma=2.0)
    both = g.node("ImageBatch", image1=soft, image2=g.node("ImageInvert", image=soft))
    kept = g.show_image(g.keep_detail(photo, both, round_trip=soft))
    assert [picture.size for picture in comfy.run(g).images[kept.id]] == [(WIDTH, HEIGHT)] * 2


def test_before_paste_back_the_rest_stays_bit_for_bit(comfy, bundle, source, mask_file):
    g = DetailGraph()
    photo, mask = g.image(source), g.mask(mask_file)
    sampled = g.sampler(g.unit("{image} make it snow", g.picture(source, mask=mask)), seed=1)
    kept = g.keep_detail(photo, sampled[0], vae=g.vae, mask=mask, fit=sampled[2])
    pasted, plain = g.show_image(g.paste(photo, kept, mask=mask, fit=sampled[2])), g.show_image(photo)
    run = comfy.run(g)
    outside = np.asarray(Image.open(comfy.base_dir / "input" / mask_file).convert("L")) == 0
    before, after = pixels(run, plain)[0], pixels(run, pasted)[0]
    assert torch.equal(after[torch.from_numpy(outside)], before[torch.from_numpy(outside)])
    assert not torch.equal(after, before)


def test_the_samplers_option_gives_what_the_pipeline_gives(comfy, bundle, pipeline, source):
    from comfyui_ace.ace.lcu.units import ConditionUnit, LongContext
    from host.harness.edits import condition

    g = DetailGraph()
    unit = g.unit("{image} make it snow", g.picture(source))
    own = g.show_image(g.sampler(unit, seed=3, keep_detail=1.0, result_size="as the source")[0])
    small = g.show_image(g.sampler(unit, seed=3, keep_detail=1.0)[0])
    off = g.show_image(g.sampler(unit, seed=3, keep_detail=0.0)[0])
    before = g.show_image(g.sampler(unit, seed=3)[0])  # as in a workflow saved before there was the option
    run = comfy.run(g)
    context = LongContext(ConditionUnit("{image} make it snow", [condition(make_photo((WIDTH, HEIGHT)))]))
    expected = pipeline(context, seed=3, steps=4, guidance_scale=4.5, keep_detail=KeepDetail())
    fit = published_fit(HEIGHT, WIDTH, pipeline.defaults.max_tokens)
    assert pixels(run, own).shape[1:3] == (fit.crop.height, fit.crop.width)
    assert levels(pixels(run, own), expected.images) < 4
    assert pixels(run, small).shape[1:3] == (fit.height, fit.width)
    assert torch.equal(pixels(run, off), pixels(run, before))


def test_without_vae_or_round_trip_it_says_what_to_connect(comfy, bundle, source):
    g = DetailGraph()
    photo = g.image(source)
    g.show_image(g.keep_detail(photo, photo))
    with pytest.raises(PromptFailedError, match="connect the VAE"):
        comfy.run(g)


def test_an_empty_mask_is_told(comfy, bundle, source):
    g = DetailGraph()
    photo = g.image(source)
    empty = g.node("SolidMask", value=0.0, width=WIDTH, height=HEIGHT)
    node = g.keep_detail(photo, photo, round_trip=photo, mask=empty)
    g.show_image(node)
    assert "the mask marks nothing" in messages(comfy.run(g), node)
