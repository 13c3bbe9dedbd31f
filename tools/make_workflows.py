"""Makes the files in ``workflows/``: lays each graph out in the real front end, runs it and keeps the result as thumbnail.

    .venv/bin/python tools/make_workflows.py [NAME-PART …]

Needs a ComfyUI as for the host tests, and Chromium. Of a workflow that needs something the pack does not bring, a stand-in
is run for the thumbnail.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tools")]

from comfyui_ace.training.workflows.bench import PICTURE  # noqa: E402
from host.harness.browser import ComfyPage, launch_chromium  # noqa: E402
from host.harness.comfy_server import ComfyServer  # noqa: E402
from PIL import Image, ImageOps  # noqa: E402
from workflow_graphs import FOLDER, WORKFLOWS, Workflow  # noqa: E402

WORKFLOW_FOLDER = ROOT / "workflows"
# A workflow may wire in a node of another pack; the tests bring a stand-in for it.
PACKS = {"ace-edit": ROOT, "stand-ins": ROOT / "tests" / "host" / "probe_pack"}
THUMBNAIL = 400  # pixels on the longer side

# Columns by distance from the loaders, nodes of a column one under the other, and a note above it all.
_LAY_OUT = """note => {
    const graph = app.graph, column = new Map();
    const depth = node => {
        if (!column.has(node.id)) {
            column.set(node.id, 0);
            const before = (node.inputs ?? []).map(input => graph.links.get(input.link)?.origin_id)
                .filter(id => id !== undefined).map(id => depth(graph.getNodeById(id)) + 1);
            column.set(node.id, Math.max(0, ...before));
        }
        return column.get(node.id);
    };
    const nodes = [...graph.nodes].sort((a, b) => a.id - b.id);
    nodes.forEach(depth);
    for (const node of nodes) {
        node.title = node.constructor.title;
        // A shared workflow shows what its thumbnail shows until the artist changes something.
        for (const widget of node.widgets ?? []) if (widget.name === "control_after_generate") widget.value = "fixed";
    }
    // A loader stands just before what first uses it.
    for (const node of nodes) {
        const users = (node.outputs ?? []).flatMap(output => output.links ?? [])
            .map(link => column.get(graph.links.get(link).target_id));
        if (users.length && !(node.inputs ?? []).some(input => input.link != null))
            column.set(node.id, Math.min(...users) - 1);
    }
    const least = Math.min(...column.values()), top = 280;
    let x = 0;
    for (let at = least; at <= Math.max(...column.values()); at++) {
        let y = top, width = 0;
        for (const node of nodes.filter(node => column.get(node.id) === at)) {
            const size = node.computeSize();
            node.setSize([Math.max(300, size[0], node.size[0]), Math.max(size[1], Math.min(node.size[1], 560))]);
            node.pos = [x, y];
            y += node.size[1] + 70;
            width = Math.max(width, node.size[0]);
        }
        if (width) x += width + 70;
    }
    const text = LiteGraph.createNode("MarkdownNote");
    text.title = "Note";
    text.widgets[0].value = note;
    graph.add(text);
    text.pos = [0, 0];
    text.setSize([640, 210]);
    graph.setDirtyCanvas(true, true);
}"""


def write(page: ComfyPage, workflow: Workflow) -> None:
    """Opens, lays out, saves and, where it can, runs one workflow."""
    page.load_prompt(workflow.build(), f"{workflow.name}.json")
    page.page.evaluate(_LAY_OUT, workflow.note)
    page.page.evaluate("() => app.extensionManager.command.execute('Comfy.Canvas.FitView')")
    page.settle()
    page.page.wait_for_timeout(1000)  # the view glides into place
    path = WORKFLOW_FOLDER / f"{workflow.name}.json"
    path.write_text(json.dumps(page.save_workflow_json(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    page.screenshot(f"workflow-{workflow.name}")
    if workflow.stand_in:
        page.load_prompt(workflow.stand_in())
    result = page.queue(timeout=600)
    prompt = page.export_prompt()
    saved = [images for node, images in result.images.items() if prompt[node]["class_type"] == "SaveImage"]
    picture = ImageOps.contain(saved[0][0].convert("RGB"), (THUMBNAIL, THUMBNAIL), Image.Resampling.LANCZOS)
    picture.save(path.with_suffix(".jpg"), quality=88)


def provide_inputs(server: ComfyServer) -> None:
    """The input folder as a fresh ComfyUI has it, and a folder with a picture."""
    folder = server.base_dir / "input"
    (folder / FOLDER).mkdir(parents=True, exist_ok=True)
    source = server.host.directory / "input" / PICTURE
    shutil.copy(source, folder / PICTURE)
    shutil.copy(source, folder / FOLDER / PICTURE)


def main(parts: list[str]) -> None:
    chosen = [workflow for workflow in WORKFLOWS if not parts or any(part in workflow.name for part in parts)]
    WORKFLOW_FOLDER.mkdir(exist_ok=True)
    with ComfyServer(packs=PACKS) as server, launch_chromium() as chromium:
        provide_inputs(server)
        for workflow in chosen:
            page = ComfyPage(chromium, server)
            write(page, workflow)
            page.close()
            print(workflow.name, "with errors:" if page.errors else "", *page.errors)


if __name__ == "__main__":
    main(sys.argv[1:])
