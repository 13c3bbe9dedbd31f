"""Makes the files in ``subgraphs/``: takes shipped workflows and lets the real front end fold them into one node each.

    .venv/bin/python tools/make_blueprints.py

Needs a ComfyUI as for the host tests, and Chromium. Loading and saving stay outside; model, instruction and the like stay
at hand as widgets of the folded node.
"""

from __future__ import annotations

import json
import sys
import uuid
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tools")]

from host.harness.browser import ComfyPage, launch_chromium  # noqa: E402
from host.harness.comfy_server import ComfyServer  # noqa: E402
from make_workflows import provide_inputs  # noqa: E402

BLUEPRINT_FOLDER = ROOT / "subgraphs"
_OUTSIDE = ("LoadImage", "SaveImage", "MarkdownNote")
_LEFT_OUT = ("ACEPreview", "PreviewImage")
_WIDTH = 340
_AT_HAND = {
    "ACELoadBundle": ("bundle",),
    "ACEConditionUnit": ("instruction",),
    "ACESampler": ("seed", "steps", "cfg"),
    "ACEInpaint": ("way",),
    "ACEOutpaint": ("extend",),
    "ACEConditionImage": ("kind",),
    "ACEPasteBack": ("seam",),
}


@dataclass(frozen=True)
class Blueprint:
    """One folded workflow.

    Attributes:
        workflow: file it is made from, without ending.
        name: of the folded node.
        outside: kinds of nodes that stay outside beside loading and saving.
    """

    workflow: str
    name: str
    outside: tuple[str, ...] = ()


BLUEPRINTS = (
    Blueprint("02 Edit by instruction", "ACE Edit by instruction"),
    Blueprint("03 Edit under a mask", "ACE Edit under a mask", ("ACERandomMask",)),
    Blueprint("04 Inpaint", "ACE Inpaint", ("ACERandomMask",)),
    Blueprint("05 Outpaint", "ACE Outpaint"),
    Blueprint("06 Two pictures", "ACE Two pictures", ("ACERandomMask", "ImageInvert")),
    Blueprint("07 From edges", "ACE From edges"),
)

_FOLD = """([outside, leftOut, atHand, name]) => {
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
    return node.id;
}"""


def fold(page: ComfyPage, blueprint: Blueprint) -> dict:
    """The blueprint as the front end stores it: a graph of one node, and that node's definition."""
    page.load_workflow(ROOT / "workflows" / f"{blueprint.workflow}.json")
    outside = [*_OUTSIDE, *blueprint.outside]
    folded = page.page.evaluate(_FOLD, [outside, _LEFT_OUT, _AT_HAND, blueprint.name])
    page.settle()
    page.screenshot(f"blueprint-{blueprint.name}")
    workflow = page.save_workflow_json()
    node = next(node for node in workflow["nodes"] if node["id"] == folded)
    for socket in node["inputs"]:
        socket["link"] = None
    for socket in node["outputs"]:
        socket["links"] = []
    # The same workflow gives the same file: what the front end draws by chance is made of the name.
    chance, fixed = node["type"], str(uuid.uuid5(uuid.NAMESPACE_OID, blueprint.name))
    node |= {"id": 1, "pos": [0, 0], "size": [_WIDTH, node["size"][1]], "order": 0}
    kept = {"nodes": [node], "links": [], "groups": [], "last_node_id": 1, "last_link_id": 0, "extra": {}}
    return json.loads(json.dumps({**workflow, **kept, "id": fixed}).replace(chance, fixed))


def main() -> None:
    BLUEPRINT_FOLDER.mkdir(exist_ok=True)
    with ComfyServer() as server, launch_chromium() as chromium:
        provide_inputs(server)
        for blueprint in BLUEPRINTS:
            page = ComfyPage(chromium, server)
            content = fold(page, blueprint)
            path = BLUEPRINT_FOLDER / f"{blueprint.name}.json"
            path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
            print(path.name, [socket["name"] for socket in content["nodes"][0]["inputs"]], *page.errors)
            page.close()


if __name__ == "__main__":
    main()
