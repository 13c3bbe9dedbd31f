"""Reading workflows: both formats, widgets by position, and wires that only the browser knows."""

from __future__ import annotations

import json

import pytest
from comfyui_ace.training.capture.errors import WorkflowError
from comfyui_ace.training.capture.workflow.dynamic_prompts import process_dynamic_prompt
from comfyui_ace.training.capture.workflow.graph import (
    ancestors,
    as_link,
    consumers,
    nodes_between,
)
from comfyui_ace.training.capture.workflow.load import load_workflow, read_workflow
from comfyui_ace.training.capture.workflow.widgets import input_specs, read_widgets
from hypothesis import given
from hypothesis import strategies as st

SCHEMAS = {
    "Load": {
        "input": {"required": {"image": [["a.png", "b.png"], {"image_upload": True}]}},
        "output": ["IMAGE", "MASK"],
    },
    "Noise": {
        "input": {
            "required": {
                "strength": ["FLOAT", {"default": 0.5}],
                "image": ["IMAGE", {}],
                "seed": ["INT", {"default": 0}],
                "mode": [["soft", "hard"]],
            },
            "optional": {"mask": ["MASK"], "text": ["STRING", {"default": "", "dynamicPrompts": True}]},
        },
        "input_order": {"required": ["image", "seed", "strength", "mode"], "optional": ["mask", "text"]},
        "output": ["IMAGE"],
    },
    "Save": {"input": {"required": {"images": ["IMAGE"], "prefix": ["STRING", {"default": "x"}]}}, "output": []},
}


def _slot(name: str, kind: str, link: int | None) -> dict:
    return {"name": name, "type": kind, "link": link}


def _workflow(**noise) -> dict:
    node = {
        "id": 2,
        "type": "Noise",
        "inputs": [_slot("image", "IMAGE", 1)],
        "outputs": [{"name": "IMAGE", "type": "IMAGE", "links": [2]}],
        "widgets_values": [7, "randomize", 0.25, "hard", "a cat"],
    }
    return {
        "version": 0.4,
        "nodes": [
            {
                "id": 1,
                "type": "Load",
                "outputs": [{"type": "IMAGE", "links": [1]}],
                "widgets_values": ["b.png", "image"],
            },
            {**node, **noise},
            {"id": 3, "type": "Save", "inputs": [_slot("images", "IMAGE", 2)], "widgets_values": ["out"]},
        ],
        "links": [[1, 1, 0, 2, 0, "IMAGE"], [2, 2, 0, 3, 0, "IMAGE"]],
    }


def _inputs(workflow: dict, node: str = "2") -> dict:
    return load_workflow(workflow, SCHEMAS).prompt[node]["inputs"]


def test_widgets_follow_the_order_of_the_schema():
    expected = {"image": ["1", 0], "seed": 7, "strength": 0.25, "mode": "hard", "text": "a cat"}
    assert _inputs(_workflow()) == expected
    assert load_workflow(_workflow(), SCHEMAS).controls == {("2", "seed"): "randomize"}
    by_name = {"mode": "hard", "seed": 7, "text": "a cat", "strength": 0.25}
    assert _inputs(_workflow(widgets_values=by_name)) == expected


def test_missing_widgets_have_their_defaults():
    assert _inputs(_workflow(widgets_values=[7])) == {
        "image": ["1", 0], "seed": 7, "strength": 0.5, "mode": "soft", "text": ""
    }  # fmt: skip


def test_a_converted_widget_is_wired():
    workflow = _workflow(
        inputs=[_slot("image", "IMAGE", 1), {**_slot("strength", "FLOAT", 5), "widget": {"name": "strength"}}]
    )
    workflow["nodes"].append({"id": 9, "type": "Noise", "outputs": [{"type": "FLOAT", "links": [5]}]})
    workflow["links"].append([5, 9, 0, 2, 1, "FLOAT"])
    assert _inputs(workflow)["strength"] == ["9", 0]


def test_a_pack_with_an_order_of_its_own_is_noticed():
    """A value that cannot be its widget's means that all of them may be shifted."""
    converted = load_workflow(_workflow(widgets_values=["soft", 7, "randomize", 0.25]), SCHEMAS)
    assert "Export" in converted.problems["2"] and "seed is INT" in converted.problems["2"]


@pytest.mark.parametrize("mode, source", [(0, "2"), (4, "1"), (2, None)])
def test_muted_and_bypassed(mode, source):
    prompt = load_workflow(_workflow(mode=mode), SCHEMAS).prompt
    assert ("2" in prompt) == (mode == 0)
    assert prompt["3"]["inputs"].get("images") == ([source, 0] if source else None)


def test_subgraph_widgets_are_those_of_the_instance():
    inner = _workflow()
    definition = {
        "id": "sub",
        "nodes": [{**inner["nodes"][1], "inputs": [_slot("image", "IMAGE", 1), _slot("strength", "FLOAT", 2)]}],
        "links": [
            {"id": 1, "origin_id": -10, "origin_slot": 0, "target_id": 2, "target_slot": 0},
            {"id": 2, "origin_id": -10, "origin_slot": 1, "target_id": 2, "target_slot": 1},
            {"id": 3, "origin_id": 2, "origin_slot": 0, "target_id": -20, "target_slot": 0},
        ],
        "inputs": [{"name": "in", "type": "IMAGE", "linkIds": [1]}, {"name": "much", "type": "FLOAT", "linkIds": [2]}],
        "outputs": [{"name": "out", "type": "IMAGE", "linkIds": [3]}],
    }
    workflow = _workflow(type="sub", inputs=[_slot("in", "IMAGE", 1)], widgets_values=[0.9])
    workflow["definitions"] = {"subgraphs": [definition]}
    prompt = load_workflow(workflow, SCHEMAS).prompt
    assert set(prompt) == {"1", "2:2", "3"}
    assert prompt["2:2"]["inputs"]["image"] == ["1", 0] and prompt["2:2"]["inputs"]["strength"] == 0.9
    assert prompt["3"]["inputs"]["images"] == ["2:2", 0]
    definition["nodes"].append({"id": 5, "type": "sub"})
    with pytest.raises(WorkflowError, match="contains itself"):
        load_workflow(workflow, SCHEMAS)


def test_unknown_nodes_matter_only_when_they_are_needed():
    workflow = _workflow()
    workflow["nodes"].append({"id": 9, "type": "Fast Groups Muter (rgthree)"})
    converted = load_workflow(workflow, SCHEMAS)
    assert "rgthree" in converted.problems["9"]


def test_circles_are_refused():
    workflow = _workflow(mode=4)
    workflow["links"][0] = [1, 2, 0, 2, 0, "IMAGE"]
    with pytest.raises(WorkflowError, match="form a loop"):
        load_workflow(workflow, SCHEMAS)


def test_ui_format_needs_schemas():
    with pytest.raises(WorkflowError, match="Export"):
        load_workflow(_workflow())


def test_api_format():
    prompt = {
        "1": {"class_type": "Load", "inputs": {"image": "a.png"}, "_meta": {"title": "photo"}},
        "2": {"class_type": "X", "inputs": {"i": ["1", 0]}},
    }
    for data in (prompt, {"prompt": prompt, "client_id": "someone"}):
        workflow = load_workflow(data, SCHEMAS)
        assert workflow.prompt["1"]["_meta"] == {"title": "photo"}
        assert list(workflow.problems) == ["2"]


@pytest.mark.parametrize("data", [{}, {"1": 5}, {"1": {"inputs": {}}}, {"nodes": "x", "links": 3}, {"prompt": {}}])
def test_what_is_no_workflow_is_refused(data):
    with pytest.raises(WorkflowError):
        load_workflow(data, SCHEMAS)


def test_damaged_ui_files_are_refused_with_advice():
    for damage in ({"nodes": [{"type": "Load"}]}, {"links": [[1]]}, {"nodes": [5]}, {"links": 7}):
        with pytest.raises(WorkflowError, match="damaged"):
            load_workflow({**_workflow(), **damage}, SCHEMAS)


def test_files_that_cannot_be_read(tmp_path):
    path = tmp_path / "workflow.json"
    with pytest.raises(WorkflowError, match="cannot be read"):
        read_workflow(path)
    for text in ("{", "[1, 2]", "[" * 100_000):
        path.write_text(text)
        with pytest.raises(WorkflowError, match="not a workflow"):
            read_workflow(path)
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps({"1": {}}).encode())
    assert read_workflow(path) == {"1": {}}


def test_links_and_reach():
    prompt = {
        "1": {"class_type": "A", "inputs": {}},
        "2": {"class_type": "B", "inputs": {"x": ["1", 0], "size": [3, 4], "words": ["a", "b"]}},
        "3": {"class_type": "C", "inputs": {"y": ["2", 1]}},
        "4": {"class_type": "C", "inputs": {"y": ["1", 1]}},
    }
    assert (
        as_link([3, 4], {}) is None and as_link(["1", True], prompt) is None and as_link(["1", 0], prompt) == ("1", 0)
    )
    assert ancestors(prompt, ["3"]) == {"1", "2", "3"}
    assert consumers(prompt, "1") == [("2", "x"), ("4", "y")] and consumers(prompt, "1", 1) == [("4", "y")]
    prompt["3"]["inputs"]["z"] = ["77", 0]
    with pytest.raises(WorkflowError, match="'77'"):
        ancestors(prompt, ["3"])


def test_values_of_forced_sockets_are_skipped_in_old_files():
    schema = {"input": {"required": {"a": ["INT", {"forceInput": True}], "b": ["INT"], "c": ["STRING"]}}}
    specs = input_specs(schema)
    assert read_widgets(specs, [1, 2, "x"]).values == {"b": 2, "c": "x"}
    assert read_widgets(specs, [2, "x"]).values == {"b": 2, "c": "x"}


def test_dynamic_combos_bring_their_own_widgets():
    options = [
        {"key": "plain", "inputs": {}},
        {"key": "big", "inputs": {"required": {"scale": ["FLOAT", {"default": 2.0}]}}},
    ]
    schema = {"input": {"required": {"mode": ["COMFY_DYNAMICCOMBO_V3", {"options": options}], "after": ["INT"]}}}
    assert read_widgets(input_specs(schema), ["big", 3.5, 9]).values == {"mode": "big", "mode.scale": 3.5, "after": 9}
    assert read_widgets(input_specs(schema), ["plain", 9]).values == {"mode": "plain", "after": 9}


def test_lists_are_wrapped_so_that_they_are_no_links():
    schema = {"input": {"required": {"names": ["COMBO", {"options": ["a", "b"], "multi_select": True}]}}}
    workflow = {"nodes": [{"id": 1, "type": "Many", "widgets_values": [["a", "b"]]}], "links": []}
    assert load_workflow(workflow, {"Many": schema}).prompt["1"]["inputs"] == {"names": {"__value__": ["a", "b"]}}


def test_dynamic_prompts_are_settled_once():
    text = "a {red|blue|{light|dark} green} cat // in the\nsun /* not\nrain */ \\{kept\\}"
    chosen = process_dynamic_prompt(text)
    assert chosen == process_dynamic_prompt(text)
    assert chosen.split()[1] in ("red", "blue", "light", "dark") and "in the" not in chosen and "rain" not in chosen
    assert chosen.endswith("{kept}")
    assert {process_dynamic_prompt(f"{n}{{a|b}}")[-1] for n in range(50)} == {"a", "b"}


@given(st.text(alphabet="{}|\\/*ab \n", max_size=40))
def test_no_text_breaks_dynamic_prompts(text):
    assert isinstance(process_dynamic_prompt(text), str)


def test_what_lies_between():
    def node(**wires) -> dict:
        return {"class_type": "X", "inputs": {name: [link, 0] for name, link in wires.items()}}

    prompt = {
        "load": node(),
        "model": node(),
        "encode": node(image="load"),
        "sample": node(model="model", latent="encode"),
        "decode": node(latent="sample"),
        "beside": node(image="load"),
        "after": node(image="decode"),
    }
    assert nodes_between(prompt, {"load"}, "decode") == {"encode", "sample", "decode"}
    assert nodes_between(prompt, {"load", "model"}, "sample") == {"encode", "sample"}
    assert nodes_between(prompt, {"encode"}, "load") == nodes_between(prompt, {"load"}, "load") == set()
    assert nodes_between(prompt, {"model"}, "encode") == set()
