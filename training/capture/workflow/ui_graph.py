"""From the UI format to a prompt, as the browser does it when it queues (``graphToPrompt``).

Reroutes, primitives and notes live in the browser alone; muted nodes are dropped, bypassed ones are wired through,
subgraphs are flattened with ids like "7:3". What only the browser can do is refused by name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..errors import EXPORT_ADVICE, WorkflowError
from .graph import Workflow, unknown_type_message
from .widgets import InputSpec, has_dynamic_sockets, input_specs, read_widgets

_NEVER, _BYPASS = 2, 4
_SUBGRAPH_INPUT, _SUBGRAPH_OUTPUT = "-10", "-20"
_BROWSER_ONLY = {"Reroute", "PrimitiveNode", "Note", "MarkdownNote"}
_RENAMED = {
    "T2IAdapterLoader": "ControlNetLoader",
    "ConditioningAverage ": "ConditioningAverage",
    "SDV_img2vid_Conditioning": "SVD_img2vid_Conditioning",
}
_MAX_DEPTH = 32


@dataclass(frozen=True)
class _Wire:
    """A link as the file has it; ids as text."""

    origin: str
    output: int
    target: str


@dataclass(frozen=True)
class _Fixed:
    """An input that a widget of a subgraph's outside fills."""

    value: Any


@dataclass
class _Slot:
    name: str
    type: str
    wire: Any


@dataclass
class _Node:
    id: str
    key: str
    type: str
    mode: int
    title: str
    slots: list[_Slot]
    outputs: list[dict]
    stored: Any
    properties: Mapping[str, Any]
    widgets: dict[str, Any] = field(default_factory=dict)
    controls: dict[str, str] = field(default_factory=dict)
    problem: str = ""
    inside: _Scope | None = None

    @property
    def virtual(self) -> bool:
        """Whether it never reaches the server: a subgraph's instance, or a node of the browser."""
        return self.inside is not None or self.type in _BROWSER_ONLY


@dataclass
class _Scope:
    """The root graph, or one instance of a subgraph.

    Attributes:
        parent: the scope in which the instance stands.
        owner: the node that stands for it there.
    """

    nodes: dict[str, _Node]
    wires: dict[Any, _Wire]
    definition: Mapping[str, Any]
    parent: _Scope | None = None
    owner: _Node | None = None


def graph_to_prompt(data: Mapping[str, Any], object_info: Mapping[str, Any]) -> Workflow:
    """Converts a workflow in UI format.

    Nodes that cannot be converted are kept with their links and listed in ``problems``; whether they matter shows when it
    is known which nodes are run.

    Args:
        object_info: the server's node schemas.

    Raises:
        WorkflowError: the file is damaged, or needs the browser.
    """
    try:
        converter = _Converter(data, object_info)
        root = converter.scope(data, "", None, ())
        return converter.prompt(root)
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise WorkflowError(f"The workflow is damaged ({type(error).__name__}: {error}). {EXPORT_ADVICE}") from error


class _Converter:
    def __init__(self, data: Mapping[str, Any], object_info: Mapping[str, Any]):
        subgraphs = (data.get("definitions") or {}).get("subgraphs") or []
        self._definitions = {str(subgraph["id"]): subgraph for subgraph in subgraphs}
        self._object_info = object_info
        self._notes: list[str] = []

    # -- building -----------------------------------------------------------------------------------------------

    def scope(self, data: Mapping[str, Any], prefix: str, parent: _Scope | None, opened: tuple[str, ...]) -> _Scope:
        """A graph with its nodes, widgets filled, and those of the subgraphs in it."""
        scope = _Scope({}, dict(_wires(data.get("links") or [])), data, parent)
        for raw in data["nodes"]:
            node = self._node(raw, prefix)
            scope.nodes[node.id] = node
            if node.type in self._definitions:
                self._open(node, scope, opened)
        for node in scope.nodes.values():
            if node.type == "PrimitiveNode":
                _apply_primitive(node, scope)
        return scope

    def _node(self, raw: Mapping[str, Any], prefix: str) -> _Node:
        kind = _RENAMED.get(str(raw["type"]), str(raw["type"]))
        slots = [_Slot(str(s.get("name", "")), str(s.get("type", "*")), s.get("link")) for s in raw.get("inputs") or []]
        node = _Node(
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
        if kind not in self._definitions and kind not in _BROWSER_ONLY:
            self._fill(node)
        return node

    def _fill(self, node: _Node) -> None:
        """Widgets and slots by the schema. What cannot be filled is said only if the node turns out to be needed."""
        schema = self._object_info.get(node.type)
        if schema is None:
            group = node.type.startswith(("workflow>", "workflow/"))
            node.problem = (
                f"{node.type!r} is a group node, which only the browser can take apart. Convert it to a subgraph, or "
                f"export the workflow with File → Export (API)."
                if group
                else unknown_type_message(node.type)
            )
            return
        specs = input_specs(schema)
        node.slots = _declared_slots(specs, node.slots)
        try:
            widgets = read_widgets(specs, node.stored)
        except WorkflowError as error:
            node.problem = str(error)
        else:
            node.widgets, node.controls = widgets.values, widgets.controls

    def _open(self, node: _Node, scope: _Scope, opened: tuple[str, ...]) -> None:
        """Builds the inside of a subgraph's instance, and the widgets that it shows outside."""
        if node.type in opened or len(opened) >= _MAX_DEPTH:
            raise WorkflowError(f"The subgraph of node {node.key} contains itself.")
        definition = self._definitions[node.type]
        inside = self.scope(definition, f"{node.key}:", scope, (*opened, node.type))
        inside.owner, node.inside = node, inside
        by_name = {slot.name: slot for slot in node.slots}
        declared = [(str(i["name"]), str(i.get("type", "*")), i) for i in definition.get("inputs") or []]
        node.slots = [_Slot(name, kind, by_name[name].wire if name in by_name else None) for name, kind, _ in declared]
        for name, _, entry in declared:
            value = _inner_widget(inside, entry)
            if value is not None:
                node.widgets[name] = value.value
        _restore_promoted(node)

    # -- wiring -------------------------------------------------------------------------------------------------

    def prompt(self, root: _Scope) -> Workflow:
        """The nodes that run, with the links between them."""
        prompt: dict[str, dict[str, Any]] = {}
        problems: dict[str, str] = {}
        controls: dict[tuple[str, str], str] = {}
        for scope, node in _all_nodes(root):
            if node.virtual or node.mode in (_NEVER, _BYPASS):
                continue
            inputs = dict(node.widgets)
            for index, slot in enumerate(node.slots):
                found = self._input(scope, node, index, None, set())
                if isinstance(found, _Fixed):
                    inputs[slot.name] = found.value
                elif found is not None:
                    inputs[slot.name] = [found[0], found[1]]
            prompt[node.key] = {"class_type": node.type, "inputs": inputs}
            if node.title:
                prompt[node.key]["_meta"] = {"title": node.title}
            controls.update({(node.key, name): control for name, control in node.controls.items()})
            if node.problem:
                problems[node.key] = node.problem
        _drop_dangling(prompt)
        return Workflow(prompt, problems, controls, tuple(self._notes))

    def _input(self, scope: _Scope, node: _Node, index: int, wanted: str | None, seen: set) -> Any:
        """What an input is connected to: (node id, output), a ``_Fixed`` value, or None."""
        if (id(scope), node.id, index) in seen:
            raise WorkflowError(f"The wires into node {node.key} form a loop.")
        seen.add((id(scope), node.id, index))
        slot = node.slots[index]
        if slot.wire is None:
            return None
        wire = scope.wires.get(slot.wire)
        if wire is None:
            self._notes.append(f"node {node.key}: the wire into {slot.name} is broken and was left out")
            return None
        if wire.origin == _SUBGRAPH_INPUT and scope.parent is not None and scope.owner is not None:
            return self._outside(scope, wire, seen)
        origin = scope.nodes.get(wire.origin)
        if origin is None:
            self._notes.append(f"node {node.key}: the wire into {slot.name} comes from nowhere and was left out")
            return None
        return self._output(scope, origin, wire.output, wanted or slot.type, seen)

    def _outside(self, scope: _Scope, wire: _Wire, seen: set) -> Any:
        """Follows a link out of a subgraph to what its instance is connected to, or to its widget."""
        owner = scope.owner
        slot = owner.slots[wire.output]
        if slot.wire is not None:
            return self._input(scope.parent, owner, wire.output, None, seen)
        return _Fixed(owner.widgets[slot.name]) if slot.name in owner.widgets else None

    def _output(self, scope: _Scope, node: _Node, output: int, wanted: str, seen: set) -> Any:
        """Where an output's value really comes from."""
        if node.mode == _BYPASS:
            index = _bypass(node, output, wanted)
            return None if index is None else self._input(scope, node, index, None, seen)
        if node.inside is not None:
            wires = [node.inside.wires.get(i) for i in node.inside.definition["outputs"][output].get("linkIds") or []]
            wire = next((w for w in wires if w is not None), None)
            origin = node.inside.nodes.get(wire.origin) if wire else None
            return self._output(node.inside, origin, wire.output, wanted, seen) if origin else None
        if node.virtual:
            through = output < len(node.slots)
            return self._input(scope, node, output, wanted, seen) if through else None
        return node.key, output


def _wires(links: list) -> Iterator[tuple[Any, _Wire]]:
    for link in links:
        if isinstance(link, Mapping):
            yield link["id"], _Wire(str(link["origin_id"]), int(link["origin_slot"]), str(link["target_id"]))
        elif link:
            yield link[0], _Wire(str(link[1]), int(link[2]), str(link[3]))


def _declared_slots(specs: list[InputSpec], stored: list[_Slot]) -> list[_Slot]:
    """The slots as the schema has them (sockets before widgets), then those that only the file has.

    Their order matters to bypassing alone. Where sockets come and go with use, the file's order stands.
    """
    if has_dynamic_sockets(specs):
        return stored
    wires = {slot.name: slot for slot in stored}
    ordered = [spec for spec in specs if not spec.is_widget] + [spec for spec in specs if spec.is_widget]
    names = {spec.name for spec in ordered}
    slots = [_Slot(spec.name, spec.type, wires[spec.name].wire if spec.name in wires else None) for spec in ordered]
    return slots + [slot for slot in stored if slot.name not in names]


def _inner_widget(inside: _Scope, entry: Mapping[str, Any]) -> _Fixed | None:
    """The value of the first widget that a subgraph's input leads to."""
    for link_id in entry.get("linkIds") or []:
        wire = inside.wires.get(link_id)
        target = inside.nodes.get(wire.target) if wire else None
        slot = next((slot for slot in target.slots if slot.wire == link_id), None) if target else None
        if slot is not None and slot.name in target.widgets:
            return _Fixed(target.widgets[slot.name])
    return None


def _restore_promoted(node: _Node) -> None:
    """The values of an instance's own widgets: by position, then by name where the file lists what is shown."""
    stored = node.stored if isinstance(node.stored, list) else []
    for name, value in zip(list(node.widgets), stored, strict=False):
        node.widgets[name] = value
    shown = node.properties.get("proxyWidgets")
    if not isinstance(shown, list):
        return
    for (owner, name), value in zip(shown, stored, strict=False):
        if str(owner) == "-1" and name in node.widgets and value is not None:
            node.widgets[name] = value


def _apply_primitive(node: _Node, scope: _Scope) -> None:
    """A primitive's value goes into the widgets it is wired to."""
    if not isinstance(node.stored, list) or not node.stored or not node.outputs:
        return
    value = node.stored[0]
    if node.properties.get("Run widget replace on values") and "%" in str(value):
        raise WorkflowError(
            f"node {node.key} (PrimitiveNode) replaces %…% in its value, which the browser does. {EXPORT_ADVICE}"
        )
    for link_id in node.outputs[0].get("links") or []:
        wire = scope.wires.get(link_id)
        target = scope.nodes.get(wire.target) if wire else None
        slot = next((slot for slot in target.slots if slot.wire == link_id), None) if target else None
        if slot is not None and slot.name in target.widgets:
            target.widgets[slot.name] = {"__value__": value} if isinstance(value, list) else value
            control = node.stored[1] if len(node.stored) > 1 else None
            if isinstance(control, str):
                target.controls[slot.name] = control


def _bypass(node: _Node, output: int, wanted: str) -> int | None:
    """The input that stands in for an output of a bypassed node: the same place, else the first of the type."""
    if wanted in ("*", ""):
        return (output if output < len(node.slots) else 0) if node.slots else None
    made = str(node.outputs[output].get("type", "*"))

    def fits(slot: _Slot) -> bool:
        return _compatible(slot.type, made) and _compatible(slot.type, wanted)

    if output < len(node.slots) and fits(node.slots[output]):
        return output
    exact = next((index for index, slot in enumerate(node.slots) if slot.type == wanted), None)
    return exact if exact is not None else next((i for i, slot in enumerate(node.slots) if fits(slot)), None)


def _compatible(left: str, right: str) -> bool:
    if left in ("", "*", "0") or right in ("", "*", "0"):
        return True
    return bool(set(left.lower().split(",")) & set(right.lower().split(",")))


def _all_nodes(scope: _Scope) -> Iterator[tuple[_Scope, _Node]]:
    for node in scope.nodes.values():
        yield scope, node
        if node.inside is not None:
            yield from _all_nodes(node.inside)


def _drop_dangling(prompt: dict[str, dict[str, Any]]) -> None:
    """Links to nodes that are muted."""
    for node in prompt.values():
        inputs = node["inputs"]
        for name in [n for n, v in inputs.items() if isinstance(v, list) and v[0] not in prompt]:
            del inputs[name]
