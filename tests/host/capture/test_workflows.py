"""Workflows in UI format become the very prompts that ComfyUI's own front end would queue."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from comfyui_ace.training.capture.errors import WorkflowError
from comfyui_ace.training.capture.plan import make_plan
from comfyui_ace.training.capture.role_finder import find_roles
from comfyui_ace.training.capture.roles import RoleChoices
from comfyui_ace.training.capture.workflow.load import load_workflow
from host.harness.browser import ComfyPage
from host.harness.capture_runs import CaptureFolder
from host.harness.comfy_server import Graph
from host.harness.templates import DISPLAYS


@pytest.fixture(scope="module")
def schemas(comfy) -> dict[str, Any]:
    return comfy.object_info()


@pytest.fixture(scope="module")
def page(browser, comfy):
    """One page for all tests here: every workflow opens in a tab of its own, and starting a page takes seconds."""
    page = ComfyPage(browser, comfy)
    yield page
    page.close()


def _without_meta(prompt: dict[str, Any]) -> dict[str, Any]:
    return {
        id_: (node["class_type"], {name: value for name, value in node["inputs"].items() if name not in DISPLAYS})
        for id_, node in prompt.items()
    }


def _assert_converted_alike(page, workflow: dict[str, Any], schemas: dict[str, Any]) -> dict[str, Any]:
    page.load_workflow(workflow)
    expected, problems = _convert(page, workflow, schemas)
    assert not problems
    return expected


def _convert(page, workflow: dict[str, Any], schemas: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """The front end's prompt, which is ours too, and what we say about it, by node."""
    page.load_workflow(workflow)
    expected = page.export_prompt()
    converted = load_workflow(workflow, schemas)
    assert _without_meta(converted.prompt) == _without_meta(expected)
    return expected, converted.problems


def _edited() -> Graph:
    """A graph of core nodes with sockets, widgets, combos, seeds and text."""
    graph = Graph()
    photo = graph.node("LoadImage", image="example.png")
    scaled = graph.node("ImageScaleToTotalPixels", image=photo, upscale_method="lanczos", megapixels=0.5)
    noisy = graph.node("ImageAddNoise", image=scaled, seed=2**40 + 3, strength=0.25)
    mask = graph.node("LoadImageMask", image="example.png", channel="green")
    pasted = graph.node(
        "ImageCompositeMasked", destination=photo, source=noisy, x=3, y=0, resize_source=True, mask=mask
    )
    text = graph.node("PrimitiveStringMultiline", value="{image} keep // this, {a|b} too")
    graph.node("PreviewAny", source=text)
    graph.node("SaveImage", images=pasted, filename_prefix="edited")
    return graph


def _node(workflow: dict[str, Any], kind: str) -> dict[str, Any]:
    (found,) = [node for node in workflow["nodes"] if node["type"] == kind]
    return found


def _starved(prompt: dict[str, Any], schemas: dict[str, Any]) -> set[str]:
    """Nodes that a required input does not reach: ComfyUI refuses them."""
    return {
        id_
        for id_, node in prompt.items()
        if set(schemas[node["class_type"]]["input"]["required"]) - set(node["inputs"])
    }


def test_core_nodes(page, schemas):
    page.load_prompt(_edited())
    workflow = page.save_workflow_json()
    expected = _assert_converted_alike(page, workflow, schemas)
    assert expected["3"]["inputs"]["seed"] == 2**40 + 3
    converted = load_workflow(workflow, schemas)
    assert converted.controls["3", "seed"] in ("fixed", "randomize")


def test_muted_and_bypassed_nodes(page, schemas):
    page.load_prompt(_edited())
    saved = page.save_workflow_json()
    for kind in ("ImageAddNoise", "ImageScaleToTotalPixels", "ImageCompositeMasked", "LoadImageMask"):
        for mode in (2, 4):
            workflow = copy.deepcopy(saved)
            _node(workflow, kind)["mode"] = mode
            expected, problems = _convert(page, workflow, schemas)
            assert kind not in {node["class_type"] for node in expected.values()}
            assert set(problems) == _starved(expected, schemas)
            assert all(kind in problem for problem in problems.values())


def test_reroutes_primitives_and_notes(page, schemas):
    """Made by hand in the front end: a primitive on the seed, two reroutes in a row, a note."""
    page.load_prompt(_edited())
    page.page.evaluate(
        """() => {
            const graph = app.graph, byType = type => graph.nodes.find(node => node.type === type)
            const add = type => { const node = LiteGraph.createNode(type); graph.add(node); return node }
            const noise = byType('ImageAddNoise'), photo = byType('LoadImage')
            const primitive = add('PrimitiveNode')
            primitive.connect(0, noise, noise.inputs.findIndex(input => input.name === 'seed'))
            primitive.widgets[0].value = 77
            const first = add('Reroute'), second = add('Reroute')
            photo.connect(0, first, 0); first.connect(0, second, 0)
            second.connect(0, byType('ImageScaleToTotalPixels'), 0)
            add('Note'); add('MarkdownNote')
        }"""
    )
    page.settle()
    workflow = page.save_workflow_json()
    assert {"PrimitiveNode", "Reroute", "Note"} <= {node["type"] for node in workflow["nodes"]}
    expected = _assert_converted_alike(page, workflow, schemas)
    assert expected["3"]["inputs"]["seed"] == 77
    assert expected["2"]["inputs"]["image"] == ["1", 0]


def test_subgraphs(page, schemas):
    """Nodes folded into a subgraph, one of its widgets set from outside, and a second instance of it."""
    page.load_prompt(_edited())
    page.page.evaluate(
        """() => {
            const graph = app.graph, byType = type => graph.nodes.find(node => node.type === type)
            const { node } = graph.convertToSubgraph(
                new Set([byType('ImageScaleToTotalPixels'), byType('ImageAddNoise')]))
            const inner = node.subgraph.nodes.find(n => n.type === 'ImageAddNoise')
            const strength = inner.inputs.find(input => input.name === 'strength')
            const slot = node.subgraph.addInput('amount', 'FLOAT')
            slot.connect(strength, inner)
            node.widgets.find(widget => widget.name === 'amount').value = 0.75
        }"""
    )
    page.settle()
    workflow = page.save_workflow_json()
    assert workflow["definitions"]["subgraphs"]
    expected = _assert_converted_alike(page, workflow, schemas)
    (noise,) = [node for node in expected.values() if node["class_type"] == "ImageAddNoise"]
    assert noise["inputs"]["strength"] == 0.75
    assert any(":" in id_ for id_ in expected)

    twice = copy.deepcopy(workflow)
    instance = next(node for node in twice["nodes"] if node["type"] == twice["definitions"]["subgraphs"][0]["id"])
    second = {**copy.deepcopy(instance), "id": 900}
    for slot in second["inputs"]:
        slot["link"] = None
    for slot in second["outputs"]:
        slot["links"] = []
    twice["nodes"].append(second)
    twice["last_node_id"] = 900
    both = _assert_converted_alike(page, twice, schemas)
    assert sum(node["class_type"] == "ImageAddNoise" for node in both.values()) == 2


def test_our_nodes(page, schemas):
    """Growing sockets and the long context of ACE."""
    graph = Graph()
    photo = graph.node("LoadImage", image="example.png")
    first = graph.node("ACEImage", image=photo, indicator="{image}", mask=photo[1])
    second = graph.node("ACEImage", image=photo, indicator="{image1}")
    unit = graph.node(
        "ACEConditionUnit", instruction="{image} like {image1} // as is", image=first, **{"more.image0": second}
    )
    graph.node("PreviewAny", source=unit)
    page.load_prompt(graph)
    workflow = page.save_workflow_json()
    expected = _assert_converted_alike(page, workflow, schemas)
    assert expected["4"]["inputs"]["instruction"] == "{image} like {image1} // as is"


def test_dynamic_widgets(page, schemas):
    """A combo whose choice adds widgets, stored by position with the others."""
    graph = Graph()
    scaled = graph.node(
        "ResizeImageMaskNode",
        input=graph.node("LoadImage", image="example.png"),
        scale_method="area",
        **{"resize_type": "scale dimensions", "resize_type.width": 33, "resize_type.height": 44},
        **{"resize_type.crop": "center"},
    )
    graph.node("SaveImage", images=scaled, filename_prefix="x")
    page.load_prompt(graph)
    _assert_converted_alike(page, page.save_workflow_json(), schemas)


def test_a_workflow_saved_by_the_front_end_is_captured(page, comfy, tmp_path):
    """From the artist's canvas to pairs: the file that File > Save writes, over a folder."""
    folder = CaptureFolder(tmp_path)
    for number in range(2):
        folder.picture(f"photo{number}.png", number)
    graph = Graph()
    noisy = graph.node("ImageAddNoise", image=graph.node("LoadImage", image="example.png"), seed=1, strength=0.5)
    graph.node("SaveImage", images=graph.node("ImageInvert", image=noisy), filename_prefix="x")
    page.load_prompt(graph)
    workflow = page.save_workflow_json()
    _node(workflow, "ImageAddNoise")["mode"] = 4
    result = folder.run(workflow, servers=[comfy.url])
    assert result.code == 0, result.errors
    pairs = [folder.dataset.load(row) for row in folder.dataset.rows()]
    assert len(pairs) == 2 and all(abs(255 - p.source.astype(int) - p.target).max() <= 1 for p in pairs)
    assert all(pair.seed is None for pair in pairs)  # the node with the seed is bypassed


def test_what_only_the_browser_can_do_is_said(schemas):
    workflow = {
        "version": 0.4,
        "links": [[1, 1, 0, 2, 0, "IMAGE"], [2, 2, 0, 3, 0, "IMAGE"]],
        "nodes": [
            {"id": 1, "type": "LoadImage", "inputs": [], "outputs": [], "widgets_values": ["a.png", "image"]},
            {
                "id": 2,
                "type": "workflow>mine",
                "inputs": [{"name": "image", "type": "IMAGE", "link": 1}],
                "outputs": [],
            },
            {"id": 3, "type": "SaveImage", "inputs": [{"name": "images", "type": "IMAGE", "link": 2}], "outputs": []},
        ],
    }
    for kind, words in (("workflow>mine", "group node"), ("SetNode", "without a wire")):
        workflow["nodes"][1]["type"] = kind
        converted = load_workflow(workflow, schemas)
        with pytest.raises(WorkflowError, match=words) as error:
            make_plan(converted, find_roles(converted, RoleChoices()), "go")
        assert "Export (API)" in str(error.value)
