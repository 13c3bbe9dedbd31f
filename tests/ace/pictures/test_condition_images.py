"""Condition images: every kind works on every size, and each does what its name says."""

import dataclasses

import pytest
import torch
from comfyui_ace.ace.pictures import line_images
from comfyui_ace.ace.pictures.condition_images import (
    CONDITION_IMAGES,
    Blur,
    ColorMap,
    Degradation,
    Grayscale,
    Mosaic,
    make_condition_image,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from kornia.filters import canny as kornia_canny
from kornia.filters import gaussian_blur2d


def picture(height=96, width=128):
    """A dark disc on a colour gradient, (1, height, width, 3)."""
    rows, columns = torch.linspace(0, 1, height)[:, None], torch.linspace(0, 1, width)
    image = torch.stack([rows.expand(-1, width), columns.expand(height, -1), torch.full((height, width), 0.7)], -1)
    y, x = torch.arange(height)[:, None] - height / 2, torch.arange(width) - width / 2
    image[(y**2 + x**2).sqrt() < height / 4] = 0.05
    return image[None]


@settings(max_examples=40)
@given(
    st.integers(1, 8192),
    st.integers(1, 8),
    st.booleans(),
    st.sampled_from([1, 2, 3, 4]),
    st.sampled_from(sorted(CONDITION_IMAGES)),
)
def test_every_kind_takes_every_picture(long, short, upright, channels, name):
    height, width = (long, min(short, 3000 // long + 1)) if upright else (min(short, 3000 // long + 1), long)
    made = make_condition_image(name, torch.rand(1, height, width, channels), notify=lambda _: None)
    assert made.shape == (1, height, width, 3) and made.dtype == torch.float32
    assert made.min() >= 0 and made.max() <= 1


@pytest.mark.parametrize("name", sorted(CONDITION_IMAGES))
@pytest.mark.parametrize("level", [0.0, 0.5, 1.0])
def test_flat_pictures_and_extreme_parameters(name, level):
    flat = torch.full((1, 40, 50, 3), level)
    kind = CONDITION_IMAGES[name].parameters
    bounds = [field for field in dataclasses.fields(kind) if "min" in field.metadata]
    for end in ("min", "max"):
        values = {field.name: field.metadata[end] for field in bounds}
        made = make_condition_image(name, flat, kind(**values))
        assert made.isfinite().all() and made.min() >= 0 and made.max() <= 1


@pytest.mark.parametrize("name", sorted(CONDITION_IMAGES))
def test_pictures_of_a_batch_do_not_mix(name):
    first, second = picture(), torch.rand(1, 96, 128, 3)
    both = make_condition_image(name, torch.cat([first, second]))
    assert torch.allclose(both[:1], make_condition_image(name, first), atol=1e-5)


@pytest.mark.parametrize("name", sorted(CONDITION_IMAGES))
def test_every_parameter_is_explained_and_bounded(name):
    kind = CONDITION_IMAGES[name]
    assert kind.label and kind.description.endswith(".")
    for field in dataclasses.fields(kind.parameters):
        assert field.metadata["help"].endswith(".")
        if "min" in field.metadata:
            assert field.metadata["min"] <= field.default <= field.metadata["max"]
            with pytest.raises(ValueError, match=f"{field.name} is"):
                kind.parameters(**{field.name: field.metadata["max"] + 1})


def test_grayscale_is_the_luma():
    image = picture()
    luma = image @ torch.tensor([0.299, 0.587, 0.114])
    assert torch.allclose(make_condition_image("grayscale", image), luma[..., None].expand(-1, -1, -1, 3), atol=1e-6)
    negative = make_condition_image("grayscale", image, Grayscale(invert=True))
    assert torch.allclose(negative, 1 - luma[..., None].expand(-1, -1, -1, 3), atol=1e-6)


def test_mosaic_tiles_are_means_even_at_the_edge():
    image = torch.rand(1, 20, 27, 3)
    made = make_condition_image("mosaic", image, Mosaic(block=8))
    for rows, columns in ((slice(0, 8), slice(8, 16)), (slice(16, 20), slice(24, 27))):
        expected = image[:, rows, columns].mean((1, 2), keepdim=True)
        assert torch.allclose(made[:, rows, columns], expected.expand_as(made[:, rows, columns]), atol=1e-6)


@pytest.mark.parametrize("sigma", [1.0, 20.0])
def test_blur_is_gaussian(sigma):
    """Wide ones are taken on a smaller picture; on the pictures they leave, that cannot be seen."""
    image = picture(200, 240)
    kernel = 2 * round(4 * sigma) + 1
    expected = gaussian_blur2d(image.permute(0, 3, 1, 2), (kernel, kernel), (sigma, sigma), border_type="replicate")
    made = make_condition_image("blur", image, Blur(sigma=sigma))
    assert (made - expected.permute(0, 2, 3, 1)).abs().max() < 1.5 / 255 * max(1, sigma / 4)


def test_degradation_is_seeded_per_picture_and_leaves_torchs_generator_alone():
    image = picture().expand(2, -1, -1, -1)
    state = torch.get_rng_state()
    made = make_condition_image("degradation", image, Degradation(seed=5))
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(made, make_condition_image("degradation", image, Degradation(seed=5)))
    assert not torch.equal(made[0], made[1])
    assert torch.equal(made[1:], make_condition_image("degradation", image[:1], Degradation(seed=6)))


def test_degradation_can_be_switched_off_part_by_part():
    image = picture()
    clean = {"blur": 0.0, "downscale": 1.0, "noise": 0.0, "jpeg_quality": 100}
    assert torch.equal(make_condition_image("degradation", image, Degradation(**clean)), image)
    damage = []
    for name, value in {"blur": 3.0, "downscale": 4.0, "noise": 0.1, "jpeg_quality": 10}.items():
        made = make_condition_image("degradation", image, Degradation(**{**clean, name: value}))
        damage.append((made - image).abs().mean().item())
    assert min(damage) > 0.002


def test_canny_equals_kornias(monkeypatch):
    """Strips and the flood fill change nothing of what kornia finds on the picture with its edge repeated."""
    image = torch.rand(2, 70, 50, 1, generator=torch.Generator().manual_seed(0))
    image = gaussian_blur2d(image.permute(0, 3, 1, 2), (9, 9), (1.5, 1.5)).sub(0.5).mul(3).add(0.5)
    monkeypatch.setattr(line_images, "STRIP_PIXELS", 66 * 16)
    for low, high in ((0.1, 0.5), (0.3, 0.9)):
        padded = torch.nn.functional.pad(image, (8,) * 4, mode="replicate")
        _, edges = kornia_canny(padded, low, high, hysteresis=False)
        inner = edges[..., 8:-8, 8:-8]
        expected = _track_slowly(inner)
        made = line_images.canny(image.permute(0, 2, 3, 1).expand(-1, -1, -1, 3), line_images.Canny(low, high))
        assert 0 < expected.sum() < (inner > 0).sum(), "some weak edges are kept, some dropped"
        assert torch.equal(made[..., 0], expected[:, 0])


def _track_slowly(edges):
    kept = edges == 1
    while True:
        near = torch.nn.functional.max_pool2d(kept.float(), 3, 1, 1) > 0
        more = near & (edges > 0)
        if torch.equal(more, kept):
            return kept.float()
        kept = more


def test_color_map_reduces_to_its_palette():
    image = picture()
    made = make_condition_image("color_map", image, ColorMap(block=8, colors=5))
    assert 2 <= len(made.reshape(-1, 3).unique(dim=0)) <= 5
    assert torch.equal(made, make_condition_image("color_map", image, ColorMap(block=8, colors=5)))
    assert (made[0, 48, 64] < 0.15).all(), "the small dark disc has a colour of its own"
    plain = make_condition_image("color_map", image, ColorMap(block=8))
    assert torch.equal(plain, make_condition_image("mosaic", image, Mosaic(block=8)))


@pytest.mark.parametrize("name", ["sketch", "contour", "scribble", "doodle"])
def test_drawings_are_dark_lines_at_the_disc_and_white_elsewhere(name):
    made = make_condition_image(name, picture(256, 256))[0, ..., 0]
    edge = made[128, 184:200]  # the disc's right edge lies at column 192
    assert edge.min() < 0.4
    assert made[128, 240:250].min() > 0.8 and made[20:30, 128].min() > 0.8
    kind = CONDITION_IMAGES[name].parameters
    inverted = make_condition_image(name, picture(256, 256), kind(invert=True))[0, ..., 0]
    assert torch.allclose(inverted, 1 - made, atol=1e-6)


def test_wrong_names_and_parameters_are_explained():
    with pytest.raises(ValueError, match="grayscale, mosaic"):
        make_condition_image("depth", picture())
    with pytest.raises(TypeError, match="takes Mosaic parameters, not Blur"):
        make_condition_image("mosaic", picture(), Blur())
    with pytest.raises(ValueError, match="low must not be above high"):
        line_images.Canny(0.8, 0.3)
