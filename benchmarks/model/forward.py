"""One forward pass: time, memory, and how close it comes to the machine's plain matrix product."""

from __future__ import annotations

import json
import subprocess
import sys

import torch

from ..report import Table
from ..timing import Estimate, ratio
from ..workload import JOBS, LARGE_JOBS, Job, Setting
from .flops import count
from .one_job import JobResult

_BUDGET = 12.0  # seconds of measuring a job, on top of its first pass


def run(setting: Setting) -> Table:
    """Measures every job in a process of its own."""
    rows = []
    jobs = JOBS if setting.device.type == "cpu" else JOBS + LARGE_JOBS
    for job in JOBS[:2] if setting.quick else jobs:
        result, operations = _measure(job, setting), count(setting.config, job)
        seconds = Estimate.of(result.passes)
        linear_rate = Estimate.of([operations.linear / time / 1e9 for time in result.linear])
        working = None if result.peak_bytes is None else (result.peak_bytes - (result.model_bytes or 0)) / 1e6
        rows.append(
            (
                str(job),
                job.tokens,
                seconds,
                operations.total / 1e9,
                operations.total / seconds.median / 1e9,
                linear_rate,
                ratio(result.products, result.linear),
                sum(result.linear) / sum(result.passes),
                None if result.peak_bytes is None else result.peak_bytes / 1e9,
                working,
            )
        )
    return Table(
        f"Forward pass, depth {setting.config.depth}, batch 1",
        (
            "job",
            "image tokens",
            "time, s",
            "GFLOP",
            "GFLOP/s, all",
            "GFLOP/s, linear layers",
            "linear layers / plain product",
            "share of time in linear layers",
            "peak memory, GB",
            "of it working memory, MB",
        ),
        rows,
        (
            "A job has its own process; passes and plain products alternate in it. Linear layers / plain product is the "
            "rate of the model's linear layers over that of `torch.mm` on the same shapes without bias (aim: 0.6 on a "
            "CPU in fp32).",
            "Peak memory is the process's largest resident set on a CPU (Python and PyTorch included), the largest "
            "allocation on a GPU.",
        ),
    )


def _measure(job: Job, setting: Setting) -> JobResult:
    task = {
        "side": job.side,
        "references": job.references,
        "device": str(setting.device),
        "dtype": str(setting.dtype).removeprefix("torch."),
        "quick": setting.quick,
        "threads": torch.get_num_threads(),
        "rounds": setting.rounds,
        "budget": _BUDGET,
    }
    command = [sys.executable, "-m", f"{__package__}.one_job", json.dumps(task)]
    done = subprocess.run(command, capture_output=True, encoding="utf-8")
    if done.returncode:
        raise RuntimeError(f"measuring {job} failed:\n{done.stderr.strip()[-2000:]}")
    return JobResult(**json.loads(done.stdout.splitlines()[-1]))
