"""Mask, inpaint, outpaint and paste-back nodes in a real ComfyUI: what an artist does with them, run as a graph."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from comfyui_ace.ace.lcu.intake import condition_image
from comfyui_ace.ace.lcu.units import ConditionUnit
from comfyui_ace.ace.pictures.masks import prepare_mask
from comfyui_ace.ace.pictures.paste_back import paste_back
from host.harness.edits import (
    EditGraph,
    as_tensor,
    difference,
    messages,
    run_latent,
    saved_latent,
    shown,
    standalone,
)
from host.harness.edits import photo as make_photo
from PIL import Image, ImageDraw

WIDTH, HEIGHT = 100, 70  # no multiples of 16: the model works at 96x64
FADE = {"seam": "fade in", "seam.feather": 4}


def painted_mask(size: tuple[int, int] = (WIDTH, HEIGHT)) -> Image.Image:
    mask = Image.new("L", size)
    ImageDraw.Draw(mask).ellipse((30, 15, 70, 55), fill=255)
    return mask


@pytest.fixture(scope="module")
def source(comfy) -> str:
    return comfy.upload_image(make_photo((WIDTH, HEIGHT)), "bench-photo.png")


@pytest.fixture(scope="module")
def mask_file(comfy) -> str:
    return comfy.upload_image(painted_mask().convert("RGB"), "bench-mask.png")


class BenchGraph(EditGraph):
    """A graph whose loader is only there when a model is needed."""

    def image(self, name: str):
        return self.node("LoadImage", image=name)[0]

    def mask(self, name: str):
        return self.node("LoadImageMask", image=name, channel="red")[0]

    def show_mask(self, mask):
        return self.node("PreviewImage", images=self.node("MaskToImage", mask=mask))

    def show_image(self, image):
        return self.node("PreviewImage", images=image)

    def prepare(self, **inputs):
        standard = {"threshold": 128, "invert": False, "fill_holes": False, "grow": 0, "corners": "round", "feather": 8}
        rest = {"unite": False, "alpha_marks": "transparent", "if_shapes_differ": "tell me"}
        return self.node("ACEMaskPrepare", **{**standard, **rest, **inputs})

    def inpaint(self, source: str, mask_file: str, way: str = "blank: paint something new"):
        return self.node(
            "ACEInpaint", image=self.image(source), mask=self.mask(mask_file), way=way, indicator="{image}"
        )

    def outpaint(self, source: str, **inputs):
        standard = {"overlap": 0, "round_up": False, "indicator": "{image}"}
        return self.node("ACEOutpaint", **{"image": self.image(source), **standard, **inputs})

    def paste(self, original, result, **inputs):
        return self.node("ACEPasteBack", original=original, result=result, **{"match_colors": False, **FADE, **inputs})


def pixels(result, node) -> np.ndarray:
    (picture,) = result.images[node.id]
    return np.asarray(picture.convert("RGB"))


def test_prepared_mask_is_binary_soft_and_measured(comfy, mask_file):
    g = BenchGraph()
    prepared = g.prepare(mask=g.mask(mask_file), grow=6, feather=5)
    hard, soft, share = g.show_mask(prepared[0]), g.show_mask(prepared[1]), g.show(prepared[2])
    result = comfy.run(g)
    expected = prepare_mask(as_tensor(painted_mask()), grow=6, feather=5)
    assert np.array_equal(pixels(result, hard)[..., 0], (expected.binary[0] * 255).numpy().astype(np.uint8))
    assert np.array_equal(pixels(result, soft)[..., 0], (expected.soft[0] * 255).numpy().astype(np.uint8))
    assert float(shown(result, share)) == pytest.approx(expected.binary.mean().item(), abs=1e-5)


def test_outline_is_filled_and_fitted_to_its_picture(comfy, source):
    outline = Image.new("RGB", (WIDTH // 2, HEIGHT // 2))
    ImageDraw.Draw(outline).rectangle((10, 8, 40, 27), outline="white", width=2)
    g = BenchGraph()
    drawn = g.mask(comfy.upload_image(outline, "bench-outline.png"))
    prepared = g.prepare(mask=drawn, image=g.image(source), fill_holes=True)
    hard = g.show_mask(prepared[0])
    found = pixels(comfy.run(g), hard)[..., 0]
    assert found.shape == (HEIGHT, WIDTH)
    assert (found[18:54, 22:80] == 255).all()
    assert found[:14].max() == 0


def test_alpha_becomes_a_mask(comfy, source, mask_file):
    g = BenchGraph()
    transparent = g.node("JoinImageWithAlpha", image=g.image(source), alpha=g.mask(mask_file))
    hole = g.show_mask(g.prepare(alpha=transparent))
    layer = g.show_mask(g.prepare(alpha=transparent, alpha_marks="opaque"))
    result = comfy.run(g)
    assert np.array_equal(pixels(result, hole), 255 - pixels(result, layer))
    assert pixels(result, hole)[35, 50, 0] == 255  # core's node takes a mask's white as transparent


def test_mask_or_alpha_but_not_neither_or_both(comfy, source, mask_file):
    g = BenchGraph()
    g.show_mask(g.prepare())
    assert "neither of them is connected" in comfy.run_expect_error(g).message
    g = BenchGraph()
    g.show_mask(g.prepare(mask=g.mask(mask_file), alpha=g.image(source)))
    assert "both are connected" in comfy.run_expect_error(g).message


def test_random_masks_take_the_pictures_size_and_their_seed(comfy, source):
    g = BenchGraph()
    drawing = {"width": 64, "height": 64, "kind": "mixed", "style": "medium", "least": 0.2, "most": 0.4}
    batch = g.show_mask(g.node("ACERandomMask", image=g.image(source), seed=4, count=2, **drawing))
    single = g.show_mask(g.node("ACERandomMask", image=g.image(source), seed=5, count=1, **drawing))
    result = comfy.run(g)
    first, second = (np.asarray(picture) for picture in result.images[batch.id])
    assert first.shape[:2] == (HEIGHT, WIDTH)
    assert 0.2 <= (first[..., 0] > 0).mean() <= 0.4
    assert np.array_equal(second, np.asarray(result.images[single.id][0]))
    assert not np.array_equal(first, second)


def test_inpaint_shows_what_the_model_sees(comfy, source, mask_file):
    g = BenchGraph()
    blank = g.inpaint(source, mask_file)
    kept = g.inpaint(source, mask_file, "keep: change what is there")
    plain = g.show_image(g.image(source))
    seen, unblanked, hole = g.show_image(blank[1]), g.show_image(kept[1]), g.show_mask(blank[2])
    result = comfy.run(g)
    inside = pixels(result, hole)[..., 0] == 255
    assert inside.any()
    assert (pixels(result, seen)[inside] == 0).all()
    assert np.array_equal(pixels(result, seen)[~inside], pixels(result, plain)[~inside])
    assert np.array_equal(pixels(result, unblanked), pixels(result, plain))


@pytest.mark.parametrize(
    ("way", "fill"), [("blank: paint something new", "blank"), ("keep: change what is there", "keep")]
)
def test_inpainting_is_that_of_the_pipeline(comfy, bundle, pipeline, source, mask_file, way, fill):
    """The hole is cut after scaling, so its edge is as sharp as in training."""
    g = EditGraph()
    prepared = g.node(
        "ACEInpaint",
        image=g.node("LoadImage", image=source),
        mask=g.node("LoadImageMask", image=mask_file, channel="red"),
        way=way,
        indicator="{image}",
    )
    latent = run_latent(comfy, g, g.sampler(g.unit("fill {image}", prepared), seed=3)[1])
    picture = condition_image(as_tensor(make_photo((WIDTH, HEIGHT))), as_tensor(painted_mask()), fill=fill)
    assert difference(latent, standalone(pipeline, ConditionUnit("fill {image}", [picture]), seed=3)) < 1e-3


def test_empty_mask_is_told(comfy, source):
    g = BenchGraph()
    loaded = g.node("LoadImage", image=source)  # its mask is an empty one of 64x64
    inpaint = g.node(
        "ACEInpaint", image=loaded[0], mask=loaded[1], way="blank: paint something new", indicator="{image}"
    )
    hole = g.show_mask(inpaint[2])
    result = comfy.run(g)
    assert "marks nothing" in messages(result, inpaint)
    assert (pixels(result, hole) == 255).all()


def test_edit_pasted_back_keeps_every_pixel_outside_the_mask(comfy, bundle, source, mask_file):
    g = BenchGraph()
    prepared = g.inpaint(source, mask_file)
    edited = g.sampler(g.unit("{image} fill the hole", prepared), seed=1)
    pasted = g.show_image(g.paste(g.image(source), edited[0], mask=prepared[2]))
    plain = g.show_image(g.image(source))
    result = comfy.run(g)
    before, after = pixels(result, plain), pixels(result, pasted)
    outside = np.asarray(painted_mask()) == 0
    assert after.shape == (HEIGHT, WIDTH, 3)
    assert np.array_equal(after[outside], before[outside])
    assert (after[~outside] != before[~outside]).mean() > 0.5


def test_seams(comfy, source, mask_file):
    """The three ways a result begins at the mask's edge, on a white result."""
    g = BenchGraph()
    white = g.node("EmptyImage", width=96, height=64, batch_size=1, color=0xFFFFFF)
    prepared = g.prepare(mask=g.mask(mask_file), feather=6)
    seams = {
        "soft": ({"seam": "as the mask fades"}, prepared[1], None),
        "hard": ({"seam": "hard edge"}, prepared[0], 0),
        "fade": ({"seam": "fade in", "seam.feather": 6}, prepared[0], 6),
    }
    nodes = {
        name: g.show_image(
            g.node("ACEPasteBack", original=g.image(source), result=white, mask=mask, match_colors=False, **seam)
        )
        for name, (seam, mask, _) in seams.items()
    }
    result = comfy.run(g)
    original, mask = as_tensor(make_photo((WIDTH, HEIGHT))), as_tensor(painted_mask())
    for name, (_, _, feather) in seams.items():
        weights = prepare_mask(mask, feather=6).soft if feather is None else mask
        expected = paste_back(original, torch.ones(1, 64, 96, 3), weights, feather=feather)
        found = pixels(result, nodes[name]).astype(int)
        assert np.abs(found - (expected[0] * 255).numpy()).max() <= 1, name
    assert np.array_equal(pixels(result, nodes["soft"]), pixels(result, nodes["fade"]))
    assert not np.array_equal(pixels(result, nodes["hard"]), pixels(result, nodes["fade"]))


def test_paste_back_asks_for_what_it_needs(comfy, source):
    g = BenchGraph()
    g.show_image(g.paste(g.image(source), g.image(source)))
    assert "connect a mask" in comfy.run_expect_error(g).message


@pytest.mark.parametrize(
    ("extend", "size", "corner"),
    [
        (
            {"extend": "by pixels", "extend.left": 8, "extend.top": 16, "extend.right": 24, "extend.bottom": 0},
            (132, 86),
            (8, 16),
        ),
        (
            {"extend": "by ratio", "extend.left": 0.0, "extend.top": 0.0, "extend.right": 0.5, "extend.bottom": 0.1},
            (150, 77),
            (0, 0),
        ),
        (
            {"extend": "to an aspect ratio", "extend.width": 1.0, "extend.height": 1.0, "extend.anchor": "center"},
            (100, 100),
            (0, 15),
        ),
    ],
    ids=["pixels", "ratio", "aspect"],
)
def test_outpainted_picture_lies_untouched_on_its_canvas(comfy, bundle, source, extend, size, corner):
    g = BenchGraph()
    extended = g.outpaint(source, **extend)
    edited = g.sampler(g.unit("{image} extend the picture", extended), seed=1)
    canvas, border = g.show_image(extended[1]), g.show_mask(extended[2])
    pasted = g.show_image(g.paste(g.image(source), edited[0], placement=extended[3]))
    plain = g.show_image(g.image(source))
    result = comfy.run(g)
    left, top = corner
    inside = (slice(top, top + HEIGHT), slice(left, left + WIDTH))
    before = pixels(result, plain)
    for node in (canvas, border, pasted):
        assert pixels(result, node).shape[1::-1] == size
    assert np.array_equal(pixels(result, canvas)[inside], before)
    assert np.array_equal(pixels(result, pasted)[inside], before)
    assert pixels(result, border)[inside].max() == 0
    outside = pixels(result, border)[..., 0] == 255
    assert outside.sum() == size[0] * size[1] - WIDTH * HEIGHT
    assert (pixels(result, canvas)[outside] == 0).all()
    assert pixels(result, pasted)[outside].std() > 3


def test_outpainting_rounds_up_only_when_told(comfy, source):
    sides = {"extend": "by pixels", "extend.left": 0, "extend.top": 0, "extend.right": 40, "extend.bottom": 0}
    g = BenchGraph()
    rounded = g.show_image(g.outpaint(source, round_up=True, overlap=8, **sides)[1])
    result = comfy.run(g)
    assert pixels(result, rounded).shape == (80, 144, 3)


def test_result_in_the_sources_own_size(comfy, bundle, source):
    """The picture is scaled for sampling and the result scaled back; the latent stays as sampled."""
    g = EditGraph()
    unit = g.unit("{image} make it snow", g.picture(source))
    own = g.sampler(unit, seed=1, result_size="as the source")
    sampled = g.sampler(unit, seed=1, result_size="as sampled")
    shown_own, shown_sampled = (g.node("PreviewImage", images=node[0]) for node in (own, sampled))
    g.save_latent(own[1])
    result = comfy.run(g)
    assert result.images[shown_own.id][0].size == (WIDTH, HEIGHT)
    assert result.images[shown_sampled.id][0].size == (96, 64)
    assert saved_latent(comfy, result).shape == (1, 4, 8, 12)


def test_cropped_source_is_told_and_still_pastes_back(comfy, bundle):
    """5:1 is cropped to 4:1; the result shows the middle and lands there again."""
    wide = comfy.upload_image(make_photo((320, 64)), "bench-wide.png")
    g = BenchGraph()
    edited = g.sampler(g.unit("{image} make it snow", g.picture(wide)), seed=1, result_size="as the source")
    small = g.show_image(edited[0])
    whole = g.node("MaskToImage", mask=g.node("SolidMask", value=1.0, width=320, height=64))
    mask = g.node("ImageToMask", image=whole, channel="red")
    pasted = g.show_image(g.paste(g.image(wide), edited[0], mask=mask, fit=edited[2], **{"seam": "hard edge"}))
    plain = g.show_image(g.image(wide))
    result = comfy.run(g)
    assert pixels(result, small).shape == (64, 256, 3)
    assert "256x64" in messages(result, edited) and "Paste Back" in messages(result, edited)
    before, after = pixels(result, plain), pixels(result, pasted)
    assert np.array_equal(after[:, :32], before[:, :32]) and np.array_equal(after[:, 288:], before[:, 288:])
    assert np.array_equal(after[:, 32:288], pixels(result, small))


def test_source_size_keeps_pixels_and_its_fit_puts_them_back(comfy, bundle, source):
    """Only the fit tells a picture that was cropped to multiples of 16 from one that was scaled to them."""
    g = BenchGraph()
    edited = g.sampler(g.unit("{image} make it snow", g.picture(source)), resolution="source size", seed=1)
    small = g.show_image(edited[0])
    mask = g.node("SolidMask", value=1.0, width=WIDTH, height=HEIGHT)
    pasted = g.show_image(g.paste(g.image(source), edited[0], mask=mask, fit=edited[2], **{"seam": "hard edge"}))
    plain = g.show_image(g.image(source))
    result = comfy.run(g)
    assert "cropped to 96x64" in messages(result, edited)
    before, after = pixels(result, plain), pixels(result, pasted)
    assert np.array_equal(after[3:67, 2:98], pixels(result, small))
    frame = np.ones((HEIGHT, WIDTH), dtype=bool)
    frame[3:67, 2:98] = False
    assert np.array_equal(after[frame], before[frame])


def test_fit_of_another_picture_is_refused(comfy, bundle, source, photo):
    g = BenchGraph()
    edited = g.sampler(g.unit("{image} make it snow", g.picture(photo)), seed=1)
    mask = g.node("SolidMask", value=1.0, width=WIDTH, height=HEIGHT)
    g.show_image(g.paste(g.image(source), edited[0], mask=mask, fit=edited[2]))
    assert "the fit was made for 96x64" in comfy.run_expect_error(g).message
