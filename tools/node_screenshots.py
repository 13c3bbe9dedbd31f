"""Screenshots of one node on the canvas, its neighbours collapsed beside it."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from comfyui_ace.training.workflows.ace_graph import ACEGraph
from host.harness.browser import ComfyPage
from host.harness.graph import NodeRef
from PIL import Image

MAX_BYTES = 60_000
_COLORS = (128, 64, 32, 16)  # tried until the file is small enough
_MARGIN = 10  # pixels around the nodes
_BADGES = "Comfy.NodeBadge.NodeSourceBadgeMode"  # the pack's folder name above each node
_CORNER = (340, 130)  # where on the page the upper left node goes, clear of the side bar


# Collapses the neighbours in columns left and right of the node, removes everything else, and returns the box around
# what is left, in graph coordinates. Called twice, because a collapsed node knows its width only once it was drawn.
_ARRANGE = """([id, open]) => {
    const graph = app.graph, node = graph.getNodeById(id), byId = key => graph.getNodeById(key);
    const unique = nodes => [...new Set(nodes)];
    const links = slots => slots.flatMap(slot => slot.links ?? [slot.link]).filter(link => link != null);
    const before = unique(links(node.inputs ?? []).map(link => byId(graph.links.get(link).origin_id)));
    const after = unique(links(node.outputs ?? []).map(link => byId(graph.links.get(link).target_id)));
    for (const other of [...graph.nodes]) if (![node, ...before, ...after].includes(other)) graph.remove(other);
    const width = other => other.flags.collapsed ? other._collapsed_width ?? 160 : other.size[0];
    const column = (nodes, x) => {
        let y = 0;
        for (const other of nodes) {
            if (open.includes(String(other.id))) other.setSize([220, 230]);
            else if (!other.flags.collapsed) {
                other.setSize([300, other.size[1]]);  // a collapsed node is no wider than it was
                other.collapse();
            }
            other.pos = [x(other), y];
            y += other.flags.collapsed ? 46 : other.size[1] + 60;
        }
    };
    // Links within a column would only run in circles.
    for (const nodes of [before, after]) for (const other of nodes) for (const slot of other.inputs ?? [])
        if (slot.link != null && nodes.includes(byId(graph.links.get(slot.link).origin_id)))
            other.disconnectInput(other.inputs.indexOf(slot));
    for (const other of graph.nodes) {
        const full = other.constructor.title, short = full.replace("ACE Edit: ", "");
        // A collapsed node shows twenty letters of its title.
        const fits = short.length > 20 ? short.slice(0, short.lastIndexOf(" ")) : short;
        other.title = other === node ? full : fits;
    }
    const size = node.computeSize(), titled = 60 + 8 * node.title.length;
    node.setSize([Math.max(300, titled, size[0]), Math.max(size[1], Math.min(node.size[1], size[1] + 220))]);
    node.pos = [0, 0];
    column(before, other => -36 - width(other));
    column(after, () => node.size[0] + 36);
    app.canvas.deselectAll();
    app.canvas.draw(true, true);
    const boxes = graph.nodes.map(other => other.flags.collapsed
        ? [other.pos[0], other.pos[1] - 30, other.pos[0] + width(other), other.pos[1]]
        : [other.pos[0], other.pos[1] - 30, other.pos[0] + other.size[0], other.pos[1] + other.size[1]]);
    return [0, 1, 2, 3].map(k => (k < 2 ? Math.min : Math.max)(...boxes.map(box => box[k])));
}"""


_FIX_SEEDS = """() => app.graph.nodes.flatMap(node => node.widgets ?? [])
    .filter(widget => widget.name === "control_after_generate").forEach(widget => { widget.value = "fixed" })"""


# A temporary folder is nobody's business, and would make another picture each time.
_CALL_COMFYUI = """folder => app.graph.nodes.flatMap(node => node.widgets ?? [])
    .filter(({ value }) => typeof value === "string" && value.includes(folder))
    .forEach(widget => { widget.value = widget.value.replaceAll(folder, "ComfyUI") })"""


_LOOK_AT = """([left, top, x, y]) => {
    const corner = app.canvas.canvas.getBoundingClientRect();
    app.canvas.ds.scale = 1;
    app.canvas.ds.offset = [x - corner.left - left, y - corner.top - top];
    app.canvas.draw(true, true);
}"""


@dataclass(frozen=True)
class Scene:
    """A node to be shown.

    Attributes:
        node: the one.
        shows: neighbours that stay open, because they show what the node makes; the graph is run for them.
        run: whether to run the graph for what the node itself shows.
    """

    node: NodeRef
    shows: tuple[NodeRef, ...] = ()
    run: bool = False


def screenshot_node(
    page: ComfyPage, make_scene: Callable[[ACEGraph, NodeRef], Scene], photo: str, first: int = 1
) -> Image.Image:
    """Draws a node in its scene.

    Args:
        page: an open front end.
        make_scene: builds the graph around the node, given the picture's loader.
        photo: a file in the input folder.
        first: id of the scene's first node. The front end remembers by ids what nodes have shown, also of closed graphs.
    """
    page.page.evaluate("id => app.extensionManager.setting.set(id, 'None')", _BADGES)
    g = ACEGraph(first)
    scene = make_scene(g, g.node("LoadImage", image=photo))
    page.load_prompt(g)
    page.page.evaluate(_FIX_SEEDS)
    if scene.run or scene.shows:
        page.queue()
    page.page.evaluate(_CALL_COMFYUI, str(page.server.base_dir))
    shown = [ref.id for ref in scene.shows]
    for _ in range(2):
        left, top, right, bottom = page.page.evaluate(_ARRANGE, [scene.node.id, shown])
        page.page.evaluate(_LOOK_AT, [left, top, *_CORNER])
        page.settle()
    clip = {"x": _CORNER[0] - _MARGIN, "y": _CORNER[1] - _MARGIN}
    clip |= {"width": right - left + 2 * _MARGIN, "height": bottom - top + 2 * _MARGIN}
    return Image.open(io.BytesIO(page.page.screenshot(clip=clip)))


def write(picture: Image.Image, path: Path) -> None:
    """Writes a picture as PNG with as many colours as the size limit allows.

    Raises:
        ValueError: it is too large even with the fewest colours.
    """
    for colors in _COLORS:
        buffer = io.BytesIO()
        picture.convert("RGB").quantize(colors, dither=Image.Dither.NONE).save(buffer, "PNG", optimize=True)
        if buffer.tell() <= MAX_BYTES:
            path.write_bytes(buffer.getvalue())
            return
    raise ValueError(f"{path.name} would take {buffer.tell()} bytes; at most {MAX_BYTES} are allowed")
