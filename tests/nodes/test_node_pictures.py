"""The pictures of the help pages: a scene for every node that can still be built, and a picture of it."""

import json
import sys

import pytest
from comfyui_ace.training.workflows.ace_graph import ACEGraph
from repository import ROOT

NODES = json.loads((ROOT / "tests" / "nodes" / "schemas.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def scenes():
    sys.path.insert(0, str(ROOT / "tools"))
    try:
        from make_node_pictures import SCENES
    finally:
        sys.path.remove(str(ROOT / "tools"))
    return SCENES


def test_every_node_has_a_scene_and_a_picture(scenes):
    assert set(scenes) == set(NODES)
    pictures = {path.stem for path in (ROOT / "web" / "docs" / "images").glob("*.png")}
    assert pictures == set(NODES)


@pytest.mark.parametrize("name", NODES)
def test_a_scene_shows_its_node_with_all_its_widgets(scenes, name):
    """A widget that came later would otherwise be missing from the picture, or stand on a value of its own."""
    graph = ACEGraph()
    scene = scenes[name](graph, graph.node("LoadImage", image="cat.jpg"))
    node = graph.prompt()[scene.node.id]
    assert node["class_type"] == name
    wanted = {entry["name"] for entry in NODES[name]["inputs"] if entry.get("widget") and not entry["optional"]}
    assert wanted <= set(node["inputs"]), f"the scene of {name} lacks {wanted - set(node['inputs'])}"
