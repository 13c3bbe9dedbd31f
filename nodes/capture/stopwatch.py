"""How long the running prompt has taken, how much memory, and whether all that makes its result did run.

ComfyUI keeps a registry of progress for each prompt and tells its handlers which nodes begin. The stopwatch is such a
handler, so it lives as long as the prompt and knows of no other.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import comfy.model_management
from comfy_execution.progress import ProgressHandler, add_progress_handler, get_progress_state

from ...training.evaluate.memory import MemoryMeter
from .links import edit_nodes

_NAME = "ace-capture"


class Stopwatch(ProgressHandler):
    """begun: time.perf_counter() at the beginning of the prompt; ran: ids of the nodes that began in it; memory: in use."""

    def __init__(self) -> None:
        super().__init__(_NAME)
        self.begun = time.perf_counter()
        self.ran: set[str] = set()
        self.memory = MemoryMeter(comfy.model_management.get_torch_device())

    def start_handler(self, node_id, state, prompt_id) -> None:
        self.ran.add(node_id)
        self.memory.look()

    def update_handler(self, node_id, value, max_value, state, prompt_id, image=None) -> None:
        self.memory.look()  # a sampler's steps


def start() -> None:
    """Start it for the prompt that begins, once."""
    if _NAME not in get_progress_state().handlers:
        add_progress_handler(Stopwatch())


def spent_so_far(prompt: Mapping[str, Any], marker: str) -> tuple[float | None, int | None]:
    """Seconds since the prompt of a marker began, and the most bytes in use: on CUDA allocated, on a CPU by all of ComfyUI.
    None where ComfyUI had a part of the edit in its cache, so that something would be missing.

    The edit is all that depends on the source. Models and words stay in the cache from run to run, as they stay with the
    student. Also None where ComfyUI keeps no cache (--cache-none), since it then does not say when a prompt begins.
    """
    watch = get_progress_state().handlers.get(_NAME)
    edit = edit_nodes(prompt, marker)
    if watch is None or not edit or not edit <= watch.ran:
        return None, None
    seconds = time.perf_counter() - watch.begun
    watch.memory.look()
    return seconds, watch.memory.peak
