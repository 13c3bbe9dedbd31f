"""``python -m comfyui_ace.training.tiny.joint BUNDLE --output FOLDER``: trains transformer and text encoder of a bundle.

The bundle must hold the VAE, the tokenizer and a text encoder to begin with (``training.tiny.vae`` and ``.text`` make them).
What is trained lies in ``FOLDER/models``, ready to be copied into it. The shipped files come from

    python -m comfyui_ace.training.tiny.joint BUNDLE --output FOLDER

on one H200 with 16 cores. The time decides about the number of steps, so another machine makes other files.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from dataclasses import fields
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from ....ace.bundles.bundle import find_bundle
from ....ace.model.schedule import NoiseSchedule
from ....ace.text import T5TextEncoder
from ....ace.vae import DiffusersVAE
from ....ace.weights.checkpoint import load_model, save_checkpoint
from ..text import T5_NAME
from .drawing import MAX_TOKENS, MOST_TOKENS, Drawing, DrawingProcesses
from .learner import JointSettings, Learner
from .pool import Intake, Pool

_FIRST = 6000  # examples before the first step
_ADDED = 4  # batches put into the pool between two steps, at most


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m comfyui_ace.training.tiny.joint", description=__doc__)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--output", type=Path, required=True, help="folder for models and metrics.jsonl")
    parser.add_argument("--minutes", type=float, default=9.1)
    parser.add_argument("--processes", type=int, default=max(1, (os.cpu_count() or 2) - 2))
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--go-on", action="store_true", help="begin with the bundle's transformer, not by chance")
    parser.add_argument(
        "--share", nargs=2, action="append", default=[], metavar=("TASK", "NUMBER"), help="how often a task is drawn"
    )
    parser.add_argument("--first", type=int, default=_FIRST, help="examples before the first step")
    parser.add_argument("--held-out", type=int, default=24, help="batches of 16 to measure on")
    parser.add_argument("--reports", type=float, default=15.0, help="seconds between two")
    parser.add_argument("--snapshots", type=float, default=120.0, help="seconds between two")
    for setting in fields(JointSettings):
        kind = type(setting.default)
        parser.add_argument(
            f"--{setting.name.replace('_', '-')}",
            default=setting.default,
            **({"action": argparse.BooleanOptionalAction} if kind is bool else {"type": kind}),
        )
    arguments = parser.parse_args()
    settings = JointSettings(**{setting.name: getattr(arguments, setting.name) for setting in fields(JointSettings)})
    train(arguments, settings)


def train(arguments: argparse.Namespace, settings: JointSettings) -> None:
    """Draws, learns, reports and saves until the time is over."""
    started = time.perf_counter()
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    device, models = torch.device(arguments.device), arguments.bundle / "models"
    tokenizer = models / "tokenizer" / T5_NAME
    shares = {task: float(number) for task, number in arguments.share}
    processes = DrawingProcesses(Drawing(tokenizer, seed=settings.seed, shares=shares), arguments.processes)
    vae = DiffusersVAE.load(models / "vae" / "vae.bin", device=device)
    text = T5TextEncoder.load(models / "text_encoder" / T5_NAME, tokenizer, dtype=torch.float32, device=device)
    start = load_model(find_bundle(arguments.bundle).dit).state_dict() if arguments.go_on else None
    learner = Learner(text.model, text.tokenizer, settings, device, start)
    pool, held_out = Pool(vae, device), Pool(vae, device)
    for batch in islice(
        Drawing(tokenizer, split="validation", rows=16, seed=settings.seed).batches(0, 1), arguments.held_out
    ):
        held_out.add(batch)
    intake = Intake(processes, pool)
    while len(pool) < arguments.first:
        pool.keep(intake.wait())
    arguments.output.mkdir(parents=True, exist_ok=True)
    log = (arguments.output / "metrics.jsonl").open("w", encoding="utf-8", newline="\n")
    parameters = sum(parameter.numel() for parameter in learner.model.parameters())
    print(
        f"{parameters / 1e6:.1f} M parameters; {len(pool)} examples after {time.perf_counter() - started:.0f} s",
        flush=True,
    )
    began = reported = saved = time.perf_counter()
    budget = arguments.minutes * 60 - (began - started)
    recent: list[torch.Tensor] = []
    while (now := time.perf_counter()) - began < budget:
        for batch in intake.ready(_ADDED):
            pool.keep(batch)
        recent.append(learner.train_step(pool, (now - began) / budget))
        if now - reported >= arguments.reports:
            row = {
                "seconds": round(now - began, 1),
                "step": learner.step,
                "examples": len(pool),
                "loss": round(torch.stack(recent).mean().item(), 5),
                "held_out": held_out_losses(learner, held_out),
            }
            print(json.dumps(row), file=log, flush=True)
            print(row, flush=True)
            reported = now
            recent.clear()
        if now - saved >= arguments.snapshots:
            save(learner, arguments.output / "models")
            saved = now
    intake.close()
    processes.close()
    save(learner, arguments.output / "models")
    print(f"{learner.step} steps, {len(pool)} examples, {time.perf_counter() - started:.0f} s", flush=True)


@torch.no_grad()
def held_out_losses(learner: Learner, pool: Pool) -> dict[str, float]:
    """Error of the predicted noise over its size at three ranges of timesteps, with the moving average of the weights.

    Of a timestep with signal a and noise s the error of x_0 is that of the noise times (s / a)²; this is what is averaged.
    """
    rng, generator = np.random.default_rng(5), torch.Generator(learner.device).manual_seed(5)
    errors, when = [], []
    alpha_bar = NoiseSchedule().alphas_cumprod.to(learner.device)
    with learner.ema.applied():
        for _ in range(12):
            each, _, timesteps = learner.losses(pool.choose(rng, 128, MOST_TOKENS), generator)
            errors.append(each * ((1 - alpha_bar[timesteps]) / alpha_bar[timesteps]))
            when.append(timesteps)
    errors, when = torch.cat(errors).cpu(), torch.cat(when).cpu()
    ranges = {"200": (0, 400), "500": (400, 600), "700": (600, 800), "850": (800, 900), "950": (900, 980)}
    return {name: round(errors[(when >= low) & (when < high)].mean().item(), 4) for name, (low, high) in ranges.items()}


def save(learner: Learner, models: Path) -> None:
    """Writes the moving average of both networks, half precision: the folders ``dit`` and ``text_encoder`` of a bundle."""
    metadata = {
        **learner.model.config.metadata(),
        "architecture": "ACE",
        "title": "ace_tiny",
        "steps": str(learner.step),
        "max_tokens": str(MAX_TOKENS),
        "license": "Apache-2.0",
        "description": "ace-tiny: a small model for trying out and testing, not for real work",
        "software": "ACE Edit",
    }
    with learner.ema.applied():
        weights = {name: tensor.half().cpu() for name, tensor in learner.model.state_dict().items()}
        save_checkpoint(weights, models / "dit" / "ace_tiny.safetensors", metadata=metadata, overwrite=True)
        text = {name: tensor.half().cpu() for name, tensor in learner.text_encoder.state_dict().items()}
        learner.text_encoder.save_pretrained(models / "text_encoder" / T5_NAME, state_dict=text)


if __name__ == "__main__":
    main()
