"""What went wrong with a prompt, classified by what to do about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ..dataset.provenance.redaction import redact_text
from .client import PromptValidationError
from .plan import Plan

Kind = Literal["memory", "input", "file", "invalid", "interrupted", "lost", "server"]
_MEMORY_TYPES = ("OutOfMemoryError", "MemoryError")
_MEMORY_WORDS = ("out of memory", "not enough memory", "alloc_cpu", "cudaerrormemoryallocation", "allocation on device")
_MAX_MESSAGE = 600
STOPPED_ON_SERVER = "the prompt was stopped on the server"
"""The reason of a prompt that somebody cancelled or interrupted."""


@dataclass(frozen=True)
class Failure:
    """Why a job failed.

    Attributes:
        kind: what is done about it: "memory" (free the server's memory and retry), "input" (set the input aside, unless
            all inputs fail so), "file" (set it aside: it was never sent), "interrupted" and "lost" (retry), "invalid"
            (retry, then set it aside), "server" (run the job on another server).
        message: the reason, fit to be written to files.
        place: node and type of error, by which failures of one cause are recognised.
    """

    kind: Kind
    message: str
    place: str = ""


def classify_failure(entry: Mapping[str, Any]) -> Failure | None:
    """The failure in a prompt's entry of the server's history; None where the prompt ended well."""
    status = entry.get("status")
    status = status if isinstance(status, Mapping) else {}
    for message in status.get("messages") or []:
        if not (isinstance(message, Sequence) and len(message) == 2 and isinstance(message[1], Mapping)):
            continue
        kind, data = message
        if kind == "execution_interrupted":
            return Failure("interrupted", STOPPED_ON_SERVER)
        if kind == "execution_error":
            return _execution_failure(data)
    if status.get("status_str") == "error":
        return Failure("input", "the server reports an error without a reason")
    return None


def classify_validation_error(error: PromptValidationError, plan: Plan) -> Failure:
    """An error that concerns only what differs from job to job is the input's, any other is the server's."""
    varying = {node for node, _ in plan.varying}
    if error.nodes and set(error.nodes) <= varying:
        return Failure("invalid", safe_message(str(error)), "invalid")
    return Failure("server", safe_message(str(error)))


def safe_message(message: str) -> str:
    """A message that may be written to files: one line, bounded, without secrets."""
    text = " ".join(redact_text(message).split())
    return text if len(text) <= _MAX_MESSAGE else text[: _MAX_MESSAGE - 1] + "…"


def _execution_failure(data: Mapping[str, Any]) -> Failure:
    kind = str(data.get("exception_type", "")).rpartition(".")[2]
    text = str(data.get("exception_message", "")).strip()
    node = f"node {data.get('node_id', '?')} ({data.get('node_type', '?')})"
    lowered = text.lower()
    memory = kind in _MEMORY_TYPES or any(sign in lowered for sign in _MEMORY_WORDS)
    # ComfyUI adds tips behind an empty line; the first paragraph is the error.
    message = safe_message(f"{node}: {kind}: {text.partition(chr(10) * 2)[0]}")
    return Failure("memory" if memory else "input", message, f"{node} {kind}")
