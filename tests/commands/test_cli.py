"""The command line as a user types it."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from comfyui_ace.ace.pictures.image_files import load_mask, load_picture, save_picture
from comfyui_ace.cli import main
from PIL import Image
from safetensors.torch import load_file


@pytest.fixture
def folder(models, tmp_path, monkeypatch):
    """A working folder with two photos and a mask, and one model to be found."""
    monkeypatch.setenv("ACE_MODELS", str(models))
    monkeypatch.chdir(tmp_path)
    Image.linear_gradient("L").convert("RGB").resize((96, 64)).save("photo.png")
    Image.radial_gradient("L").convert("RGB").resize((64, 64)).save("other.jpg")
    Image.linear_gradient("L").resize((96, 64)).point(lambda v: 255 * (v > 128)).save("mask.png")
    (tmp_path / "notes.json").write_text('{"mine": true}')
    return tmp_path


def test_edit_writes_picture_and_rounds(folder, capsys):
    assert (
        main(["edit", "make it snow", "photo.png", "--mask", "mask.png", "-o", "out/snow.png", "--steps", "2", "-q"])
        == 0
    )
    assert Image.open("out/snow.png").size == (96, 64)
    rounds = json.loads((folder / "out" / "snow.json").read_text())
    assert rounds == [
        {
            "instruction": "make it snow",
            "images": [{"indicator": "{image}", "image": "../photo.png", "mask": "../mask.png"}],
        }
    ]
    out, err = capsys.readouterr()
    assert out.strip().endswith("snow.png") and "{image} was put before it" in err


def test_edit_keeps_detail_at_the_pictures_own_size(folder, capsys):
    """The model works at 96x64 as its steps of 16 allow; the picture is larger by a few pixels."""
    Image.open("photo.png").resize((106, 70)).save("odd.png")
    common = ["edit", "{image} snow", "odd.png", "--steps", "1", "-q", "-o"]
    assert main([*common, "plain.png"]) == 0
    assert main([*common, "kept.png", "--keep-detail"]) == 0
    assert main([*common, "half.png", "--keep-detail", "0.5"]) == 0
    assert Image.open("plain.png").size == (96, 64)
    assert Image.open("kept.png").size == Image.open("half.png").size == (106, 70)
    with pytest.raises(SystemExit):
        main([*common, "too-much.png", "--keep-detail", "3"])
    assert "expected a number from 0 to 2, got 3" in capsys.readouterr().err


def test_the_model_that_comes_along_is_found_by_its_name(folder):
    assert main(["edit", "invert {image}", "photo.png", "-o", "a.png", "-m", "ace-tiny", "--steps", "1", "-q"]) == 0
    assert Image.open("a.png").size == (96, 64)


def test_second_round_goes_on_from_the_first(folder):
    first = ["edit", "{image} snow", "photo.png", "-o", "one.png", "--steps", "1", "-q"]
    second = ["edit", "{image} night", "one.png", "--history", "one.json", "-o", "two.png", "--steps", "1", "-q"]
    assert main(first) == 0 and main(second) == 0
    assert [one["instruction"] for one in json.loads((folder / "two.json").read_text())] == [
        "{image} snow",
        "{image} night",
    ]
    (folder / "forgetful.png").write_bytes((folder / "two.png").read_bytes())
    assert main([*second[:3], "-o", "forgetful.png", "--steps", "1", "-q"]) == 0
    assert load_picture("two.png").ne(load_picture("forgetful.png")).any()


def test_several_seeds_make_several_files(folder):
    arguments = ["edit", "{image} in {image1}", "photo.png", "other.jpg", "--seed", "1", "2", "-o", "out.png"]
    assert main([*arguments, "--steps", "1", "-q"]) == 0
    assert sorted(path.name for path in folder.glob("out*.png")) == ["out-1.png", "out-2.png"]


def test_generate_takes_a_size(folder):
    assert main(["generate", "a house", "--size", "96x48", "--steps", "1", "-q", "-o", "house.webp"]) == 0
    assert Image.open("house.webp").size == (96, 48)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["edit", "{image1}", "photo.png"], "names {image1}"),
        (["edit", "x", "absent.png"], "there is no file"),
        (["edit", "x", "photo.png", "--mask", "{image3}=mask.png"], "{image3}"),
        (["edit", "x", "photo.png", "-o", "out.txt"], "no extension of a picture"),
        (["edit", "x", "photo.png", "-m", "nothing"], "no ACE model named nothing"),
        (["edit", "x", "photo.png", "--history", "photo.png"], "not a history of rounds: photo.png is not UTF-8"),
        (["edit", "x", "photo.png", "--device", "warp"], "'warp' cannot be used"),
        (["edit", "x", "photo.png", "-o", "photo.png"], "one of the pictures this edit is made from"),
        (["edit", "x", "photo.png", "-o", "notes.png"], "not a history"),
        (["edit", "x", "photo.png", "-o", "out.psd"], "no extension of a picture"),
        (["edit", "x", "photo.png", "--mask", "mask.png", "--mask", "{image}=mask.png"], "two masks"),
        (["generate", "x", "--size", "100x100"], "try 96x96"),
        (["generate", "x", "--size", "big"], "512x768"),
        (["generate", "x", "--size", "64x64", "--megapixels", "1"], "exclude each other"),
        (["convert", "photo.png", "out.safetensors"], "photo.png"),
    ],
)
def test_failures_are_explained_and_leave_nothing(folder, capsys, arguments, message):
    before = sorted(folder.rglob("*"))
    assert main(arguments) == 1
    assert message in capsys.readouterr().err
    assert sorted(folder.rglob("*")) == before


def test_bad_usage_exits_with_2(capsys):
    edits = ["--steps", "0"], ["--steps", "1001"], ["--rescale", "7"]
    for arguments in (
        [],
        ["edit"],
        ["paint"],
        ["download", "ACE-9000"],
        *(["edit", "x", "a.png", *each] for each in edits),
    ):
        with pytest.raises(SystemExit) as exit_info:
            main(arguments)
        assert exit_info.value.code == 2
    told = capsys.readouterr().err
    assert "--steps: expected 1 to 1000, got 0" in told and "--rescale: expected a number from 0 to 1, got 7" in told


def test_help_of_every_command_fits_its_options(capsys):
    done = subprocess.run(
        [sys.executable, "-m", "comfyui_ace.cli", "--help"], capture_output=True, text=True, check=True
    )
    for command in ("edit", "generate", "demo", "download", "convert", "evaluate", "distil"):
        assert command in done.stdout
        with pytest.raises(SystemExit) as ended:
            main([command, "--help"])
        assert ended.value.code == 0 and f"usage: comfyui-ace {command}" in capsys.readouterr().out


def test_convert_reads_back(models, folder, capsys):
    source = next((models / "ace-random" / "models" / "dit").iterdir())
    assert main(["convert", str(source), "half.safetensors", "--dtype", "fp16"]) == 0
    assert "float16" in capsys.readouterr().out.replace("fp16", "float16")
    assert main(["convert", str(source), "half.safetensors"]) == 1


def test_demo_goes_from_photographs_to_a_page(tmp_path, capsys):
    """The whole loop, with hardly any training; the second call finds everything done."""
    output = tmp_path / "demo"
    arguments = ["demo", "-o", str(output), "--pairs", "4", "--held-out", "1", "--steps", "2"]
    assert main(arguments) == 0
    shown = capsys.readouterr().out
    page, edited = output / "run" / "report" / "index.html", output / "edited.png"
    assert str(page) in shown and "teacher" in page.read_text() and edited.is_file()
    numbers = json.loads((page.parent / "evaluation.json").read_text())
    assert numbers["pairs"] == 1 and numbers["split"] == "validation" and numbers["teacher_seconds"] > 0
    assert numbers["teacher_memory_bytes"] > 1e6 and "memory of the teacher" in page.read_text()
    assert (output / "run" / "cyanotype.json").is_file()
    before = load_file(output / "run" / "cyanotype.safetensors")
    assert main(arguments) == 0
    after = load_file(output / "run" / "cyanotype.safetensors")
    assert before.keys() == after.keys() and all(torch.equal(after[name], tensor) for name, tensor in before.items())


def test_demo_takes_ones_own_photographs(folder, capsys):
    arguments = ["demo", "--photos", str(folder), "--pairs", "2", "--held-out", "1", "--steps", "1"]
    (folder / "broken.png").write_bytes(b"no picture")
    assert main([*arguments, "-o", str(folder / "mine")]) == 0
    assert "left out: " in capsys.readouterr().err
    assert main(["demo", *arguments[3:], "-o", str(folder / "mine")]) == 1
    assert "made with other settings: photos" in capsys.readouterr().err
    (folder / "other.jpg").unlink(), (folder / "mask.png").unlink()
    assert main([*arguments, "-o", str(folder / "few")]) == 1
    assert "at least two" in capsys.readouterr().err


def test_pictures_round_trip_and_masks_prefer_alpha(tmp_path):
    image = torch.rand(9, 7, 3)
    levels = (image * 255).to(torch.uint8)
    save_picture(levels / 255 + 0.5 / 255, tmp_path / "p.png")
    assert torch.equal((load_picture(tmp_path / "p.png")[0] * 255).round().to(torch.uint8), levels)
    picture = Image.new("RGBA", (4, 4), (255, 0, 0, 0))
    picture.putpixel((1, 2), (0, 255, 0, 255))
    picture.save(tmp_path / "alpha.png")
    assert load_mask(tmp_path / "alpha.png").nonzero().tolist() == [[0, 2, 1]]
    told = []
    assert load_picture(tmp_path / "alpha.png", told.append)[0, 0, 0].tolist() == [1, 1, 1] and len(told) == 1


def test_edit_with_a_lora(folder, models, capsys):
    from comfyui_ace.ace.bundles.bundle import find_bundle
    from comfyui_ace.ace.pipeline import ACEPipeline
    from safetensors.torch import save_file

    width = ACEPipeline.load(find_bundle(models / "ace-random")).model.config.hidden_size
    generator = torch.Generator().manual_seed(0)
    layer = "diffusion_model.blocks.3.mlp.fc2"
    tensors = {
        f"{layer}.lora_A.weight": torch.randn(2, 4 * width, generator=generator),
        f"{layer}.lora_B.weight": torch.randn(width, 2, generator=generator),
    }
    save_file(tensors, folder / "strong.safetensors")
    common = ["edit", "{image} snow", "photo.png", "--steps", "1", "-q", "-o"]
    assert main([*common, "plain.png"]) == 0
    assert main([*common, "off.png", "--lora", "strong.safetensors:0"]) == 0
    assert main([*common, "on.png", "--lora", "strong.safetensors"]) == 0
    plain, off, on = (load_picture(name) for name in ("plain.png", "off.png", "on.png"))
    assert torch.equal(plain, off) and (plain - on).abs().mean() > 0.01
    assert main([*common, "no.png", "--lora", "photo.png"]) == 1
    assert "the LoRA photo.png cannot be opened" in capsys.readouterr().err


def test_edit_with_an_editnet(folder, models, capsys):
    from comfyui_ace.ace.bundles.bundle import find_bundle
    from comfyui_ace.ace.model.editnet import EditNet, EditNetConfig
    from comfyui_ace.ace.weights.checkpoint import load_model
    from comfyui_ace.ace.weights.editnet import write_editnet

    model, config = load_model(find_bundle(models / "ace-random").dit), EditNetConfig((1,))
    net = EditNet.copy_of(model, config)
    torch.nn.init.normal_(net.blocks["1"].token_out.weight, generator=torch.Generator().manual_seed(0))
    write_editnet(folder / "strong.safetensors", net.state_dict(), model.config, config, {})
    common = ["edit", "{image} snow", "photo.png", "--steps", "1", "-q", "-o"]
    assert main([*common, "plain.png"]) == 0
    assert main([*common, "off.png", "--editnet", "strong.safetensors:0"]) == 0
    assert main([*common, "on.png", "--editnet", "strong.safetensors"]) == 0
    plain, off, on = (load_picture(name) for name in ("plain.png", "off.png", "on.png"))
    assert torch.equal(plain, off) and not torch.equal(plain, on)
    assert main([*common, "no.png", "--lora", "strong.safetensors"]) == 1
    assert "is an EditNet and no LoRA; give it with --editnet" in capsys.readouterr().err


def test_sixteen_bit_pictures_keep_their_levels(tmp_path):
    ramp = np.linspace(0, 65535, 64, dtype=np.uint16).reshape(8, 8)
    Image.fromarray(ramp).save(tmp_path / "depth.png")
    for loaded in (load_picture(tmp_path / "depth.png")[0, ..., 0], load_mask(tmp_path / "depth.png")[0]):
        assert np.allclose(loaded.numpy(), ramp / 65535, atol=1e-4)


_EVERY_HELP = """
import argparse, sys
from comfyui_ace.cli import build_parser

def read(parser):
    assert parser.prog in parser.format_help()
    print(parser.prog)
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for below in action.choices.values():
                read(below)

read(build_parser())
heavy = {"diffusers", "huggingface_hub", "kornia", "peft", "scipy", "torch", "transformers"}
print(*sorted(heavy & set(sys.modules)), file=sys.stderr)
"""


def test_help_does_not_wait_for_what_takes_seconds_to_import():
    """The help of every command, down to those of a dataset, in a process of its own."""
    told = subprocess.run([sys.executable, "-c", _EVERY_HELP], capture_output=True, text=True, check=True)
    assert told.stderr.strip() == ""
    commands = told.stdout.splitlines()
    assert len(commands) > 15 and any(line.endswith("dataset check") for line in commands)
