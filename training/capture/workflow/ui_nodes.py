"""The nodes of a file in UI format, with their widgets and wires."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from .widgets import Widgets

NEVER, BYPASS = 2, 4
SUBGRAPH_INPUT = "-10"
BROWSER_ONLY = {"Reroute", "PrimitiveNode", "Note", "MarkdownNote"}


@dataclass(frozen=True)
class Wire:
    """A link as the file has it; ids as text. The place of the input may be that of a file with fewer inputs."""

    origin: str
    output: int
    target: str
    place: int


@dataclass
class Slot:
    """An input of a node; ``wire`` is the id of the link into it, None for none."""

    name: str
    type: str
    wire: Any


@dataclass
class Node:
    """A node of the file.

    Attributes:
        key: its id in the prompt, "7:3" inside a subgraph.
        stored: ``widgets_values``.
        widgets: its widgets; those of an instance are the ones that its subgraph shows outside.
        problem: why it cannot be run.
        inside: the subgraph of an instance.
    """

    id: str
    key: str
    type: str
    mode: int
    title: str
    slots: list[Slot]
    outputs: list[dict]
    stored: Any
    properties: Mapping[str, Any]
    widgets: Widgets = field(default_factory=Widgets)
    problem: str = ""
    inside: Scope | None = None

    @property
    def virtual(self) -> bool:
        """Whether it never reaches the server: a subgraph's instance, or a node of the browser."""
        return self.inside is not None or self.type in BROWSER_ONLY

    @property
    def left_out(self) -> bool:
        """Whether it is muted or bypassed."""
        return self.mode in (NEVER, BYPASS)


@dataclass
class Scope:
    """The root graph, or one instance of a subgraph.

    Attributes:
        parent: the scope in which the instance stands.
        owner: the node that stands for it there.
    """

    nodes: dict[str, Node]
    wires: dict[Any, Wire]
    definition: Mapping[str, Any]
    parent: Scope | None = None
    owner: Node | None = None

    def target(self, link_id: Any) -> tuple[Node, Slot] | None:
        """The node that a link of this scope leads to, and its input."""
        wire = self.wires.get(link_id)
        node = self.nodes.get(wire.target) if wire else None
        slot = next((slot for slot in node.slots if slot.wire == link_id), None) if node else None
        return (node, slot) if slot is not None else None

    def origin(self, slot: Slot) -> Node | None:
        """The node that feeds an input from inside this scope."""
        wire = self.wires.get(slot.wire)
        return self.nodes.get(wire.origin) if wire else None


def all_nodes(scope: Scope) -> Iterator[tuple[Scope, Node]]:
    """The nodes that the browser looks at: those inside a muted or bypassed subgraph are out, but for nested ones."""
    for node in scope.nodes.values():
        yield scope, node
        if node.inside is not None and not (node.left_out and scope.parent is None):
            yield from all_nodes(node.inside)
