"""Time from the start of a real ComfyUI to its first finished edit with the bundle that comes with the pack.

    .venv/bin/python benchmarks/host/first_edit.py [RUNS]

Needs a ComfyUI as for the host tests. The second edit, with another seed, shows what remains when everything is loaded; the
same start without the pack shows what the host itself needs.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tools")]

from comfyui_ace.benchmarks.report import Table  # noqa: E402
from comfyui_ace.benchmarks.timing import Estimate  # noqa: E402
from host.harness.comfy_server import ComfyServer  # noqa: E402
from workflow_graphs import instruction_edit  # noqa: E402


def _edit(seed: int) -> dict:
    """The shipped workflow "Edit by instruction" with this seed."""
    prompt = instruction_edit().prompt()
    sampler = next(node for node in prompt.values() if node["class_type"] == "ACESampler")
    sampler["inputs"]["seed"] = seed
    return prompt


def measure() -> tuple[float, float, float]:
    """Seconds until the server answers, until the first edit is there, and of a second edit."""
    start = time.perf_counter()
    with ComfyServer() as server:
        answered = time.perf_counter()
        server.run(_edit(1))
        second = time.perf_counter()
        server.run(_edit(2))
        end = time.perf_counter()
    return answered - start, second - start, end - second


def measure_without_the_pack() -> float:
    """Seconds until a server without the pack answers."""
    start = time.perf_counter()
    with ComfyServer(packs={}):
        return time.perf_counter() - start


def main(runs: int) -> None:
    """Prints the table."""
    rows = [(*measure(), measure_without_the_pack()) for _ in range(runs)]
    names = ("server answers", "first edit finished", "a second edit", "server without the pack answers")
    found = [(name, Estimate.of(values)) for name, values in zip(names, zip(*rows, strict=True), strict=True)]
    title = "From the start of ComfyUI to the first finished edit"
    print(Table(title, ("step", f"seconds, median of {runs}"), found).markdown())


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
