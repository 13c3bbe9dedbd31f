"""Makes the files in ``subgraphs/``: the real front end converts shipped workflows into one subgraph node each.

    .venv/bin/python tools/make_blueprints.py

Needs a ComfyUI as for the host tests, and Chromium. Loading and saving stay outside; model, instruction and the like stay
at hand as promoted widgets of that node. Inside, the nodes are laid out anew between the subgraph's own sockets.
"""

from __future__ import annotations

import json
import sys
import uuid
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tools")]

from comfyui_ace.training.workflows.layout import Wire, lay_out  # noqa: E402
from comfyui_ace.training.workflows.node_sizes import node_size  # noqa: E402
from host.harness.browser import ComfyPage, launch_chromium  # noqa: E402
from host.harness.comfy_server import ComfyServer  # noqa: E402

BLUEPRINT_FOLDER = ROOT / "subgraphs"
CATEGORY = "ACE Edit"
_OUTSIDE = ("LoadImage", "SaveImage", "MarkdownNote")
_LEFT_OUT = ("ACEPreview", "PreviewImage")
_WIDTH = 340
_PROMOTED_WIDGETS = {
    "ACELoadBundle": ("bundle", "download"),
    "ACEConditionUnit": ("instruction",),
    "ACESampler": ("seed", "steps", "cfg"),
    "ACEInpaint": ("way",),
    "ACEOutpaint": ("extend",),
    "ACEConditionImage": ("kind",),
    "ACEPasteBack": ("seam",),
}


@dataclass(frozen=True)
class Blueprint:
    """A workflow as one subgraph node.

    Attributes:
        workflow: file it is made from, without ending.
        name: of the node.
        description: what it does, for the menu.
        outside: kinds of nodes that stay outside beside loading and saving.
    """

    workflow: str
    name: str
    description: str
    outside: tuple[str, ...] = ()


BLUEPRINTS = (
    Blueprint(
        "01 Edit by instruction",
        "ACE Edit by instruction",
        "Changes a picture as you say in words, with ACE: style, colours, objects, the whole scene.",
    ),
    Blueprint(
        "04 Edit under a mask",
        "ACE Edit under a mask",
        "Changes a picture as you say in words, only where the mask is white; all else stays as it is, pixel by pixel.",
    ),
    Blueprint(
        "05 Inpaint",
        "ACE Inpaint",
        "Paints what is under the mask anew, from words: fills holes, removes things, puts in new ones.",
    ),
    Blueprint(
        "06 Outpaint",
        "ACE Outpaint",
        "Extends a picture beyond its borders; the picture itself stays as it is in the middle.",
    ),
    Blueprint(
        "07 Two pictures",
        "ACE Two pictures",
        "Edits one picture by another: puts what is in the second one into the first, or takes over its look.",
    ),
    Blueprint(
        "08 From edges",
        "ACE From edges",
        "Makes a new picture that keeps the lines of the one you give, from words.",
    ),
)

_CONVERT = """([outside, leftOut, atHand, name]) => {
    const graph = app.graph;
    graph.nodes.filter(node => leftOut.includes(node.type)).forEach(node => graph.remove(node));
    const inside = graph.nodes.filter(node => !outside.includes(node.type));
    const widgets = inside.flatMap(node => (atHand[node.type] ?? [])
        .filter(widget => node.widgets?.some(own => own.name === widget))
        .map(widget => [String(node.id), widget]));
    const {subgraph, node} = graph.convertToSubgraph(new Set(inside));
    subgraph.name = name;
    node.title = name;
    node.properties.proxyWidgets = widgets;
    return String(node.id);
}"""


def convert_to_subgraph(page: ComfyPage, blueprint: Blueprint) -> dict:
    """The blueprint as the front end stores it: a graph of one node, and that node's definition.

    Args:
        page: an open front end.
        blueprint: what to convert.
    """
    page.load_workflow(ROOT / "workflows" / f"{blueprint.workflow}.json")
    outside = [*_OUTSIDE, *blueprint.outside]
    node_id = page.page.evaluate(_CONVERT, [outside, _LEFT_OUT, _PROMOTED_WIDGETS, blueprint.name])
    page.settle()
    page.screenshot(f"blueprint-{blueprint.name}")
    workflow = page.save_workflow_json()
    node = next(node for node in workflow["nodes"] if str(node["id"]) == node_id)
    for socket in node["inputs"]:
        socket["link"] = None
    for socket in node["outputs"]:
        socket["links"] = []
    (definition,) = (each for each in workflow["definitions"]["subgraphs"] if each["id"] == node["type"])
    definition |= {"category": CATEGORY, "description": blueprint.description}
    _unpromote(definition, node)
    _arrange(definition)
    # The same workflow gives the same file: what the front end draws by chance is made of the name.
    chance, fixed = node["type"], str(uuid.uuid5(uuid.NAMESPACE_OID, blueprint.name))
    node |= {"id": 1, "pos": [0, 0], "size": [_WIDTH, node["size"][1]], "order": 0}
    kept = {"nodes": [node], "links": [], "groups": [], "last_node_id": 1, "last_link_id": 0}
    extra = {"BlueprintDescription": blueprint.description}  # where front ends of ComfyUI 0.8 look for it
    return json.loads(json.dumps({**workflow, **kept, "extra": extra, "id": fixed}).replace(chance, fixed))


def _unpromote(definition: dict, node: dict) -> None:
    """Takes back what front end 1.49 promotes by itself: all is promoted in the way that that of ComfyUI 0.8 knows, too."""
    node["widgets_values"] = []
    sockets = {socket["name"] for socket in node["inputs"]}
    dropped = [socket for socket in definition["inputs"] if socket["name"] not in sockets]
    links = {link for socket in dropped for link in socket["linkIds"]}
    definition["inputs"] = [socket for socket in definition["inputs"] if socket not in dropped]
    definition["links"] = [link for link in definition["links"] if link["id"] not in links]
    for socket in (socket for inner in definition["nodes"] for socket in inner.get("inputs", ())):
        if socket.get("link") in links:
            socket["link"] = None


def _arrange(definition: dict) -> None:
    """Lays out what is inside, with the subgraph's sockets as the first and the last column."""
    ends = [definition["inputNode"], definition["outputNode"]]
    sizes = {str(end["id"]): tuple(round(length) for length in end["bounding"][2:]) for end in ends}
    sizes |= {str(node["id"]): node_size(node["type"]) for node in definition["nodes"]}
    wires = [
        Wire(str(link["origin_id"]), str(link["target_id"]), link["origin_slot"], link["target_slot"])
        for link in definition["links"]
    ]
    corners = lay_out(sizes, wires)
    for end in ends:
        end["bounding"][:2] = corners[str(end["id"])]
    for node in definition["nodes"]:
        node |= {"pos": list(corners[str(node["id"])]), "size": list(sizes[str(node["id"])])}


def main() -> None:
    """Makes all blueprints."""
    BLUEPRINT_FOLDER.mkdir(exist_ok=True)
    with ComfyServer() as server, launch_chromium() as chromium:
        for blueprint in BLUEPRINTS:
            page = ComfyPage(chromium, server)
            content = convert_to_subgraph(page, blueprint)
            path = BLUEPRINT_FOLDER / f"{blueprint.name}.json"
            path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
            print(path.name, [socket["name"] for socket in content["nodes"][0]["inputs"]], *page.errors)
            page.close()


if __name__ == "__main__":
    main()
