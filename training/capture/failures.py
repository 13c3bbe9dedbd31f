"""What went wrong with a prompt, sorted by what to do about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ..dataset.provenance.redaction import redact_text
from .client import Refused
from .plan import Plan

Kind = Literal["memory", "input", "file", "refused", "interrupted", "lost", "server"]
_MEMORY_TYPES = ("OutOfMemoryError", "MemoryError")
_MEMORY_WORDS = ("out of memory", "not enough memory", "alloc_cpu", "cudaerrormemoryallocation", "allocation on device")
_MAX_MESSAGE = 600


@dataclass(frozen=True)
class Failure:
    """kind: "memory" (free, then again), "input" (set aside, unless all fail so), "file" (set aside: it was never sent),
    "interrupted" and "lost" (again), "refused" (again, then set aside), "server" (elsewhere).

    place: node and type of error, by which failures of one cause are recognised.
    """

    kind: Kind
    message: str
    place: str = ""


def judge(entry: Mapping[str, Any]) -> Failure | None:
    """The failure in a history entry; None where the prompt ended well."""
    status = entry.get("status")
    status = status if isinstance(status, Mapping) else {}
    for message in status.get("messages") or []:
        if not (isinstance(message, Sequence) and len(message) == 2 and isinstance(message[1], Mapping)):
            continue
        kind, data = message
        if kind == "execution_interrupted":
            return Failure("interrupted", "the prompt was stopped on the server")
        if kind == "execution_error":
            return _execution_failure(data)
    if status.get("status_str") == "error":
        return Failure("input", "the server reports an error without a reason")
    return None


def judge_refusal(refused: Refused, plan: Plan) -> Failure:
    """A refusal that concerns only what differs from job to job is the input's, any other is the server's."""
    fed = {node for node, _ in plan.varying}
    if refused.nodes and set(refused.nodes) <= fed:
        return Failure("refused", clean(str(refused)), "refused")
    return Failure("server", clean(str(refused)))


def clean(message: str) -> str:
    """A message that may be written to files: one line, bounded, without secrets."""
    text = " ".join(redact_text(message).split())
    return text if len(text) <= _MAX_MESSAGE else text[: _MAX_MESSAGE - 1] + "…"


def _execution_failure(data: Mapping[str, Any]) -> Failure:
    kind = str(data.get("exception_type", "")).rpartition(".")[2]
    words = str(data.get("exception_message", "")).strip()
    node = f"node {data.get('node_id', '?')} ({data.get('node_type', '?')})"
    lowered = words.lower()
    memory = kind in _MEMORY_TYPES or any(sign in lowered for sign in _MEMORY_WORDS)
    # ComfyUI adds tips behind an empty line; the first paragraph is the error.
    message = clean(f"{node}: {kind}: {words.partition(chr(10) * 2)[0]}")
    return Failure("memory" if memory else "input", message, f"{node} {kind}")
