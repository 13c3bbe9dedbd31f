"""The inputs of a subgraph's instance, and the widgets that it shows outside ("promoted" ones).

A widget is shown outside either because the subgraph's own input leads to it, or because the instance lists it in
``proxyWidgets``, which front ends of 2025 wrote. Today's front end turns such a list into inputs when it opens a file; the
same is done here, for each instance on its own.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from .ui_nodes import Node, Slot

_PREFIX = re.compile(r"^\s*(\d+)\s*:\s*(.+)$", re.DOTALL)


def open_inputs(node: Node) -> None:
    """Gives an instance the inputs of its subgraph and the values of its promoted widgets."""
    definition = node.inside.definition
    by_name = {slot.name: slot for slot in node.slots}
    declared = [(str(entry["name"]), str(entry.get("type", "*")), entry) for entry in definition.get("inputs") or []]
    node.slots = [Slot(name, kind, by_name[name].wire if name in by_name else None) for name, kind, _ in declared]
    sources: dict[tuple[str, str], str] = {}
    for name, _, entry in declared:
        _link_widget(node, name, entry, sources)
    stored = node.stored if isinstance(node.stored, list) else []
    for name, value in zip(list(node.widgets.values), stored, strict=False):
        node.widgets.values[name] = value
    for position, entry in enumerate(_proxies(node.properties.get("proxyWidgets"))):
        value = stored[position] if position < len(stored) else None
        _apply_proxy(node, entry, value, sources)


def _link_widget(node: Node, name: str, entry: Mapping[str, Any], sources: dict[tuple[str, str], str]) -> None:
    """The first widget that a subgraph's input leads to is shown by the instance."""
    for link_id in entry.get("linkIds") or []:
        found = node.inside.target(link_id)
        if found is None:
            continue
        target, slot = found
        has_widget = slot.name in target.widgets.values
        if target.inside is not None or has_widget:
            sources.setdefault((target.id, slot.name), name)
        if has_widget:
            node.widgets.values[name] = target.widgets.values[slot.name]
            return


def _proxies(listed: Any) -> list[tuple[str, ...]]:
    """The entries of ``proxyWidgets``: (node inside or "-1", widget, node further inside)."""
    if isinstance(listed, str):
        try:
            listed = json.loads(listed)
        except ValueError:
            return []
    valid = isinstance(listed, list) and all(
        isinstance(entry, list) and len(entry) in (2, 3) and all(isinstance(part, str) for part in entry)
        for entry in listed
    )
    return [tuple(entry) for entry in listed] if valid else []


def _apply_proxy(node: Node, entry: tuple[str, ...], value: Any, sources: Mapping[tuple[str, str], str]) -> None:
    """Takes over one entry: the value that the instance stores for it, None for none, goes to the widget it names."""
    owner, name = entry[0], entry[1]
    if owner == "-1":
        if name in node.widgets.values and value is not None:
            node.widgets.values[name] = value
        return
    further = entry[2] if len(entry) > 2 else None
    if not _resolves(node, owner, name):
        while found := _PREFIX.match(name):
            further, name = found[1], found[2]
    shown = sources.get((owner, name))
    if shown is not None:
        if value is not None and shown in node.widgets.values:
            node.widgets.values[shown] = value
        return
    inner = node.inside.nodes.get(owner)
    if inner is not None and inner.type == "PrimitiveNode":
        _replace_primitive(node, inner, value)
        return
    if inner is None or value is None or name.startswith("$$"):
        return
    slot = _source_slot(inner, name, further)
    if slot is not None:
        inner.widgets.values[slot.name] = value
        inner.widgets.specs.pop(slot.name, None)  # from outside it is sent as it is
        slot.wire = None


def _resolves(node: Node, owner: str, name: str) -> bool:
    """Whether an entry leads to a widget, through however many subgraphs."""
    inner = node.inside.nodes.get(owner)
    if inner is None or inner.inside is None:
        return inner is not None and name in inner.widgets.values
    for entry in inner.inside.definition.get("inputs") or []:
        if entry.get("name") == name:
            found = next(filter(None, map(inner.inside.target, entry.get("linkIds") or [])), None)
            return found is not None and _resolves(inner, found[0].id, found[1].name)
    return False


def _source_slot(inner: Node, name: str, further: str | None) -> Slot | None:
    """The input beside the widget that an entry names."""
    if inner.inside is None:
        return next((slot for slot in inner.slots if slot.name == name and name in inner.widgets.values), None)
    for slot, entry in zip(inner.slots, inner.inside.definition.get("inputs") or [], strict=True):
        found = next(filter(None, map(inner.inside.target, entry.get("linkIds") or [])), None)
        target = (found[0].id, found[1].name) if found else None
        fits = target == (further, name) if further else slot.name == name or (target and target[1] == name)
        if fits and slot.name in inner.widgets.values:
            return slot
    return None


def _replace_primitive(node: Node, primitive: Node, value: Any) -> None:
    """A primitive that is shown outside becomes an input of the subgraph, wired to the places that its links name.

    Today's front end goes by the place alone, also where the file's places are older than the node, and then starts with
    the value of the widget that it finds there.
    """
    output = primitive.outputs[0] if primitive.outputs else {}
    wires = [node.inside.wires.get(link_id) for link_id in output.get("links") or []]
    targets: list[tuple[Node, Slot]] = []
    for wire in wires:
        target = node.inside.nodes.get(wire.target) if wire is not None else None
        slot = target.slots[wire.place] if target is not None and wire.place < len(target.slots) else None
        if slot is None or len({slot.type, str(output.get("type", "*"))} - {"*"}) > 1:
            return
        targets.append((target, slot))
    if value is None:
        found = [target.widgets.values[slot.name] for target, slot in targets if slot.name in target.widgets.values]
        if not found:
            return
        value = found[0]
    for target, slot in targets:
        if slot.name in target.widgets.values:
            target.widgets.values[slot.name] = value
            target.widgets.specs.pop(slot.name, None)
            slot.wire = None
