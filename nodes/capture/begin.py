"""What the capturing nodes do before their graph runs: see whether pairs can be kept at all, and start the clock."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any

from comfy_api.latest import io

from ...training.capture.workflow.markers import PAIR, RESULT
from ..host import paths
from ..host.messages import show_on_node
from . import stopwatch
from .links import connect_sources
from .record import check_indicators, recorder, split_words

# What is wrong with the markers of the prompt that is being queued, by node id. ComfyUI looks a prompt over and then
# asks its nodes in one and the same request, and other requests have a context of their own.
_faults: ContextVar[Mapping[str, str]] = ContextVar("ace_marker_faults", default=MappingProxyType({}))


def connect(prompt: dict[str, Any]) -> None:
    """Called with each prompt that is queued, before its nodes are asked whether they can run."""
    faults: dict[str, str] = {}
    _faults.set(faults)  # those of an earlier prompt are gone, whatever happens below
    faults.update(connect_sources(prompt))
    for node_id, node in prompt.items():
        kind = node.get("class_type") if isinstance(node, Mapping) else None
        if kind in (RESULT, PAIR) and node_id not in faults and isinstance(node.get("inputs"), Mapping):
            faults[node_id] = _fault_in_words(node["inputs"])


def _fault_in_words(inputs: Mapping[str, Any]) -> str:
    """What is wrong with what was typed into a marker, "" for nothing. What is wired is only known when it runs."""
    from ...training.dataset.intake.checks import parse_checks

    pictures = sum(
        name.startswith(("source", "references.")) for name, value in inputs.items() if isinstance(value, list)
    )
    instruction, checks = inputs.get("instruction"), inputs.get("checks")
    try:
        if isinstance(instruction, str):
            check_indicators(instruction, pictures)
        if isinstance(checks, str):
            parse_checks(split_words(checks))
    except ValueError as error:  # a `CheckError` is one, too
        return str(error)
    return ""


def begin(dataset: Any) -> int:
    """Called by ComfyUI at the beginning of each prompt, where it asks what has changed.

    Returns a number that makes a marker run again whose pairs were lost, or whose dataset was deleted.
    """
    from ...training.errors import DatasetError

    stopwatch.start()
    name = _typed(dataset)
    try:
        return recorder().generation(None if name is None else paths.dataset_folder(name))
    except DatasetError:
        return 0  # the node itself will say what is wrong with the name


async def refusal(node: type[io.ComfyNode], dataset: Any) -> bool | str:
    """True, or why a marker must not be queued: its results would be computed, and their pairs could not be kept.

    What an earlier run could not write is tried again first. Said on the node, too, since the front end only paints it red
    where other parts of the graph can run.
    """
    reason = _faults.get().get(node.hidden.unique_id, "")
    name = _typed(dataset)
    if not reason and name is not None:
        reason = await asyncio.to_thread(_refusal, name)
    if reason:
        show_on_node(reason, node.hidden.unique_id)
    return reason or True


def _typed(dataset: Any) -> Any:
    """What stands in the widget, as ComfyUI hands it over before the graph runs: in a list. None where it is wired."""
    return dataset[0] if isinstance(dataset, (list, tuple)) and dataset else dataset


def _refusal(name: Any) -> str:
    from ...training.dataset.disk.storage import METADATA, check_writable
    from ...training.errors import DatasetError

    try:
        folder = paths.dataset_folder(name)
        check_writable(folder)
    except DatasetError as error:
        return str(error)
    if folder.is_dir() and not (folder / METADATA).is_file():
        return f"{folder} is there, but is no dataset: it has no {METADATA}. Choose another name, or move it away."
    return recorder().refusal(folder)
