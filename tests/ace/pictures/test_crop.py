"""The picture cut out of a canvas again, by Crop, Paste Back and Keep Detail."""

from __future__ import annotations

import pytest
import torch
from comfyui_ace.ace.pictures.crop import crop_to_source
from comfyui_ace.ace.pictures.fit import Box, Canvas, Fit, published_fit
from comfyui_ace.ace.pictures.keep_detail import keep_detail, round_trip_of
from comfyui_ace.ace.pictures.paste_back import paste_back
from comfyui_ace.ace.pictures.preprocess import resize_image
from comfyui_ace.ace.plus.canvas import PlusCanvas, PlusSettings, make_canvas
from comfyui_ace.ace.plus.request import Request


def slope(height: int, width: int) -> torch.Tensor:
    """(1, height, width, 3): brightness tells the column, one colour the row, so that a shift is seen."""
    rows, columns = torch.linspace(0.1, 0.9, height), torch.linspace(0.1, 0.9, width)
    across, down = columns.expand(height, width), rows[:, None].expand(height, width)
    return torch.stack([across, down, (across + down) / 2], dim=-1)[None]


def canvas_of(size: tuple[int, int], reference: tuple[int, int], **settings) -> PlusCanvas:
    mask = torch.zeros(1, *size)
    mask[:, size[0] // 3 : -size[0] // 3, size[1] // 3 : -size[1] // 3] = 1
    request = Request("", slope(*size), mask, torch.rand(1, *reference, 3))
    return make_canvas(request, PlusSettings(**{"repainting_scale": 0.0, **settings}))


CASES = [((200, 160), (90, 70)), ((333, 517), (101, 300)), ((97, 131), (64, 64)), ((128, 128), (128, 1))]


@pytest.mark.parametrize("enlarged", [1, 2])
@pytest.mark.parametrize("size, reference", CASES)
def test_the_source_comes_back_at_its_own_size_and_place(size, reference, enlarged):
    canvas = canvas_of(size, reference, max_seq_len=256)
    result = resize_image(canvas.whole, *(side * enlarged for side in canvas.whole.shape[1:3]))
    cropped = crop_to_source(result, canvas.fit)
    assert cropped.shape[1:3] == size
    pixel = 0.8 / min(canvas.fit.height, canvas.fit.width)  # the brightness of one pixel of the canvas
    inner = (slice(None), slice(8, -8), slice(12, -8))  # at the seam the filter mixes in the reference
    assert (cropped[inner] - slope(*size)[inner]).abs().max() < pixel


def test_a_trimmed_picture_is_stretched_over_the_gap():
    canvas = canvas_of((160, 160), (160, 160), max_seq_len=4096)
    assert canvas.image.shape[1:3] == (160, 320)
    whole, trimmed = (crop_to_source(canvas.whole, canvas.fit, trim) for trim in (0, 30))
    assert torch.equal(whole, slope(160, 160)) and trimmed.shape == whole.shape
    assert torch.allclose(trimmed, resize_image(whole[:, :, 30:], 160, 160))
    with pytest.raises(ValueError, match="trim is 160, but the picture is only 160 wide"):
        crop_to_source(canvas.whole, canvas.fit, 160)


def test_without_a_canvas_it_scales_to_the_source():
    fit = published_fit(300, 500, 64)
    result = torch.rand(2, fit.height, fit.width, 3)
    assert torch.equal(crop_to_source(result, fit, 30), resize_image(result, 300, 500))
    with pytest.raises(ValueError, match="made from text alone"):
        crop_to_source(result, None)
    with pytest.raises(ValueError, match="another shape"):
        crop_to_source(torch.rand(1, 64, 64, 3), fit)
    canvas = canvas_of((200, 160), (90, 70))
    with pytest.raises(ValueError, match=f"than the {canvas.image.shape[2]}x{canvas.image.shape[1]} that its fit"):
        crop_to_source(torch.rand(1, 64, 640, 3), canvas.fit)


@pytest.mark.parametrize("cropped", [False, True])
def test_paste_back_takes_the_canvas_or_what_crop_made_of_it(cropped):
    size = (200, 160)
    canvas = canvas_of(size, (90, 70), max_seq_len=256)
    mask = torch.zeros(1, *size)
    mask[:, 60:120, 50:110] = 1
    result = crop_to_source(1 - canvas.whole, canvas.fit) if cropped else 1 - canvas.whole
    pasted = paste_back(slope(*size), result, mask, fit=canvas.fit, feather=0)
    assert torch.equal(pasted[mask == 0], slope(*size)[mask == 0])
    assert (pasted[mask == 1] - (1 - slope(*size))[mask == 1]).abs().max() < 0.02


@pytest.mark.parametrize("cropped", [False, True])
def test_keep_detail_gives_back_what_the_canvas_lost(cropped):
    source = slope(192, 192)
    source[:, ::2, ::2] *= 0.8  # finer than the canvas
    reference = torch.rand(1, 64, 64, 3)
    canvas = make_canvas(Request("", source, None, reference), PlusSettings(0.0, False, 256))
    smooth = resize_image(source, canvas.fit.height, canvas.fit.width)
    beside = canvas.image.shape[2] - canvas.fit.width
    result = torch.cat([torch.zeros(1, canvas.fit.height, beside, 3), 1 - smooth], dim=2)
    shown = crop_to_source(result, canvas.fit) if cropped else result
    trip = round_trip_of(source, shown, lambda seen: seen, fit=canvas.fit)
    assert trip.shape[1:3] == (canvas.fit.height, canvas.fit.width)
    kept = keep_detail(source, shown, trip, fit=canvas.fit)
    inner = (slice(None), slice(16, -16), slice(24, -16))
    wanted = (1 - source)[inner]
    before = (crop_to_source(result, canvas.fit)[inner] - wanted).abs().mean()
    assert kept.shape == source.shape and (kept[inner] - wanted).abs().mean() < 0.4 * before


def test_only_the_canvas_must_be_of_whole_patches():
    box = Box(0, 0, 100, 100)
    assert Fit(100, 100, box, 96, 61, Canvas(96, 112, 84)).canvas.before == 84
    with pytest.raises(ValueError, match="multiples of 16"):
        Fit(100, 100, box, 96, 61)
    with pytest.raises(ValueError, match="multiples of 16"):
        Fit(100, 100, box, 96, 61, Canvas(96, 113, 84))
