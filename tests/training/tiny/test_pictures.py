"""The pictures ace-tiny is trained on."""

from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("skimage")
pytest.importorskip("sklearn")

from comfyui_ace.training.tiny.world import drawings, photographs
from comfyui_ace.training.tiny.world.photographs import SOURCES
from comfyui_ace.training.tiny.world.pictures import Pictures, contact_sheet


def test_a_number_always_gives_the_same_picture():
    pictures = Pictures(size=(48, 64), seed=3)
    first = [pictures[index] for index in range(6)]
    again = [Pictures(size=(48, 64), seed=3)[index] for index in (5, 4, 3, 2, 1, 0)][::-1]
    for one, two in zip(first, again, strict=True):
        assert one.shape == (48, 64, 3) and one.dtype == torch.float32
        assert one.min() >= 0 and one.max() <= 1
        assert torch.equal(one, two)


def test_other_numbers_seeds_and_splits_give_other_pictures():
    pictures = [
        Pictures(size=(32, 32))[0],
        Pictures(size=(32, 32))[1],
        Pictures(size=(32, 32), seed=1)[0],
        Pictures("validation", size=(32, 32))[0],
    ]
    for index, one in enumerate(pictures):
        for other in pictures[index + 1 :]:
            assert not torch.equal(one, other)


def test_iterating_counts_up_from_nought():
    pictures = Pictures(size=(32, 32))
    for index, image in zip(range(3), pictures, strict=False):
        assert torch.equal(image, pictures[index])


@pytest.mark.parametrize("painter", drawings._PAINTERS, ids=lambda painter: painter.__name__)
def test_every_kind_of_drawing_has_the_size_asked_for_and_is_not_blank(painter):
    pixels = [np.asarray(painter(np.random.default_rng(seed), 40, 56)) for seed in range(4)]
    assert {image.shape for image in pixels} == {(40, 56, 3)}
    assert max(image.std() for image in pixels) > 5


def test_training_never_sees_a_held_out_photograph_nor_the_right_quarter_of_another():
    train = photographs._open("train")
    validation = photographs._open("validation")
    held_out = {source.name for source in SOURCES if source.held_out}
    assert held_out and not held_out & set(train)
    for name in train:
        whole = photographs.whole(name)
        assert train[name].width + validation[name].width == whole.width
        width = train[name].width
        assert np.array_equal(np.asarray(validation[name]), np.asarray(whole)[:, width:])
    for name in held_out:
        assert validation[name].size == photographs.whole(name).size


def test_the_share_of_photographs_is_obeyed(monkeypatch):
    monkeypatch.setattr(photographs, "find_spec", lambda _name: None)
    monkeypatch.setattr(photographs, "_open", photographs._open.__wrapped__)  # nothing opened before
    assert Pictures(size=(32, 32), photographs=0.0)[0].shape == (32, 32, 3)
    with pytest.raises(ModuleNotFoundError):
        Pictures(size=(32, 32), photographs=1.0)[0]


def test_an_unknown_split_is_named():
    with pytest.raises(ValueError, match="'test'; expected one of train, validation"):
        Pictures("test")
    with pytest.raises(ValueError, match="no photograph is called 'dog'"):
        photographs.whole("dog")


def test_a_missing_package_is_explained(monkeypatch):
    monkeypatch.setattr(photographs, "find_spec", lambda _name: None)
    with pytest.raises(ModuleNotFoundError, match="comes with the package skimage, which is not installed"):
        photographs.whole("cat")


def test_every_photograph_has_its_licence_written_down():
    text = (Path(photographs.__file__).parents[1] / "LICENSES.md").read_text(encoding="utf-8")
    for source in SOURCES:
        assert any(line.startswith(f"| {source.name} ") and source.file in line for line in text.splitlines())
        assert ("(validation only)" in _row(text, source.name)) == source.held_out


def _row(text: str, name: str) -> str:
    return next(line for line in text.splitlines() if line.startswith(f"| {name} "))


def test_a_contact_sheet_goes_row_by_row():
    images = [torch.full((2, 3, 3), value) for value in (0.1, 0.2, 0.3)]
    sheet = contact_sheet(images, columns=2)
    assert sheet.shape == (4, 6, 3)
    assert [sheet[0, 0, 0], sheet[0, 3, 0], sheet[2, 0, 0], sheet[2, 3, 0]] == pytest.approx([0.1, 0.2, 0.3, 0.0])
