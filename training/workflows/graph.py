"""A graph builder: prompts in API format, written in the order in which a person would wire them.

    g = Graph()
    photo = g.node("LoadImage", image="photo.png")
    g.node("SaveImage", images=photo[0], filename_prefix="edit")
    comfy.run(g)

Growing sockets have dots in their names: ``g.node("X", **{"refs.ref0": photo[0]})``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class NodeRef:
    """A node of a graph; ``ref[i]`` is a link to its output ``i``, the bare reference means output 0."""

    id: str

    def __getitem__(self, output: int) -> list[Any]:
        if not isinstance(output, int) or output < 0:
            # Raising IndexError here would make a reference look like an endless sequence to `list(ref)`.
            raise TypeError(f"an output is an index from 0 up, not {output!r}")
        return [self.id, output]

    def __iter__(self):
        raise TypeError("a node is not a sequence of its outputs; take one with node[index]")


class Graph:
    """An API-format prompt under construction. Node ids are "1", "2", … in the order of creation.

    Args:
        first: id of the first node, where another than 1 is wanted.
    """

    def __init__(self, first: int = 1) -> None:
        self._first = first
        self._nodes: dict[str, dict[str, Any]] = {}

    def node(self, class_type: str, /, **inputs: Any) -> NodeRef:
        """Adds a node.

        Args:
            class_type: the node's id, such as "LoadImage".
            inputs: each a widget's value, a link (``other[0]``) or a NodeRef, which means its first output.
        """
        ref = NodeRef(str(self._first + len(self._nodes)))
        self._nodes[ref.id] = {
            "class_type": class_type,
            "inputs": {name: value[0] if isinstance(value, NodeRef) else value for name, value in inputs.items()},
            "_meta": {"title": class_type},
        }
        return ref

    def set(self, node: NodeRef, **inputs: Any) -> None:
        """Changes inputs of a node that is there already, as an artist would between two runs."""
        self._nodes[node.id]["inputs"].update(
            {name: value[0] if isinstance(value, NodeRef) else value for name, value in inputs.items()}
        )

    def prompt(self) -> dict[str, dict[str, Any]]:
        """The prompt as the server takes it; a copy, so a queued prompt does not change with the graph."""
        return {id_: {**node, "inputs": dict(node["inputs"])} for id_, node in self._nodes.items()}
