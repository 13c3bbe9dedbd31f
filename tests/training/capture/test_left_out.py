"""UI format: muted and bypassed nodes and subgraphs are left out as the browser leaves them out, and said by name."""

from __future__ import annotations

from typing import Any

import pytest
from comfyui_ace.training.capture.errors import WorkflowError
from comfyui_ace.training.capture.plan import make_plan
from comfyui_ace.training.capture.role_finder import find_roles
from comfyui_ace.training.capture.roles import RoleChoices
from comfyui_ace.training.capture.workflow.graph import Workflow
from comfyui_ace.training.capture.workflow.load import load_workflow
from comfyui_ace.training.capture.workflow.widgets import input_specs
from ui_files import SCHEMAS, saved, ui_file


def test_a_muted_subgraph_is_left_out():
    prompt = saved("muted_in_line.json").prompt
    assert set(prompt) == {"1", "3"} and "images" not in prompt["3"]["inputs"]


def test_that_nothing_reaches_the_saver_is_said():
    with pytest.raises(WorkflowError, match=r"No picture reaches node 3: SaveImage.*muted"):
        find_roles(saved("muted_in_line.json"), RoleChoices(), object_info=SCHEMAS)


def _row(*kinds: str, muted: int, mode: int = 2, **more: Any) -> dict[str, Any]:
    """Nodes in a row, numbered from 1; the first is a loader, and one is muted (or bypassed)."""
    nodes = []
    for number, kind in enumerate(kinds, 1):
        entry = {"id": number, "type": kind, "outputs": [{"name": "IMAGE", "type": "IMAGE", "links": [number]}]}
        if number > 1:
            (name,) = [spec.name for spec in input_specs(SCHEMAS[kind]) if spec.type == "IMAGE"]
            entry["inputs"] = [{"name": name, "type": "IMAGE", "link": number - 1}]
        if kind == "LoadImage":
            entry["widgets_values"] = ["a.png", "image"]
        nodes.append(entry | ({"mode": mode, **more} if number == muted else {}))
    links = [[number, number, 0, number + 1, 0, "IMAGE"] for number in range(1, len(kinds))]
    return ui_file(*nodes, links=links)


def _refusal(workflow: Workflow, **choices: Any) -> str:
    with pytest.raises(WorkflowError) as error:
        make_plan(workflow, find_roles(workflow, RoleChoices(**choices), object_info=SCHEMAS), "words")
    return str(error.value)


@pytest.mark.parametrize(
    "kinds, muted, more, sentence",
    [
        (
            ("LoadImage", "ImageInvert", "SaveImage"),
            2,
            {},
            "No picture reaches node 3: SaveImage: node 2: ImageInvert is muted, so there is no result to capture. "
            "Unmute it, or",
        ),
        (
            ("LoadImage", "ImageInvert", "SaveImage"),
            2,
            {"title": "My look"},
            'node 2: ImageInvert "My look" is muted, so there is no result',
        ),
        (
            ("LoadImage", "ImageInvert", "SaveImage"),
            3,
            {},
            "The only node that saves or previews a picture is left out: node 3: SaveImage is muted. So there",
        ),
        (
            ("LoadImage", "ImageInvert", "ShowOfPack"),
            3,
            {"mode": 4},
            "is left out: node 3: ShowOfPack is bypassed and has nothing to pass on. So there is no result to capture. "
            "Switch its bypass off, or",
        ),
        (
            ("LoadImage", "ImageInvert", "ImageBlur", "SaveImage"),
            2,
            {},
            "No node that loads a picture from a file has a part in the result (node 2: ImageInvert is muted, so nothing "
            "reaches image of node 3: ImageBlur)",
        ),
        (
            ("LoadImage", "ImageInvert", "SaveImage"),
            1,
            {},
            "(node 1: LoadImage is muted, so nothing reaches image of node 2: ImageInvert)",
        ),
        (
            ("LoadImage", "ImageInvert", "SaveImage"),
            1,
            {"mode": 4},
            "(node 1: LoadImage is bypassed and has nothing to pass on, so nothing reaches image of node 2: ImageInvert)",
        ),
        (
            ("LoadImage", "ImageInvert", "ACECaptureResult"),
            2,
            {},
            "node 3 (ACECaptureResult): nothing is connected to image: node 2: ImageInvert is muted.",
        ),
    ],
)
def test_the_node_that_is_muted_is_named(kinds, muted, more, sentence):
    assert sentence in _refusal(load_workflow(_row(*kinds, muted=muted, **more), SCHEMAS))


def test_a_muted_node_that_another_branch_needs_is_named():
    graph = _row("LoadImage", "ImageInvert", "SaveImage", muted=2)
    batch = {
        "id": 4,
        "type": "ImageBatch",
        "inputs": [{"name": "image1", "type": "IMAGE", "link": 8}, {"name": "image2", "type": "IMAGE", "link": 9}],
        "outputs": [{"name": "IMAGE", "type": "IMAGE", "links": [10]}],
    }
    graph["nodes"] += [
        batch,
        {**graph["nodes"][2], "id": 5, "inputs": [{"name": "images", "type": "IMAGE", "link": 10}]},
    ]
    graph["links"] += [[8, 1, 0, 4, 0, "IMAGE"], [9, 2, 0, 4, 1, "IMAGE"], [10, 4, 0, 5, 0, "IMAGE"]]
    refusal = _refusal(load_workflow(graph, SCHEMAS))
    assert "node 4: ImageBatch: node 2: ImageInvert is muted, so nothing reaches its input image2." in refusal


def test_who_names_a_muted_node_is_told():
    workflow = load_workflow(_row("LoadImage", "ImageInvert", "SaveImage", muted=2), SCHEMAS)
    assert "node 2: ImageInvert is muted, so it has no part in the run" in _refusal(workflow, result="2")


def test_a_saver_that_shows_nothing_is_said_where_another_shows_the_result():
    graph = _row("LoadImage", "ImageInvert", "SaveImage", muted=2)
    graph["nodes"].append({"id": 4, "type": "PreviewImage", "inputs": [{"name": "images", "type": "IMAGE", "link": 7}]})
    graph["links"].append([7, 1, 0, 4, 0, "IMAGE"])
    roles = find_roles(load_workflow(graph, SCHEMAS), RoleChoices(), object_info=SCHEMAS)
    assert roles.result == ("1", 0)
    assert roles.notes == ("nothing reaches node 3: SaveImage: node 2: ImageInvert is muted",)


def test_a_muted_subgraph_is_called_by_its_name():
    sentence = r'No picture reaches node 3: SaveImage: node 12: subgraph "Fx" is muted, so'
    with pytest.raises(WorkflowError, match=sentence):
        find_roles(saved("muted_in_line.json"), RoleChoices(), object_info=SCHEMAS)


def test_a_muted_subgraph_beside_the_line_offers_no_result():
    workflow = saved("muted_beside.json")
    assert set(workflow.prompt) == {"1", "2", "3"}
    assert find_roles(workflow, RoleChoices(), object_info=SCHEMAS).result == ("2", 0)


def test_a_bypassed_subgraph_is_passed_through():
    prompt = saved("bypassed_in_line.json").prompt
    assert set(prompt) == {"1", "3"} and prompt["3"]["inputs"]["images"] == ["1", 0]


def test_a_subgraph_muted_inside_another_runs_but_gives_nothing():
    inner = {
        "id": "inner",
        "nodes": [
            {"id": 5, "type": "LoadImage", "widgets_values": ["a.png", "image"], "outputs": [{"links": [1]}]},
            {"id": 6, "type": "PreviewImage", "inputs": [{"name": "images", "type": "IMAGE", "link": 2}]},
        ],
        "links": [
            {"id": 1, "origin_id": 5, "origin_slot": 0, "target_id": -20, "target_slot": 0},
            {"id": 2, "origin_id": 5, "origin_slot": 0, "target_id": 6, "target_slot": 0},
        ],
        "inputs": [],
        "outputs": [{"name": "out", "type": "IMAGE", "linkIds": [1]}],
    }
    outer = {
        "id": "outer",
        "nodes": [
            {"id": 8, "type": "inner", "mode": 2, "outputs": [{"type": "IMAGE", "links": [1]}]},
            {"id": 9, "type": "SaveImage", "inputs": [{"name": "images", "type": "IMAGE", "link": 1}]},
        ],
        "links": [{"id": 1, "origin_id": 8, "origin_slot": 0, "target_id": 9, "target_slot": 0}],
        "inputs": [],
        "outputs": [],
    }
    prompt = load_workflow(ui_file({"id": 2, "type": "outer"}, subgraphs=[inner, outer]), SCHEMAS).prompt
    assert set(prompt) == {"2:8:5", "2:8:6", "2:9"}
    assert prompt["2:8:6"]["inputs"]["images"] == ["2:8:5", 0] and "images" not in prompt["2:9"]["inputs"]
