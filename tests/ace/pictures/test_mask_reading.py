"""One rule for what a file means as a mask, the same for every way in."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from comfyui_ace.ace.lcu.intake import condition_image
from comfyui_ace.ace.pictures.files.mask_reading import describe_marks, read_as_mask
from comfyui_ace.ace.pictures.image_files import load_mask
from comfyui_ace.ace.pictures.masks import from_image
from comfyui_ace.ace.pictures.preprocess import binarize
from comfyui_ace.training.capture.inputs import InputGroup, load_group
from comfyui_ace.training.dataset.disk.images import read_mask
from comfyui_ace.training.dataset.importers.base import ImportOptions
from comfyui_ace.training.errors import ImageError
from PIL import Image

SIDE = 40
AREA = np.zeros((SIDE, SIDE), bool)
AREA[8:24, 12:30] = True
WHITE = np.where(AREA, 255, 0).astype(np.uint8)
PHOTO = np.random.default_rng(5).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
BRIGHT = np.random.default_rng(6).integers(150, 256, (SIDE, SIDE, 3), dtype=np.uint8)


def _rgba(colour, alpha) -> Image.Image:
    """RGBA of a colour (r, g, b), a grey level, or an array (H, W, 3), and of an alpha level or array."""
    colour = np.asarray(colour, np.uint8)
    if colour.ndim < 3:
        colour = np.repeat(colour[..., None], 3, -1) if colour.ndim != 1 else colour
    pixels = np.empty((SIDE, SIDE, 4), np.uint8)
    pixels[..., :3], pixels[..., 3] = colour, alpha
    return Image.fromarray(pixels)


def _hidden_is(picture: Image.Image, level: int) -> Image.Image:
    pixels = np.array(picture)
    pixels[pixels[..., 3] == 0, :3] = level
    return Image.fromarray(pixels)


def _palette_with_hole() -> Image.Image:
    picture = Image.fromarray(np.where(AREA, 1, 0).astype(np.uint8), "P")
    picture.putpalette([0, 0, 0, 255, 255, 255])
    picture.info["transparency"] = 0
    return picture


HOLE = 255 - WHITE
FILES = {
    "grey": Image.fromarray(WHITE),
    "one bit": Image.fromarray(AREA),
    "colour": Image.fromarray(np.repeat(WHITE[..., None], 3, -1)),
    "opaque RGBA": _rgba(WHITE, 255),
    "opaque grey with alpha": _rgba(WHITE, 255).convert("LA"),
    "all half transparent": _rgba(WHITE, 128),
    "all transparent": _rgba(WHITE, 0),
    "white layer": _rgba(255, WHITE),
    "white layer on hidden black": _hidden_is(_rgba(255, WHITE), 0),
    "red layer": _rgba((200, 20, 30), WHITE),
    "black layer": _rgba(0, WHITE),
    "layer of grey with alpha": _rgba(255, WHITE).convert("LA"),
    "photograph with a hole": _rgba(PHOTO, HOLE),
    "bright photograph with a black hole": _hidden_is(_rgba(BRIGHT, HOLE), 0),
    "photograph with a white hole": _hidden_is(_rgba(PHOTO, HOLE), 255),
    "grey photograph with a hole": _rgba(PHOTO, HOLE).convert("LA"),
    "the same in alpha": _rgba(WHITE, WHITE),
    "the opposite in alpha, as captures are sent": _rgba(WHITE, HOLE),
    "palette with a hole": _palette_with_hole(),
    "16 bits": Image.fromarray(WHITE.astype(np.uint16) * 257),
}
SAID = {
    "all transparent": "its white was taken",
    "the opposite in alpha, as captures are sent": "the white was taken",
    "red layer": "what is painted was taken",
    "black layer": "what is painted was taken",
    "photograph with a hole": "the hole in it was taken",
    "bright photograph with a black hole": "the hole in it was taken",
    "photograph with a white hole": "the hole in it was taken",
    "grey photograph with a hole": "the hole in it was taken",
}


def _ways_in(path, told):
    """(H, W) bool of a mask's file by every way in; ``told`` gets what each said."""
    yield load_mask(path, told.append)[0].numpy() > 0.5
    for loaded in (read_mask(path), ImportOptions().mask_picture(path)):
        told.append("; ".join(loaded.notes))
        yield loaded.pixels > 128
    Image.fromarray(PHOTO).save(path.with_name("photo.png"))
    (captured,) = load_group(InputGroup("photo", (path.with_name("photo.png"),), (path,)), [False])
    told.append("; ".join(captured.notes))
    yield captured.mask > 128
    picture = Image.open(path)
    if not picture.mode.startswith("I"):
        wired = np.asarray(picture.convert("RGBA" if picture.has_transparency_data else "RGB"))
        yield from_image(torch.from_numpy(wired / 255.0)[None].float(), "auto", told.append)[0].numpy() > 0.5


@pytest.mark.parametrize("name", FILES)
def test_every_way_in_reads_the_same_mask(tmp_path, name):
    FILES[name].save(tmp_path / "mask.png")
    told: list[str] = []
    for number, marked in enumerate(_ways_in(tmp_path / "mask.png", told)):
        assert np.array_equal(marked, AREA), f"way in {number}"
    said = [text for text in told if "taken as what may change" in text]
    if name in SAID:
        assert len(said) == 5 and all(SAID[name] in text for text in said)
    else:
        assert not said


def test_drawing_on_a_transparent_ground_counts_by_its_white(tmp_path):
    alpha = np.zeros((SIDE, SIDE), np.uint8)
    alpha[4:36, 4:36] = 255
    _rgba(np.where(alpha > 0, WHITE, 255), alpha).save(tmp_path / "mask.png")
    told: list[str] = []
    assert all(np.array_equal(marked, AREA) for marked in _ways_in(tmp_path / "mask.png", told))
    assert all("visible white" in text for text in told)


MARKS = {
    "a spot": np.s_[100:110, 100:110],
    "a thin line": np.s_[60, 4:196],
    "all but a spot": np.s_[:, :],
}
LARGE = 200
_NOISE = np.random.default_rng(7)
NIGHT = _NOISE.integers(0, 20, (LARGE, LARGE), dtype=np.uint8)
NIGHT[:10, :20] = _NOISE.integers(100, 256, (10, 20))
LIT = np.where(NIGHT > 99, 255, NIGHT).astype(np.uint8)
SNOW = _NOISE.integers(215, 256, (LARGE, LARGE), dtype=np.uint8)


def _marks(name: str) -> np.ndarray:
    area = np.zeros((LARGE, LARGE), bool)
    area[MARKS[name]] = True
    if name == "all but a spot":
        area[100:110, 100:110] = False
    return area


@pytest.mark.parametrize("name", MARKS)
def test_a_mark_is_read_alike_however_much_it_covers(name):
    area = _marks(name)
    painted = np.where(area, 255, 0).astype(np.uint8)
    ground = np.zeros_like(painted)
    for layer in (ground, ground + 60, ground + 255):
        for hidden in (0, 255):
            grey = np.where(area, layer, hidden).astype(np.uint8)
            read = read_as_mask(grey, painted)
            if layer.max() == 0 and hidden == 255:  # the same file as a mask with the opposite in alpha
                assert np.array_equal(read.mask > 128, ~area) and "white was taken" in read.note
            else:
                assert np.array_equal(read.mask > 128, area), (layer.max(), hidden)
                assert ("what is painted was taken" in read.note) is bool(layer.max() < 255)
    for photo in (SNOW,) if name == "all but a spot" else (NIGHT, LIT, SNOW):  # a flat spot that is left looks painted
        for hidden in (photo, 0, 255):
            read = read_as_mask(np.where(area, hidden, photo).astype(np.uint8), 255 - painted)
            assert np.array_equal(read.mask > 128, area) and "the hole in it was taken" in read.note
    for read in (
        read_as_mask(painted, painted),
        read_as_mask(painted, 255 - painted),
        read_as_mask(painted, ground + 255),
    ):
        assert np.array_equal(read.mask > 128, area)


@pytest.mark.parametrize("photo", [PHOTO[..., 0], BRIGHT[..., 0], NIGHT, LIT, SNOW])
def test_a_photograph_that_is_transparent_everywhere_is_marked_everywhere(photo):
    read = read_as_mask(photo, np.zeros_like(photo))
    assert (read.mask == 255).all() and "all of it was taken" in read.note


def test_soft_edges_keep_their_levels(tmp_path):
    levels = np.tile(np.linspace(0, 255, SIDE).round().astype(np.uint8), (SIDE, 1))
    for picture in (_rgba(255, levels), _rgba(levels, 255), _rgba(PHOTO, 255 - levels), _rgba(levels, levels)):
        picture.save(tmp_path / "mask.png")
        assert np.array_equal(read_mask(tmp_path / "mask.png").pixels, levels)
        assert torch.equal((load_mask(tmp_path / "mask.png")[0] * 255).round(), torch.from_numpy(levels).float())


def test_the_switch_decides(tmp_path):
    path = tmp_path / "mask.png"
    _rgba(PHOTO, HOLE).save(path)
    grey = np.asarray(Image.fromarray(PHOTO).convert("L"))
    for reading, expected in (("opaque", HOLE), ("transparent", WHITE), ("brightness", grey)):
        assert np.array_equal(read_mask(path, reading=reading).pixels, expected)
        assert np.array_equal((load_mask(path, reading=reading)[0] * 255).round().numpy(), expected)
    Image.fromarray(WHITE).save(path)
    with pytest.raises(ImageError, match=r"mask.png.*no transparency.*brightness"):
        read_mask(path, reading="opaque")
    with pytest.raises(ValueError, match=r"mask.png.*no transparency"):
        load_mask(path, reading="transparent")
    with pytest.raises(ValueError, match="expected one of auto, brightness"):
        read_as_mask(WHITE, None, "white")


@pytest.mark.parametrize(("level", "words"), [(0, "it is black"), (1, "1 of 255"), (128, "128 of 255"), (129, "")])
def test_a_mask_that_marks_nothing_is_said(level, words):
    told: list[str] = []
    mask = np.where(AREA, level, 0).astype(np.uint8)
    assert words in describe_marks(mask) and bool(describe_marks(mask)) == bool(words)
    picture = torch.zeros(1, SIDE, SIDE, 3)
    made = condition_image(picture, torch.from_numpy(mask)[None] / 255, "{image1}", told.append)
    assert (made.mask is None) == bool(words) and len(told) == bool(words)
    assert not told or ("{image1}" in told[0] and words in told[0])


def test_an_empty_mask_of_any_size_is_none_and_that_is_said():
    told: list[str] = []
    picture = torch.zeros(1, 40, 40, 3)
    assert condition_image(picture, torch.zeros(1, 40, 40), "auto", told.append).mask is None
    assert len(told) == 1 and told[0].startswith("the mask marks nothing")


@pytest.mark.parametrize("level", [128.0, 128.3, 128.6, 129.0])
def test_what_is_said_of_a_level_is_what_is_done_with_it(level):
    mask = torch.full((1, 8, 8), level / 255)
    assert bool(binarize(mask).any()) is (describe_marks(mask.numpy()) == "")
