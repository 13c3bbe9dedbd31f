"""Every odd picture is either converted and said so, or refused with advice."""

import io
import os
import struct
import zlib

import numpy as np
import pytest
from comfyui_ace.training.dataset.disk.images import (
    as_mask8,
    as_rgb8,
    image_format,
    image_size,
    pixel_hash,
    read_image,
    read_mask,
    write_png,
)
from comfyui_ace.training.errors import ImageError
from pair_factory import picture
from PIL import Image


def encoded(image: Image.Image, kind: str = "PNG", **options) -> io.BytesIO:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    buffer.seek(0)
    return buffer


def png_with_header(width: int, height: int, depth: int = 8, colour: int = 2, data: bytes = b"") -> bytes:
    """A PNG written by hand, for what Pillow does not write (16-bit colour, absurd sizes)."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")


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
    loaded = read_image(encoded(Image.fromarray(ramp)))
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
    loaded = read_image(encoded(image, transparency=0))
    transparent = np.asarray(image) == 0
    assert (loaded.pixels[transparent] == 255).all()


def test_exif_rotation_is_applied():
    pixels = picture(3, 10, 20)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned a quarter clockwise
    loaded = read_image(encoded(Image.fromarray(pixels), exif=exif))
    assert np.array_equal(loaded.pixels, np.rot90(pixels, -1))
    assert "EXIF" in loaded.notes[0]


def test_cmyk_and_animation_are_converted_and_said():
    cmyk = read_image(encoded(Image.fromarray(picture(0)).convert("CMYK"), "JPEG"))
    assert cmyk.pixels.shape == (24, 32, 3) and "CMYK" in cmyk.notes[0]
    frames = [Image.fromarray(picture(seed)) for seed in range(3)]
    film = read_image(encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]))
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
        read_image(encoded(Image.fromarray(picture(0))), max_pixels=100)


def test_a_huge_file_is_not_even_opened(tmp_path):
    path = tmp_path / "huge.png"
    path.touch()
    os.truncate(path, 3 << 30)  # sparse: takes no room
    with pytest.raises(ImageError, match=r"3\.2 GB"):
        read_image(path)


def test_damaged_files_say_so(tmp_path):
    good = encoded(Image.fromarray(picture(0, 200, 200))).getvalue()
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


def _with_chunk(png: bytes, kind: bytes, body: bytes) -> bytes:
    """The PNG with one more chunk before its end, where Pillow reads it after the pixels."""
    at = png.index(b"IEND") - 4
    return png[:at] + struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) + png[at:]


def _fuzzed(kind: str) -> bytes:
    """A small file of a kind with the parts in which bytes can go wrong."""
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "a description"
    image = Image.fromarray(picture(0))
    if kind == "PNG":
        text = b"Comment\0\0" + zlib.compress(b"words " * 40)
        return _with_chunk(encoded(image, "PNG", exif=exif).getvalue(), b"zTXt", text)
    return encoded(image, kind, exif=exif).getvalue()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF"])
@pytest.mark.filterwarnings("ignore")
def test_whatever_bytes_are_flipped_the_file_is_read_or_refused(kind):
    """One picture that a decoder stumbles over must never end the run over ten thousand others."""
    data = _fuzzed(kind)
    random = np.random.default_rng(5)
    outcomes = set()
    for _ in range(200):
        flipped = bytearray(data)
        reach = random.choice([80, 300, len(data)])  # most flips in the headers, where decoders trust what they read
        for place in random.integers(0, min(reach, len(data)), random.choice([1, 2, 5])):
            flipped[place] = random.integers(0, 256)
        for read in (read_image, read_mask, image_size, image_format):
            try:
                read(io.BytesIO(bytes(flipped)), max_pixels=10_000)
            except ImageError:
                outcomes.add("refused")
            else:
                outcomes.add("read")
    assert outcomes == {"read", "refused"}


@pytest.mark.parametrize("remarks", [b"garbage", b"Exif\0\0garbage!", b"XX*\0\x08\0\0\0"])
def test_camera_remarks_that_cannot_be_read_do_not_spoil_the_picture(remarks):
    loaded = read_image(io.BytesIO(_with_chunk(encoded(Image.fromarray(picture(0))).getvalue(), b"eXIf", remarks)))
    assert np.array_equal(loaded.pixels, picture(0))
    assert "EXIF" in loaded.notes[0] and "ignored" in loaded.notes[0]


def test_a_text_bomb_in_a_picture_is_refused():
    bomb = b"k\0\0" + zlib.compress(b"a" * 5_000_000)
    with pytest.raises(ImageError, match="damaged"):
        read_image(io.BytesIO(_with_chunk(encoded(Image.fromarray(picture(0))).getvalue(), b"zTXt", bomb)))
