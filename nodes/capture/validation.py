"""What the capturing nodes do before their graph runs: check that pairs can be kept at all, and start the stopwatch."""

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
from .record import check_indicators, shared_recorder, split_list

# What is wrong with the markers of the prompt that is being queued, by node id. ComfyUI looks a prompt over and then
# asks its nodes in one and the same request, and other requests have a context of their own.
_marker_errors: ContextVar[Mapping[str, str]] = ContextVar("ace_marker_errors", default=MappingProxyType({}))


def prepare_markers(prompt: dict[str, Any]) -> None:
    """Wires the markers of a prompt, in place, and notes what is wrong with them for `validate_marker`.

    Called with each prompt that is queued, before ComfyUI asks its nodes whether they can run.

    Args:
        prompt: the graph in API format.
    """
    errors: dict[str, str] = {}
    _marker_errors.set(errors)  # those of an earlier prompt are gone, whatever happens below
    errors.update(connect_sources(prompt))
    for node_id, node in prompt.items():
        kind = node.get("class_type") if isinstance(node, Mapping) else None
        if kind in (RESULT, PAIR) and node_id not in errors and isinstance(node.get("inputs"), Mapping):
            errors[node_id] = _widget_error(node["inputs"])


def _widget_error(inputs: Mapping[str, Any]) -> str:
    """What is wrong with what was typed into a marker, or "". What comes over a wire is only known when it runs."""
    from ...training.dataset.intake.checks import parse_checks

    pictures = sum(
        name.startswith(("source", "references.")) for name, value in inputs.items() if isinstance(value, list)
    )
    instruction, checks = inputs.get("instruction"), inputs.get("checks")
    try:
        if isinstance(instruction, str):
            check_indicators(instruction, pictures)
        if isinstance(checks, str):
            parse_checks(split_list(checks))
    except ValueError as error:  # a `CheckError` is one, too
        return str(error)
    return ""


def fingerprint_marker(dataset: Any) -> int:
    """The fingerprint of a marker, by which ComfyUI decides whether it runs again. Starts the stopwatch.

    ComfyUI asks at the beginning of each prompt.

    Args:
        dataset: the widget's value as ComfyUI passes it to ``fingerprint_inputs``.

    Returns:
        A number that changes when pairs of this dataset were lost, or the dataset was deleted.
    """
    from ...training.errors import DatasetError

    stopwatch.start()
    name = _widget_value(dataset)
    try:
        return shared_recorder().generation(None if name is None else paths.dataset_folder(name))
    except DatasetError:
        return 0  # the node itself will say what is wrong with the name


async def validate_marker(node: type[io.ComfyNode], dataset: Any) -> bool | str:
    """Whether a marker may run, for ComfyUI's ``validate_inputs``.

    One that may not would let its results be computed, though their pairs cannot be kept. What an earlier run could not
    write is tried again first. The reason is shown on the node too, since the front end only paints the node red where
    other parts of the graph can run.

    Args:
        node: the marker's class, with its hidden inputs.
        dataset: the widget's value as ComfyUI passes it.

    Returns:
        True, or the reason as a sentence.
    """
    reason = _marker_errors.get().get(node.hidden.unique_id, "")
    name = _widget_value(dataset)
    if not reason and name is not None:
        reason = await asyncio.to_thread(_dataset_error, name)
    if reason:
        show_on_node(reason, node.hidden.unique_id)
    return reason or True


def _widget_value(dataset: Any) -> Any:
    """What stands in a widget, which ComfyUI passes in a list before the graph runs; None where it is wired."""
    return dataset[0] if isinstance(dataset, (list, tuple)) and dataset else dataset


def _dataset_error(name: Any) -> str:
    """Why no pair can be written to the dataset of this name, or ""."""
    from ...training.dataset.disk.storage import METADATA, check_writable
    from ...training.errors import DatasetError

    try:
        folder = paths.dataset_folder(name)
        check_writable(folder)
    except DatasetError as error:
        return str(error)
    if folder.is_dir() and not (folder / METADATA).is_file():
        return f"{folder} exists, but is not a dataset: it has no {METADATA}. Choose another name, or move the folder away."
    return shared_recorder().write_problem(folder)
