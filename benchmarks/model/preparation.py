"""What preparing the conditioning once for a run saves."""

from __future__ import annotations

import torch

from ..report import Table
from ..timing import Estimate, ratio, time_interleaved
from ..workload import (
    JOBS,
    Setting,
    build_conditioning,
    build_model,
    build_noise,
)


@torch.no_grad()
def run(setting: Setting) -> Table:
    """Times the preparation and a forward pass in turns."""
    model = build_model(setting.config, setting)
    timestep = torch.full((1,), 500, device=setting.device)
    rows = []
    for job in JOBS[: 2 if setting.quick else 3]:
        noise, conditioning = build_noise(job, setting), build_conditioning(job, setting)
        prepared = model.prepare(conditioning, noise)
        times = time_interleaved(
            {
                "prepare": lambda: model.prepare(conditioning, noise),  # noqa: B023
                "pass": lambda: model(noise, timestep, prepared),  # noqa: B023
            },
            setting.device,
            rounds=setting.rounds,
            budget=10.0,
            warm_up=job == JOBS[0],
        )
        share = ratio(times["prepare"], times["pass"])
        rows.append((str(job), Estimate.of([1000 * time for time in times["prepare"]]), share))
    return Table(
        "Preparing the conditioning",
        ("job", "preparing, ms", "preparing / forward pass"),
        rows,
        (
            "Preparing embeds texts, indicators and references and makes the rotation tables. The last column is what "
            "every step would cost on top if it were not done once for the whole run.",
        ),
    )
