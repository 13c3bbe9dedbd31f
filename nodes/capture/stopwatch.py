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
    """Listens to one prompt.

    Attributes:
        started: time.perf_counter() at the beginning of the prompt.
        executed: ids of the nodes that began in it.
        memory: the meter of memory in use.
    """

    def __init__(self) -> None:
        super().__init__(_NAME)
        self.started = time.perf_counter()
        self.executed: set[str] = set()
        self.memory = MemoryMeter(comfy.model_management.get_torch_device())

    def start_handler(self, node_id, state, prompt_id) -> None:
        """Called by ComfyUI when a node begins."""
        self.executed.add(node_id)
        self.memory.update()

    def update_handler(self, node_id, value, max_value, state, prompt_id, image=None) -> None:
        """Called by ComfyUI when a node has made progress, such as a sampler's step."""
        self.memory.update()


def start() -> None:
    """Starts a stopwatch for the prompt that begins, if it has none yet."""
    if _NAME not in get_progress_state().handlers:
        add_progress_handler(Stopwatch())


def measure_so_far(prompt: Mapping[str, Any], marker: str) -> tuple[float | None, int | None]:
    """What the edit of a marker has taken until now.

    The edit is all that depends on the source. Models and texts stay in the cache from run to run, as they stay with the
    student.

    Args:
        prompt: the graph in API format.
        marker: id of the marker's node.

    Returns:
        Seconds since the prompt began, and the most bytes in use: on CUDA those allocated, on a CPU those of the whole
        process. Both None where ComfyUI had a part of the edit in its cache, so that something would be missing, and
        where it keeps no cache (--cache-none), since it then does not say when a prompt begins.
    """
    watch = get_progress_state().handlers.get(_NAME)
    edit = edit_nodes(prompt, marker)
    if watch is None or not edit or not edit <= watch.executed:
        return None, None
    seconds = time.perf_counter() - watch.started
    watch.memory.update()
    return seconds, watch.memory.peak
