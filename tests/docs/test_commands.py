"""Each command line of the manual is run, or read by the program's own parser; what is not run is listed with the reason."""

from __future__ import annotations

import argparse
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import pytest
from comfyui_ace.cli import build_parser, main
from comfyui_ace.training.trainer.config_file import load_config
from docs.manual import REPOSITORY, pages
from docs.workspace import make_configuration
from packaging.requirements import Requirement
from repository import ROOT

# Command lines of ours that are read, but not run.
NOT_RUN = {
    r"comfyui-ace capture ": "needs a running ComfyUI: tests/host/capture",
    r"comfyui-ace download ": "needs the network: tests/ace/bundles/test_download.py",
    r"comfyui-ace distil ": "trains for minutes: tests/training/test_distil.py",
    r"comfyui-ace train (?!.*--check)": "trains for hours: tests/training/trainer",
    r"comfyui-ace demo": "trains for minutes: `make demo`",
    r"comfyui-ace label .*": "needs a model's server and pairs that it has labelled: tests/training/label",
    r"comfyui-ace judge (compare|score .*--server|report)": "needs a model's server, or a person: tests/training/judge",
    r"comfyui-ace evaluate --benchmark": "needs the benchmark's data: tests/training/evaluate/benchmarks",
    r"comfyui-ace match s3://": "needs an object store and Ray: tests/training/match/test_ray.py",
    r"comfyui-ace benchmark": "measures for minutes: tests/benchmarks",
}
# Lines of other programs that only set up a machine, or that no test environment has.
NOT_OURS = {
    r"python3 -m venv \S+": "makes an environment",
    r"~/comfy/ComfyUI/\.venv/bin/python -m pip install -r ~/comfy/ComfyUI/requirements\.txt": "needs the network",
    r"comfy node (validate|pack)": "comfy-cli is a program of its own; tests/docs/test_registry.py does what pack does",
}
LANGUAGES = {"sh", "python", "text", "powershell"}  # powershell: the lines of the sh blocks, for Windows
_PAGES = [one for one in pages() if any(block.language == "sh" for block in one.blocks())]


def lines(one) -> list[str]:
    """The command lines of a page in order: continued lines joined, chains taken apart, variables and comments dropped."""
    text = "".join(block.text for block in one.blocks() if block.language == "sh").replace("\\\n", " ")
    whole = [re.sub(r"\s+#.*", "", line).strip() for line in text.splitlines()]
    parts = [part.strip() for line in whole if line and not line.startswith("#") for part in line.split(" && ")]
    return [re.sub(r"^(?:[A-Z_]+=\S+ )+", "", part) for part in parts]


ALL = [line for one in _PAGES for line in lines(one)]


@pytest.mark.parametrize("one", pages(), ids=lambda one: one.name)
def test_blocks_say_what_they_are(one):
    assert [f"line {block.line}" for block in one.blocks() if block.language not in LANGUAGES] == []


@pytest.mark.parametrize("one", _PAGES, ids=lambda one: one.name)
def test_commands(one, workspace, capsys):
    """In the order of the page, in one folder: later lines go on from earlier ones."""
    for line in lines(one):
        try:
            _check(line, workspace)
        except (AssertionError, SystemExit, ValueError, OSError) as error:
            said = capsys.readouterr()
            pytest.fail(f"{one.name}: {line}\n{error!r}\n{said.out}{said.err}")


def test_the_manual_has_commands():
    ours = [line for line in ALL if line.startswith("comfyui-ace ")]
    assert len(ours) > 30 and {"edit", "generate", "convert", "dataset", "train", "evaluate"} <= {
        shlex.split(line)[1] for line in ours if not any(re.match(pattern, line) for pattern in NOT_RUN)
    }


@pytest.mark.parametrize("pattern", [*NOT_RUN, *NOT_OURS])
def test_nothing_is_excused_in_vain(pattern):
    assert any(re.match(pattern, line) for line in ALL)


@pytest.mark.parametrize(
    "line",
    [
        "comfyui-ace edit photo.jpg --pencil",
        "comfyui-ace capture graph.json",
        "comfyui-ace train my-edit.toml lora.rang=3",
        "make coffee",
        "accelerate launch --use_magic -m comfyui_ace.cli train my-edit.toml",
        "python -m comfyui_ace.training.tiny.vae --poetry",
        ".venv/bin/python -m pytest -q tests/nowhere",
        "pip install ace-editor",
        "rm -rf /",
    ],
)
def test_a_wrong_line_is_found(line, tmp_path):
    """The test itself: none of these may pass."""
    make_configuration(tmp_path)
    with pytest.raises((AssertionError, SystemExit, ValueError)):
        _check(line, tmp_path)


def _check(line: str, workspace: Path) -> None:
    if any(re.fullmatch(pattern, line) for pattern in NOT_OURS):
        return
    for start, check in _CHECKS.items():
        if found := re.match(start, line):
            check(shlex.split(line[found.end() :]), line, workspace)
            return
    raise AssertionError("no program that this test knows")


def _ours(words: list[str], line: str, workspace: Path) -> None:
    try:
        given = build_parser().parse_args(words)
    except SystemExit as end:
        if end.code or "--version" not in words:
            raise
        return
    if line.startswith("comfyui-ace train "):
        config = given.config if (workspace / given.config).is_file() else _config(given.config)
        load_config(config, given.overrides)
    if not any(re.match(pattern, line) for pattern in NOT_RUN):
        assert main(words) == 0


def _config(name: Path) -> Path:
    """A file of the repository, or one of the examples."""
    return next(path for path in (ROOT / name, ROOT / "training" / "configs" / name) if path.is_file())


def _module(words: list[str], line: str, workspace: Path) -> None:
    """A module of ours with a main of its own: stopped when it has read its arguments."""
    module = import_module(re.search(r" -m (comfyui_ace[.]\S+)", line)[1])

    read = argparse.ArgumentParser.parse_args

    class Done(Exception):
        """The arguments are in order."""

    def stop(parser: argparse.ArgumentParser, *_given: object) -> None:
        read(parser, words)
        raise Done

    with pytest.MonkeyPatch.context() as patch, pytest.raises(Done):
        patch.setattr(argparse.ArgumentParser, "parse_args", stop)
        module.main()


def _pack_folder(words: list[str], _line: str, workspace: Path) -> None:
    """The pack in ComfyUI's folder, run as a program."""
    subprocess.run([sys.executable, *words], cwd=workspace, check=True, capture_output=True)


def _accelerate(words: list[str], _line: str, workspace: Path) -> None:
    from accelerate.commands.launch import launch_command_parser

    given = launch_command_parser().parse_args(words)
    assert given.module and given.training_script == "comfyui_ace.cli"
    _ours(given.training_script_args, f"comfyui-ace {shlex.join(given.training_script_args)}", workspace)


def _make(words: list[str], _line: str, _workspace: Path) -> None:
    targets = re.search(r"^\.PHONY: (.+)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)[1]
    assert words and set(words) <= set(targets.split())


def _pip(words: list[str], _line: str, _workspace: Path) -> None:
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    if words[0] == "-r":
        assert (ROOT / Path(words[1]).relative_to("ace-edit")).is_file()
        return
    (wanted,) = map(Requirement, words)
    assert wanted.name == "ace-edit" and wanted.url == f"git+{REPOSITORY}"
    assert all(f"\n{extra} = [" in project for extra in wanted.extras)


def _git(words: list[str], _line: str, _workspace: Path) -> None:
    assert {word for word in words if "://" in word} <= {REPOSITORY, "https://github.com/Comfy-Org/ComfyUI"}


def _pytest(words: list[str], _line: str, _workspace: Path) -> None:
    places = [word for word in words if "/" in word]
    assert places and all((ROOT / place).exists() for place in places)


def _tool(words: list[str], _line: str, _workspace: Path) -> None:
    assert (ROOT / words[0]).is_file()


def _test_module(words: list[str], _line: str, _workspace: Path) -> None:
    assert (ROOT / "tests" / Path(*words[0].split("."))).with_suffix(".py").is_file()


def _folder(words: list[str], _line: str, workspace: Path) -> None:
    (place,) = words
    assert place == "ace-edit" or (workspace / place).is_dir() or (ROOT / place).is_dir()


_CHECKS: dict[str, Callable[[list[str], str, Path], None]] = {
    r"comfyui-ace ": _ours,
    r"make ": _make,
    r"accelerate launch ": _accelerate,
    r"(?:python -m )?pip install ": _pip,
    r"git clone ": _git,
    r"cd ": _folder,
    r"python (?=ComfyUI/custom_nodes/ace-edit )": _pack_folder,
    r"(?:\.venv/bin/)?python -m comfyui_ace[.]\S+": _module,
    r"\.venv/bin/python -m pytest ": _pytest,
    r"\.venv/bin/python (?=tools/)": _tool,
    r"\.venv/bin/python -m (?=host\.)": _test_module,
}
