"""The second turn's similarities, and descriptors that need files: what they see, and what they set aside."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from comfyui_ace.training.match.descriptors import faces
from comfyui_ace.training.match.descriptors.layout import LayoutDescriptor
from comfyui_ace.training.match.descriptors.style import StyleDescriptor
from comfyui_ace.training.match.errors import MatchError, SetAside
from comfyui_ace.training.match.similarity.regions import RegionSimilarity
from comfyui_ace.training.match.similarity.registry import make_similarity
from comfyui_ace.training.tiny.world.photographs import whole
from PIL import Image, ImageEnhance, ImageOps


def part(name: str, side: int = 256) -> Image.Image:
    return ImageOps.fit(whole(name), (side, side))


def pixels(picture: Image.Image) -> np.ndarray:
    return np.asarray(picture)


def cosine(descriptor, one: Image.Image, other: Image.Image) -> float:
    vectors = descriptor.describe([descriptor.prepare(pixels(picture)) for picture in (one, other)])
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-4) and vectors.shape[1] == descriptor.dimension
    return float(vectors[0] @ vectors[1])


def test_layout_sees_a_scene_and_not_its_mirror_image():
    cat, layout = part("cat"), LayoutDescriptor()
    assert cosine(layout, cat, ImageEnhance.Color(cat).enhance(0)) > 0.7
    assert cosine(layout, cat, ImageEnhance.Brightness(cat).enhance(0.5)) > 0.7
    assert cosine(layout, cat, ImageOps.mirror(cat)) < 0.55
    assert cosine(layout, cat, part("coffee")) < 0.4


def test_style_sees_a_palette_wherever_it_lies():
    coffee, style = part("coffee"), StyleDescriptor()
    assert cosine(style, coffee, ImageOps.mirror(coffee)) > 0.95
    assert cosine(style, coffee, coffee.rotate(90)) > 0.9
    assert cosine(style, coffee, ImageOps.grayscale(coffee).convert("RGB")) < 0.8
    assert cosine(style, coffee, part("rocket")) < 0.65


def test_keypoints_see_a_thing_that_was_moved_scaled_and_turned():
    keypoints = make_similarity("keypoints")
    cat = part("cat", 320)
    moved = Image.new("RGB", (400, 360), (90, 90, 90))
    moved.paste(cat.resize((240, 240)).rotate(20, fillcolor=(90, 90, 90)), (120, 60))
    looks = keypoints.looks(
        [pixels(cat), pixels(moved), pixels(part("coffee", 320)), np.full((320, 320, 3), 90, np.uint8)]
    )
    assert looks[3] is None  # nothing to compare in a smooth picture
    assert keypoints.compare(looks[0], looks[1]) > 0.1
    assert keypoints.compare(looks[0], looks[2]) < 0.05
    assert keypoints.compare(looks[0], looks[1]) == keypoints.compare(looks[0], looks[1])  # tries from a fixed seed


def test_regions_see_a_thing_in_another_place():
    cat, regions = part("cat"), RegionSimilarity(LayoutDescriptor())
    inside = Image.new("RGB", (256, 256), (30, 60, 90))
    inside.paste(cat.resize((154, 154)), (102, 0))
    one, other, coffee = regions.looks([pixels(cat), pixels(inside), pixels(part("coffee"))])
    whole_pictures = cosine(LayoutDescriptor(), cat, inside)
    assert regions.compare(one, other) > max(0.8, whole_pictures + 0.2)
    assert regions.compare(one, coffee) < 0.5


def test_any_function_of_two_pictures(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(
        "def same(one, other):\n    return float(one.shape == other.shape)\n\n\ndef bad(one, other):\n    return 'x'\n"
    )
    same = make_similarity(f"{file}:same")
    small, large = np.zeros((20, 20, 3), np.uint8), np.zeros((30, 20, 3), np.uint8)
    assert same.compare(*same.looks([small, small])) == 1.0 and same.compare(*same.looks([small, large])) == 0.0
    before = same.identity
    file.write_text(file.read_text() + "\n# changed\n")
    assert make_similarity(f"{file}:same").identity != before  # what was compared by the old one is compared again
    with pytest.raises(MatchError, match="a number is expected"):
        make_similarity(f"{file}:bad").compare(small, small)
    with pytest.raises(MatchError, match="cannot be loaded"):
        make_similarity(f"{file}:none")


@pytest.mark.parametrize("text, message", [("object", "needs an encoder"), ("nothing", "no similarity 'nothing'")])
def test_a_similarity_that_is_not_there_is_explained(text, message):
    with pytest.raises(MatchError, match=message):
        make_similarity(text)


MARKS = np.array([[60.0, 80.0], [110.0, 85.0], [84.0, 110.0], [63.0, 140.0], [104.0, 144.0]])


def test_faces_are_turned_and_scaled_to_where_recognisers_expect_them():
    matrix = faces.alignment(faces._PLACES)
    assert np.allclose(matrix, [[1, 0, 0], [0, 1, 0]])
    angle, scale, shift = 0.4, 1.7, np.array([20.0, -7.0])
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = faces.alignment(faces._PLACES @ turn.T + shift)
    assert np.allclose(matrix[:, :2] @ turn, np.eye(2)) and np.allclose(matrix[:, :2] @ shift + matrix[:, 2], 0)


class Detector:
    """In place of YuNet: as many faces as it is told, all at the same marks."""

    def __init__(self, count: int):
        self._count = count

    def setInputSize(self, size: tuple[int, int]) -> None:
        self.size = size

    def detect(self, picture: np.ndarray):
        assert self.size == (picture.shape[1], picture.shape[0])
        rows = np.zeros((self._count, 15), np.float32)
        rows[:, 4:14] = MARKS.ravel()
        return 1, (rows if self._count else None)


@pytest.fixture
def face_files(tmp_path, monkeypatch) -> tuple[str, str]:
    pytest.importorskip("cv2", reason="needs opencv-python-headless")
    for name in ("detector.onnx", "recogniser.onnx"):
        (tmp_path / name).write_bytes(name.encode())
    detector, recogniser = (str(tmp_path / name) for name in ("detector.onnx", "recogniser.onnx"))
    # Stands for the networks: a face is described by the mean colours of its quarters.
    networks = {
        detector: Detector(1),
        recogniser: lambda face: face.reshape(2, 56, 2, 56, 3).mean(axis=(1, 3)).reshape(1, 12),
    }
    monkeypatch.setattr(faces._own, "networks", networks, raising=False)
    return detector, recogniser


def test_pictures_without_one_face_are_set_aside(face_files):
    detector, recogniser = face_files
    descriptor = faces.FaceDescriptor(detector, recogniser)
    picture = pixels(part("astronaut"))
    face = descriptor.prepare(picture)
    assert face.shape == (112, 112, 3) and descriptor.dimension == 12
    assert np.linalg.norm(descriptor.describe([face])) == pytest.approx(1, abs=1e-5)
    for count, said in ((0, "no face"), (2, "2 faces")):
        faces._own.networks[detector] = Detector(count)
        with pytest.raises(SetAside, match=said):
            descriptor.prepare(picture)
    similarity = make_similarity(f"faces:{detector},{recogniser}")
    assert similarity.looks([picture]) == [None]
    with pytest.raises(MatchError, match="two ONNX files"):
        faces.FaceDescriptor(str(Path(detector).parent / "none.onnx"), recogniser)
