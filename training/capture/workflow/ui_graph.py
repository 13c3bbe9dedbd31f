"""From the UI format to a prompt, as the browser does it when it queues (``graphToPrompt``).

Reroutes, primitives and notes live in the browser alone; muted nodes are dropped, bypassed ones are wired through,
subgraphs are flattened with ids like "7:3". What only the browser can do is refused by name.

The real front end could convert, too, in a browser without a window. It is not used here: it needs Chromium and a
connection to the server's own pages, takes seconds to start, runs the JavaScript of every installed pack, and one click in
it (Workflow → Export (API)) gives an artist the same. It is the judge in the tests instead, for every template of a host.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import EXPORT_ADVICE, WorkflowError
from .browser_nodes import check_broadcasts
from .graph import LeftOut, Workflow
from .ui_nodes import BYPASS, NEVER, SUBGRAPH_INPUT, Node, Scope, Slot, Wire, all_nodes
from .ui_reader import Reader
from .widgets import sent_value


@dataclass(frozen=True)
class _Fixed:
    """An input that a widget of a subgraph's outside fills."""

    value: Any


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
        return _Converter(object_info).prompt(Reader(data, object_info).read(data))
    except (LookupError, ValueError, ArithmeticError, TypeError, AttributeError, RecursionError) as error:
        raise WorkflowError(f"The workflow is damaged ({type(error).__name__}: {error}). {EXPORT_ADVICE}") from error


class _Converter:
    def __init__(self, object_info: Mapping[str, Any]) -> None:
        self._object_info = object_info
        self._notes: list[str] = []
        self._stopped_at: Node | None = None

    def prompt(self, root: Scope) -> Workflow:
        """The nodes that run, with the links between them."""
        prompt: dict[str, dict[str, Any]] = {}
        problems: dict[str, str] = {}
        controls: dict[tuple[str, str], str] = {}
        gaps: dict[tuple[str, str], LeftOut] = {}
        left_out = tuple(_left_out(node) for _, node in all_nodes(root) if node.left_out)
        check_broadcasts({node.key: node.type for _, node in all_nodes(root) if not node.left_out})
        for scope, node in all_nodes(root):
            if node.virtual or node.left_out:
                continue
            specs = node.widgets.specs
            inputs = {name: sent_value(specs.get(name), value) for name, value in node.widgets.values.items()}
            for index, slot in enumerate(node.slots):
                self._stopped_at = None
                found = self._input(scope, node, index, None, set())
                if found is None and self._stopped_at is not None:
                    gaps[node.key, slot.name] = _left_out(self._stopped_at)
                if isinstance(found, _Fixed):
                    inputs[slot.name] = sent_value(None, found.value)
                elif found is not None:
                    inputs[slot.name] = [found[0], found[1]]
            prompt[node.key] = {"class_type": node.type, "inputs": inputs}
            if node.title:
                prompt[node.key]["_meta"] = {"title": node.title}
            controls.update({(node.key, name): control for name, control in node.widgets.controls.items()})
            if problem := node.problem or self._missing(node, gaps):
                problems[node.key] = problem
        _drop_dangling(prompt)
        return Workflow(prompt, problems, controls, tuple(self._notes), left_out, gaps)

    def _missing(self, node: Node, gaps: Mapping[tuple[str, str], LeftOut]) -> str:
        """What is said of an input that the server needs, but that a node which is left out was to fill; "" for none."""
        required = (self._object_info.get(node.type, {}).get("input") or {}).get("required") or {}
        for name in required:
            gap = gaps.get((node.key, name))
            if gap is not None and name not in node.widgets.values:
                return f"{gap}, so nothing reaches its input {name}. Switch it on, or connect another one."
        return ""

    def _input(self, scope: Scope, node: Node, index: int, wanted: str | None, seen: set) -> Any:
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
        if wire.origin == SUBGRAPH_INPUT and scope.parent is not None and scope.owner is not None:
            return self._outside(scope, wire, seen)
        origin = scope.nodes.get(wire.origin)
        if origin is None:
            self._notes.append(f"node {node.key}: the wire into {slot.name} comes from nowhere and was left out")
            return None
        return self._output(scope, origin, wire.output, wanted or slot.type, seen)

    def _outside(self, scope: Scope, wire: Wire, seen: set) -> Any:
        """Follows a link out of a subgraph to what its instance is connected to, or to its widget."""
        owner = scope.owner
        slot = owner.slots[wire.output]
        if slot.wire is not None:
            return self._input(scope.parent, owner, wire.output, None, seen)
        return _Fixed(owner.widgets.values[slot.name]) if slot.name in owner.widgets.values else None

    def _output(self, scope: Scope, node: Node, output: int, wanted: str, seen: set) -> Any:
        """Where an output's value really comes from."""
        if node.mode == NEVER:
            self._stopped_at = node
            return None
        if node.mode == BYPASS:
            index = _bypass(node, output, wanted)
            found = None if index is None else self._input(scope, node, index, None, seen)
            if found is None:
                self._stopped_at = self._stopped_at or node
            return found
        if node.inside is not None:
            wires = [node.inside.wires.get(i) for i in node.inside.definition["outputs"][output].get("linkIds") or []]
            wire = next((w for w in wires if w is not None), None)
            origin = node.inside.nodes.get(wire.origin) if wire else None
            return self._output(node.inside, origin, wire.output, wanted, seen) if origin else None
        if node.virtual:
            through = output < len(node.slots)
            return self._input(scope, node, output, wanted, seen) if through else None
        return node.key, output


def _left_out(node: Node) -> LeftOut:
    if node.inside is None:
        return LeftOut(node.key, node.type, node.title, node.mode == BYPASS)
    title = node.title or str(node.inside.definition.get("name") or "")
    return LeftOut(node.key, "subgraph", title, node.mode == BYPASS)


def _bypass(node: Node, output: int, wanted: str) -> int | None:
    """The input that stands in for an output of a bypassed node: the same place, else the first of the type."""
    if wanted in ("*", ""):
        return (output if output < len(node.slots) else 0) if node.slots else None
    made = str(node.outputs[output].get("type", "*"))

    def fits(slot: Slot) -> bool:
        return _compatible(slot.type, made) and _compatible(slot.type, wanted)

    if output < len(node.slots) and fits(node.slots[output]):
        return output
    exact = next((index for index, slot in enumerate(node.slots) if slot.type == wanted), None)
    return exact if exact is not None else next((i for i, slot in enumerate(node.slots) if fits(slot)), None)


def _compatible(left: str, right: str) -> bool:
    if left in ("", "*", "0") or right in ("", "*", "0"):
        return True
    return bool(set(left.lower().split(",")) & set(right.lower().split(",")))


def _drop_dangling(prompt: dict[str, dict[str, Any]]) -> None:
    """Links to nodes that are muted."""
    for node in prompt.values():
        inputs = node["inputs"]
        for name in [n for n, v in inputs.items() if isinstance(v, list) and v[0] not in prompt]:
            del inputs[name]
