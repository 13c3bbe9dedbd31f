"""Where nodes are on the page as an artist sees them, in either of the front end's renderings, and what lies on what."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

from comfyui_ace.training.workflows.node_sizes import node_size
from host.harness.browser import ComfyPage

_TITLE = 30  # pixels, above a node's corner
_TOUCHING = 2.0  # pixels that are no overlap
_WIRES_SETTLE = 20  # seconds
# In Nodes 2.0 a node is as large as its element, whatever the graph says.
_BOXES = """() => {
    const canvas = app.canvas.canvas.getBoundingClientRect(), {scale, offset} = app.canvas.ds;
    return app.canvas.graph.nodes.map(node => {
        const element = LiteGraph.vueNodesMode && document.querySelector(`[data-node-id="${node.id}"]`);
        if (!element) return [String(node.id), node.type, node.pos[0], node.pos[1] - 30, node.size[0], node.size[1] + 30];
        const box = element.getBoundingClientRect();
        return [String(node.id), node.type, (box.left - canvas.left) / scale - offset[0],
            (box.top - canvas.top) / scale - offset[1], box.width / scale, box.height / scale];
    });
}"""
# Until the view has glided into place and the elements have followed: nothing has moved for a third of a second.
_STANDS_STILL = """async () => {
    const elements = () => [...document.querySelectorAll("[data-node-id]")].map(element => element.getBoundingClientRect());
    const look = () => JSON.stringify([app.canvas.ds.scale, ...app.canvas.ds.offset, elements()]);
    let last = "", still = 0;
    for (let frame = 0; still < 20 && frame < 600; frame++) {
        await new Promise(requestAnimationFrame);
        const now = look();
        still = now === last ? still + 1 : 0;
        last = now;
    }
}"""
# Points along each link as it is drawn; those to the sockets of a subgraph have no node at one end.
_WIRES = """() => [...app.canvas.graph.links.values()].flatMap(link => {
    const from = app.canvas.graph.getNodeById(link.origin_id), to = app.canvas.graph.getNodeById(link.target_id);
    if (!from || !to) return [];
    const a = from.getConnectionPos(false, link.origin_slot), b = to.getConnectionPos(true, link.target_slot);
    const pull = Math.hypot(b[0] - a[0], b[1] - a[1]) * 0.25, points = [];
    for (let k = 1; k < 40; k++) {
        const t = k / 40, s = 1 - t;
        points.push([s * s * s * a[0] + 3 * s * s * t * (a[0] + pull) + 3 * s * t * t * (b[0] - pull) + t * t * t * b[0],
            (s * s * s + 3 * s * s * t) * a[1] + (3 * s * t * t + t * t * t) * b[1]]);
    }
    return [[String(link.origin_id), String(link.target_id), points]];
})"""


@dataclass(frozen=True)
class NodeBox:
    """A node with its title, in pixels of the graph.

    Attributes:
        id: of the node.
        kind: its type.
        left, top, width, height: of the box; ``height`` without the title.
    """

    id: str
    kind: str
    left: float
    top: float
    width: float
    height: float

    @property
    def right(self) -> float:
        return self.left + self.width

    @property
    def bottom(self) -> float:
        return self.top + _TITLE + self.height


def node_boxes(page: ComfyPage) -> list[NodeBox]:
    """The nodes of the graph or subgraph that is open, large enough in view that all their parts are drawn."""
    page.page.evaluate("() => app.extensionManager.command.execute('Comfy.Canvas.FitView')")
    page.page.evaluate(_STANDS_STILL)
    return [NodeBox(*values[:5], values[5] - _TITLE) for values in page.page.evaluate(_BOXES)]


def overlaps(boxes: list[NodeBox]) -> list[str]:
    """A sentence for each two nodes that lie on each other."""
    found = []
    for one, other in combinations(boxes, 2):
        width = min(one.right, other.right) - max(one.left, other.left)
        height = min(one.bottom, other.bottom) - max(one.top, other.top)
        if width > _TOUCHING and height > _TOUCHING:
            found.append(f"{one.kind} ({one.id}) and {other.kind} ({other.id}) overlap by {width:.0f} x {height:.0f}")
    return found


def assert_has_room(page: ComfyPage, kind: str) -> None:
    """A node that has run is no larger than workflows are laid out for, so nothing comes to lie below it."""
    _, most = node_size(kind)
    (box,) = [box for box in node_boxes(page) if box.kind == kind]
    assert box.height <= most, f"{kind} has grown to {box.height:.0f} pixels; workflows leave {most} for it"


def assert_tidy(page: ComfyPage) -> None:
    """No node lies on another, and no wire passes behind a node that it does not belong to.

    Nodes 2.0 puts the ends of wires where they belong some time after the nodes, so wires are looked at for some seconds.
    """
    boxes = node_boxes(page)
    lying = overlaps(boxes)
    assert not lying, "\n".join(lying)
    for _ in range(_WIRES_SETTLE):
        behind = _wires_behind(page, boxes)
        if not behind:
            return
        page.page.wait_for_timeout(1000)
    raise AssertionError("\n".join(behind))


def _wires_behind(page: ComfyPage, boxes: list[NodeBox]) -> list[str]:
    """A sentence for each link that passes behind a node which it does not belong to."""
    found = []
    for source, target, points in page.page.evaluate(_WIRES):
        for box in boxes:
            if box.id in (source, target):
                continue
            if any(box.left < x < box.right and box.top < y < box.bottom for x, y in points):
                found.append(f"the link from {source} to {target} passes behind {box.kind} ({box.id})")
    return found
