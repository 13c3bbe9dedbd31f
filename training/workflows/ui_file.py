"""A prompt as a file that the front end opens: nodes with places, sockets with links, values of widgets."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import Any

from .graph import Graph
from .shapes import SHAPES, Shape

_COLUMN_GAP, _ROW_GAP = 70, 70
_NOTE_SIZE = (640, 250)
_TOP = _NOTE_SIZE[1] + _ROW_GAP
_VERSION = 0.4
_OPTIONAL_SOCKET = 7  # LiteGraph's round socket


def ui_workflow(graph: Graph, note: str) -> dict[str, Any]:
    """The workflow in UI format.

    Args:
        note: Markdown, shown above the graph.

    Raises:
        ValueError: the graph has a kind of node, or an input, that :mod:`.shapes` does not know.
    """
    prompt = graph.prompt()
    nodes, links = [], []
    places = _places(prompt)
    for order, (node_id, entry) in enumerate(prompt.items()):
        shape = _shape(entry["class_type"])
        nodes.append(
            {
                "id": int(node_id),
                "type": entry["class_type"],
                "pos": list(places[node_id]),
                "size": list(shape.size),
                "flags": {},
                "order": order,
                "mode": 0,
                "inputs": [_socket(*socket, links, node_id) for socket in _sockets(entry, shape)],
                "outputs": [{"name": name, "type": kind, "links": []} for name, kind in shape.outputs],
                "properties": {"Node name for S&R": entry["class_type"]},
                "widgets_values": _widgets(entry, shape),
            }
        )
    _note_links(nodes, links)
    nodes.append(_note(len(nodes) + 1, note))
    return {
        # The same graph is the same file, so that writing it again makes no second one.
        "id": str(uuid.uuid5(uuid.NAMESPACE_OID, json.dumps(nodes))),
        "revision": 0,
        "last_node_id": len(nodes),
        "last_link_id": len(links),
        "nodes": nodes,
        "links": links,
        "groups": [],
        "config": {},
        "extra": {},
        "version": _VERSION,
    }


def _shape(kind: str) -> Shape:
    try:
        return SHAPES[kind]
    except KeyError:
        raise ValueError(f"there is no shape for the node {kind}; known are {', '.join(SHAPES)}") from None


def _is_link(value: Any) -> bool:
    return isinstance(value, list)


def _sockets(entry: dict[str, Any], shape: Shape) -> Iterator[tuple[int, str, str, list | None]]:
    """(index, name, type, link) of all sockets; of those that grow, the used ones and an empty one."""
    inputs = entry["inputs"]
    known = {name for name, _ in shape.sockets} | set(shape.widgets)
    grown = [name for name in inputs if shape.grows and name.startswith(shape.grows[0])]
    fields = {name for widget in shape.widgets for name in _fields_of(widget, inputs)}
    if strange := inputs.keys() - known - fields - set(grown):
        raise ValueError(f"{entry['class_type']} has no input {', '.join(sorted(strange))}; known are {sorted(known)}")
    sockets = [*shape.sockets, *((name, shape.grows[1]) for name in grown)]
    if shape.grows:
        sockets.append((f"{shape.grows[0]}{len(grown)}", f"{shape.grows[1]}?" if grown else shape.grows[1]))
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


def _widgets(entry: dict[str, Any], shape: Shape) -> list[Any]:
    values = {**dict(shape.fixed), **entry["inputs"]}
    return [values[name] for widget in shape.widgets for name in (widget, *_fields_of(widget, values))]


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


def _places(prompt: dict[str, dict[str, Any]]) -> dict[str, tuple[int, int]]:
    """Columns by distance from the loaders, which stand just before what first uses them; no two nodes overlap."""
    sources = {
        node_id: [value[0] for value in entry["inputs"].values() if _is_link(value)]
        for node_id, entry in prompt.items()
    }
    column: dict[str, int] = {}
    for node_id in prompt:  # in the order of making, so sources come first
        column[node_id] = max((column[source] + 1 for source in sources[node_id]), default=0)
    for node_id in prompt:
        users = [column[other] for other, before in sources.items() if node_id in before]
        if users and not sources[node_id]:
            column[node_id] = min(users) - 1
    places, x = {}, 0
    for at in range(min(column.values()), max(column.values()) + 1):
        y, width = _TOP, 0
        for node_id in (node_id for node_id in prompt if column[node_id] == at):
            size = _shape(prompt[node_id]["class_type"]).size
            places[node_id] = (x, y)
            y += size[1] + _ROW_GAP
            width = max(width, size[0])
        x += width + _COLUMN_GAP if width else 0
    return places
