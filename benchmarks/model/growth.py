"""How time grows with the number of references and with rounds of history."""

from __future__ import annotations

import torch

from ..report import Table
from ..timing import ratio, time_interleaved
from ..workload import (
    TEXT_TOKENS,
    Job,
    Setting,
    build_conditioning,
    build_model,
    build_noise,
)
from .flops import count

_REFERENCES = (0, 1, 2, 3, 5, 9)
_ROUNDS = (0, 1, 2, 4)


@torch.no_grad()
def run(setting: Setting) -> Table:
    """Every job in turns with the smallest one."""
    model = build_model(setting.shallow, setting)
    side = 128 if setting.quick else 256
    jobs = {
        _plural(references, "reference"): (Job(side, references), TEXT_TOKENS)
        for references in _REFERENCES[: 3 if setting.quick else None]
    }
    for rounds in _ROUNDS[: 2 if setting.quick else None]:
        # Every round has one picture and an instruction of its own length; the target repeats the last.
        lengths = [TEXT_TOKENS - 3 * k for k in range(rounds + 1)]
        jobs[_plural(rounds, "round") + " of history"] = (Job(side, rounds + 1), (lengths[-1], *lengths))
    timestep = torch.full((1,), 500, device=setting.device)
    functions = {}
    for name, (job, texts) in jobs.items():
        noise = build_noise(job, setting)
        prepared = model.prepare(build_conditioning(job, setting, texts), noise)
        functions[name] = lambda noise=noise, prepared=prepared: model(noise, timestep, prepared)
    times = time_interleaved(functions, setting.device, rounds=2 * setting.rounds - 1, budget=45.0)
    first = jobs["0 references"][0]
    least = count(setting.shallow, first).total
    rows = [
        (
            name,
            job.tokens,
            count(setting.shallow, job).total / least,
            ratio(times[name], times["0 references"]),
        )
        for name, (job, _) in jobs.items()
    ]
    return Table(
        f"Growth with references and history, {side} px",
        ("job", "image tokens", "operations, relative", "time, relative"),
        rows,
        (
            f"Depth {setting.shallow.depth}, relative to the target alone. A round of history is one picture and its own "
            "instruction; the present round has one picture, too.",
        ),
    )


def _plural(count: int, what: str) -> str:
    return f"{count} {what}" + "s" * (count != 1)
