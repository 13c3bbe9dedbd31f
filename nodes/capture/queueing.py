"""What happens to a prompt between the artist's click and ComfyUI's queue."""

from __future__ import annotations

from typing import Any

from ..host import examples
from .server import register as register_capture
from .sweep import queue_sweep_alone
from .sweep import register as register_sweep
from .validation import prepare_markers


def register() -> None:
    """Hooks into the queue: every prompt is seen before ComfyUI checks it, and the routes of capture and sweep open."""
    from server import PromptServer

    PromptServer.instance.add_on_prompt_handler(prepare)
    register_capture()
    register_sweep()


def prepare(request: dict[str, Any]) -> dict[str, Any]:
    """Wires Capture Sources to their Results, lets a Sweep run instead of its graph, and copies examples that are named.

    Args:
        request: of POST /prompt; changed in place. Prompts without nodes of ours stay as they are.

    Returns:
        The same request.
    """
    if isinstance(request.get("prompt"), dict):
        prepare_markers(request["prompt"])
        queue_sweep_alone(request)
        examples.provide(examples.mentioned(request["prompt"]))
    return request
