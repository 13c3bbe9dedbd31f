"""Opens a file in UI format: its nodes with widgets filled in, and each subgraph anew for every instance."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..errors import EXPORT_ADVICE, WorkflowError
from .browser_nodes import add_browser_widgets, refusal
from .graph import unknown_type_message
from .promoted import open_inputs
from .ui_nodes import BROWSER_ONLY, Node, Scope, Slot, Wire
from .widgets import InputSpec, has_dynamic_sockets, input_specs, read_widgets

_RENAMED = {
    "T2IAdapterLoader": "ControlNetLoader",
    "ConditioningAverage ": "ConditioningAverage",
    "SDV_img2vid_Conditioning": "SVD_img2vid_Conditioning",
}
_MAX_DEPTH = 32


class Reader:
    """Reads the graphs of one file.

    Args:
        object_info: the server's node schemas.
    """

    def __init__(self, data: Mapping[str, Any], object_info: Mapping[str, Any]):
        subgraphs = (data.get("definitions") or {}).get("subgraphs") or []
        self._definitions = {str(subgraph["id"]): subgraph for subgraph in subgraphs}
        self._object_info = object_info

    def read(self, data: Mapping[str, Any]) -> Scope:
        """The root graph with its nodes, widgets filled, and those of the subgraphs in it.

        Raises:
            WorkflowError: a subgraph contains itself, or the file needs the browser.
        """
        root = self._scope(data, "", None, ())
        _apply_primitives(root)
        return root

    def _scope(self, data: Mapping[str, Any], prefix: str, parent: Scope | None, opened: tuple[str, ...]) -> Scope:
        scope = Scope({}, dict(_wires(data.get("links") or [])), data, parent)
        for raw in data["nodes"]:
            node = self._node(raw, prefix)
            scope.nodes[node.id] = node
            if node.type in self._definitions:
                self._open(node, scope, opened)
        for node in scope.nodes.values():
            if node.inside is not None:
                open_inputs(node)
        return scope

    def _node(self, raw: Mapping[str, Any], prefix: str) -> Node:
        kind = _RENAMED.get(str(raw["type"]), str(raw["type"]))
        slots = [Slot(str(s.get("name", "")), str(s.get("type", "*")), s.get("link")) for s in raw.get("inputs") or []]
        node = Node(
            id=str(raw["id"]),
            key=f"{prefix}{raw['id']}",
            type=kind,
            mode=int(raw.get("mode") or 0),
            title=str(raw.get("title") or ""),
            slots=slots,
            outputs=list(raw.get("outputs") or []),
            stored=raw.get("widgets_values"),
            properties=raw.get("properties") or {},
        )
        if kind not in self._definitions and kind not in BROWSER_ONLY:
            self._fill(node, raw)
        return node

    def _fill(self, node: Node, raw: Mapping[str, Any]) -> None:
        """Widgets and slots by the schema. What cannot be filled is said only if the node turns out to be needed."""
        schema = self._object_info.get(node.type)
        if schema is None:
            node.problem = refusal(node.type) or unknown_type_message(node.type)
            return
        specs = input_specs(schema)
        node.slots = _declared_slots(specs, node.slots)
        sockets = {str(slot.get("name")): bool(slot.get("widget")) for slot in raw.get("inputs") or []}
        named = raw.get("widgets_values_named")
        try:
            node.widgets = read_widgets(specs, node.stored, named if isinstance(named, Mapping) else None, sockets)
            add_browser_widgets(node.type, schema, node.stored, node.widgets)
        except WorkflowError as error:
            node.problem = str(error)

    def _open(self, node: Node, scope: Scope, opened: tuple[str, ...]) -> None:
        """Builds the inside of a subgraph's instance."""
        if node.type in opened or len(opened) >= _MAX_DEPTH:
            raise WorkflowError(f"The subgraph of node {node.key} contains itself.")
        inside = self._scope(self._definitions[node.type], f"{node.key}:", scope, (*opened, node.type))
        inside.owner, node.inside = node, inside


def _wires(links: list) -> Iterator[tuple[Any, Wire]]:
    for link in links:
        if isinstance(link, Mapping):
            link = [link[key] for key in ("id", "origin_id", "origin_slot", "target_id", "target_slot")]
        if link:
            yield link[0], Wire(str(link[1]), int(link[2]), str(link[3]), int(link[4]))


def _declared_slots(specs: list[InputSpec], stored: list[Slot]) -> list[Slot]:
    """The slots as the schema has them (sockets before widgets), then those that only the file has.

    Their order matters to bypassing alone. Where sockets come and go with use, the file's order stands.
    """
    if has_dynamic_sockets(specs):
        return stored
    wires = {slot.name: slot for slot in stored}
    ordered = [spec for spec in specs if not spec.is_widget] + [spec for spec in specs if spec.is_widget]
    names = {spec.name for spec in ordered}
    slots = [Slot(spec.name, spec.type, wires[spec.name].wire if spec.name in wires else None) for spec in ordered]
    return slots + [slot for slot in stored if slot.name not in names]


def _apply_primitives(scope: Scope) -> None:
    """Primitives write into widgets when the browser queues, after it has settled what subgraphs show outside."""
    for node in scope.nodes.values():
        if node.type == "PrimitiveNode":
            _apply_primitive(node, scope)
        elif node.inside is not None:
            _apply_primitives(node.inside)


def _apply_primitive(node: Node, scope: Scope) -> None:
    """A primitive's value goes into the widgets it is wired to."""
    if not isinstance(node.stored, list) or not node.stored or not node.outputs:
        return
    value = node.stored[0]
    if node.properties.get("Run widget replace on values") and "%" in str(value):
        raise WorkflowError(
            f"node {node.key} (PrimitiveNode) replaces %…% in its value, which the browser does. {EXPORT_ADVICE}"
        )
    for link_id in node.outputs[0].get("links") or []:
        found = scope.target(link_id)
        if found is None or found[1].name not in found[0].widgets.values:
            continue
        target, slot = found
        target.widgets.values[slot.name] = value
        control = node.stored[1] if len(node.stored) > 1 else None
        if isinstance(control, str):
            target.widgets.controls[slot.name] = control
