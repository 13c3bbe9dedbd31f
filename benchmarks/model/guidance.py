"""Guidance: both branches in one batch or one after the other, and a whole sampling run."""

from __future__ import annotations

import itertools

import torch

from ...ace.model.conditioning import Conditioning, concatenate
from ...ace.model.sampler import SamplerStep, sample
from ..report import Table
from ..timing import (
    Estimate,
    clock,
    ratio,
    synchronize,
    time_interleaved,
)
from ..workload import (
    TEXT_TOKENS,
    Job,
    Setting,
    build_conditioning,
    build_model,
    build_noise,
)

_BATCHING_JOBS = (*(Job(side, 0) for side in (128, 160, 192, 256, 384, 512)), Job(256, 1))
_NEGATIVE_TOKENS = 1  # the empty prompt is its end-of-sequence token
_STEPS, _QUICK_STEPS = 20, 4


@torch.no_grad()
def run_batching(setting: Setting) -> Table:
    """At which length of the sequence one batch of two pays."""
    model = build_model(setting.shallow, setting)
    timestep = torch.full((1,), 500, device=setting.device)
    rows = []
    for job in _BATCHING_JOBS[: 4 if setting.quick else None]:
        noise = build_noise(job, setting)
        positive, negative = branches(job, setting)
        both = model.prepare(concatenate(positive, negative, batch_size=1), torch.cat((noise, noise)))
        prepared = [model.prepare(branch, noise) for branch in (positive, negative)]
        times = time_interleaved(
            {
                "one": lambda: model(torch.cat((noise, noise)), timestep, both),  # noqa: B023
                "two": lambda: [model(noise, timestep, branch) for branch in prepared],  # noqa: B023
            },
            setting.device,
            rounds=2 * setting.rounds + 1,
            budget=8.0,
        )
        rows.append((str(job), job.tokens, ratio(times["one"], times["two"])))
    return Table(
        "Both branches of guidance in one batch",
        ("job", "image tokens of a sample", "one batch / two passes"),
        rows,
        (
            f"Depth {setting.shallow.depth}; texts of {TEXT_TOKENS} and, for the negative branch's last, {_NEGATIVE_TOKENS} "
            "tokens, which in one batch are padded and masked. Below 1 the batch is faster.",
        ),
    )


@torch.no_grad()
def run_edit(setting: Setting) -> Table:
    """A whole run against the sum of its forward passes."""
    job, model = Job(256, 0), build_model(setting.config, setting)
    noise, (positive, negative) = build_noise(job, setting).float(), branches(job, setting)
    count = _QUICK_STEPS if setting.quick else _STEPS
    timestep = torch.full((1,), 500, device=setting.device)
    prepared = [model.prepare(branch, noise.to(setting.dtype)) for branch in (positive, negative)]

    def passes(warm_up: bool) -> list[float]:
        step = {"step": lambda: [model(noise.to(setting.dtype), timestep, branch) for branch in prepared]}
        return time_interleaved(step, setting.device, rounds=3, warm_up=warm_up)["step"]

    before = passes(warm_up=True)
    now = clock(setting.device)
    ticks = [now()]

    def tick(_: SamplerStep) -> None:
        synchronize(setting.device)
        ticks.append(now())

    sample(model, noise, positive, negative, steps=count, callback=tick)
    steps = [end - start for start, end in itertools.pairwise(ticks[1:])]
    two_passes, total = Estimate.of(before + passes(warm_up=False)), ticks[-1] - ticks[0]
    return Table(
        f"{count}-step run with guidance, depth {setting.config.depth}",
        ("job", "run, s", "a step, s", "two passes, s", f"run / ({count} × two passes)"),
        [(str(job), total, Estimate.of(steps), two_passes, total / (count * two_passes.median))],
        (
            f"The run takes as long as its passes: the sampler's own part is lost in them. A {_STEPS}-step edit of any other "
            f"job therefore takes {2 * _STEPS} times its forward pass above, plus once the preparation.",
        ),
    )


def branches(job: Job, setting: Setting) -> tuple[Conditioning, Conditioning]:
    """Conditionings of both branches; the negative one's last instruction is the empty prompt."""
    positive = build_conditioning(job, setting)
    texts = list(positive.context)
    texts[0] = texts[0][:, :_NEGATIVE_TOKENS]  # the target's text is the last instruction
    if job.references:
        texts[-1] = texts[0]
    return positive, positive.replace_context(texts)
