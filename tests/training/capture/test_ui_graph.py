"""UI format: what today's front end writes and the schema does not say; what cannot be read with certainty is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from comfyui_ace.training.capture.errors import WorkflowError
from comfyui_ace.training.capture.workflow.graph import Workflow
from comfyui_ace.training.capture.workflow.load import load_workflow
from comfyui_ace.training.capture.workflow.widgets import input_specs, read_widgets
from ui_files import BOX, SAVED, SCHEMAS, node_schema, saved, ui_file

_SENTENCE = r"Export this workflow in API format: Workflow → Export \(API\)"


def _node(kind: str, schema: dict, stored: Any, **more: Any) -> Workflow:
    """A workflow of one node of a pack."""
    return load_workflow(ui_file({"id": 1, "type": kind, "widgets_values": stored, **more}), {kind: schema})


# -- widgets ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["x", 1e999, float("nan"), [1], "²"])
def test_a_damaged_number_is_a_sentence(mode):
    nodes = [{"id": 1, "type": "LoadImage", "mode": mode, "inputs": [], "outputs": []}]
    with pytest.raises(WorkflowError, match=r"The workflow is damaged.*Export"):
        load_workflow({"nodes": nodes, "links": []}, SCHEMAS)


def test_a_custom_combo_is_sent_with_its_options_and_the_number_of_the_chosen_one():
    expected = json.loads((SAVED / "combo.prompt.json").read_text(encoding="utf-8"))
    workflow = saved("combo.json")
    assert not workflow.problems
    assert {id_: node["inputs"] for id_, node in workflow.prompt.items()} == {
        id_: node["inputs"] for id_, node in expected.items()
    }


def test_a_custom_combo_of_older_servers_counts_nothing():
    stored = ["inverted", "blurred", "inverted", ""]
    inputs = _node("CustomCombo", {**SCHEMAS["CustomCombo"], "output": ["STRING"]}, stored).prompt["1"]["inputs"]
    assert inputs == {"choice": "inverted", "option0": "blurred", "option1": "inverted", "option2": ""}


def test_a_box_and_its_four_fields():
    workflow = saved("crop.json")
    box = {"x": 16, "y": 8, "width": 96, "height": 64}
    assert workflow.prompt["2"]["inputs"] == {"crop_region": box, "image": ["1", 0]} and not workflow.problems
    schema = node_schema([], crop=["BOUNDING_BOX", {"default": BOX}], after=["INT", {}])
    assert read_widgets(input_specs(schema), [box, 16, 8, 96, 64, 7]).values == {"crop": box, "after": 7}


@pytest.mark.parametrize(
    "kind, value, sent",
    [
        ("BOUNDING_BOXES", [{"x": 1}], {"__value__": [{"x": 1}]}),
        ("COLORS", ["#fff"], {"__value__": ["#fff"]}),
        ("COMPOSITOR", {"layers": []}, {"layers": []}),
        ("CURVE", {"points": [[0, 0], [1, 1]]}, {"points": [[0, 0], [1, 1]]}),
        ("CURVE", [[0, 0], [1, 1]], {"__type__": "CURVE", "__value__": [[0, 0], [1, 1]]}),
        ("SOMETHING_OF_TOMORROW", {"a": 1}, {"a": 1}),
    ],
)
def test_widgets_that_hold_more_than_a_number(kind, value, sent):
    """Also of a type that is not known here, if the server says that it has a default and the file has a value for it."""
    schema = node_schema([], before=["INT", {}], it=[kind, {"default": {}, "socketless": True}], after=["STRING", {}])
    workflow = _node("New", schema, [3, value, "x"])
    assert workflow.prompt["1"]["inputs"] == {"before": 3, "it": sent, "after": "x"} and not workflow.problems


def test_the_file_decides_on_a_type_that_is_not_known():
    schema = node_schema([], it=["STRANGE", {"default": 1}], after=["INT", {}])
    assert _node("New", schema, [5]).prompt["1"]["inputs"] == {"after": 5}
    assert _node("New", schema, [4, 5]).prompt["1"]["inputs"] == {"it": 4, "after": 5}
    doubtful = _node("New", schema, [4, 5, "something"])
    assert "it has the type STRANGE" in doubtful.problems["1"] and "Export (API)" in doubtful.problems["1"]
    slot = {"name": "it", "type": "STRANGE", "link": None}
    widget = _node("New", schema, [4, 5, "shown"], inputs=[{**slot, "widget": {"name": "it"}}])
    assert widget.prompt["1"]["inputs"] == {"it": 4, "after": 5}
    assert _node("New", schema, [5, "shown"], inputs=[slot]).prompt["1"]["inputs"] == {"after": 5}


def test_values_by_name_settle_what_the_places_leave_open():
    schema = node_schema([], module="custom_nodes.pack", model=["MODEL"], it=["STRANGE", {}])
    named = {"it": 4, "lora_1": {"on": True}, "add": None, "upload": "image"}
    inputs = _node("Loras", schema, [4, {"on": True}, None], widgets_values_named=named).prompt["1"]["inputs"]
    assert inputs == {"it": 4, "lora_1": {"on": True}}


def test_a_control_is_no_input_whatever_its_name():
    schema = node_schema([], value=["INT", {"control_after_generate": "fixed"}])
    workflow = _node("PrimitiveInt", schema, [5, "fixed"], widgets_values_named={"value": 5, "fixed": "fixed"})
    assert workflow.prompt["1"]["inputs"] == {"value": 5} and workflow.controls == {("1", "value"): "fixed"}


def test_values_that_contradict_their_names_are_refused():
    schema = node_schema([], steps=["INT", {}], width=["INT", {}])
    refused = _node("Changed", schema, [20, 512], widgets_values_named={"width": 20, "steps": 512})
    assert "have changed since the file was saved" in refused.problems["1"]


def test_values_that_only_the_browser_can_name_are_refused():
    schema = node_schema(["MODEL"], module="custom_nodes.pack", model=["MODEL"])
    refused = _node("Power Lora Loader (rgthree)", schema, [{}, {"on": True, "lora": "a"}, "", None])
    assert "whose names only the browser knows" in refused.problems["1"]
    assert not _node("Show", {**schema, "output_node": True}, ["the text it showed"]).problems
    assert not _node("Buttons", schema, [None, "", {}]).problems


def test_values_stored_by_name_are_kept():
    schema = node_schema([], module="custom_nodes.pack", frame_rate=["FLOAT", {"default": 8}])
    stored = {"frame_rate": 16, "crf": 19, "videopreview": {"hidden": False}}
    assert _node("Combine", schema, stored).prompt["1"]["inputs"] == {"frame_rate": 16, "crf": 19}


# -- widgets that a subgraph shows outside ----------------------------------------------------------------------


def _text_subgraph() -> dict[str, Any]:
    return {
        "id": "sub",
        "nodes": [
            {
                "id": 5,
                "type": "Encode",
                "inputs": [{"name": "text", "type": "STRING", "link": 1, "widget": {"name": "text"}}],
                "widgets_values": ['{"scene": "a cat"}'],
            }
        ],
        "links": [{"id": 1, "origin_id": -10, "origin_slot": 0, "target_id": 5, "target_slot": 0}],
        "inputs": [{"name": "text", "type": "STRING", "linkIds": [1]}],
        "outputs": [],
    }


def test_a_prompt_in_json_keeps_its_braces_where_a_subgraph_shows_it():
    """What comes from outside is sent as it is; only a node's own widget chooses among {a|b}."""
    prompt = load_workflow(ui_file({"id": 2, "type": "sub"}, subgraphs=[_text_subgraph()]), SCHEMAS).prompt
    assert prompt["2:5"]["inputs"] == {"text": '{"scene": "a cat"}'}
    outside = {"id": 2, "type": "sub", "widgets_values": ['{"scene": "a dog"}']}
    prompt = load_workflow(ui_file(outside, subgraphs=[_text_subgraph()]), SCHEMAS).prompt
    assert prompt["2:5"]["inputs"] == {"text": '{"scene": "a dog"}'}


@pytest.mark.parametrize(
    "listed, stored, text", [("5", "outside", "outside"), ("5", None, "inside"), ("7", "x", "inside")]
)
def test_widgets_shown_by_their_names(listed, stored, text):
    """``proxyWidgets`` of front ends of 2025: a value that the instance stores counts, a hole leaves the inner one."""
    definition = _text_subgraph()
    definition["inputs"], definition["links"] = [], []
    definition["nodes"][0].update(inputs=[], widgets_values=["inside"])
    instance = {"id": 2, "type": "sub", "widgets_values": [stored], "properties": {"proxyWidgets": [[listed, "text"]]}}
    prompt = load_workflow(ui_file(instance, subgraphs=[definition]), SCHEMAS).prompt
    assert prompt["2:5"]["inputs"] == {"text": text}


@pytest.mark.parametrize("stored, text", [("outside", "outside"), (None, "the widget's own")])
def test_a_primitive_shown_outside_is_an_input_of_the_subgraph(stored, text):
    """Without a stored value today's front end starts with the first widget's own, not with the primitive's."""
    definition = _text_subgraph()
    encode = definition["nodes"][0]
    encode.update(widgets_values=["the widget's own"])
    definition["nodes"].append(
        {
            "id": 7,
            "type": "PrimitiveNode",
            "outputs": [{"type": "STRING", "links": [1]}],
            "widgets_values": ["the primitive's"],
        }
    )
    definition["inputs"] = []
    definition["links"] = [{"id": 1, "origin_id": 7, "origin_slot": 0, "target_id": 5, "target_slot": 0}]
    instance = {"id": 2, "type": "sub", "widgets_values": [stored], "properties": {"proxyWidgets": [["7", "value"]]}}
    assert load_workflow(ui_file(instance, subgraphs=[definition]), SCHEMAS).prompt["2:5"]["inputs"] == {"text": text}
    del instance["properties"]
    prompt = load_workflow(ui_file(instance, subgraphs=[definition]), SCHEMAS).prompt
    assert prompt["2:5"]["inputs"] == {"text": "the primitive's"}


# -- wires that are not drawn -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["SetNode", "GetNode", "easy setNode", "easy getNode"])
def test_set_and_get_are_refused_where_they_are_needed(kind):
    get = {"id": 1, "type": kind, "widgets_values": ["photo"], "outputs": [{"type": "IMAGE", "links": [1]}]}
    save = {"id": 2, "type": "SaveImage", "inputs": [{"name": "images", "type": "IMAGE", "link": 1}]}
    workflow = load_workflow(ui_file(get, save, links=[[1, 1, 0, 2, 0, "IMAGE"]]), SCHEMAS)
    assert "without a wire" in workflow.problems["1"] and "Export (API)" in workflow.problems["1"]


@pytest.mark.parametrize(
    "kind", ["Anything Everywhere", "Anything Everywhere3", "Prompts Everywhere", "Seed Everywhere"]
)
def test_use_everywhere_is_refused(kind):
    nodes = ui_file({"id": 4, "type": kind})
    with pytest.raises(WorkflowError, match=_SENTENCE):
        load_workflow(nodes, {kind: node_schema([])})
    nodes["nodes"][0]["mode"] = 2
    assert load_workflow(nodes, {kind: node_schema([])}).prompt == {}
