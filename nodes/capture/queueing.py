"""What happens to a prompt between the artist's click and ComfyUI's queue."""

from __future__ import annotations

from typing import Any

from .begin import connect
from .server import register as register_capture
from .sweep import register as register_sweep
from .sweep import run_alone


def register() -> None:
    """Look at every prompt before ComfyUI checks it (those without our nodes pass as they are), and open the routes."""
    from server import PromptServer

    PromptServer.instance.add_on_prompt_handler(prepare)
    register_capture()
    register_sweep()


def prepare(request: dict[str, Any]) -> dict[str, Any]:
    """A request to POST /prompt, with Capture Sources wired to their Results, and a Sweep instead of its graph."""
    if isinstance(request.get("prompt"), dict):
        connect(request["prompt"])
        run_alone(request)
    return request
