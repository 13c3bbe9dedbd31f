"""Files of pictures as phones, cameras and browsers make them: colours, rotation, formats."""

from __future__ import annotations

import io

import numpy as np
import pytest
from comfyui_ace.ace.pictures.files.color_profiles import to_srgb
from comfyui_ace.ace.pictures.image_files import load_mask, load_picture
from comfyui_ace.training.dataset.disk.images import read_image, read_mask
from comfyui_ace.training.errors import ImageError
from pair_factory import encoded
from PIL import Image, ImageCms

PIXELS = np.random.default_rng(3).integers(0, 256, (16, 24, 3), dtype=np.uint8)


def _rgb_profile(red, green, blue, gamma: float, name: str) -> bytes:
    """An ICC profile (version 2, matrix and curve) of three primaries, given as columns adapted to D50, and a gamma."""

    def fixed(value: float) -> bytes:
        return round(value * 65536).to_bytes(4, "big", signed=True)

    def xyz(values) -> bytes:
        return b"XYZ \0\0\0\0" + b"".join(map(fixed, values))

    text = name.encode() + b"\0"
    described = b"desc\0\0\0\0" + len(text).to_bytes(4, "big") + text + bytes(4 + 4 + 2 + 1 + 67)
    curve = b"curv\0\0\0\0\0\0\0\1" + round(gamma * 256).to_bytes(2, "big") + b"\0\0"
    tags = {
        b"desc": described + bytes(-len(described) % 4),
        b"wtpt": xyz((0.9642, 1.0, 0.8249)),
        b"cprt": b"text\0\0\0\0free\0\0\0\0",
    }
    tags |= {b"rXYZ": xyz(red), b"gXYZ": xyz(green), b"bXYZ": xyz(blue)}
    tags |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve)
    table, body, start = len(tags).to_bytes(4, "big"), b"", 128 + 4 + 12 * len(tags)
    for kind, content in tags.items():
        table += kind + (start + len(body)).to_bytes(4, "big") + len(content).to_bytes(4, "big")
        body += content
    size = start + len(body)
    header = size.to_bytes(4, "big") + b"none\x02\x40\0\0mntrRGB XYZ " + bytes(12) + b"acsp" + bytes(28)
    header += b"".join(map(fixed, (0.9642, 1.0, 0.8249)))
    return header.ljust(128, b"\0") + table + body


# Primaries of Display P3 (SMPTE EG 432-1 with D65), adapted to D50 by Bradford's matrix.
P3 = _rgb_profile((0.5151, 0.2412, -0.0011), (0.2920, 0.6922, 0.0419), (0.1571, 0.0666, 0.7841), 2.2, "Display P3")
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


@pytest.fixture
def save(tmp_path):
    def run(image: Image.Image, name: str = "a.png", **options):
        image.save(tmp_path / name, **options)
        return tmp_path / name

    return run


def _levels(path) -> np.ndarray:
    told: list[str] = []
    loaded, tensor = read_image(path, alpha="drop"), load_picture(path, told.append)
    if loaded.alpha is None:
        assert np.array_equal((tensor[0] * 255).round().numpy(), loaded.pixels), "edit and datasets see the same"
    assert [note for note in loaded.notes if "olour" in note] == [t.partition(": ")[2] for t in told if "olour" in t]
    return loaded.pixels


def test_photographs_in_display_p3_become_srgb(save):
    path = save(Image.new("RGB", (8, 8), (200, 80, 60)), icc_profile=P3)
    assert read_image(path).notes == ("colours converted from Display P3 to sRGB",)
    red, green, blue = _levels(path)[0, 0].tolist()
    # By the matrices: a red of the wider gamut needs more red and less green in the narrower one.
    assert red > 210 and green < 72 and abs(blue - 52) < 8
    assert _levels(save(Image.new("RGB", (8, 8), (128, 128, 128)), icc_profile=P3))[0, 0].tolist() == pytest.approx(
        [128] * 3, abs=2
    )
    for kind in ("a.jpg", "a.webp", "a.tif", "a.avif"):
        pixel = _levels(save(Image.new("RGB", (8, 8), (200, 80, 60)), kind, icc_profile=P3))[0, 0].astype(int)
        assert abs(pixel - [red, green, blue]).max() < 8, kind


def test_srgb_and_no_profile_change_nothing(save):
    for options in ({}, {"icc_profile": SRGB}):
        path = save(Image.fromarray(PIXELS), **options)
        assert np.array_equal(_levels(path), PIXELS) and read_image(path).notes == ()


@pytest.mark.parametrize("profile", [b"", b"garbage", P3[:100], SRGB[:-300], bytes(200)])
def test_a_damaged_profile_leaves_the_picture_as_it_is(save, profile):
    assert np.array_equal(_levels(save(Image.fromarray(PIXELS), icc_profile=profile)), PIXELS)


def test_modes_that_a_profile_does_not_fit(save):
    grey = Image.fromarray(PIXELS[..., 0])
    assert np.array_equal(_levels(save(grey, icc_profile=P3))[..., 0], PIXELS[..., 0])
    alpha = Image.fromarray(np.dstack([PIXELS, PIXELS[..., 0]]))
    converted, notes = to_srgb(_reopened(alpha, P3))
    assert np.array_equal(np.asarray(converted)[..., 3], PIXELS[..., 0]) and "Display P3" in notes[0]
    palette, notes = to_srgb(_reopened(Image.new("RGB", (8, 8), (200, 80, 60)).quantize(4), P3))
    assert palette.mode == "RGB" and palette.getpixel((0, 0))[0] > 210 and notes


def _reopened(image: Image.Image, profile: bytes) -> Image.Image:
    return Image.open(io.BytesIO(encoded(image, icc_profile=profile)))


def test_masks_keep_their_levels_whatever_the_profile(save):
    path = save(Image.fromarray(np.repeat(PIXELS[..., :1], 3, 2)), icc_profile=P3)
    assert np.array_equal(read_mask(path).pixels, PIXELS[..., 0])
    assert np.array_equal((load_mask(path)[0] * 255).round().numpy(), PIXELS[..., 0])


def test_a_file_with_a_wrong_ending_is_read_by_what_it_is(save):
    path = save(Image.fromarray(PIXELS), "really.png")
    assert np.array_equal(_levels(path.rename(path.with_name("named.jpg"))), PIXELS)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("script.png", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n"),
        ("page.jpg", b"<html>login</html>" * 9),
        ("text.webp", b"a caption"),
        ("zeros.png", bytes(400)),
    ],
)
def test_programs_and_pages_are_no_pictures(tmp_path, name, data):
    """Pillow would hand an EPS to Ghostscript, whatever its file is called."""
    (tmp_path / name).write_bytes(data)
    for read in (read_image, read_mask, load_picture, load_mask):
        with pytest.raises(ValueError, match=rf"{name} is not a picture"):
            read(tmp_path / name)


def test_what_goes_wrong_after_decoding_is_no_damage(save):
    path = save(Image.fromarray(PIXELS))
    with pytest.raises(ImageError, match="read by what is opaque") as refused:
        read_mask(path, reading="opaque")
    assert "damaged" not in str(refused.value)

    def stop(_message):
        raise RuntimeError("stopped")

    transparent = save(Image.fromarray(np.dstack([PIXELS, PIXELS[..., :1] // 2])), "transparent.png")
    with pytest.raises(RuntimeError, match="stopped"):
        load_picture(transparent, notify=stop)


def test_eight_bits_are_not_taken_for_sixteen_by_the_length_of_a_row(save):
    """A BMP 720 pixels wide has rows of 2160 bytes."""
    assert read_image(save(Image.new("RGB", (720, 2), (9, 99, 199)), "wide.bmp")).notes == ()
    deep = Image.fromarray(np.full((4, 4), 40_000, np.uint16))
    assert read_image(save(deep, "deep.png")).notes == ("16 bits a channel reduced to 8",)
