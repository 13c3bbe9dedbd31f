"""The marker nodes as they stand in a prompt, and a prompt without them.

Their contract (the nodes themselves live in `nodes/`):

- ``ACECaptureSource``: ``image`` (IMAGE), ``mask`` (MASK, optional), ``index`` (INT, 0 = {image}, 1 = {image1}, …).
  Outputs: 0 the image, 1 the mask, untouched.
- ``ACECaptureResult``: ``image`` (IMAGE), ``instruction``, ``dataset``, ``tags`` (STRING). Output 0: the image.
- ``ACECapturePair``: ``source``, ``result`` (IMAGE), ``mask`` (MASK, optional), ``references.…N`` (IMAGE, growing),
  ``instruction``, ``dataset``, ``tags``. Output 0: the result.

Other inputs, ``seed`` among them, speak to the nodes alone. A capture over a folder writes the pairs itself, so servers
are sent the prompt without markers and need not have this pack.
"""

from __future__ import annotations

import copy
import re
from dataclasses import dataclass, field

from .errors import WorkflowError
from .graph import Link, Prompt, as_link, links_into, readers

SOURCE, RESULT, PAIR = "ACECaptureSource", "ACECaptureResult", "ACECapturePair"
_KINDS = (SOURCE, RESULT, PAIR)
# Input behind each output of a marker.
_PASSED = {SOURCE: ("image", "mask"), RESULT: ("image",), PAIR: ("result",)}
_MAX_INDEX = 9


@dataclass(frozen=True)
class MarkedPicture:
    """A condition image pointed at: where it can be seen, and its mask."""

    node: str
    index: int
    image: Link
    mask: Link | None = None


@dataclass(frozen=True)
class MarkedResult:
    """A result pointed at, and what its marker says about the pairs; "" where it says nothing."""

    node: str
    image: Link
    instruction: str = ""
    dataset: str = ""
    tags: tuple[str, ...] = ()


@dataclass(frozen=True)
class Markers:
    """All markers of a prompt, pictures in indicator order, and the prompt without them."""

    prompt: Prompt
    pictures: tuple[MarkedPicture, ...] = ()
    results: tuple[MarkedResult, ...] = ()
    named: dict[str, str] = field(default_factory=dict)  # type by node id


def read_markers(prompt: Prompt) -> Markers:
    """Find the markers and take them out, wires passed through.

    Raises:
        WorkflowError: a marker without its image, or two for one picture.
    """
    named = {id_: node["class_type"] for id_, node in prompt.items() if node["class_type"] in _KINDS}
    bare = _without(prompt, named)
    pictures: list[MarkedPicture] = []
    results: list[MarkedResult] = []
    for node_id, kind in named.items():
        if kind == SOURCE:
            index = prompt[node_id]["inputs"].get("index", 0)
            if isinstance(index, bool) or not isinstance(index, int) or not 0 <= index <= _MAX_INDEX:
                raise WorkflowError(f"node {node_id} ({SOURCE}): index is 0 to {_MAX_INDEX}, got {index!r:.40}.")
            pictures.append(_picture(prompt, named, node_id, "image", index))
        else:
            results.append(_result(prompt, named, node_id, "image" if kind == RESULT else "result"))
        if kind == PAIR:
            pictures.append(_picture(prompt, named, node_id, "source", 0))
            pictures += [
                MarkedPicture(node_id, place, _resolve(prompt, named, node_id, name))
                for place, name in enumerate(_references(prompt, node_id), 1)
            ]
    for index in {picture.index for picture in pictures}:
        same = [picture.node for picture in pictures if picture.index == index]
        if len(same) > 1:
            raise WorkflowError(
                f"Nodes {', '.join(same)} all mark the picture with index {index}. Give each its own index, 0 for the source."
            )
    return Markers(bare, tuple(sorted(pictures, key=lambda picture: picture.index)), tuple(results), named)


def literal_text(prompt: Prompt, node_id: str, name: str) -> str | None:
    """Text of an input, also of one that is wired to a node with nothing but that text; None if it cannot be known."""
    value = prompt[node_id]["inputs"].get(name, "")
    link = as_link(value, prompt)
    if link is not None:
        inputs = prompt.get(link[0], {}).get("inputs", {})
        value = next(iter(inputs.values())) if len(inputs) == 1 else None
    return value if isinstance(value, str) else None


def _picture(prompt: Prompt, named: dict[str, str], node_id: str, name: str, index: int) -> MarkedPicture:
    mask = _resolve(prompt, named, node_id, "mask") if "mask" in links_into(prompt, node_id) else None
    return MarkedPicture(node_id, index, _resolve(prompt, named, node_id, name), mask)


def _result(prompt: Prompt, named: dict[str, str], node_id: str, name: str) -> MarkedResult:
    texts = {}
    for field_name in ("instruction", "dataset", "tags"):
        text = literal_text(prompt, node_id, field_name)
        if text is None:
            raise WorkflowError(
                f"node {node_id} ({named[node_id]}): {field_name} is made while the graph runs, so it is not known "
                "beforehand. Type it in, or wire a plain text node to it."
            )
        texts[field_name] = text.strip()
    tags = tuple(tag.strip() for tag in re.split(r"[,\n]", texts["tags"]) if tag.strip())
    image = _resolve(prompt, named, node_id, name)
    return MarkedResult(node_id, image, texts["instruction"], texts["dataset"], tags)


def _references(prompt: Prompt, node_id: str) -> list[str]:
    numbered = [(re.search(r"^references\..*?(\d+)$", name), name) for name in links_into(prompt, node_id)]
    return [name for match, name in sorted((int(m.group(1)), name) for m, name in numbered if m)]


def _resolve(prompt: Prompt, named: dict[str, str], node_id: str, name: str) -> Link:
    """Where an input of a marker comes from, looking through other markers."""
    seen = set()
    while True:
        link = links_into(prompt, node_id).get(name)
        if link is None or (node_id, name) in seen:
            raise WorkflowError(f"node {node_id} ({named.get(node_id, '')}): nothing is connected to {name}.")
        seen.add((node_id, name))
        if link[0] not in named:
            return link
        passed = _PASSED[named[link[0]]]
        node_id, name = link[0], passed[min(link[1], len(passed) - 1)]


def _without(prompt: Prompt, named: dict[str, str]) -> Prompt:
    """The prompt with every wire out of a marker replaced by the wire into it; without one the input is left open."""
    bare = copy.deepcopy({id_: node for id_, node in prompt.items() if id_ not in named})
    for marker in named:
        for reader, name in readers(prompt, marker):
            if reader not in bare:
                continue
            link = links_into(prompt, reader)[name]
            passed = _PASSED[named[marker]]
            source = passed[min(link[1], len(passed) - 1)]
            if source in links_into(prompt, marker):
                bare[reader]["inputs"][name] = list(_resolve(prompt, named, marker, source))
            else:
                del bare[reader]["inputs"][name]
    return bare
