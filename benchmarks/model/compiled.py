"""The forward pass as it is against ``torch.compile``."""

from __future__ import annotations

import torch

from ..report import Table
from ..timing import Estimate, ratio, time_interleaved
from ..workload import Job, Setting, build_conditioning, build_model, build_noise
from .flops import count

_JOBS = (Job(256, 1), Job(512, 1), Job(1024, 0))


@torch.no_grad()
def run(setting: Setting) -> Table:
    """Both in turns; blocks are compiled one by one, as one function that serves all of them."""
    plain, compiled = (build_model(setting.config, setting) for _ in range(2))
    for block in compiled.blocks:
        block.compile()
    rows = []
    for job in _JOBS[: 1 if setting.quick else None]:
        torch.compiler.reset()
        noise, conditioning = build_noise(job, setting), build_conditioning(job, setting)
        timestep = torch.full((1,), 500, device=setting.device)
        prepared = plain.prepare(conditioning, noise)
        times = time_interleaved(
            {
                "plain": lambda: plain(noise, timestep, prepared),  # noqa: B023
                "compiled": lambda: compiled(noise, timestep, prepared),  # noqa: B023
            },
            setting.device,
            rounds=2 * setting.rounds,
            budget=20.0,
        )
        operations = count(setting.config, job).total
        rates = [
            Estimate.of([operations / seconds / 1e12 for seconds in times[name]]) for name in ("plain", "compiled")
        ]
        rows.append((str(job), job.tokens, *rates, ratio(times["plain"], times["compiled"])))
    return Table(
        f"torch.compile of the blocks, depth {setting.config.depth}, batch 1",
        ("job", "image tokens", "TFLOP/s, plain", "TFLOP/s, compiled", "plain / compiled"),
        rows,
        ("Each size is compiled for itself; that time is not in it.",),
    )
