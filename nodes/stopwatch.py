"""How long the running prompt has taken, and whether all that makes its result did run.

ComfyUI keeps a registry of progress for each prompt and tells its handlers which nodes begin. The stopwatch is such a
handler, so it lives as long as the prompt and knows of no other.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from comfy_execution.progress import ProgressHandler, add_progress_handler, get_progress_state

from .capture_links import edit_nodes

_NAME = "ace-capture"


class Stopwatch(ProgressHandler):
    """begun: time.perf_counter() at the beginning of the prompt; ran: ids of the nodes that began in it."""

    def __init__(self) -> None:
        super().__init__(_NAME)
        self.begun = time.perf_counter()
        self.ran: set[str] = set()

    def start_handler(self, node_id, state, prompt_id) -> None:
        self.ran.add(node_id)


def start() -> None:
    """Start it for the prompt that begins, once."""
    if _NAME not in get_progress_state().handlers:
        add_progress_handler(Stopwatch())


def seconds_so_far(prompt: Mapping[str, Any], marker: str) -> float | None:
    """Since the prompt of a marker began; None where ComfyUI had a part of the edit in its cache, so time would be missing.

    The edit is all that depends on the source. Models and words stay in the cache from run to run, as they stay with the
    student. Also None where ComfyUI keeps no cache (--cache-none), since it then does not say when a prompt begins.
    """
    watch = get_progress_state().handlers.get(_NAME)
    edit = edit_nodes(prompt, marker)
    return time.perf_counter() - watch.begun if watch is not None and edit and edit <= watch.ran else None
