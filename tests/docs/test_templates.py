"""The shipped workflows say and set what tools/workflow_graphs.py and tools/plus_graphs.py give them."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "tools"))

from plus_graphs import FOLDER, MODELS, PLUS_WORKFLOWS  # noqa: E402
from workflow_graphs import WORKFLOWS  # noqa: E402

_LOADERS = {"UNETLoader", "DualCLIPLoader", "VAELoader", "LoraLoaderModelOnly"}


def test_every_template_is_built_from_a_graph():
    assert {path.stem for path in (ROOT / "workflows").glob("*.json")} == {one.name for one in WORKFLOWS}
    # The template browser lists what lies in the folder itself: what needs models of the artist's own lies deeper.
    assert {path.stem for path in (ROOT / "workflows").glob("*/*.json")} == {one.name for one in PLUS_WORKFLOWS}
    assert {one.folder for one in WORKFLOWS} == {""} and {one.folder for one in PLUS_WORKFLOWS} == {FOLDER}


def _nodes(workflow) -> list[dict]:
    file = ROOT / "workflows" / workflow.folder / f"{workflow.name}.json"
    return json.loads(file.read_text(encoding="utf-8"))["nodes"]


@pytest.mark.parametrize("workflow", (*WORKFLOWS, *PLUS_WORKFLOWS), ids=lambda workflow: workflow.name)
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


@pytest.mark.parametrize("workflow", PLUS_WORKFLOWS, ids=lambda workflow: workflow.name)
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
    assert len(told) == 5 and all(f"`{name}`" in note for name in told)
    assert told == {name: MODELS[name][1] for name in told}
    (sampler,) = (node for node in nodes if node["type"] == "KSampler")
    assert sampler["widgets_values"][2:] == [28, 1, "euler", "normal", 1]
    (guidance,) = (node for node in nodes if node["type"] == "FluxGuidance")
    assert guidance["widgets_values"] == [50]
