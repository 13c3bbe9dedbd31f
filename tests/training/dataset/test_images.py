"""Every odd picture is either converted and said so, or refused with advice."""

import io
import os
import struct
import tracemalloc
import zlib

import numpy as np
import pytest
from comfyui_ace.ace.pictures.image_files import load_mask, load_picture
from comfyui_ace.training.dataset.disk.images import (
    as_mask8,
    as_rgb8,
    image_format,
    image_size,
    pixel_hash,
    read_image,
    read_mask,
    side_by_side,
    write_png,
)
from comfyui_ace.training.errors import ImageError
from fuzzing import damaged, png_chunk, with_chunk
from pair_factory import encoded, picture
from PIL import Image


def opened(image: Image.Image, kind: str = "PNG", **options) -> io.BytesIO:
    return io.BytesIO(encoded(image, kind, **options))


def png_with_header(width: int, height: int, depth: int = 8, colour: int = 2, data: bytes = b"") -> bytes:
    """A PNG written by hand, for what Pillow does not write (16-bit colour, absurd sizes)."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        map(png_chunk, (b"IHDR", b"IDAT", b"IEND"), (header, zlib.compress(data), b""))
    )


def test_a_written_png_reads_back_exactly():
    for pixels, read in ((picture(0), read_image), (picture(1)[:, :, 0], read_mask)):
        buffer = io.BytesIO()
        write_png(buffer, pixels)
        buffer.seek(0)
        loaded = read(buffer)
        assert np.array_equal(loaded.pixels, pixels)
        assert loaded.notes == ()


def test_16_bit_grey_is_scaled_not_cut():
    ramp = np.linspace(0, 65535, 256, dtype=np.uint16).reshape(16, 16)
    loaded = read_image(opened(Image.fromarray(ramp)))
    assert loaded.pixels.shape == (16, 16, 3)
    assert np.abs(loaded.pixels[:, :, 0].astype(int) - np.rint(ramp / 257).astype(int)).max() == 0
    assert "16 bits" in loaded.notes[0]


def test_16_bit_colour_is_reduced_and_said_so():
    values = np.random.default_rng(0).integers(0, 65536, (4, 5, 3), dtype=np.uint16)
    raw = b"".join(b"\x00" + row.astype(">u2").tobytes() for row in values)
    loaded = read_image(io.BytesIO(png_with_header(5, 4, depth=16, data=raw)))
    assert np.abs(loaded.pixels.astype(int) - values // 257).max() <= 1
    assert any("16 bits" in note for note in loaded.notes)


@pytest.mark.parametrize(("policy", "expected"), [("white", 255), ("black", 0), ("drop", 10)])
def test_transparency_is_handled_as_asked(policy, expected):
    rgba = np.full((3, 4, 4), 10, dtype=np.uint8)
    rgba[:, :, 3] = 0
    rgba[0, 0] = (10, 20, 30, 255)
    for given in (rgba, Image.fromarray(rgba)):
        loaded = as_rgb8(given, alpha=policy)
        assert loaded.pixels[0, 0].tolist() == [10, 20, 30]
        assert loaded.pixels[2, 3].tolist() == [expected] * 3
        assert "transparency" in loaded.notes[0]
        assert loaded.alpha[2, 3] == 0 and loaded.alpha[0, 0] == 255
    with pytest.raises(ImageError, match="transparent"):
        as_rgb8(rgba, alpha="error")


def test_opaque_alpha_is_no_transparency():
    rgba = np.dstack([picture(0), np.full((24, 32), 255, np.uint8)])
    loaded = as_rgb8(rgba, alpha="error")
    assert np.array_equal(loaded.pixels, picture(0)) and loaded.notes == () and loaded.alpha is None


def test_palette_with_a_transparent_colour():
    image = Image.fromarray(picture(0)).quantize(8)
    loaded = read_image(opened(image, transparency=0))
    transparent = np.asarray(image) == 0
    assert (loaded.pixels[transparent] == 255).all()


def test_exif_rotation_is_applied():
    pixels = picture(3, 10, 20)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned a quarter clockwise
    loaded = read_image(opened(Image.fromarray(pixels), exif=exif))
    assert np.array_equal(loaded.pixels, np.rot90(pixels, -1))
    assert "EXIF" in loaded.notes[0]


def test_cmyk_and_animation_are_converted_and_said():
    cmyk = read_image(opened(Image.fromarray(picture(0)).convert("CMYK"), "JPEG"))
    assert cmyk.pixels.shape == (24, 32, 3) and "CMYK" in cmyk.notes[0]
    frames = [Image.fromarray(picture(seed)) for seed in range(3)]
    film = read_image(opened(frames[0], "GIF", save_all=True, append_images=frames[1:]))
    assert "3 frames" in film.notes[0]


def test_float_grey_outside_its_range_is_refused():
    image = Image.fromarray(np.full((4, 4), 3.5, dtype=np.float32))
    with pytest.raises(ImageError, match=r"Tone-map"):
        as_rgb8(image)
    assert as_rgb8(Image.fromarray(np.full((4, 4), 0.5, dtype=np.float32))).pixels[0, 0, 0] == 128


def test_floats_come_back_as_the_bytes_they_were():
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    as_float = levels.astype(np.float32) / np.float32(255)
    assert np.array_equal(as_rgb8(np.dstack([as_float] * 3)).pixels[:, :, 0], levels)
    assert np.array_equal(as_mask8(as_float).pixels, levels)


def test_tensors_and_leading_batches_of_one():
    torch = pytest.importorskip("torch")
    tensor = torch.from_numpy(picture(0)).float()[None] / 255
    assert np.array_equal(as_rgb8(tensor).pixels, picture(0))
    assert as_rgb8(tensor.bfloat16()).pixels.shape == (24, 32, 3)
    assert as_mask8(torch.ones(1, 24, 32)).pixels.shape == (24, 32)


def test_nan_is_counted_not_hidden():
    pixels = np.zeros((10, 10, 3), dtype=np.float32)
    pixels[0, 0] = np.nan
    pixels[0, 1] = np.inf
    loaded = as_rgb8(pixels)
    assert loaded.non_finite == pytest.approx(6 / 300)
    assert loaded.pixels[0, 0].tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    "value",
    [np.zeros((2, 4, 4, 3), np.uint8), np.zeros((4, 4, 2), np.uint8), np.zeros((0, 4, 3), np.uint8), np.zeros(4)],
)
def test_arrays_that_are_no_picture(value):
    with pytest.raises(ImageError, match="shape"):
        as_rgb8(value)


def test_bytes_as_floats_are_an_error_not_a_white_picture():
    with pytest.raises(ImageError, match="Divide by 255"):
        as_rgb8(picture(0).astype(np.float32))
    with pytest.raises(ImageError, match="int64"):
        as_rgb8(picture(0).astype(np.int64))


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_huge_picture_is_refused_by_its_header(tmp_path):
    path = tmp_path / "bomb.png"
    path.write_bytes(png_with_header(60_000, 60_000))
    with pytest.raises(ImageError, match="Scale it down"):
        read_image(path)
    path.write_bytes(png_with_header(12_000, 10_000))  # below Pillow's own limit, above ours
    with pytest.raises(ImageError, match="120 megapixels"):
        image_size(path)
    with pytest.raises(ImageError, match="megapixels"):
        read_image(opened(Image.fromarray(picture(0))), max_pixels=100)


def test_a_huge_file_is_not_even_opened(tmp_path):
    path = tmp_path / "huge.png"
    path.touch()
    os.truncate(path, 3 << 30)  # sparse: takes no room
    with pytest.raises(ImageError, match=r"3\.2 GB"):
        read_image(path)


def test_damaged_files_say_so(tmp_path):
    good = encoded(picture(0, 200, 200))
    cases = {
        "cut.png": good[: len(good) // 2],
        "noise.png": bytes(picture(1).tobytes()),
        "text.png": b"<html>not a picture</html>",
        "empty.png": b"",
        "flipped.png": good[:1000] + b"\xff" * 64 + good[1064:],
    }
    for name, data in cases.items():
        path = tmp_path / name
        path.write_bytes(data)
        with pytest.raises(ImageError, match=name):
            read_image(path)
    with pytest.raises(ImageError, match="cannot be read"):
        read_image(tmp_path / "absent.png")
    with pytest.raises(ImageError, match="not a file"):
        read_image(tmp_path)


def test_masks_from_colour_and_bool():
    mask = np.zeros((4, 6), dtype=bool)
    mask[:, :3] = True
    assert as_mask8(mask).pixels[0].tolist() == [255] * 3 + [0] * 3
    assert as_mask8(np.dstack([mask] * 3)).pixels[0].tolist() == [255] * 3 + [0] * 3
    assert as_mask8(Image.fromarray(mask)).pixels.max() == 255


def test_pixel_hash_depends_on_values_and_shape():
    pixels = picture(0, 4, 6)
    assert pixel_hash(pixels) == pixel_hash(np.asfortranarray(pixels))
    assert pixel_hash(pixels) != pixel_hash(pixels.reshape(6, 4, 3))
    changed = pixels.copy()
    changed[0, 0, 0] ^= 1
    assert pixel_hash(pixels) != pixel_hash(changed)


def _fuzzed(kind: str) -> bytes:
    """A small file of a kind with the parts in which bytes can go wrong."""
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "a description"
    image = Image.fromarray(picture(0))
    if kind == "PNG":
        text = b"Comment\0\0" + zlib.compress(b"words " * 40)
        return with_chunk(encoded(image, "PNG", exif=exif), png_chunk(b"zTXt", text))
    return encoded(image, kind, exif=exif)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF"])
@pytest.mark.filterwarnings("ignore")
def test_whatever_is_damaged_the_file_is_read_or_refused(kind):
    """One picture that a decoder stumbles over must never end the run over ten thousand others."""
    data = _fuzzed(kind)
    outcomes = set()
    for seed in range(200):
        odd = damaged(data, seed)
        for read in (read_image, read_mask, image_size, image_format):
            try:
                read(io.BytesIO(odd), max_pixels=10_000)
            except ImageError:
                outcomes.add("refused")
            else:
                outcomes.add("read")
    assert outcomes == {"read", "refused"}


@pytest.mark.parametrize("remarks", [b"garbage", b"Exif\0\0garbage!", b"XX*\0\x08\0\0\0"])
def test_camera_remarks_that_cannot_be_read_do_not_spoil_the_picture(remarks):
    loaded = read_image(io.BytesIO(with_chunk(encoded(picture(0)), png_chunk(b"eXIf", remarks))))
    assert np.array_equal(loaded.pixels, picture(0))
    assert "EXIF" in loaded.notes[0] and "ignored" in loaded.notes[0]


@pytest.mark.parametrize("place", [b"IDAT", b"IEND"])
@pytest.mark.parametrize(("kind", "start"), [(b"zTXt", b"workflow\0\0"), (b"iTXt", b"workflow\0\1\0\0\0")])
def test_a_picture_with_a_large_workflow_is_read_without_unpacking_it(place, kind, start):
    """A PNG of ComfyUI carries its workflow; Pillow refuses more text than 1 MB in a chunk, ComfyUI opens it."""
    png = with_chunk(encoded(picture(0)), png_chunk(kind, start + zlib.compress(b"a" * 50_000_000)), place)
    tracemalloc.start()
    loaded = read_image(io.BytesIO(png))
    assert np.array_equal(loaded.pixels, picture(0)) and image_size(io.BytesIO(png)) == (24, 32)
    assert tracemalloc.get_traced_memory()[1] < 10_000_000
    tracemalloc.stop()


@pytest.mark.parametrize("kind", [b"tEXt", b"zTXt", b"iTXt", b"iCCP", b"gAMA", b"pHYs", b"cHRM", b"teST"])
@pytest.mark.parametrize("body", [b"", b"\0", b"k\0\0garbage", b"x" * 40])
def test_damage_in_what_is_not_seen_does_not_spoil_a_picture(kind, body, tmp_path):
    for checksum in (None, 12345):
        (tmp_path / "a.png").write_bytes(with_chunk(encoded(picture(0)), png_chunk(kind, body, checksum), b"IDAT"))
        assert np.array_equal(read_image(tmp_path / "a.png").pixels, picture(0))
        assert (load_picture(tmp_path / "a.png")[0] * 255).round().numpy().astype(np.uint8).tolist() == picture(
            0
        ).tolist()


@pytest.mark.parametrize("kind", [b"IHDR", b"IDAT", b"PLTE", b"NEWC"])
def test_damage_in_what_is_seen_is_one_sentence_with_the_name(kind, tmp_path):
    png = bytearray(encoded(Image.fromarray(picture(0)).quantize(8)))
    if kind == b"NEWC":  # a critical chunk that nobody knows
        png = with_chunk(png, png_chunk(kind, b"", 1), b"IDAT")
    else:
        png[png.index(kind) + 5] ^= 0xFF
    (tmp_path / "broken.png").write_bytes(png)
    for read in (read_image, read_mask, load_picture, load_mask):
        with pytest.raises(ValueError, match=r"broken\.png") as caught:
            read(tmp_path / "broken.png")
        assert "\n" not in str(caught.value)


def test_pictures_side_by_side_are_small_whole_and_apart():
    large, small = np.full((400, 200, 3), 255, np.uint8), np.zeros((10, 20, 3), np.uint8)
    with Image.open(io.BytesIO(side_by_side([large, small], 100, gap=4))) as sheet:
        assert sheet.format == "JPEG" and sheet.size == (50 + 4 + 20, 100)
        pixels = np.asarray(sheet).astype(int)
    np.testing.assert_allclose(pixels[:, :48], 255, atol=3)
    np.testing.assert_allclose(pixels[47:53, 57:71], 0, atol=12)  # in the middle of the sheet's height
    with Image.open(io.BytesIO(side_by_side([small, small], 100))) as sheet:
        assert sheet.size == (40, 10)
