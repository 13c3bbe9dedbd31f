"""The shipped blueprints: one node each, taken from the host as the node library takes them, wired and run."""

from __future__ import annotations

import json

import pytest
from host.harness.comfy_server import PACK_ROOT

from .test_workflows import assert_healthy, inputs, saved_pictures  # noqa: F401

FILES = sorted((PACK_ROOT / "subgraphs").glob("*.json"))
# Wires every socket of the only node to something of its type, and its picture to SaveImage.
_WIRE = """() => {
    const folded = app.graph.nodes[0];
    const add = (type, widgets = {}) => {
        const node = LiteGraph.createNode(type);
        app.graph.add(node);
        for (const [name, value] of Object.entries(widgets)) node.widgets.find(w => w.name === name).value = value;
        return node;
    };
    const photo = add("LoadImage", {image: "example.png"});
    const mask = add("ACERandomMask", {seed: 4});
    photo.connect(0, mask, 0);
    folded.inputs.forEach((socket, slot) => {
        if (socket.widget) return;
        if (socket.type === "MASK") mask.connect(0, folded, slot); else photo.connect(0, folded, slot);
    });
    folded.connect(0, add("SaveImage"), 0);
    app.graph.nodes.forEach((node, k) => { node.pos = [450 * ((k + 3) % 4), 100]; });
    app.extensionManager.command.execute("Comfy.Canvas.FitView");
}"""


def test_the_host_offers_every_blueprint(comfy):
    offered = [entry for entry in comfy.fetch("/global_subgraphs").json().values() if "ace-edit" in str(entry["info"])]
    assert len(FILES) >= 6
    assert sorted(entry["name"] for entry in offered) == [path.stem for path in FILES]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_blueprint_is_one_node_that_runs(comfy, inputs, open_page, path):  # noqa: F811
    listed = comfy.fetch("/global_subgraphs").json()
    name = next(key for key, entry in listed.items() if entry["name"] == path.stem)
    content = json.loads(comfy.fetch(f"/global_subgraphs/{name}").json()["data"])
    page = open_page(comfy)
    page.load_workflow(content)
    assert page.missing_node_types() == []
    page.page.evaluate(_WIRE)
    page.settle()
    pictures = saved_pictures(page, page.queue(timeout=300))
    page.screenshot(f"blueprint-{path.stem}")
    assert_healthy(page)
    assert len(pictures) == 1
    at_hand = page.page.evaluate("() => app.graph.nodes[0].widgets.map(widget => widget.name)")
    assert {"bundle", "instruction", "seed"} <= {name.rpartition(": ")[2] for name in at_hand}
