"""Workflows as ComfyUI runs them: a prompt {node id: {"class_type", "inputs"}}, links as [node id, output index].

A file in UI format is converted with the help of the server's node schemas (``/object_info``); see ``ui_graph``.
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..errors import EXPORT_ADVICE, WorkflowError

Prompt = dict[str, dict[str, Any]]
Link = tuple[str, int]


@dataclass(frozen=True)
class LeftOut:
    """A node that is muted or bypassed, and so has no place in the prompt.

    Attributes:
        node: its id, as it would be in the prompt.
        type: its type; "subgraph" for the instance of one.
        title: as the artist sees it; "" for that of its type.
        bypassed: whether it is bypassed rather than muted.
    """

    node: str
    type: str
    title: str = ""
    bypassed: bool = False

    def __str__(self) -> str:
        named = f' "{self.title}"' if self.title and self.title != self.type else ""
        state = "bypassed and has nothing to pass on" if self.bypassed else "muted"
        return f"node {self.node}: {self.type}{named} is {state}"


@dataclass(frozen=True)
class Workflow:
    """A prompt and what only the UI format knew about it.

    Attributes:
        prompt: in API format.
        problems: why a node cannot be run, by its id; it matters only if the node is needed.
        controls: what happens to a value after each run ("fixed", "randomize", …), by (node id, input).
        notes: what was decided when the file was read, in words.
        left_out: the nodes that are muted or bypassed.
        gaps: what an input, (node id, input), gets nothing from although it is wired in the file.
    """

    prompt: Prompt
    problems: Mapping[str, str] = field(default_factory=dict)
    controls: Mapping[tuple[str, str], str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    gaps: Mapping[tuple[str, str], LeftOut] = field(default_factory=dict)

    def gaps_of(self, nodes: Collection[str]) -> list[str]:
        """Sentences' halves on the inputs of some nodes that get nothing because of a node that is left out."""
        return [
            f"{gap}, so nothing reaches {name} of {describe(self.prompt, node)}"
            for (node, name), gap in self.gaps.items()
            if node in nodes and node in self.prompt
        ]


def unknown_type_message(kind: str) -> str:
    """What messages say of a node that the server does not have."""
    return (
        f"the server has no node {kind!r}. Install the pack it belongs to. If it lives in the browser alone: "
        f"{EXPORT_ADVICE}"
    )


def check_prompt(prompt: Mapping[str, Any]) -> Prompt:
    """Checks a prompt and gives a copy without what has no bearing on the run.

    Raises:
        WorkflowError: it is no prompt.
    """
    if not prompt:
        raise WorkflowError("The workflow has no nodes.")
    checked: Prompt = {}
    for node_id, node in prompt.items():
        inputs = node.get("inputs") if isinstance(node, Mapping) else None
        if not isinstance(inputs, Mapping) or not isinstance(node.get("class_type"), str):
            raise WorkflowError(
                f"This is not a workflow: {str(node_id)!r:.60} is not a node with class_type and inputs. {EXPORT_ADVICE}"
            )
        entry: dict[str, Any] = {"class_type": node["class_type"], "inputs": copy.deepcopy(dict(inputs))}
        title = node["_meta"].get("title") if isinstance(node.get("_meta"), Mapping) else None
        checked[str(node_id)] = {**entry, "_meta": {"title": str(title)}} if title else entry
    return checked


def as_link(value: Any, prompt: Mapping[str, Any]) -> Link | None:
    """The value of an input as a link; None for a widget's value. A link to a node that is not there is one, too."""
    if not isinstance(value, (list, tuple)) or len(value) != 2:
        return None
    node_id, output = value
    if isinstance(output, bool) or not isinstance(output, int) or not isinstance(node_id, (str, int)):
        return None
    # [2, 3] is also a list of numbers; a link names a node, and API exports write node ids as text.
    return (str(node_id), output) if isinstance(node_id, str) or str(node_id) in prompt else None


def input_links(prompt: Prompt, node_id: str) -> dict[str, Link]:
    """The links into a node, by input."""
    found = {name: as_link(value, prompt) for name, value in prompt[node_id]["inputs"].items()}
    return {name: link for name, link in found.items() if link is not None}


def ancestors(prompt: Prompt, roots: Iterable[str]) -> set[str]:
    """The nodes that the given ones need, themselves included.

    Raises:
        WorkflowError: a link leads to a node that is not there.
    """
    found: set[str] = set()
    waiting = list(roots)
    while waiting:
        node_id = waiting.pop()
        if node_id in found:
            continue
        if node_id not in prompt:
            raise WorkflowError(
                f"A link of the workflow leads to node {node_id!r:.60}, which is not in it. {EXPORT_ADVICE}"
            )
        found.add(node_id)
        waiting += [link[0] for link in input_links(prompt, node_id).values()]
    return found


def nodes_between(prompt: Prompt, begin: Collection[str], end: str) -> set[str]:
    """The nodes on the ways from some nodes to another.

    Args:
        begin: where the ways begin; these are left out.
        end: where they end; it is one of the nodes, unless it does not depend on ``begin``.

    Raises:
        WorkflowError: a link leads to a node that is not there.
    """
    above = ancestors(prompt, [end]) - set(begin)
    found: set[str] = set()
    waiting = list(begin)
    while waiting:
        new = {reader for reader, _ in consumers(prompt, waiting.pop())} & above - found
        found |= new
        waiting += new
    return found


def node_types(prompt: Prompt) -> set[str]:
    """The types of all nodes."""
    return {node["class_type"] for node in prompt.values()}


def consumers(prompt: Prompt, node_id: str, output: int | None = None) -> list[tuple[str, str]]:
    """The inputs that are linked to a node.

    Args:
        output: only those linked to this output.

    Returns:
        (node, input) of each.
    """
    return [
        (reader, name)
        for reader in prompt
        for name, link in input_links(prompt, reader).items()
        if link[0] == node_id and output in (None, link[1])
    ]


def describe(prompt: Prompt, node_id: str) -> str:
    """What messages call a node: its number, type, title, and the file it shows."""
    node = prompt[node_id]
    title = node.get("_meta", {}).get("title", "")
    named = f' "{title}"' if title and title != node["class_type"] else ""
    file = node["inputs"].get("image")
    shows = f" ({file})" if isinstance(file, str) and len(file) < 120 else ""
    return f"node {node_id}: {node['class_type']}{named}{shows}"
