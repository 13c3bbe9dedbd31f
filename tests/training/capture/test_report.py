"""What a person sees of a capture: first what plays which part, then what needs attention."""

from __future__ import annotations

import asyncio
import io
import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from comfyui_ace.training.capture.errors import CaptureError
from comfyui_ace.training.capture.report import CaptureProgress, ProgressBarReport
from comfyui_ace.training.capture.sweep import CaptureSettings, capture
from comfyui_ace.training.dataset.intake.checks import CheckSettings, parse_checks
from comfyui_ace.training.errors import CheckError
from host.harness.graph import Graph, NodeRef
from PIL import Image

_NOWHERE = ("http://127.0.0.1:9",)


def _graph(**words) -> Graph:
    graph = Graph()
    photo, fixed = graph.node("LoadImage", image="photo.png"), graph.node("LoadImage", image="style.png")
    source = graph.node("ACECaptureSource", image=photo, index=0)
    graph.node("ACECaptureSource", image=fixed, index=1)
    noise = graph.node("ImageAddNoise", image=source, seed=5, strength=1.0)
    graph.node("ACECaptureResult", image=noise, **{"instruction": "", "dataset": "mine", **words})
    return graph


def _look(tmp_path, graph: Graph, **settings) -> tuple[str, CaptureProgress, dict]:
    """A dry run: what is printed, the tally, and the event at the start."""
    inputs, workflow = tmp_path / "in", tmp_path / "w.json"
    inputs.mkdir(exist_ok=True)
    for number in range(12):
        pixels = np.full((8, 8, 3), number, np.uint8)
        Image.fromarray(pixels).save(inputs / f"p{number}.png")
    workflow.write_text(json.dumps(graph.prompt()))
    stream, told = io.StringIO(), {}
    report = ProgressBarReport(stream)

    def tell(event: str, data: dict) -> None:
        told.setdefault(event, data)
        report(event, data)

    given = CaptureSettings(workflow, (inputs,), tmp_path / "sets", servers=_NOWHERE, dry_run=True, **settings)
    with ThreadPoolExecutor(1) as pool:  # in this thread a browser of other tests may keep a loop running
        progress = pool.submit(asyncio.run, capture(given, tell)).result()
    report.close()
    return stream.getvalue(), progress, told["start"]


def test_a_dry_run_tells_the_cast_and_the_first_jobs(tmp_path):
    text, progress, start = _look(tmp_path, _graph(tags="a, b", checks="size=off"), seeds=2)
    lines = text.splitlines()
    assert lines[0] == f"dataset: {tmp_path / 'sets' / 'mine'}"
    assert lines[1:7] == [
        "{image}: node 1: LoadImage (photo.png)",
        "{image1}: node 2: LoadImage (style.png), the same for all",
        "result: node 5: ImageAddNoise",
        "seeds: 2 an input at node 5: ImageAddNoise, seed",
        "instruction: {image} {image1} mine",
        "tags: a, b",
    ]
    assert lines[7] == "checks: size=False" and start["checks"] == {"size": False}
    assert lines[8].startswith("would run: ") and "p0.png (seed " in lines[8]
    assert len(lines) == 8 + 10 + 1 and lines[-1] == "… and 14 more (--json lists all)"
    assert progress.left == 24 and not (tmp_path / "sets").exists()


def test_what_the_command_says_comes_before_the_marker(tmp_path):
    graph = _graph(tags="a", checks="size=off")
    checks = parse_checks(["no_op=off"])
    _, _, start = _look(tmp_path, graph, tags=("x",), checks=checks, instruction="go", dataset="other")
    assert (start["tags"], start["checks"], start["instruction"]) == (["x"], {"no_op": False}, "go")
    assert start["dataset"].endswith("other")
    _, _, start = _look(tmp_path, graph, checks=CheckSettings())
    assert start["checks"] == {"size": False}
    with pytest.raises(CheckError, match="sise"):
        _look(tmp_path, _graph(checks="sise=off"))


def test_words_made_on_the_way_stop_nobody_who_says_them_himself(tmp_path):
    graph = _graph()
    words = graph.node("Captioner", image=["1", 0], prompt="what is it")
    graph.set(NodeRef("6"), instruction=words)
    with pytest.raises(CaptureError, match="instruction is made while the graph runs"):
        _look(tmp_path, graph)
    assert _look(tmp_path, graph, instruction="go")[2]["instruction"] == "go"


def test_an_instruction_for_a_picture_that_is_not_there_is_noticed_in_the_dry_run(tmp_path):
    with pytest.raises(CaptureError, match=r"names \{image3\}"):
        _look(tmp_path, _graph(instruction="{image3} x"))
