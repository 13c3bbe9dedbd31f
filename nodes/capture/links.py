"""Wires the Capture Sources of a prompt to its Capture Results before ComfyUI runs it.

The artist draws no such wire. With one, the host itself brings the two sides together: it hands over a source that it
kept from an earlier run, runs one that nothing else needs, and runs a result again whose source has changed. Nothing is
remembered from prompt to prompt, so nothing can be mistaken for something else.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ...training.capture.errors import WorkflowError
from ...training.capture.workflow.graph import (
    Prompt,
    ancestors,
    check_prompt,
    input_links,
    nodes_between,
)
from ...training.capture.workflow.markers import (
    PAIR,
    RESULT,
    check_indices,
    sources_of,
)

_IMAGE, _MASK = "source_{}", "mask_{}"  # inputs added to a Result, by the picture's index
_ADDED = re.compile(r"(source|mask)_\d+")


def connect_sources(prompt: dict[str, Any]) -> dict[str, str]:
    """Adds, in place, the wires from each Source to the Results it belongs to, replacing those added earlier.

    A Result whose sources are unclear gets none.

    Args:
        prompt: the graph in API format.

    Returns:
        What is wrong with Results whose sources are unclear, by node id.
    """
    results = [node for node in prompt.values() if isinstance(node, Mapping) and node.get("class_type") == RESULT]
    if not results:
        return {}
    for node in results:
        if isinstance(node.get("inputs"), dict):
            node["inputs"] = without_links(node["inputs"])
    try:
        checked = check_prompt(prompt)
    except WorkflowError:
        return {}  # the host says what is wrong with it
    unclear: dict[str, str] = {}
    for node_id, node in checked.items():
        if node["class_type"] != RESULT:
            continue
        try:
            sources = sources_of(checked, node_id)
        except WorkflowError as error:
            unclear[node_id] = str(error)
            continue
        for index, source in sources.items():
            prompt[node_id]["inputs"][_IMAGE.format(index)] = [source, 0]
            if "mask" in input_links(checked, source):
                prompt[node_id]["inputs"][_MASK.format(index)] = [source, 1]
    return unclear


def without_links(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The inputs of a Result without the wires that `connect_sources` adds."""
    return {name: value for name, value in inputs.items() if not _ADDED.fullmatch(name)}


def linked_pictures(linked: Mapping[str, Any]) -> dict[int, tuple[Any, Any]]:
    """What came over the added wires.

    Args:
        linked: the inputs of a Result that are not in its schema.

    Returns:
        (images, masks or None) by index, in order.

    Raises:
        WorkflowError: an index between others is missing.
    """
    found = {int(name.partition("_")[2]): value for name, value in linked.items() if name.startswith("source_")}
    check_indices(found)
    return {index: (found[index], linked.get(_MASK.format(index))) for index in sorted(found)}


def upstream_graph(prompt: Mapping[str, Any], node_id: str) -> Prompt:
    """The part of a graph that a marker's pair is made from, without what the host or this pack added to it.

    Raises:
        WorkflowError: the prompt is no graph in API format.
    """
    graph = check_prompt(prompt)
    needed = ancestors(graph, [node_id])
    for needed_id in needed:
        if graph[needed_id]["class_type"] == RESULT:
            graph[needed_id]["inputs"] = without_links(graph[needed_id]["inputs"])
    return {id_: node for id_, node in graph.items() if id_ in needed}


def upstream_of_source(prompt: Prompt, node_id: str) -> set[str]:
    """The nodes that make the first picture of the pair that a marker keeps; empty where that is unclear."""
    name = "source" if prompt[node_id]["class_type"] == PAIR else "image"
    try:
        marker = node_id if name == "source" else next(iter(sources_of(prompt, node_id).values()))
        return ancestors(prompt, [input_links(prompt, marker)[name][0]])
    except (WorkflowError, KeyError):
        return set()


def edit_nodes(prompt: Mapping[str, Any], marker: str) -> set[str]:
    """The nodes that make the result of a marker out of the first picture; empty where that is unclear."""
    graph = check_prompt(prompt)
    pair = graph[marker]["class_type"] == PAIR
    wires = input_links(graph, marker)
    try:
        source = wires["source"][0] if pair else next(iter(sources_of(graph, marker).values()))
        return nodes_between(graph, [source], wires["result" if pair else "image"][0])
    except (WorkflowError, KeyError):
        return set()
