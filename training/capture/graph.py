"""Workflows as ComfyUI runs them: a prompt {node id: {"class_type", "inputs"}}, links as [node id, output index].

A file in UI format is converted with the help of the server's node schemas (`/object_info`); see `ui_graph`.
"""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .errors import WorkflowError

Prompt = dict[str, dict[str, Any]]
Link = tuple[str, int]

MAX_FILE_BYTES = 64 << 20
_EXPORT = "Export it from ComfyUI's menu with File → Export (API) and use that file."


@dataclass(frozen=True)
class Workflow:
    """A prompt and what only the UI format knew about it.

    problems: by node id, why it cannot be run; it matters only if the node is needed. controls: what the artist chose to
    happen to a value after each run ("fixed", "randomize", …), by (node id, input). notes: what was decided on the way.
    """

    prompt: Prompt
    problems: Mapping[str, str] = field(default_factory=dict)
    controls: Mapping[tuple[str, str], str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def read_workflow(path: str | os.PathLike) -> dict[str, Any]:
    """The JSON object in a workflow file. Raises `WorkflowError` if there is none."""
    try:
        size = os.path.getsize(path)
        if size > MAX_FILE_BYTES:
            raise WorkflowError(f"{path} has {size / 1e6:.0f} MB; a workflow has at most {MAX_FILE_BYTES >> 20} MB.")
        data = json.loads(Path(path).read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise WorkflowError(f"{path} cannot be read: {error.strerror or error}.") from error
    except (ValueError, RecursionError) as error:
        raise WorkflowError(f"{path} is no workflow: it is not JSON ({error}).") from error
    if not isinstance(data, dict):
        raise WorkflowError(f"{path} is no workflow: expected a JSON object, got {type(data).__name__}.")
    return data


def is_ui_format(data: Mapping[str, Any]) -> bool:
    """Whether this is what File → Save writes, as opposed to File → Export (API)."""
    return isinstance(data.get("nodes"), list) and "links" in data


def load_workflow(data: Mapping[str, Any], object_info: Mapping[str, Any] | None = None) -> Workflow:
    """A prompt from either format. object_info: the server's node schemas, needed for the UI format.

    Raises:
        WorkflowError: neither format, or a form that only the browser can convert.
    """
    if is_ui_format(data):
        from .ui_graph import convert

        if object_info is None:
            raise WorkflowError(f"A workflow in UI format is converted with the help of a running server. {_EXPORT}")
        return convert(data, object_info)
    prompt = data["prompt"] if isinstance(data.get("prompt"), dict) and "class_type" not in data["prompt"] else data
    checked = check_prompt(prompt)
    kinds = {id_: node["class_type"] for id_, node in checked.items()}
    unknown = {id_: kind for id_, kind in kinds.items() if object_info is not None and kind not in object_info}
    return Workflow(checked, {id_: unknown_type(kind) for id_, kind in unknown.items()})


def unknown_type(kind: str) -> str:
    """What to say of a node that the server does not have."""
    return (
        f"the server has no node {kind!r}. Install the pack it belongs to; if it lives in the browser alone, export the "
        "workflow with File → Export (API)."
    )


def check_prompt(prompt: Mapping[str, Any]) -> Prompt:
    """A copy of a prompt, without what has no bearing on the run; raises `WorkflowError` unless it is one."""
    if not prompt:
        raise WorkflowError("The workflow has no nodes.")
    checked: Prompt = {}
    for node_id, node in prompt.items():
        inputs = node.get("inputs") if isinstance(node, Mapping) else None
        if not isinstance(inputs, Mapping) or not isinstance(node.get("class_type"), str):
            raise WorkflowError(
                f"This is no workflow: {str(node_id)!r:.60} is no node with class_type and inputs. {_EXPORT}"
            )
        entry: dict[str, Any] = {"class_type": node["class_type"], "inputs": copy.deepcopy(dict(inputs))}
        title = node["_meta"].get("title") if isinstance(node.get("_meta"), Mapping) else None
        checked[str(node_id)] = {**entry, "_meta": {"title": str(title)}} if title else entry
    return checked


def as_link(value: Any, prompt: Mapping[str, Any]) -> Link | None:
    """The link that an input's value is, or None for a widget's value. Dangling links count as links."""
    if not isinstance(value, (list, tuple)) or len(value) != 2:
        return None
    node_id, output = value
    if isinstance(output, bool) or not isinstance(output, int) or not isinstance(node_id, (str, int)):
        return None
    # [2, 3] is also a list of numbers; a link names a node, and API exports write node ids as text.
    return (str(node_id), output) if isinstance(node_id, str) or str(node_id) in prompt else None


def links_into(prompt: Prompt, node_id: str) -> dict[str, Link]:
    """The linked inputs of a node by name."""
    found = {name: as_link(value, prompt) for name, value in prompt[node_id]["inputs"].items()}
    return {name: link for name, link in found.items() if link is not None}


def ancestors(prompt: Prompt, roots: Iterable[str]) -> set[str]:
    """The nodes that the given ones need, themselves included. Raises `WorkflowError` on links to nowhere."""
    found: set[str] = set()
    waiting = list(roots)
    while waiting:
        node_id = waiting.pop()
        if node_id in found:
            continue
        if node_id not in prompt:
            raise WorkflowError(f"A link of the workflow leads to node {node_id!r:.60}, which is not in it. {_EXPORT}")
        found.add(node_id)
        waiting += [link[0] for link in links_into(prompt, node_id).values()]
    return found


def between(prompt: Prompt, begin: Collection[str], end: str) -> set[str]:
    """The nodes whose work depends on those of `begin`, which are left out, and goes into `end`, which is one of them.

    Empty where `end` does not depend on them. Raises `WorkflowError` on links to nowhere.
    """
    above = ancestors(prompt, [end]) - set(begin)
    found: set[str] = set()
    waiting = list(begin)
    while waiting:
        new = {reader for reader, _ in readers(prompt, waiting.pop())} & above - found
        found |= new
        waiting += new
    return found


def node_types(prompt: Prompt) -> set[str]:
    return {node["class_type"] for node in prompt.values()}


def readers(prompt: Prompt, node_id: str, output: int | None = None) -> list[tuple[str, str]]:
    """(node, input) of everything linked to a node, or to one of its outputs."""
    return [
        (reader, name)
        for reader in prompt
        for name, link in links_into(prompt, reader).items()
        if link[0] == node_id and output in (None, link[1])
    ]


def describe(prompt: Prompt, node_id: str) -> str:
    """A node as people know it: number, type, title, and the file it shows."""
    node = prompt[node_id]
    title = node.get("_meta", {}).get("title", "")
    named = f' "{title}"' if title and title != node["class_type"] else ""
    file = node["inputs"].get("image")
    shows = f" ({file})" if isinstance(file, str) and len(file) < 120 else ""
    return f"node {node_id}: {node['class_type']}{named}{shows}"
