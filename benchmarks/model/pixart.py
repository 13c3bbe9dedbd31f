"""Against the transformer that ACE grew from: diffusers' PixArt, of the same width and depth, on as many tokens."""

from __future__ import annotations

import torch

from ...ace.model.config import ACEConfig
from ..report import Table
from ..timing import Estimate, ratio, time_interleaved
from ..workload import (
    JOBS,
    TEXT_TOKENS,
    Job,
    Setting,
    build_conditioning,
    build_model,
    build_noise,
)

_FULL_DEPTH_TOKENS = 1024  # more tokens than these are compared at a smaller depth
_BUDGET = 25.0


@torch.no_grad()
def run(setting: Setting) -> Table:
    """Times ACE and PixArt in turns."""
    try:
        import diffusers
    except ImportError:
        note = "Not measured: diffusers is missing; `pip install diffusers` brings it."
        return Table("Against diffusers' PixArt transformer", ("job",), (), (note,))
    jobs = JOBS[:2] if setting.quick else JOBS
    on_cpu = setting.device.type == "cpu"
    small = [job for job in jobs if job.tokens <= _FULL_DEPTH_TOKENS or not on_cpu]
    large = [job for job in jobs if job not in small]
    rows = _compare(small, setting.config, setting)
    rows += _compare(large, setting.shallow, setting) if large else []
    return Table(
        "Against diffusers' PixArt transformer",
        ("job", "image tokens", "depth", "ACE, s", "PixArt, s", "ACE / PixArt"),
        rows,
        (
            f"diffusers {diffusers.__version__}; one text of {TEXT_TOKENS} tokens for PixArt, one for every frame for ACE; "
            "PixArt has neither QK norm nor rotary positions. Aim: at most 1.1.",
            "Long sequences are compared at a smaller depth, since every block costs the same; the last one of ACE "
            "computes the target frame only, which at this depth counts for more than at 28.",
        ),
    )


def _compare(jobs: list[Job], config: ACEConfig, setting: Setting) -> list[tuple]:
    ours, theirs = build_model(config, setting), build_pixart(config, setting)
    timestep = torch.full((1,), 500, device=setting.device)
    rows = []
    for job in jobs:
        noise, conditioning = build_noise(job, setting), build_conditioning(job, setting)
        prepared = ours.prepare(conditioning, noise)
        latent = fit_to_tokens(theirs, noise, job)
        times = time_interleaved(
            {
                "ace": lambda: ours(noise, timestep, prepared),  # noqa: B023
                "pixart": lambda: theirs(latent, conditioning.context[0], timestep),  # noqa: B023
            },
            setting.device,
            rounds=setting.rounds,
            budget=_BUDGET,
            warm_up=job == jobs[0] or setting.device.type != "cpu",
        )
        ace, pixart = times["ace"], times["pixart"]
        rows.append((str(job), job.tokens, config.depth, Estimate.of(ace), Estimate.of(pixart), ratio(ace, pixart)))
    return rows


def build_pixart(config: ACEConfig, setting: Setting) -> torch.nn.Module:
    """PixArt-α with the shape of an ACE model, random weights, without conditions on size and aspect ratio."""
    from diffusers import PixArtTransformer2DModel

    with torch.device(setting.device):
        model = PixArtTransformer2DModel(
            num_attention_heads=config.num_heads,
            attention_head_dim=config.head_dim,
            num_layers=config.depth,
            in_channels=config.latent_channels,
            out_channels=config.out_channels,
            cross_attention_dim=config.hidden_size,
            caption_channels=config.text_width,
            sample_size=32,
            use_additional_conditions=False,
        )
    return model.to(setting.dtype).eval().requires_grad_(False)


def fit_to_tokens(model: torch.nn.Module, noise: torch.Tensor, job: Job) -> torch.Tensor:
    """A latent of as many tokens as all frames of the job, one below the other: (1, 4, frames·H, W).

    The position table is put in place for it, which diffusers would otherwise recompute in every pass.
    """
    latent = noise.repeat(1, 1, job.references + 1, 1)
    patches = model.pos_embed
    patches.height, patches.width = latent.shape[-2] // 2, latent.shape[-1] // 2
    patches.pos_embed = torch.randn(1, job.tokens, patches.pos_embed.shape[-1]).to(noise)
    return latent
