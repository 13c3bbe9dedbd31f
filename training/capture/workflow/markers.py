"""The marker nodes as they stand in a prompt, and a prompt without them.

Their contract (the nodes themselves live in ``nodes/``):

- ``ACECaptureSource``: ``image`` (IMAGE), ``mask`` (MASK, optional), ``index`` (INT, 0 = {image}, 1 = {image1}, …).
  Outputs: 0 the image, 1 the mask, untouched.
- ``ACECaptureResult``: ``image`` (IMAGE), ``instruction``, ``dataset``, ``tags``, ``checks`` (STRING). Output 0: the
  image.
- ``ACECapturePair``: ``source``, ``result`` (IMAGE), ``mask`` (MASK, optional), ``references.…N`` (IMAGE, growing),
  ``instruction``, ``dataset``, ``tags``, ``checks``. Output 0: the result.

Other inputs, ``seed`` among them, speak to the nodes alone. A capture over a folder writes the pairs itself, so servers
are sent the prompt without markers and need not have this pack.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from ....ace.lcu.indicators import indicator
from ..errors import WorkflowError
from .graph import LeftOut, Link, Prompt, ancestors, as_link, consumers, input_links

SOURCE, RESULT, PAIR = "ACECaptureSource", "ACECaptureResult", "ACECapturePair"
_KINDS = (SOURCE, RESULT, PAIR)
# Input behind each output of a marker.
_PASSED = {SOURCE: ("image", "mask"), RESULT: ("image",), PAIR: ("result",)}
_SETTINGS = ("instruction", "dataset", "tags", "checks")
_MAX_INDEX = 9


@dataclass(frozen=True)
class MarkedPicture:
    """A condition image that a marker points at.

    Attributes:
        node: the marker.
        index: 0 = {image}, 1 = {image1}, …
        image: where the picture can be seen.
        mask: where its mask can be seen; None where it has none.
    """

    node: str
    index: int
    image: Link
    mask: Link | None = None


@dataclass(frozen=True)
class MarkerSettings:
    """What the widgets of a result's marker say about the pairs, each "" where they say nothing or there is no marker.

    They are read when they are asked for, because what the caller says himself need not be known before the graph runs.
    Each raises ``WorkflowError`` where it is not.

    Attributes:
        prompt: with the markers.
        node: the marker.
    """

    prompt: Prompt = field(default_factory=dict)
    node: str | None = None

    @property
    def instruction(self) -> str:
        """Of all pairs."""
        return self._text("instruction")

    @property
    def dataset(self) -> str:
        """Name of the dataset."""
        return self._text("dataset")

    @property
    def tags(self) -> tuple[str, ...]:
        """Of all pairs."""
        return _split(self._text("tags"))

    @property
    def checks(self) -> tuple[str, ...]:
        """Changes to the quality checks, as ``parse_checks`` takes them."""
        return _split(self._text("checks"))

    def _text(self, name: str) -> str:
        if self.node is None:
            return ""
        text = literal_text(self.prompt, self.node, name)
        if text is None:
            raise WorkflowError(
                f"node {self.node} ({self.prompt[self.node]['class_type']}): {name} is made while the graph runs, so it is "
                "not known beforehand. Say it with the command, type it in, or wire a plain text node to it."
            )
        return text.strip()


@dataclass(frozen=True)
class Markers:
    """All markers of a prompt.

    A graph may hold several captures, each with its own result; ``pictures`` says which pictures belong to it.

    Attributes:
        prompt: without them.
        marked: the prompt with them.
        types: type of each marker by node id.
        gaps: what an input gets nothing from although it is wired in the file, as a ``Workflow`` has it.
    """

    prompt: Prompt
    marked: Prompt = field(default_factory=dict)
    types: dict[str, str] = field(default_factory=dict)
    gaps: Mapping[tuple[str, str], LeftOut] = field(default_factory=dict)

    @property
    def results(self) -> tuple[str, ...]:
        """The nodes that mark a result."""
        return tuple(node for node, kind in self.types.items() if kind != SOURCE)

    def image(self, node: str) -> Link:
        """Where the result that a node marks can be seen."""
        return self._origin(node, "image" if self.types[node] == RESULT else "result")

    def settings(self, node: str | None) -> MarkerSettings:
        """What a result's marker says about the pairs; nothing for None."""
        return MarkerSettings(self.marked, node)

    def pictures(self, result: str) -> tuple[MarkedPicture, ...]:
        """The condition images of a result in indicator order; none where nothing marks any.

        Args:
            result: the node that marks it (a Capture Pair marks its own pictures), or any node that makes it, to which
                the Capture Sources belong as they do to a Capture Result, or else the only Capture Pair.

        Raises:
            WorkflowError: which pictures are meant is unclear, a marker is not wired, or one in the row is missing.
        """
        if self.types.get(result) == PAIR:
            return self._of_pair(result)
        if SOURCE in self.types.values():
            sources = sources_of(self.marked, result)
            return tuple(self._picture(node, "image", index) for index, node in sources.items())
        if self.types.get(result) == RESULT:
            return ()
        pairs = [node for node, kind in self.types.items() if kind == PAIR]
        if len(pairs) > 1:
            raise WorkflowError(
                f"Nodes {', '.join(pairs)} mark pairs and node {result} is none of them. Name the one that is meant with "
                "--result NODE."
            )
        return self._of_pair(pairs[0]) if pairs else ()

    def _of_pair(self, node: str) -> tuple[MarkedPicture, ...]:
        further = enumerate(_references(self.marked, node), 1)
        return (
            self._picture(node, "source", 0),
            *(MarkedPicture(node, index, self._origin(node, name)) for index, name in further),
        )

    def _picture(self, node: str, name: str, index: int) -> MarkedPicture:
        has_mask = "mask" in input_links(self.marked, node)
        mask = self._origin(node, "mask") if has_mask else None
        return MarkedPicture(node, index, self._origin(node, name), mask)

    def _origin(self, node: str, name: str) -> Link:
        return _resolve(self.marked, self.types, node, name, self.gaps)


def read_markers(prompt: Prompt, gaps: Mapping[tuple[str, str], LeftOut] | None = None) -> Markers:
    """Finds the markers and takes them out, links passed through.

    Args:
        gaps: what an input gets nothing from although it is wired in the file.

    Raises:
        WorkflowError: a marker without its image.
    """
    types = {id_: node["class_type"] for id_, node in prompt.items() if node["class_type"] in _KINDS}
    marked = dict(prompt)
    for node_id, kind in types.items():
        if kind == RESULT:  # the nodes wire the sources to it for themselves
            inputs = {name: value for name, value in prompt[node_id]["inputs"].items() if name in ("image", *_SETTINGS)}
            marked[node_id] = {**prompt[node_id], "inputs": inputs}
    return Markers(_remove_markers(marked, types), marked, types, gaps or {})


def sources_of(prompt: Prompt, result: str) -> dict[int, str]:
    """The Capture Source of each picture of a result, by index, in order.

    A Source beside the result counts, as for teaching restoration, unless another marked result is made from it and this
    one is not. Where two have the same index there are several captures in one graph, and those count that the result is
    made from.

    Args:
        result: its marker or the node that makes it.

    Raises:
        WorkflowError: there is none, which one is meant is unclear, or one in the row is missing.
    """
    elsewhere = _of_other_results(prompt, result)
    sources = [node_id for node_id, node in prompt.items() if node["class_type"] == SOURCE]
    by_index = _by_index(prompt, [node_id for node_id in sources if node_id not in elsewhere])
    if any(len(nodes) > 1 for nodes in by_index.values()):
        above = ancestors(prompt, [result])
        by_index = _by_index(prompt, [node for nodes in by_index.values() for node in nodes if node in above])
    if not by_index:
        raise WorkflowError(
            f"node {result} has no Capture Source. Put one on the wire of the picture before the edit, or use Capture Pair "
            "instead."
        )
    for index, nodes in by_index.items():
        if len(nodes) > 1:
            raise WorkflowError(
                f"nodes {', '.join(nodes)} all mark the picture with index {index}. Give each Capture Source its own "
                "index, 0 for {image}, 1 for {image1} and so on."
            )
        if prompt[result]["class_type"] == RESULT and result in ancestors(prompt, nodes):
            raise WorkflowError(
                f"Capture Source (node {nodes[0]}) is made from this very result, so neither could run first. Let the "
                "wire pass by the Capture Result: connect the Source's side to what comes before it."
            )
    check_indices(by_index)
    return {index: nodes[0] for index, nodes in sorted(by_index.items())}


def _of_other_results(prompt: Prompt, result: str) -> set[str]:
    """Nodes that other marked results are made from, and this marked one is not.

    A muted Source is not in the prompt, and its result must not be given the picture of another capture instead.
    """
    if prompt[result]["class_type"] != RESULT:
        return set()
    others = [id_ for id_, node in prompt.items() if node["class_type"] == RESULT and id_ != result]
    return ancestors(prompt, others) - ancestors(prompt, [result])


def check_indices(indices: Collection[int]) -> None:
    """Checks that the pictures of a result are numbered 0, 1, 2 … without gaps.

    A pair keeps its pictures by their order, so with a gap {image2} would be stored as {image1}.

    Raises:
        WorkflowError: there is a gap.
    """
    missing = next((index for index in range(len(indices)) if index not in indices), None)
    if missing is not None:
        given = ", ".join(map(str, sorted(indices)))
        raise WorkflowError(
            f"no Capture Source has index {missing}, that is {indicator(missing)}; there is {given}. Is one muted or not "
            "connected? Number them 0 for {image}, 1 for {image1} and so on, without gaps."
        )


def _by_index(prompt: Prompt, sources: Collection[str]) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    for node_id in sources:
        index = prompt[node_id]["inputs"].get("index", 0)
        if isinstance(index, bool) or not isinstance(index, int) or not 0 <= index <= _MAX_INDEX:
            raise WorkflowError(f"node {node_id} ({SOURCE}): index is 0 to {_MAX_INDEX}, typed in; got {index!r:.40}.")
        found.setdefault(index, []).append(node_id)
    return found


def literal_text(prompt: Prompt, node_id: str, name: str) -> str | None:
    """Text of an input, also of one that is linked to a node with nothing but that text; None if it is not known."""
    value = prompt[node_id]["inputs"].get(name, "")
    link = as_link(value, prompt)
    if link is not None:
        inputs = prompt.get(link[0], {}).get("inputs", {})
        value = next(iter(inputs.values())) if len(inputs) == 1 else None
    return value if isinstance(value, str) else None


def _split(text: str) -> tuple[str, ...]:
    """The parts of a text between commas or line breaks."""
    return tuple(part.strip() for part in re.split(r"[,\n]", text) if part.strip())


def _references(prompt: Prompt, node_id: str) -> list[str]:
    numbered = [(re.search(r"^references\..*?(\d+)$", name), name) for name in input_links(prompt, node_id)]
    return [name for match, name in sorted((int(m.group(1)), name) for m, name in numbered if m)]


def _resolve(
    prompt: Prompt,
    types: dict[str, str],
    node_id: str,
    name: str,
    gaps: Mapping[tuple[str, str], LeftOut] = MappingProxyType({}),
) -> Link:
    """Where an input of a marker comes from, looking through other markers."""
    seen = set()
    while True:
        link = input_links(prompt, node_id).get(name)
        if link is None or (node_id, name) in seen:
            gap = gaps.get((node_id, name))
            why = f": {gap}" if gap is not None else ""
            raise WorkflowError(f"node {node_id} ({types.get(node_id, '')}): nothing is connected to {name}{why}.")
        seen.add((node_id, name))
        if link[0] not in types:
            return link
        passed = _PASSED[types[link[0]]]
        node_id, name = link[0], passed[min(link[1], len(passed) - 1)]


def _remove_markers(prompt: Prompt, types: dict[str, str]) -> Prompt:
    """The prompt with every link out of a marker replaced by the link into it; without one the input is left open."""
    bare = copy.deepcopy({id_: node for id_, node in prompt.items() if id_ not in types})
    for marker in types:
        for reader, name in consumers(prompt, marker):
            if reader not in bare:
                continue
            link = input_links(prompt, reader)[name]
            passed = _PASSED[types[marker]]
            source = passed[min(link[1], len(passed) - 1)]
            if source in input_links(prompt, marker):
                bare[reader]["inputs"][name] = list(_resolve(prompt, types, marker, source))
            else:
                del bare[reader]["inputs"][name]
    return bare
