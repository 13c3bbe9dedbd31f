"""How long it takes to import the package."""

from __future__ import annotations

import subprocess
import sys

from ..report import Table
from ..timing import Estimate
from ..workload import Setting

_PACKAGE = __package__.removesuffix(".benchmarks.model")
_MODULES = {
    "the pack, as ComfyUI first sees it": _PACKAGE,
    "model and sampler": f"{_PACKAGE}.ace.model.sampler",
    "the whole path from words to pictures": f"{_PACKAGE}.ace.pipeline",
    "the command": f"{_PACKAGE}.cli",
}


def run(setting: Setting) -> Table:
    """Import times beyond that of torch, which is loaded before any node pack."""
    codes = {"torch": "import torch"} | {what: f"import torch, {module}" for what, module in _MODULES.items()}
    times: dict[str, list[float]] = {what: [] for what in codes}
    for code in codes.values():
        _cpu_seconds(code)  # reads the files and writes the bytecode
    for _ in range(1 if setting.quick else setting.rounds):
        for what, code in codes.items():
            times[what].append(_cpu_seconds(code))
    rows = [("torch alone", Estimate.of(times["torch"]), None)]
    for what in _MODULES:
        extra = [with_us - alone for with_us, alone in zip(times[what], times["torch"], strict=True)]
        rows.append((what, Estimate.of(times[what]), Estimate.of(extra)))
    return Table("Import time", ("import", "CPU time of the process, s", "beyond torch, s"), rows)


def _cpu_seconds(code: str) -> float:
    command = [sys.executable, "-c", f"{code}\nimport time; print(time.process_time())"]
    return float(subprocess.run(command, check=True, capture_output=True, encoding="utf-8").stdout)
