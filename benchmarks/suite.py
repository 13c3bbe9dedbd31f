"""All benchmarks by name, and the machine they run on."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable

import torch

from .model import (
    batch,
    compiled,
    forward,
    growth,
    guidance,
    imports,
    pixart,
    preparation,
)
from .model.matmul import matmul_rate
from .report import Table
from .training import training, training_memory, training_speed
from .workload import Setting

BENCHMARKS: dict[str, Callable[[Setting], Table]] = {
    "forward": forward.run,
    "batch": batch.run,
    "compiled": compiled.run,
    "edit": guidance.run_edit,
    "pixart": pixart.run,
    "growth": growth.run,
    "batching": guidance.run_batching,
    "prepare": preparation.run,
    "import": imports.run,
    "training": training.run,
    "training-memory": training_memory.run,
    "training-speed": training_speed.run,
}


def describe_machine(setting: Setting) -> str:
    """One line without names of hosts: what computes, how fast, and with which PyTorch."""
    if setting.device.type == "cuda":
        what = torch.cuda.get_device_name(setting.device)
    elif setting.device.type == "cpu":
        what = f"{os.cpu_count()}-core {platform.machine()} CPU, {_threads()}"
    else:
        what = setting.device.type
    dtype = str(setting.dtype).removeprefix("torch.")
    return f"{what}; {dtype}; PyTorch {torch.__version__}; 4096³ matrix product: {matmul_rate(setting):.0f} GFLOP/s"


def _threads() -> str:
    count = torch.get_num_threads()
    return "1 thread, CPU time" if count == 1 else f"{count} threads, wall time"
