"""Metrics against cases by hand, and preprocessing against Pillow to the pixel."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from comfyui_ace.training.evaluate.errors import EvaluationError
from comfyui_ace.training.evaluate.metrics import encoders, faces, lettering, preprocessing, similarity
from comfyui_ace.training.evaluate.metrics.image_metrics import compute_metrics
from comfyui_ace.training.evaluate.metrics.perceptual import (
    detail_ratio,
    gradient_similarity_deviation,
    luma_ssim,
    multi_scale_ssim,
)
from comfyui_ace.training.evaluate.metrics.texture import find_vgg, load_texture_distance
from PIL import Image, ImageFilter
from scipy import ndimage
from tiny_encoders import save_clip, save_clip_vision, save_dino


def scene(seed: int = 0, height: int = 192, width: int = 192) -> Image.Image:
    random = np.random.default_rng(seed)
    soft = ndimage.gaussian_filter(random.normal(size=(height, width, 3)), (12, 12, 0))
    fine = ndimage.gaussian_filter(random.normal(size=(height, width, 1)), (0.8, 0.8, 0))
    return Image.fromarray((128 + 60 * soft / np.abs(soft).max() + 14 * fine).clip(0, 255).astype(np.uint8))


def tensor(image: Image.Image) -> torch.Tensor:
    return preprocessing.unit_tensor(image)[None]


# Perceptual metrics


def test_equal_pictures_are_equal_by_all_metrics():
    one = tensor(scene())
    assert multi_scale_ssim(one, one) == pytest.approx(1.0, abs=1e-5)
    assert gradient_similarity_deviation(one, one) == 0.0 and detail_ratio(one, one) == pytest.approx(1.0)


def windowed(image, sigma=1.5):
    """SSIM's window by scipy, in the places where it lies within the picture."""
    return ndimage.gaussian_filter(image, sigma, truncate=5 / sigma, mode="constant")[5:-5, 5:-5]


def test_ms_ssim_is_what_its_definition_gives_by_other_means():
    one, other = (
        np.asarray(image.convert("L"), np.float64) / 255
        for image in (scene(1), scene(1).filter(ImageFilter.BoxBlur(1)))
    )
    weights = np.array([0.0448, 0.2856, 0.3001, 0.2363, 0.1333])
    wanted, a, b = 1.0, one, other
    for scale, weight in enumerate(weights):
        ma, mb = windowed(a), windowed(b)
        va, vb, cov = windowed(a * a) - ma**2, windowed(b * b) - mb**2, windowed(a * b) - ma * mb
        value = (2 * cov + 9e-4) / (va + vb + 9e-4)
        if scale == 4:
            value = value * (2 * ma * mb + 1e-4) / (ma**2 + mb**2 + 1e-4)
        wanted *= value.mean() ** weight
        a, b = (x.reshape(x.shape[0] // 2, 2, x.shape[1] // 2, 2).mean((1, 3)) for x in (a, b))
    found = multi_scale_ssim(*(torch.from_numpy(x)[None, None] for x in (one, other)))
    assert found == pytest.approx(wanted, abs=1e-9)


def test_ssim_of_brightness_is_what_its_definition_gives_by_other_means():
    """Levels rounded to whole ones (a half in single precision to either side), and contrary structure counts as none."""
    pictures = (scene(1), scene(1).filter(ImageFilter.BoxBlur(1)))
    a, b = (np.rint(np.asarray(image, np.float64) @ np.array([0.299, 0.587, 0.114])) for image in pictures)
    ma, mb = windowed(a), windowed(b)
    va, vb, cov = windowed(a * a) - ma**2, windowed(b * b) - mb**2, windowed(a * b) - ma * mb
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    structure = np.maximum((2 * cov + c2) / (va + vb + c2), 0)
    wanted = ((2 * ma * mb + c1) / (ma**2 + mb**2 + c1) * structure).mean()
    assert luma_ssim(*map(tensor, pictures)) == pytest.approx(wanted, abs=2e-5)
    assert luma_ssim(tensor(scene(1)), 1 - tensor(scene(1))) >= 0


def test_small_pictures_have_fewer_scales_and_tiny_ones_are_refused():
    small = torch.rand(1, 3, 24, 40)
    assert multi_scale_ssim(small, small) == pytest.approx(1.0, abs=1e-5)
    with pytest.raises(ValueError, match="11 pixels"):
        multi_scale_ssim(small[..., :8], small[..., :8])
    assert compute_metrics(torch.rand(1, 8, 8, 3), torch.rand(1, 8, 8, 3)).detail > 0


def test_gmsd_is_what_its_definition_gives_by_other_means():
    one, other = scene(2), scene(2).filter(ImageFilter.GaussianBlur(2))
    maps = []
    for image in (one, other):
        grey = np.asarray(image, np.float64) / 255 @ np.array([0.299, 0.587, 0.114])
        half = grey.reshape(96, 2, 96, 2).mean((1, 3))
        maps.append(np.hypot(*(ndimage.prewitt(half, axis, mode="nearest") / 3 for axis in (0, 1))))
    similar = (2 * maps[0] * maps[1] + 170 / 255**2) / (maps[0] ** 2 + maps[1] ** 2 + 170 / 255**2)
    assert gradient_similarity_deviation(tensor(one), tensor(other)) == pytest.approx(similar.std(), abs=1e-5)


def test_detail_of_a_single_wave_by_hand():
    """A wave of .4 cycles a pixel with half the amplitude has half the detail."""
    place = torch.arange(64.0)
    wave = torch.sin(2 * math.pi * 0.4 * place).expand(1, 3, 64, 64)
    assert detail_ratio(0.5 + 0.1 * wave, 0.5 + 0.2 * wave) == pytest.approx(0.5, abs=0.01)
    slow = torch.sin(2 * math.pi * 0.05 * place).expand(1, 3, 64, 64)
    assert detail_ratio(0.5 + 0.1 * slow, 0.5 + 0.4 * slow) == pytest.approx(1.0, abs=0.05), "not of the finest octave"


def test_a_blurred_picture_no_longer_looks_perfect():
    """L1 prefers the blurred picture to a grainy one; the other metrics say what is wrong with it."""
    sharp = scene(3)
    blurred = sharp.filter(ImageFilter.GaussianBlur(2))
    grain = np.random.default_rng(0).normal(0, 18, (192, 192, 3))
    grainy = Image.fromarray((np.asarray(sharp) + grain).clip(0, 255).astype(np.uint8))
    found = [compute_metrics(tensor(image).movedim(1, -1), tensor(sharp).movedim(1, -1)) for image in (blurred, grainy)]
    assert found[0].l1 < found[1].l1 and found[0].psnr > found[1].psnr
    assert found[0].detail < 0.3 and found[1].detail > 1.3 and found[0].ms_ssim < 0.96 and found[0].gmsd > 0.02


def test_texture_distance_is_there_only_with_vggs_weights(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    assert find_vgg() is None
    widths = [(0, 3, 64), (2, 64, 64), (5, 64, 128), (7, 128, 128), (10, 128, 256), (12, 256, 256), (14, 256, 256)]
    widths += [(17, 256, 512), (19, 512, 512), (21, 512, 512), (24, 512, 512), (26, 512, 512), (28, 512, 512)]
    torch.manual_seed(0)
    state = {
        f"features.{n}.weight": torch.randn(out, given, 3, 3) * (2 / (9 * given)) ** 0.5 for n, given, out in widths
    }
    state |= {f"features.{n}.bias": torch.zeros(out) for n, _, out in widths}
    (tmp_path / "checkpoints").mkdir()
    torch.save(state, tmp_path / "checkpoints" / "vgg16-397923af.pth")
    distance = load_texture_distance(find_vgg())
    sharp = scene(4, 64, 64)
    one, blurred, other = (tensor(i) for i in (sharp, sharp.filter(ImageFilter.GaussianBlur(2)), scene(5, 64, 64)))
    assert distance(one, one) == pytest.approx(0, abs=1e-5)
    assert 0 < distance(one, blurred) < distance(one, other) < 1


# Preprocessing


@pytest.mark.parametrize(("width", "height"), [(300, 200), (201, 333), (224, 224), (500, 224), (97, 61)])
def test_clips_transform_is_pillows_to_the_pixel(width, height):
    image = scene(1, height, width)
    short = min(width, height)
    size = (224, int(224 * height / width)) if width <= height else (int(224 * width / height), 224)
    resized = image if short == 224 else image.resize(size, Image.BICUBIC)
    left, top = round((resized.width - 224) / 2.0), round((resized.height - 224) / 2.0)
    square = np.asarray(resized)[top : top + 224, left : left + 224].astype(np.float32) / 255
    mean, std = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
    wanted = ((square - np.float32(mean)) / np.float32(std)).transpose(2, 0, 1)
    assert np.abs(preprocessing.clip_pixels(image).numpy() - wanted).max() < 1e-6


def test_dinos_transform_is_pillows_to_the_pixel():
    image = scene(1, 300, 400)
    resized = image.resize((341, 256), Image.BICUBIC)
    square = np.asarray(resized)[16:240, 58:282].astype(np.float32) / 255  # (341 - 224) / 2 = 58.5 rounds to 58
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    wanted = ((square - np.float32(mean)) / np.float32(std)).transpose(2, 0, 1)
    assert np.abs(preprocessing.dino_pixels(image).numpy() - wanted).max() < 1e-6


def test_the_processors_crop_lies_where_transformers_puts_it():
    """(343 - 336) / 2 = 3.5: transformers rounds it down to 3, torchvision up to 4."""
    image = scene(1, 336, 343)
    square = np.asarray(image)[:, 3:339].astype(np.float32) / 255
    mean, std = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
    wanted = ((square - np.float32(mean)) / np.float32(std)).transpose(2, 0, 1)
    assert np.abs(preprocessing.processor_clip_pixels(image).numpy() - wanted).max() < 1e-6
    assert np.abs(preprocessing.clip_pixels(image, 336).numpy() - wanted).max() > 0.01


def test_the_squeezed_transform_is_another_one():
    image = scene(1, 200, 300)
    assert preprocessing.squeezed_clip_pixels(image).shape == (3, 224, 224)
    assert (preprocessing.squeezed_clip_pixels(image) - preprocessing.clip_pixels(image)).abs().max() > 0.1


@pytest.mark.parametrize("size", [(300, 200), (201, 333), (97, 61)])
def test_transforms_are_those_of_torchvision(size):
    transforms = pytest.importorskip("torchvision.transforms", reason="torchvision is not needed otherwise")
    image = scene(1, *size)
    mode = transforms.InterpolationMode.BICUBIC
    for resize, crop, mean, std, ours in (
        (224, 224, preprocessing.CLIP_MEAN, preprocessing.CLIP_STD, preprocessing.clip_pixels),
        (256, 224, preprocessing.IMAGENET_MEAN, preprocessing.IMAGENET_STD, preprocessing.dino_pixels),
    ):
        theirs = transforms.Compose(
            [
                transforms.Resize(resize, interpolation=mode),
                transforms.CenterCrop(crop),
                transforms.ToTensor(),
                transforms.Normalize(mean, std),
            ]
        )
        assert (theirs(image) - ours(image)).abs().max() < 1e-6


# Encoders


def test_clip_from_a_folder_and_its_picture_half_from_a_file(tmp_path):
    model = save_clip(tmp_path / "clip")
    save_clip_vision(model, tmp_path / "vision.safetensors")
    whole, half = encoders.load_clip(tmp_path / "clip"), encoders.load_clip(tmp_path / "vision.safetensors")
    pixels = preprocessing.clip_pixels(scene(), whole.size)
    with torch.no_grad():
        hidden = model.vision_model(pixel_values=pixels[None]).pooler_output
        wanted = model.visual_projection(hidden)[0]
    assert torch.allclose(whole.encode(pixels), wanted / wanted.norm(), atol=1e-5)
    assert torch.allclose(half.encode(pixels), wanted / wanted.norm(), atol=1e-5)
    assert whole.reads_words and not half.reads_words and len(half.sha256) == 64 and half.sha256[:16] in half.describe()
    words = whole.encode_words("a cat")
    assert words.norm() == pytest.approx(1.0, abs=1e-5) and not torch.allclose(
        words, whole.encode_words("a dog"), atol=1e-3
    )
    assert whole.encode_words("cat " * 90) is None
    with pytest.raises(EvaluationError, match="picture half"):
        half.encode_words("a cat")


def test_dino_from_a_folder_and_from_its_own_file(tmp_path):
    save_dino(tmp_path / "dino", tmp_path / "dino.pth")
    folder, file = encoders.load_dino(tmp_path / "dino"), encoders.load_dino(tmp_path / "dino.pth")
    one, other = (preprocessing.dino_pixels(scene(seed)) for seed in (1, 2))
    assert torch.allclose(folder.encode(one), file.encode(one), atol=1e-5)
    assert not torch.allclose(file.encode(one), file.encode(other), atol=1e-3) and folder.sha256 != file.sha256


def test_nothing_is_downloaded_and_other_files_are_refused(tmp_path):
    for load in (encoders.load_clip, encoders.load_dino):
        with pytest.raises(EvaluationError, match="Nothing is downloaded"):
            load(tmp_path / "openai" / "clip-vit-base-patch32")
    torch.save({"a": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(EvaluationError, match="missing"):
        encoders.load_clip(tmp_path / "other.pth")
    with pytest.raises(EvaluationError, match="as DINO"):
        encoders.load_dino(tmp_path / "other.pth")
    (tmp_path / "bad.safetensors").write_bytes(b"no weights")
    with pytest.raises(EvaluationError, match="cannot be read"):
        encoders.load_clip(tmp_path / "bad.safetensors")


def test_a_file_that_holds_more_than_weights_is_not_opened(tmp_path):
    torch.save({"model": print}, tmp_path / "evil.pth")
    with pytest.raises(EvaluationError, match=r"not opened|cannot be read"):
        encoders.load_dino(tmp_path / "evil.pth")


# Arithmetic


def vector(*values):
    return torch.tensor(values, dtype=torch.float32)


def test_direction_by_hand():
    """The picture moves along x, its caption along x and y alike: cos 45°."""
    before, after = vector(0, 1, 0), vector(1, 1, 0)
    assert similarity.direction(before, after, vector(0, 0, 1), vector(1, 1, 1)) == pytest.approx(math.sqrt(0.5))
    assert similarity.direction(before, after, vector(1, 0, 0), vector(0, 0, 0)) == pytest.approx(-1)


def test_what_is_not_defined_is_counted_and_never_nought():
    same = similarity.direction(vector(0, 1), vector(1, 0), vector(1, 0), vector(1, 0))
    still = similarity.direction(vector(0, 1), vector(0, 1), vector(1, 0), vector(0, 1))
    assert same is similarity.SAME_CAPTION and still is similarity.SAME_PICTURE
    mean = similarity.mean_of([0.2, same, 0.4, still, same])
    assert (mean.value, mean.count) == (pytest.approx(0.3), 2)
    assert mean.skipped == {same.reason: 2, still.reason: 1}
    assert similarity.mean_of([same]).value is None and similarity.mean_of([]).value is None


def test_lines_count_alike_whatever_picture_they_are_in():
    found = similarity.mean_of([similarity.Several((1.0, 0.0, 0.0)), similarity.Several((1.0,))])
    assert (found.value, found.count) == (0.5, 4)


# Letters


@pytest.mark.parametrize(
    ("one", "other", "distance"),
    [
        ("kitten", "sitting", 3),
        ("", "abc", 3),
        ("abc", "", 3),
        ("same", "same", 0),
        ("flaw", "lawn", 2),
        ("ab", "ba", 2),
    ],
)
def test_edit_distance_by_hand(one, other, distance):
    assert lettering.edit_distance(one, other) == distance


def test_ned_and_accuracy_by_hand():
    """ACE -> ACF: one of three; 1 - 1 / 3.00001."""
    assert lettering.normalised_similarity("ACF", "ACE") == pytest.approx(1 - 1 / 3.00001)
    assert lettering.normalised_similarity("", "") == 1.0 and lettering.normalised_similarity("", "ab") < 1e-5
    assert lettering.line_accuracy("Ace", "ACE") == 0.0 and lettering.line_accuracy("ACE", "ACE") == 1.0


def test_characters_that_the_ocr_does_not_know_are_one_and_the_same():
    alphabet = {letter: number for number, letter in enumerate("abc")}
    assert lettering.normalised_similarity("aé", "aß", alphabet) == 1.0
    assert lettering.normalised_similarity("aé", "aß") == pytest.approx(1 - 1 / 2.00001)


def test_lines_are_cut_out_and_prepared():
    pytest.importorskip("cv2", reason="opencv-python-headless is not installed")
    image = Image.new("RGB", (200, 100), "white")
    image.paste("red", (40, 20, 160, 50))
    mask = Image.new("L", (200, 100))
    mask.paste(255, (40, 20, 160, 50))
    mask.paste(255, (2, 80, 8, 86))
    line = lettering.crop_line(image, mask)
    assert abs(line.width - 119) <= 2 and abs(line.height - 29) <= 2, "the largest patch"
    assert np.asarray(line).reshape(-1, 3).mean(0) == pytest.approx([255, 0, 0], abs=4)
    assert lettering.crop_line(image, Image.new("L", (200, 100))) is None
    prepared = lettering.prepare_line(Image.new("RGB", (60, 40), "white"))
    assert prepared.size == (320, 48) and prepared.getpixel((71, 20)) == (255, 255, 255)
    assert prepared.getpixel((73, 20)) == (0, 0, 0)
    upright = Image.new("RGB", (20, 100), "white")
    upright.paste("red", (0, 0, 20, 50))
    turned = lettering.prepare_line(upright)
    assert turned.getpixel((10, 24))[1] < 30, "the top of an upright line is its beginning"


def test_letters_are_really_read():
    pytest.importorskip("rapidocr", reason="rapidocr is not installed (extra ocr)")
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed (extra ocr)")
    from PIL import ImageDraw, ImageFont

    image = Image.new("RGB", (640, 200), "white")
    ImageDraw.Draw(image).text((60, 60), "HELLO 2026", font=ImageFont.load_default(72), fill="black")
    mask = Image.new("L", image.size)
    mask.paste(255, (40, 50, 600, 150))
    reader = lettering.RapidReader()
    read = reader.read(lettering.prepare_line(lettering.crop_line(image, mask)))
    assert lettering.normalised_similarity(read.replace(" ", ""), "HELLO2026") > 0.85, read
    blank = reader.read(lettering.prepare_line(Image.new("RGB", (300, 48), "white")))
    assert lettering.normalised_similarity(blank, "HELLO2026") < 0.3 and reader.name.startswith("rapidocr 3")


# Faces


def test_the_nearest_face_counts():
    before = [np.array([2.0, 0.0]), np.array([0.0, 1.0])]
    assert faces.face_cosine(before, [np.array([0.0, 3.0]), np.array([1.0, 1.0])]) == pytest.approx(math.sqrt(0.5))
    assert (
        faces.face_cosine([], before) is faces.NO_FACE_BEFORE and faces.face_cosine(before, []) is faces.NO_FACE_AFTER
    )


def test_the_papers_faces_agree_only_with_the_mapped_cosine():
    """UltraEdit's FS 62.91 and ES .16: as a mean of cosines it would be at most .16 + .84 · .3493 = .453."""
    assert faces.mapped_similarity(2 * 0.6291 - 1) == pytest.approx(62.91)
    assert (
        0.16 + 0.84 * faces.THRESHOLD < 0.6291 and faces.is_effective(0.35) == 1.0 and faces.is_effective(0.3493) == 0.0
    )


def test_faces_need_weights_that_are_at_hand(tmp_path):
    with pytest.raises(EvaluationError, match="nothing is downloaded"):
        faces.OpenCVFaces(tmp_path / "yunet.onnx", tmp_path / "sface.onnx")
    pytest.importorskip("cv2", reason="opencv-python-headless is not installed")
    for name in ("yunet.onnx", "sface.onnx"):
        (tmp_path / name).write_bytes(b"no network")
    with pytest.raises(EvaluationError, match="not the models"):
        faces.OpenCVFaces(tmp_path / "yunet.onnx", tmp_path / "sface.onnx")
