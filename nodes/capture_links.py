"""Wires the Capture Sources of a prompt to its Capture Results before ComfyUI runs it.

The artist draws no such wire. With one, the host itself brings the two sides together: it hands over a source that it
kept from an earlier run, runs one that nothing else needs, and runs a result again whose source has changed. Nothing is
remembered from prompt to prompt, so nothing can be mistaken for something else.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from typing import Any

from ..training.capture.errors import WorkflowError
from ..training.capture.graph import Prompt, ancestors, check_prompt, links_into
from ..training.capture.markers import PAIR, RESULT, SOURCE

_IMAGE, _MASK = "source_{}", "mask_{}"  # inputs added to a Result, by the picture's index
_ADDED = re.compile(r"(source|mask)_\d+")


class NoSource(ValueError):
    """A Capture Result that cannot be given its pictures."""


def connect_sources(prompt: dict[str, Any]) -> None:
    """Add, in place, the wires from each Source to the Results it belongs to, in place of those added earlier.

    A Result whose sources are unclear gets none; it says why when it runs.
    """
    results = [node for node in prompt.values() if isinstance(node, Mapping) and node.get("class_type") == RESULT]
    if not results:
        return
    for node in results:
        if isinstance(node.get("inputs"), dict):
            node["inputs"] = without_links(node["inputs"])
    try:
        checked = check_prompt(prompt)
    except WorkflowError:
        return  # the host says what is wrong with it
    for node_id, node in checked.items():
        if node["class_type"] != RESULT:
            continue
        try:
            sources = sources_of(checked, node_id)
        except (NoSource, WorkflowError) as error:
            logging.info("ACE Edit: Capture Result (node %s): %s", node_id, error)
            continue
        for index, source in sources.items():
            prompt[node_id]["inputs"][_IMAGE.format(index)] = [source, 0]
            if "mask" in links_into(checked, source):
                prompt[node_id]["inputs"][_MASK.format(index)] = [source, 1]


def without_links(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The inputs of a Result without the wires that `connect_sources` adds."""
    return {name: value for name, value in inputs.items() if not _ADDED.fullmatch(name)}


def linked_pictures(linked: Mapping[str, Any]) -> dict[int, tuple[Any, Any]]:
    """What came over the added wires: (images, masks or None) by index, in order."""
    found = {int(name.partition("_")[2]): value for name, value in linked.items() if name.startswith("source_")}
    return {index: (found[index], linked.get(_MASK.format(index))) for index in sorted(found)}


def sources_of(prompt: Prompt, result: str) -> dict[int, str]:
    """The Source node of each picture of a Result, by index.

    All Sources of the graph count. Where two have the same index there are several captures in one graph, and those count
    that the Result is made from.

    Raises:
        NoSource: there is none, or which one is meant is unclear.
    """
    by_index = _by_index(prompt, [node_id for node_id, node in prompt.items() if node["class_type"] == SOURCE])
    if any(len(nodes) > 1 for nodes in by_index.values()):
        above = ancestors(prompt, [result])
        by_index = _by_index(prompt, [node for nodes in by_index.values() for node in nodes if node in above])
    if not by_index:
        raise NoSource(
            "it has no Capture Source. Put one on the wire of the picture before the edit, or use Capture Pair instead."
        )
    for index, nodes in by_index.items():
        if len(nodes) > 1:
            raise NoSource(
                f"nodes {', '.join(nodes)} all mark the picture with index {index}. Give each Capture Source its own "
                "index, 0 for {image}, 1 for {image1} and so on."
            )
        if result in ancestors(prompt, nodes):
            raise NoSource(
                f"Capture Source (node {nodes[0]}) is made from this very result, so neither could run first. Let the "
                "wire pass by the Capture Result: connect the Source's side to what comes before it."
            )
    return {index: nodes[0] for index, nodes in sorted(by_index.items())}


def _by_index(prompt: Prompt, sources: list[str]) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    for node_id in sources:
        index = prompt[node_id]["inputs"].get("index", 0)
        if isinstance(index, bool) or not isinstance(index, int):
            raise NoSource(f"the index of Capture Source (node {node_id}) must be typed in, not wired.")
        found.setdefault(index, []).append(node_id)
    return found


def contributors(prompt: Mapping[str, Any], node_id: str) -> Prompt:
    """The part of a graph that a marker's pair is made from, without what the host or this pack added to it."""
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
        return ancestors(prompt, [links_into(prompt, marker)[name][0]])
    except (NoSource, WorkflowError, KeyError):
        return set()
