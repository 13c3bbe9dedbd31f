"""Makes the files in ``workflows/``: opens each graph in the real front end, lays it out, and looks at it after a run.

    .venv/bin/python tools/make_workflows.py [--no-run] [NAME-PART …]

Needs a ComfyUI as for the host tests, and Chromium. Nodes that are larger after a run than training/workflows/node_sizes.py
says are named, in both of the front end's renderings. Those in folders of
their own need models that are not here, and are not run. Thumbnails are made by make_thumbnails.py.
"""

from __future__ import annotations

import json
import sys
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tools")]

from comfyui_ace.training.workflows.layout import Wire, lay_out  # noqa: E402
from comfyui_ace.training.workflows.node_sizes import node_size  # noqa: E402
from comfyui_ace.training.workflows.ui_file import READABLE, frame_entries  # noqa: E402
from host.harness.browser import ComfyPage, launch_chromium  # noqa: E402
from host.harness.comfy_server import ComfyServer  # noqa: E402
from host.harness.node_boxes import node_boxes  # noqa: E402
from model_files import models_of  # noqa: E402
from plus_graphs import PLUS_WORKFLOWS  # noqa: E402
from teacher_graphs import TEACHER_WORKFLOWS  # noqa: E402
from workflow_graphs import WORKFLOWS, Workflow  # noqa: E402
from workflow_places import NOTE, PLACES, node_names  # noqa: E402

WORKFLOW_FOLDER = ROOT / "workflows"
_NOTE_WIDTH, _NOTE_ID = 340, "note"
# Read one after the other, with no wire between them: each runs on what the one before has made.
_AFTER = (("ACESweep", "ACEDistil"), ("ACESweep", "ACELoadDataset"))
_PACK, _CORE = "ace-edit", "comfy-core"
# What runs long and makes files; a workflow that has one is looked at without them.
_LONG = ("ACESweep", "ACEDistil")

_READ = """() => ({
    types: Object.fromEntries(app.graph.nodes.map(node => [node.id, node.type])),
    links: [...app.graph.links.values()].map(l => [l.origin_id, l.target_id, l.origin_slot, l.target_slot]),
})"""
_PLACE = """([places, note]) => {
    const text = LiteGraph.createNode("MarkdownNote");
    text.title = "Note";
    app.graph.add(text);
    // Not before: front end 1.49 then takes the text of the last graph's node of that number.
    text.widgets[0].value = note;
    for (const node of app.graph.nodes) {
        const [x, y, width, height] = places[node === text ? "note" : node.id];
        if (node !== text) node.title = node.constructor.title;
        node.pos = [x, y];
        node.setSize([width, height]);
        // A shared workflow shows what its thumbnail shows until the artist changes something.
        for (const widget of node.widgets ?? []) if (widget.name === "control_after_generate") widget.value = "fixed";
    }
    app.canvas.deselectAll();
    app.graph.setDirtyCanvas(true, true);
}"""


def write(page: ComfyPage, workflow: Workflow) -> Path:
    """Opens, lays out and saves one workflow; returns its file."""
    page.load_prompt(workflow.build(), f"{workflow.name}.json")
    graph = page.page.evaluate(_READ)
    boxes = (
        _boxes_by_hand(graph, workflow.name)
        if workflow.name in PLACES
        else _boxes_by_search(graph, workflow.note_height)
    )
    page.page.evaluate(_PLACE, [boxes, workflow.note])
    page.page.evaluate("() => app.extensionManager.command.execute('Comfy.Canvas.FitView')")
    page.settle()
    page.page.wait_for_timeout(1000)  # the view glides into place
    path = WORKFLOW_FOLDER / workflow.folder / f"{workflow.name}.json"
    path.parent.mkdir(exist_ok=True)
    text = json.dumps(_shared(page.save_workflow_json(), workflow), indent=1, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")
    return path


def _boxes_by_hand(graph: dict[str, Any], name: str) -> dict[str, Sequence[int]]:
    """[x, y, width, height] of each node of a template."""
    boxes = PLACES[name].boxes()
    return {id_: boxes[node] for id_, node in {**node_names(graph["types"]), _NOTE_ID: NOTE}.items()}


def _boxes_by_search(graph: dict[str, Any], note_height: int) -> dict[str, Sequence[int]]:
    """The same for a workflow that nobody has laid out."""
    sizes = {_NOTE_ID: (_NOTE_WIDTH, note_height), **{id_: node_size(kind) for id_, kind in graph["types"].items()}}
    wires = [Wire(str(link[0]), str(link[1]), link[2], link[3]) for link in graph["links"]]
    by_kind = {kind: id_ for id_, kind in graph["types"].items()}
    wires += [
        Wire(by_kind[one], by_kind[next_], drawn=False) for one, next_ in _AFTER if {one, next_} <= by_kind.keys()
    ]
    return {id_: [*corner, *sizes[id_]] for id_, corner in lay_out(sizes, wires, _NOTE_ID).items()}


def _shared(saved: dict[str, Any], workflow: Workflow) -> dict[str, Any]:
    """The file for others: an id that stays when it is made again, and what each node comes from."""
    for node in saved["nodes"]:
        node["properties"]["cnr_id"] = _PACK if node["type"].startswith("ACE") else _CORE
        node["properties"].pop("aux_id", None)
        node["properties"].pop("ver", None)
        if models := models_of(node.get("widgets_values", [])):
            node["properties"]["models"] = models
    extra = {**saved.get("extra", {}), READABLE: True}
    groups = frame_entries(PLACES[workflow.name].frame_boxes()) if workflow.name in PLACES else []
    return {
        **saved,
        "groups": groups,
        "extra": extra,
        "id": str(uuid.uuid5(uuid.NAMESPACE_OID, workflow.name)),
        "revision": 0,
    }


def look(page: ComfyPage, path: Path, rendering: str) -> None:
    """Runs a written workflow, and says which nodes have become larger than they were laid out for."""
    workflow = json.loads(path.read_text(encoding="utf-8"))
    page.load_workflow(workflow)
    page.page.evaluate(
        "types => app.graph.nodes.filter(n => types.includes(n.type)).forEach(n => { n.mode = 2 })", _LONG
    )
    page.queue(timeout=1200)
    page.screenshot(f"{path.stem}-{rendering}")
    for box in node_boxes(page):
        if box.kind != "MarkdownNote":
            width, height = node_size(box.kind)
            if box.width > width + 1 or box.height > height + 1:
                print(
                    f"  {rendering}: {box.kind} is {box.width:.0f} x {box.height:.0f}, laid out for {width} x {height}"
                )
    for error in page.errors:
        print("  error:", error)


def main(arguments: list[str]) -> None:
    """Makes the workflows whose names contain one of the parts; without any part, all."""
    parts = [argument for argument in arguments if argument != "--no-run"]
    chosen = [
        workflow
        for workflow in (*WORKFLOWS, *PLUS_WORKFLOWS, *TEACHER_WORKFLOWS)
        if not parts or any(part in workflow.name for part in parts)
    ]
    WORKFLOW_FOLDER.mkdir(exist_ok=True)
    with ComfyServer(start_timeout=600) as server, launch_chromium() as chromium:
        for workflow in chosen:
            server.fetch("/ace/examples", "POST", json=workflow.build().prompt())
        page = ComfyPage(chromium, server)
        paths = [write(page, workflow) for workflow in chosen]
        page.close()
        for rendering in () if "--no-run" in arguments else ("canvas", "nodes-2"):
            page = ComfyPage(chromium, server, nodes_2=rendering == "nodes-2")
            for path in (path for path in paths if path.parent == WORKFLOW_FOLDER):
                print(path.stem)
                look(page, path, rendering)
            page.close()


if __name__ == "__main__":
    main(sys.argv[1:])
