"""A prompt as a workflow file that the front end opens: nodes with positions, sockets with links, values of widgets."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from .graph import Graph
from .layout import Wire, lay_out
from .node_sizes import node_size
from .node_specs import NODE_SPECS, NodeSpec

NOTE, _NOTE_SIZE = "note", (340, 380)
Box = tuple[int, int, int, int]  # x, y, width and height in pixels
_FRAME_COLOUR = "#3f789e"
_PACK, _CORE = "ace-edit", "comfy-core"  # where nodes come from, in the words of ComfyUI's registry
_VERSION = 0.4
READABLE = "ace_readable"  # in a file's "extra": the page opens it large enough to be read (web/templates.js)
_OPTIONAL_SOCKET = 7  # LiteGraph's round socket


# Corners of all nodes by their ids, the note's as NOTE, and frames with titles around some: what a caller may decide.
Placing = Callable[[Mapping[str, tuple[int, int]]], tuple[Mapping[str, tuple[int, int]], Sequence[tuple[str, Box]]]]


def ui_workflow(graph: Graph, note: str, placing: Placing | None = None) -> dict[str, Any]:
    """The workflow in UI format.

    Args:
        graph: of nodes that :mod:`.node_specs` describes.
        note: Markdown, shown above the graph.
        placing: from the nodes' sizes to their corners and to frames; a good place for each is searched for by default.

    Raises:
        ValueError: the graph has a kind of node, or an input, that :mod:`.node_specs` does not know.
    """
    prompt = graph.prompt()
    nodes, links = [], []
    for order, (node_id, entry) in enumerate(prompt.items()):
        spec = _node_spec(entry["class_type"])
        nodes.append(
            {
                "id": int(node_id),
                "type": entry["class_type"],
                "pos": [0, 0],
                "size": list(node_size(entry["class_type"])),
                "flags": {},
                "order": order,
                "mode": 0,
                "inputs": [_socket(*socket, links, node_id) for socket in _sockets(entry, spec)],
                "outputs": [{"name": name, "type": kind, "links": []} for name, kind in spec.outputs],
                "properties": {
                    "Node name for S&R": entry["class_type"],
                    "cnr_id": _PACK if entry["class_type"].startswith("ACE") else _CORE,
                },
                "widgets_values": _widgets(entry, spec),
            }
        )
    _note_links(nodes, links)
    nodes.append(_note(len(nodes) + 1, note))
    groups = _place(nodes, links, placing)
    return {
        # The same graph is the same file, so that writing it again makes no second one.
        "id": str(uuid.uuid5(uuid.NAMESPACE_OID, json.dumps(nodes))),
        "revision": 0,
        "last_node_id": len(nodes),
        "last_link_id": len(links),
        "nodes": nodes,
        "links": links,
        "groups": groups,
        "config": {},
        "extra": {READABLE: True},
        "version": _VERSION,
    }


def _node_spec(kind: str) -> NodeSpec:
    try:
        return NODE_SPECS[kind]
    except KeyError:
        raise ValueError(
            f"the node {kind} is not described in node_specs.py; known are {', '.join(NODE_SPECS)}"
        ) from None


def _sockets(entry: dict[str, Any], spec: NodeSpec) -> Iterator[tuple[int, str, str, list | None]]:
    """(index, name, type, link) of all sockets; of those that grow, the used ones and an empty one."""
    inputs = entry["inputs"]
    known = {name for name, _ in spec.sockets} | set(spec.widgets)
    grown = [name for name in inputs if spec.autogrow and name.startswith(spec.autogrow[0])]
    fields = {name for widget in spec.widgets for name in _fields_of(widget, inputs)}
    if strange := inputs.keys() - known - fields - set(grown):
        raise ValueError(f"{entry['class_type']} has no input {', '.join(sorted(strange))}; known are {sorted(known)}")
    sockets = [*spec.sockets, *((name, spec.autogrow[1]) for name in grown)]
    if spec.autogrow:
        sockets.append((f"{spec.autogrow[0]}{len(grown)}", f"{spec.autogrow[1]}?" if grown else spec.autogrow[1]))
    for index, (name, kind) in enumerate(sockets):
        yield index, name, kind, inputs.get(name)


def _socket(index: int, name: str, kind: str, value: list | None, links: list, target: str) -> dict:
    """The socket's entry; its link is added to ``links``."""
    socket: dict[str, Any] = {"name": name, "type": kind.rstrip("?"), "link": None}
    if kind.endswith("?"):
        socket["shape"] = _OPTIONAL_SOCKET
    if "." in name:
        socket["label"] = name.rpartition(".")[2]
    if value is not None:
        socket["link"] = len(links) + 1
        links.append([len(links) + 1, int(value[0]), value[1], int(target), index, kind.rstrip("?")])
    return socket


def _widgets(entry: dict[str, Any], spec: NodeSpec) -> list[Any]:
    values = {**dict(spec.fixed), **entry["inputs"]}
    return [values[name] for widget in spec.widgets for name in (widget, *_fields_of(widget, values))]


def _fields_of(widget: str, inputs: dict[str, Any]) -> list[str]:
    """Fields that a menu shows for the choice that is made, such as "resolution.megapixels"."""
    return [name for name in inputs if name.startswith(f"{widget}.")]


def _note_links(nodes: list[dict[str, Any]], links: list[list]) -> None:
    """Writes each link into the output it leaves, with that output's type."""
    by_id = {node["id"]: node for node in nodes}
    for link in links:
        output = by_id[link[1]]["outputs"][link[2]]
        output["links"].append(link[0])
        link[5] = output["type"]


def _note(node_id: int, text: str) -> dict[str, Any]:
    return {
        "id": node_id,
        "type": "MarkdownNote",
        "pos": [0, 0],
        "size": list(_NOTE_SIZE),
        "flags": {},
        "order": node_id - 1,
        "mode": 0,
        "inputs": [],
        "outputs": [],
        "title": "Note",
        "properties": {},
        "widgets_values": [text],
        "color": "#432",
        "bgcolor": "#653",
    }


def _place(nodes: list[dict[str, Any]], links: list[list], placing: Placing | None) -> list[dict[str, Any]]:
    """Puts the nodes where they can be read, the note, which comes last, into the upper left corner; returns groups."""
    names = [*(str(node["id"]) for node in nodes[:-1]), NOTE]
    sizes = {name: tuple(node["size"]) for name, node in zip(names, nodes, strict=True)}
    frames: Sequence[tuple[str, Box]] = ()
    if placing is not None:
        corners, frames = placing(sizes)
    else:
        corners = lay_out(sizes, [Wire(str(link[1]), str(link[3]), link[2], link[4]) for link in links], NOTE)
    for name, node in zip(names, nodes, strict=True):
        node["pos"] = list(corners[name])
    return frame_entries(frames)


def frame_entries(frames: Sequence[tuple[str, Box]]) -> list[dict[str, Any]]:
    """The groups of a workflow file, of (title, box) each."""
    return [
        {"id": number, "title": title, "bounding": list(box), "color": _FRAME_COLOUR, "font_size": 24, "flags": {}}
        for number, (title, box) in enumerate(frames, 1)
    ]
