"""One dense batch of samples against one sample after the other."""

from __future__ import annotations

import torch

from ..report import Table
from ..timing import Estimate, ratio, time_interleaved
from ..workload import Job, Setting, build_conditioning, build_model, build_noise

_SAMPLES = 16
_JOBS = (Job(128, 1), Job(256, 1), Job(512, 1))


@torch.no_grad()
def run(setting: Setting) -> Table:
    """A forward pass of a batch, and of each of its samples alone; every sample has texts and a reference of its own."""
    model = build_model(setting.config, setting)
    rows = []
    for job in _JOBS[: 1 if setting.quick else None]:
        noise, alone = build_noise(job, setting), build_conditioning(job, setting)
        many = noise.repeat(_SAMPLES, 1, 1, 1)
        together = alone.map(
            lambda tensor: tensor.repeat(_SAMPLES, *[1] * (tensor.ndim - 1)) if tensor.ndim > 2 else tensor
        )
        prepared, both = model.prepare(alone, noise), model.prepare(together, many)
        timestep = torch.full((1,), 500, device=setting.device)
        times = time_interleaved(
            {
                "batch": lambda: model(many, timestep, both),  # noqa: B023
                "loop": lambda: [model(noise, timestep, prepared) for _ in range(_SAMPLES)],  # noqa: B023
            },
            setting.device,
            rounds=setting.rounds,
            budget=20.0,
        )
        rate = Estimate.of([_SAMPLES / seconds for seconds in times["batch"]])
        rows.append((str(job), job.tokens, rate, ratio(times["loop"], times["batch"])))
    return Table(
        f"A batch of {_SAMPLES} against one sample after the other, depth {setting.config.depth}",
        ("job", "image tokens of a sample", "samples/s, batch", "loop / batch"),
        rows,
        ("Aim on a GPU: 3. It comes from small pictures, which leave most of the device idle.",),
    )
