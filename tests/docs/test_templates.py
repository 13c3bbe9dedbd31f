"""The shipped workflows say and set what the files of graphs in tools give them."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "tools"))

from model_files import MODELS  # noqa: E402
from plus_graphs import FOLDER, PLUS_WORKFLOWS  # noqa: E402
from teacher_graphs import FOLDER as TEACHERS  # noqa: E402
from teacher_graphs import TEACHER_WORKFLOWS  # noqa: E402
from workflow_graphs import WORKFLOWS  # noqa: E402

_OWN_MODELS = (*PLUS_WORKFLOWS, *TEACHER_WORKFLOWS)
_LOADERS = {"UNETLoader", "DualCLIPLoader", "VAELoader", "LoraLoaderModelOnly", "CheckpointLoaderSimple"}
_LOADERS |= {"ControlNetLoader"}
_FILES = {"Attribute": 1, "Environment": 2, "Style": 2}  # the others are on FLUX Fill
_TASKS = {"object swap", "object removal", "object addition", "attribute", "background", "environment", "style"}


def test_every_template_is_built_from_a_graph():
    assert {path.stem for path in (ROOT / "workflows").glob("*.json")} == {one.name for one in WORKFLOWS}
    # The template browser lists what lies in the folder itself: what needs models of the artist's own lies deeper.
    assert {path.stem for path in (ROOT / "workflows").glob("*/*.json")} == {one.name for one in _OWN_MODELS}
    assert {one.folder for one in WORKFLOWS} == {""} and {one.folder for one in PLUS_WORKFLOWS} == {FOLDER}
    assert {one.folder for one in TEACHER_WORKFLOWS} == {TEACHERS}


def _nodes(workflow) -> list[dict]:
    file = ROOT / "workflows" / workflow.folder / f"{workflow.name}.json"
    return json.loads(file.read_text(encoding="utf-8"))["nodes"]


@pytest.mark.parametrize("workflow", (*WORKFLOWS, *_OWN_MODELS), ids=lambda workflow: workflow.name)
def test_a_template_holds_the_note_and_the_values_of_its_graph(workflow):
    nodes = _nodes(workflow)
    (note,) = (node for node in nodes if node["type"] == "MarkdownNote")
    assert note["widgets_values"][0] == workflow.note
    stored = {str(node["id"]): node for node in nodes if node is not note}
    built = workflow.build().prompt()
    assert stored.keys() == built.keys()
    for id_, node in built.items():
        assert stored[id_]["type"] == node["class_type"]
        values = stored[id_].get("widgets_values_named", {})
        wanted = {name: value for name, value in node["inputs"].items() if not isinstance(value, list)}
        assert {name: values[name] for name in wanted} == wanted, id_


@pytest.mark.parametrize("workflow", _OWN_MODELS, ids=lambda workflow: workflow.name)
def test_a_workflow_for_models_of_ones_own_says_where_they_are(workflow):
    nodes = _nodes(workflow)
    (note,) = (node["widgets_values"][0] for node in nodes if node["type"] == "MarkdownNote")
    told: dict[str, str] = {}
    for node in nodes:
        files = [value for value in node.get("widgets_values") or () if str(value).endswith(".safetensors")]
        assert [model["name"] for model in node["properties"].get("models", [])] == files
        assert bool(files) == (node["type"] in _LOADERS)
        told |= {model["name"]: model["directory"] for model in node["properties"].get("models", [])}
        for model in node["properties"].get("models", []):
            assert model["url"].startswith("https://huggingface.co/") and model["url"].endswith(f"/{model['name']}")
    assert len(told) == _FILES.get(workflow.name, 5 if workflow in PLUS_WORKFLOWS else 4)
    assert all(f"`{name}`" in note for name in told)
    assert told == {name: MODELS[name][1] for name in told}


@pytest.mark.parametrize("workflow", PLUS_WORKFLOWS, ids=lambda workflow: workflow.name)
def test_what_paints_as_its_authors_do(workflow):
    nodes = _nodes(workflow)
    (sampler,) = (node for node in nodes if node["type"] == "KSampler")
    assert sampler["widgets_values"][2:] == [28, 1, "euler", "normal", 1]
    (guidance,) = (node for node in nodes if node["type"] == "FluxGuidance")
    assert guidance["widgets_values"] == [50]


def test_each_of_the_seven_tasks_has_a_teacher_that_sweeps_and_weighs():
    assert {one.name.lower() for one in TEACHER_WORKFLOWS} == _TASKS
    for workflow in TEACHER_WORKFLOWS:
        nodes = {node["class_type"]: node["inputs"] for node in workflow.build().prompt().values()}
        kept = nodes.get("ACECaptureResult") or nodes["ACECapturePair"]
        assert kept["tags"] == workflow.name.lower() and "{image}" in kept["instruction"]
        assert kept["dataset"] == nodes["ACELoadDataset"]["dataset"] == kept["tags"].replace(" ", "-")
        assert nodes["ACEJudge"]["weights"] == "best share"
        masked = workflow.name not in ("Environment", "Style")
        assert (nodes["ACESweep"]["masks"] != "none") == masked == ("GrowMask" in nodes)
        assert ("ACECapturePair" in nodes) == (workflow.name == "Object addition")
