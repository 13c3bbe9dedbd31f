"""``comfyui-ace benchmark`` as a user types it."""

from __future__ import annotations

import json

import comfyui_ace.benchmarks.suite as suite
import pytest
from comfyui_ace.benchmarks.report import Table, print_table
from comfyui_ace.cli import main
from comfyui_ace.commands import benchmark


def test_the_names_offered_are_the_benchmarks_there_are():
    assert tuple(suite.BENCHMARKS) == benchmark._NAMES


def test_an_unknown_name_is_refused(capsys):
    assert main(["benchmark", "forwards"]) == 1
    assert "there is no benchmark forwards; choose from forward, batch" in capsys.readouterr().err


@pytest.mark.parametrize("json_wanted", [False, True])
def test_results_are_printed(monkeypatch, capsys, json_wanted):
    monkeypatch.setitem(suite.BENCHMARKS, "import", lambda setting: Table("Import time", ("what", "s"), [("x", 0.5)]))
    monkeypatch.setattr(suite, "describe_machine", lambda setting: "a machine")
    assert main(["benchmark", "import", "--device", "cpu", "--quick", *["--json"] * json_wanted]) == 0
    out = capsys.readouterr().out
    if json_wanted:
        assert json.loads(out)["results"] == [{"title": "Import time", "rows": [{"what": "x", "s": 0.5}], "notes": []}]
    else:
        assert out.startswith("a machine\n") and "| x | 0.5 |" in out


def test_rows_that_were_measured_before_a_run_ended_are_shown(capsys):
    def rows():
        yield "first", 0.5, None
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        print_table("Long", ("what", "s", "MB"), rows(), ("A note.",))
    shown = capsys.readouterr().out
    print_table("Long", ("what", "s", "MB"), [("first", 0.5, None)], ("A note.",))
    whole = capsys.readouterr().out
    assert whole.startswith(shown) and shown.endswith("| first | 0.5 | – |\n") and whole.endswith("\nA note.\n")
    assert whole == Table("Long", ("what", "s", "MB"), [("first", 0.5, None)], ("A note.",)).markdown()


def test_training_speed_is_left_out_without_a_gpu_and_says_so_when_asked_for(capsys, monkeypatch):
    measured = []
    table = Table("", ("",), [])
    monkeypatch.setattr(suite, "describe_machine", lambda setting: "a machine")
    for name in suite.BENCHMARKS:
        if name not in benchmark._ON_A_GPU:
            monkeypatch.setitem(suite.BENCHMARKS, name, lambda setting, name=name: measured.append(name) or table)
    assert main(["benchmark", "--device", "cpu"]) == 0
    assert measured == [name for name in benchmark._NAMES if name not in benchmark._ON_A_GPU]
    assert main(["benchmark", "training-speed", "--device", "cpu"]) == 1
    assert "needs an NVIDIA GPU" in capsys.readouterr().err
