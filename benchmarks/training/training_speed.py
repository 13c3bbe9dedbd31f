"""Speed and memory of training the 0.6B model, on a GPU."""

from __future__ import annotations

import statistics

import torch

from ..model.flops import count as count_operations
from ..report import Table
from ..timing import seconds
from ..workload import Job, Setting
from .training_memory import Case, Training, model_for
from .training_memory import count as count_memory

_PAIRS = (1, 4, 16)
_TIMED = 5  # steps


def run(setting: Setting) -> Table:
    """Steps of pairs of 512 px with one reference, in bf16, without what encodes pictures and texts.

    Raises:
        ValueError: there is no GPU; on a CPU a step takes minutes.
    """
    if setting.device.type != "cuda":
        raise ValueError("training-speed needs an NVIDIA GPU: a step of the 0.6B model takes minutes on a CPU")
    rows = []
    for method in ("lora", "full"):
        for checkpointing in (False, True):
            for pairs in _PAIRS[: 1 if setting.quick else None]:
                case = Case(method, "bf16", checkpointing, pairs=pairs, side=256 if setting.quick else 512)
                rows.append(_row(case, setting))
    return Table(
        "Training the 0.6B model: 512 px, one reference, bf16",
        (
            *("what", "pairs a step", "pairs a second", "TFLOP/s", "ms a step"),
            *("most memory, GB", "counted, GB", "measured / counted"),
        ),
        rows,
        (
            "TFLOP/s counts the products of the forward pass and twice these for the backward pass, not what checkpointing "
            "does again; a LoRA needs no gradients of the frozen weights, so it is counted with one. Memory is what tensors "
            "hold at most; the counting is that of training-memory.",
        ),
    )


def _row(case: Case, setting: Setting) -> tuple:
    torch.cuda.empty_cache()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    training = Training(case, model_for(case, setting.device), setting.device)

    def step() -> None:
        training.backward(training.forward())

    step()  # makes AdamW's moments and finds kernels
    times = [seconds(step, setting.device) for _ in range(_TIMED)]
    peak = (torch.cuda.max_memory_allocated() - before) / 1e9
    counted = count_memory(case).total / 1e9
    time, backward = statistics.median(times), 1 if case.method == "lora" else 2
    operations = count_operations(training.model.config, Job(case.side, 1)).total * case.pairs * (1 + backward)
    rate = case.pairs / time
    return str(case), case.pairs, rate, operations / time / 1e12, 1000 * time, peak, counted, peak / counted
