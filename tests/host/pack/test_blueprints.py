"""The shipped blueprints: one node each, taken from the host as the node library takes them, wired and run."""

from __future__ import annotations

import json

import pytest
from host.harness.comfy_server import PACK_ROOT
from host.harness.node_boxes import assert_tidy

from .test_workflows import assert_healthy, saved_pictures

FILES = sorted((PACK_ROOT / "subgraphs").glob("*.json"))
PHOTO = "ACE Edit cat.jpg"  # of the pack's own; an artist's menu lists it once it lies in the input folder
# Wires every socket of the only node to something of its type, and its picture to SaveImage.
_WIRE = """photo_name => {
    const folded = app.graph.nodes[0];
    const add = (type, widgets = {}) => {
        const node = LiteGraph.createNode(type);
        app.graph.add(node);
        for (const [name, value] of Object.entries(widgets)) node.widgets.find(w => w.name === name).value = value;
        return node;
    };
    const photo = add("LoadImage", {image: photo_name});
    const mask = add("ACERandomMask", {seed: 4});
    photo.connect(0, mask, 0);
    folded.inputs.forEach((socket, slot) => {
        if (socket.widget) return;
        if (socket.type === "MASK") mask.connect(0, folded, slot); else photo.connect(0, folded, slot);
    });
    folded.connect(0, add("SaveImage"), 0);
    app.graph.nodes.forEach((node, k) => { node.pos = [450 * ((k + 3) % 4), 100]; });
}"""


def test_the_host_offers_every_blueprint(comfy):
    offered = [entry for entry in comfy.fetch("/global_subgraphs").json().values() if "ace-edit" in str(entry["info"])]
    assert len(FILES) >= 6
    assert sorted(entry["name"] for entry in offered) == [path.stem for path in FILES]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_blueprint_says_what_it_does_and_stands_among_ours(path):
    (definition,) = json.loads(path.read_text(encoding="utf-8"))["definitions"]["subgraphs"]
    assert definition["category"] == "ACE Edit" and len(definition["description"].split()) > 8


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_blueprint_is_one_node_that_runs(comfy, reuse_page, nodes_2, path):
    """Inside there is room for what its nodes show, before it has run and afterwards."""
    listed = comfy.fetch("/global_subgraphs").json()
    name = next(key for key, entry in listed.items() if entry["name"] == path.stem)
    content = json.loads(comfy.fetch(f"/global_subgraphs/{name}").json()["data"])
    assert comfy.fetch("/ace/examples", "POST", json=[PHOTO]).status == 200
    page = reuse_page(comfy, nodes_2=nodes_2)
    page.load_workflow(content)
    assert page.missing_node_types() == []
    page.page.evaluate(_WIRE, PHOTO)
    page.settle()
    assert_tidy_inside(page, f"{path.stem}-{nodes_2}")
    pictures = saved_pictures(page, page.queue(timeout=300))
    page.screenshot(f"blueprint-{path.stem}-{nodes_2}")
    assert_healthy(page)
    assert len(pictures) == 1
    assert_tidy_inside(page, f"{path.stem}-{nodes_2}")
    at_hand = page.page.evaluate("() => app.graph.nodes[0].widgets.map(widget => widget.name)")
    assert {"bundle", "download", "instruction", "seed"} <= {name.rpartition(": ")[2] for name in at_hand}


def assert_tidy_inside(page, name: str) -> None:
    """Looks at the nodes that the folded one stands for."""
    page.page.evaluate("() => app.canvas.openSubgraph(app.graph.nodes[0].subgraph, app.graph.nodes[0])")
    page.settle()
    assert_tidy(page)
    page.screenshot(f"blueprint-inside-{name}")
    page.page.evaluate("() => app.canvas.setGraph(app.graph)")
    page.settle()


def values(prompt: dict) -> list[tuple]:
    """What each node of a prompt is and is set to, whatever its number and its wires."""
    return sorted(
        (node["class_type"], sorted((k, str(v)) for k, v in node["inputs"].items() if not isinstance(v, list)))
        for node in prompt.values()
    )


def test_an_artist_makes_a_subgraph_of_an_edit(comfy, open_page):
    page = open_page(comfy)
    page.load_workflow(PACK_ROOT / "workflows" / "01 Edit by instruction.json")
    before = values(page.export_prompt())
    page.page.evaluate(
        """() => { app.canvas.selectItems(app.graph.nodes.filter(node => /^ACE/.test(node.type)));
            app.graph.convertToSubgraph(app.canvas.selectedItems) }"""
    )
    page.settle()
    assert page.page.evaluate("() => app.graph.nodes.filter(node => node.subgraph).length") == 1
    assert values(page.export_prompt()) == before
    assert page.errors == []
