"""`comfyui-ace dataset …` as a person or a script calls it: what it prints and the code it returns."""

import argparse
import json
import subprocess
import sys

import pytest
from comfyui_ace.training.dataset.command import add_parser
from comfyui_ace.training.dataset.store import Dataset
from pair_factory import pair, picture
from PIL import Image

pytestmark = pytest.mark.usefixtures("no_sync")


def call(*arguments) -> int:
    parser = argparse.ArgumentParser(prog="comfyui-ace")
    add_parser(parser.add_subparsers())
    args = parser.parse_args(["dataset", *map(str, arguments)])
    return args.run(args)


@pytest.fixture
def dataset(tmp_path):
    made = Dataset.create(tmp_path, "d")
    for seed in range(4):
        made.append(pair(seed))
    return made


def test_check_repair_check(dataset, capsys):
    assert call("check", dataset.folder) == 0
    assert "4 pairs, no fault(s)" in capsys.readouterr().out
    victim = next(dataset.rows())
    (dataset.folder / victim.target_file_name).unlink()
    assert call("check", dataset.folder) == 1
    assert f"target/{victim.id}.png: the file is missing" in capsys.readouterr().out
    assert call("repair", dataset.folder, "--dry-run") == 0
    assert "would be set aside" in capsys.readouterr().out
    assert call("check", dataset.folder, "--json") == 1
    answer = json.loads(capsys.readouterr().out)
    assert answer["ok"] is False and answer["faults"][0]["kind"] == "missing"
    assert call("repair", dataset.folder, "--json") == 0
    assert json.loads(capsys.readouterr().out)["set_aside"] == 1
    assert call("check", dataset.folder, "--json") == 0
    assert json.loads(capsys.readouterr().out)["pairs"] == 3


def test_strict_check_takes_settings(dataset, capsys):
    assert call("check", dataset.folder, "--strict") == 0
    assert call("check", dataset.folder, "--strict", "--check", "no_op_mean=200", "--check", "no_op_block=300") == 1
    capsys.readouterr()
    for wrong in ("no_such=1", "no_op", "size_tolerance=wide"):
        assert call("check", dataset.folder, "--strict", "--check", wrong) == 1
        assert "--check" in capsys.readouterr().err
    assert call("check", dataset.folder, "--check", "no_op=false") == 1
    assert "--strict" in capsys.readouterr().err


def test_names_below_a_root(dataset, capsys):
    assert call("check", "d", "--root", dataset.folder.parent) == 0
    assert call("check", "../d", "--root", dataset.folder.parent) == 1
    assert "cannot be used" in capsys.readouterr().err


def test_failures_are_explained(tmp_path, capsys):
    for arguments in (
        ("check", tmp_path / "absent"),
        ("repair", tmp_path),
        ("report", tmp_path),
        ("split", tmp_path, "--validation", "0.5"),
        ("export", tmp_path, tmp_path / "out", "--format", "musubi"),
    ):
        assert call(*arguments) == 1
        assert "is not a dataset" in capsys.readouterr().err
        assert call(*arguments, "--json") == 1
        assert "is not a dataset" in json.loads(capsys.readouterr().out)["error"]


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["check"],
        ["nonsense", "x"],
        ["split", "x"],
        ["split", "x", "--validation", "2"],
        ["import", "x", "y"],
        ["import", "x", "y", "--format", "zip"],
        ["export", "x", "y", "--format", "kohya"],
        ["repair", "x", "--stale-minutes", "-1"],
    ],
)
def test_bad_usage_is_code_2(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        call(*arguments)
    assert stop.value.code == 2


def test_help_lists_the_formats(capsys):
    for command, word in (("import", "magicbrush"), ("export", "simpletuner")):
        with pytest.raises(SystemExit) as stop:
            call(command, "--help")
        assert stop.value.code == 0
        text = capsys.readouterr().out
        assert (word in text and "huggingface" in text) or word == "magicbrush"


def test_split_and_report(dataset, tmp_path, capsys):
    assert call("split", dataset.folder, "--validation", "0.5", "--seed", "3", "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"ok": True, "train": 2, "validation": 2}
    assert call("report", dataset.folder, "--output", tmp_path / "r") == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "r" / "index.html")
    assert call("report", dataset.folder, "--output", tmp_path / "r") == 1


def test_import_then_export(tmp_path, capsys):
    for seed in range(3):
        for folder, pixels in (("before", picture(seed)), ("after", 255 - picture(seed))):
            path = tmp_path / "src" / folder / f"p{seed}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(path)
    new = tmp_path / "sets" / "new"
    assert call("import", new, tmp_path / "src", "--format", "folders", "--instruction", "invert", "--tag", "t") == 0
    assert "3 stored, 0 there already, 0 rejected, 0 failed" in capsys.readouterr().out
    assert call("import", new, tmp_path / "src", "--format", "folders", "--instruction", "invert", "--json") == 0
    assert json.loads(capsys.readouterr().out)["duplicates"] == 3
    (tmp_path / "src" / "after" / "p1.png").unlink()
    assert call("import", new, tmp_path / "src", "--format", "folders", "--instruction", "invert") == 1
    assert "p1.png" in capsys.readouterr().out
    assert call("export", new, tmp_path / "out", "--format", "musubi", "--resolution", "512") == 0
    text = capsys.readouterr().out
    assert "3 pairs in" in text and "musubi_dataset.toml" in text
    assert call("export", new, tmp_path / "out", "--format", "musubi") == 1


def test_import_settings_reach_the_door(tmp_path, capsys):
    for folder in ("before", "after"):
        path = tmp_path / "src" / folder / "same.png"
        path.parent.mkdir(parents=True)
        Image.fromarray(picture(0)).save(path)
    arguments = ("import", tmp_path / "d", tmp_path / "src", "--format", "folders", "--instruction", "x")
    assert call(*arguments) == 1, "an import that brings in nothing is none"
    out, err = capsys.readouterr()
    assert "1 rejected (no_op 1; reasons in rejected.jsonl)" in out
    assert "every pair was rejected" in err and "equals its source" in err and "--check" in err
    assert call(*arguments, "--json") == 1 and json.loads(capsys.readouterr().out)["ok"] is False
    assert call(*arguments, "--no-checks") == 0
    assert "1 stored" in capsys.readouterr().out


def test_the_parser_costs_little_to_build():
    """The command's start must not pay for numpy, pillow or pydantic."""
    code = (
        "import argparse, sys; from comfyui_ace.training.dataset.command import add_parser;"
        "add_parser(argparse.ArgumentParser().add_subparsers());"
        "print([name for name in ('numpy', 'PIL', 'pydantic', 'torch') if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"
