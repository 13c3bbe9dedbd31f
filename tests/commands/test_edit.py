"""Edits from the command line: what is kept, what is said, what is refused."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from comfyui_ace.cli import main
from disks import small_disk
from PIL import Image

PIXELS = np.random.default_rng(4).integers(0, 256, (64, 96, 3), dtype=np.uint8)


@pytest.fixture
def folder(models, tmp_path, monkeypatch):
    monkeypatch.setenv("ACE_MODELS", str(models))
    monkeypatch.chdir(tmp_path)
    Image.fromarray(PIXELS).save("photo.png")
    mask = np.zeros((64, 96), np.uint8)
    mask[16:48, 24:72] = 255
    Image.fromarray(mask).save("mask.png")
    return tmp_path


EDIT = ["edit", "{image} as ink", "photo.png", "--steps", "1", "-q"]


def test_a_masked_edit_leaves_the_rest_as_it_was(folder):
    assert main([*EDIT, "--mask", "mask.png", "-o", "a.png"]) == 0
    outside = np.asarray(Image.open("mask.png")) == 0
    made = np.asarray(Image.open("a.png"))
    assert np.array_equal(made[outside], PIXELS[outside]) and (made[~outside] != PIXELS[~outside]).any()
    assert main([*EDIT, "--mask", "mask.png", "--no-paste-back", "-o", "b.png"]) == 0
    assert (np.asarray(Image.open("b.png"))[outside] != PIXELS[outside]).any()


def test_a_masked_edit_of_any_size_has_the_size_of_the_picture(folder):
    Image.fromarray(np.kron(PIXELS, np.ones((2, 1, 1), np.uint8))[:101, :90]).save("odd.png")
    Image.fromarray(np.pad(np.full((40, 40), 255, np.uint8), ((30, 31), (20, 30)))).save("oddmask.png")
    arguments = ["edit", "{image} x", "odd.png", "--mask", "oddmask.png", "--steps", "1", "-q", "-o", "a.png"]
    assert main([*arguments, "--size", "32x32"]) == 0
    made, outside = np.asarray(Image.open("a.png")), np.asarray(Image.open("oddmask.png")) == 0
    assert made.shape == (101, 90, 3) and np.array_equal(made[outside], np.asarray(Image.open("odd.png"))[outside])


@pytest.fixture
def no_sampling(monkeypatch):
    """What is wrong with the place of the result is said before minutes of work."""

    def fail(*args, **kwargs):
        raise AssertionError("the models were loaded although the result cannot be written")

    monkeypatch.setattr("comfyui_ace.ace.pipeline.ACEPipeline.load", fail)


def test_a_place_that_takes_no_file_is_said_before_the_work(folder, capsys, no_sampling):
    (folder / "taken.png").mkdir()
    for output, advice in {
        "taken.png": "It is a folder: name a file",
        "photo.png/a.png": "A file is where a folder",
    }.items():
        assert main([*EDIT, "-o", output]) == 1
        error = capsys.readouterr().err
        assert output in error and advice in error


def test_a_disk_that_takes_no_file_is_said_before_the_work(folder, capsys, no_sampling):
    with small_disk(folder / "disk") as disk:
        disk.fill()
        assert main([*EDIT, "-o", "disk/new/a.png"]) == 1
        assert "The disk is full" in capsys.readouterr().err
        disk.empty()
        disk.set_read_only(True)
        assert main([*EDIT, "-o", "disk/a.png"]) == 1
        assert "The disk is read-only" in capsys.readouterr().err
        disk.set_read_only(False)
        assert os.listdir(disk.path) == []


def test_quiet_is_quiet(folder):
    code = f"import sys; from comfyui_ace.cli import main; sys.exit(main({[*EDIT, '-o', 'a.png']!r}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ})
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "a.png\n")


def test_letters_that_the_encoder_does_not_know_are_said(folder, capsys):
    assert main(["edit", "{image} 变成夜晚 grün", "photo.png", "--steps", "1", "-q", "-o", "a.png"]) == 0
    error = capsys.readouterr().err
    assert "the instruction has letters" in error and "变 成 夜 晚" in error and "English" in error
    assert main([*EDIT, "--negative", "模糊 " + "blurry " * 200, "-o", "a.png"]) == 0
    error = capsys.readouterr().err
    assert "the negative prompt has letters" in error and "the negative prompt is" in error
    assert "the instruction" not in error


@pytest.mark.parametrize("device", ["mps", "cuda:99", "warp", "meta"])
def test_a_device_that_is_not_there(folder, capsys, device):
    assert main([*EDIT, "--device", device]) == 1
    error = capsys.readouterr().err.strip()
    assert repr(device) in error and "have cpu" in error and "\n" not in error and len(error) < 300
