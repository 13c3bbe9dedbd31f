"""Trains the small VAE: ``python -m comfyui_ace.training.tiny.vae RUN_FOLDER``.

The same command again continues a run that was stopped; ``--export BUNDLE`` writes what there is. Whole at any moment:
checkpoints appear under a temporary name. Everything random is a function of the seed and the step.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from ...ace.files import atomic_write
from ...ace.pictures.image_files import save_picture
from ...ace.weights.vae_names import to_ldm_names
from ..trainer.learning.muon import Muon
from .plots import plot_curves
from .vae_model import disable_block, enable_block, export, full_resolution_blocks, make_vae
from .vae_pictures import HeldOut, latent_statistics, render
from .world.pictures import Pictures

_MATRIX = 16  # channels on both sides from which a convolution is moved as a matrix


@dataclass(frozen=True)
class Settings:
    """How the VAE is trained.

    Attributes:
        steps: all of them; raise it to go on after the end.
        wake_at: step from which the blocks at the full resolution learn too, which triples the time of a step; below 0
            they never do.
        batch, crop: crops in a step, and their side in pixels.
        learning_rate: AdamW's, for biases, norms and the outer convolutions; reached after ``warm_up`` steps, kept, and led
            to zero by the cosine over the last ``cool_down``.
        muon_rate: Muon's, for all other convolutions as matrices; likewise.
        mirrored: share of the batches whose latents are mirrored or transposed before they are decoded, and must then give
            the picture so turned: it makes a mirrored picture's latents the mirrored latents (EQ-VAE, Kouzelis et al.
            2025), which a small transformer has to know.
        noise: added to the latents, in shares of their deviation, so that small errors of a transformer stay small errors.
        kl: weight of the KL divergence (mean over the latent's values).
        ema: decay of the averaged weights, which are what is kept in the end.
        pictures: rendered once, of which crops are cut.
    """

    steps: int = 5000
    wake_at: int = -1
    batch: int = 8
    crop: int = 64
    learning_rate: float = 1.5e-3
    muon_rate: float = 5e-3
    warm_up: int = 50
    cool_down: int = 1500
    mirrored: float = 0.4
    noise: float = 0.1
    kl: float = 1e-3
    ema: float = 0.995
    pictures: int = 4000
    seed: int = 0


def batch(pool: torch.Tensor, settings: Settings, step: int) -> torch.Tensor:
    """The crops of a step, (B, 3, crop, crop) in -1 … 1."""
    rng = np.random.default_rng((settings.seed, step))
    crops = []
    for index in rng.integers(0, len(pool), settings.batch):
        top, left = (int(rng.integers(0, side - settings.crop + 1)) for side in pool.shape[2:])
        crop = pool[index, :, top : top + settings.crop, left : left + settings.crop]
        crops.append(crop.flip(2) if rng.random() < 0.5 else crop)
    return (torch.stack(crops).float() / 127.5 - 1).contiguous(memory_format=torch.channels_last)


# Training


def reconstruction_loss(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Of pixels, edges (differences between neighbours) and mean colours of squares; (B, 3, H, W) each."""
    error = output - target
    loss = error.abs().mean() + 2.0 * error.square().mean()
    for difference in (error.diff(dim=2), error.diff(dim=3)):
        loss = loss + 0.25 * difference.abs().mean()
    for side in (4, 16):
        loss = loss + 0.5 * F.avg_pool2d(error, side).abs().mean()
    return loss


def _as_it_is(pictures: torch.Tensor) -> torch.Tensor:
    return pictures


TURNS: tuple[Callable[[torch.Tensor], torch.Tensor], ...] = (
    lambda pictures: pictures.flip(3),
    lambda pictures: pictures.flip(2),
    lambda pictures: pictures.transpose(2, 3),
)


class ConvolutionMuon(Muon):
    """Muon on the convolutions' weights (out, in, k, k) as matrices (out, in·k·k) in the same memory.

    Attributes:
        views: each matrix with the weight it is a view of.
    """

    def __init__(self, weights: Iterable[torch.nn.Parameter], **options: Any) -> None:
        self.views = [(torch.nn.Parameter(weight.detach().flatten(1)), weight) for weight in weights]
        super().__init__([matrix for matrix, _ in self.views], **options)


def make_optimisers(weights: Iterable[torch.nn.Parameter]) -> tuple[ConvolutionMuon, torch.optim.AdamW]:
    """Muon for the inner convolutions, AdamW for the rest."""
    weights = list(weights)
    matrices = [weight for weight in weights if weight.ndim >= 2 and min(weight.shape[:2]) >= _MATRIX]
    known = {id(weight) for weight in matrices}
    rest = [weight for weight in weights if id(weight) not in known]
    muon = ConvolutionMuon(matrices, momentum=0.95, weight_decay=0.0)
    return muon, torch.optim.AdamW(rest, betas=(0.9, 0.99), weight_decay=1e-4)


def step_optimisers(
    optimisers: tuple[ConvolutionMuon, torch.optim.AdamW], muon_rate: float, learning_rate: float
) -> None:
    """Moves the weights along their gradients."""
    muon, adamw = optimisers
    for optimiser, rate in ((muon, muon_rate), (adamw, learning_rate)):
        optimiser.param_groups[0]["lr"] = rate
    for matrix, weight in muon.views:
        matrix.grad = None if weight.grad is None else weight.grad.reshape(matrix.shape)
    muon.step()
    adamw.step()


class Trainer:
    """Network, average and optimisers at some step.

    Args:
        settings: of the run.
        pool: pictures to cut crops of, uint8 (N, 3, H, W).
    """

    def __init__(self, settings: Settings, pool: torch.Tensor) -> None:
        self.settings, self.pool, self.step = settings, pool, 0
        self.vae = make_vae(settings.seed)
        self.resting = full_resolution_blocks(self.vae)
        for block in self.resting:
            disable_block(block)
        self.average = {name: value.clone() for name, value in self.vae.state_dict().items()}
        self.optimisers = make_optimisers(self.vae.parameters())

    def train_step(self) -> dict[str, float]:
        """One step; returns what there is to log.

        Raises:
            FloatingPointError: the loss is not finite; the weights are as before.
        """
        self._wake_in_time()
        images = batch(self.pool, self.settings, self.step)
        posterior = self.vae.encode(images).latent_dist
        generator = torch.Generator().manual_seed(self.settings.seed * 1_000_003 + self.step)
        latent = posterior.sample(generator)
        spread = posterior.mean.detach().std((0, 2, 3), keepdim=True)
        latent = latent + self.settings.noise * spread * torch.randn(latent.shape, generator=generator)
        turn = self._turn()
        loss = reconstruction_loss(self.vae.decode(turn(latent)).sample, turn(images))
        kl = 0.5 * (posterior.mean.square() + posterior.var - 1 - posterior.logvar).mean()
        total = loss + self.settings.kl * kl
        if not torch.isfinite(total):
            raise FloatingPointError(f"the loss is {total.item()} at step {self.step}: lower the learning rate")
        self.vae.zero_grad(set_to_none=True)
        total.backward()
        torch.nn.utils.clip_grad_norm_(self.vae.parameters(), 1.0)
        share = self._share_of_rate()
        step_optimisers(self.optimisers, self.settings.muon_rate * share, self.settings.learning_rate * share)
        self._update_average()
        self.step += 1
        noise, spread = posterior.std.mean().item(), posterior.mean.std().item()
        return {"loss": loss.item(), "kl": kl.item(), "posterior_std": noise, "latent_std": spread}

    def _turn(self) -> Callable[[torch.Tensor], torch.Tensor]:
        """What is done to this step's latents and pictures alike."""
        rng = np.random.default_rng((self.settings.seed, 1, self.step))
        return TURNS[rng.integers(len(TURNS))] if rng.random() < self.settings.mirrored else _as_it_is

    def _share_of_rate(self) -> float:
        settings = self.settings
        rise = min(1.0, (self.step + 1) / max(1, settings.warm_up))
        left = min(1.0, (settings.steps - self.step) / max(1, settings.cool_down))
        return rise * (0.5 - 0.5 * math.cos(math.pi * left))

    def _update_average(self) -> None:
        decay = min(self.settings.ema, (self.step + 1) / (self.step + 10))
        with torch.no_grad():
            for name, value in self.vae.state_dict().items():
                self.average[name].lerp_(value, 1 - decay)

    def _wake_in_time(self) -> None:
        if 0 <= self.settings.wake_at <= self.step:
            for block in self.resting:
                enable_block(block)
            self.resting = []

    def averaged(self) -> Any:
        """A copy of the network with the averaged weights, in eval mode."""
        vae = make_vae(self.settings.seed)
        vae.load_state_dict(self.average)
        return vae.eval()

    def save(self, path: Path) -> None:
        state = {
            "step": self.step,
            "settings": asdict(self.settings),
            "model": self.vae.state_dict(),
            "average": self.average,
            "optimisers": [optimiser.state_dict() for optimiser in self.optimisers],
        }
        with atomic_write(path) as temporary:
            torch.save(state, temporary)

    def load(self, path: Path) -> None:
        """Takes up a run; its length, learning rate and weights of the loss may be others now.

        Raises:
            ValueError: the run was begun with another seed or other pictures.
        """
        state = torch.load(path, weights_only=True)
        for name in ("seed", "pictures"):
            if state["settings"][name] != getattr(self.settings, name):
                raise ValueError(
                    f"{path} was begun with {name} = {state['settings'][name]}, not {getattr(self.settings, name)}; "
                    "give the same, or another folder"
                )
        self.step, self.average = state["step"], state["average"]
        self._wake_in_time()
        self.vae.load_state_dict(state["model"])
        for optimiser, stored in zip(self.optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(stored)


# A run


def train(folder: Path, settings: Settings, *, save_every: float = 60.0, measure_every: int = 250) -> Trainer:
    """Begins or goes on with the run in a folder: ``checkpoint.pt``, ``log.jsonl``, ``loss.png``, ``sheet.png``."""
    folder.mkdir(parents=True, exist_ok=True)
    trainer = Trainer(settings, _pool(folder, settings))
    if (folder / "checkpoint.pt").exists():
        trainer.load(folder / "checkpoint.pt")
    _trim_log(folder / "log.jsonl", trainer.step)
    held_out = HeldOut.make()
    saved = time.monotonic()
    recent: list[dict[str, float]] = []
    for _ in range(trainer.step, settings.steps):
        recent.append(trainer.train_step())
        if trainer.step % 20 == 0:
            row = {key: float(np.mean([entry[key] for entry in recent])) for key in recent[0]}
            _log(folder, {"step": trainer.step, **row, "cpu_seconds": time.process_time()})
            recent.clear()
        if trainer.step % measure_every == 0 or trainer.step == settings.steps:
            vae = trainer.averaged()
            _log(folder, {"step": trainer.step, **held_out.measure(vae)})
            save_picture(held_out.sheet(vae), folder / "sheet.png")
        if time.monotonic() - saved > save_every or trainer.step == settings.steps:
            trainer.save(folder / "checkpoint.pt")
            saved = time.monotonic()
    return trainer


def _pool(folder: Path, settings: Settings) -> torch.Tensor:
    """Rendered once and kept beside the run, because it takes a minute or two."""
    path = folder / f"pictures-{settings.seed}-{settings.pictures}.pt"
    if not path.exists():
        pool = render(Pictures("train", seed=settings.seed), settings.pictures, edited=0.35)
        with atomic_write(path) as temporary:
            torch.save(pool, temporary)
    return torch.load(path, weights_only=True)


def _trim_log(log: Path, step: int) -> None:
    """Drops the rows of steps that will be taken again, because the run ended after its last checkpoint."""
    rows = log.read_text(encoding="utf-8").splitlines(keepends=True) if log.exists() else []
    kept = [row for row in rows if row.endswith("\n") and json.loads(row)["step"] <= step]
    if len(kept) < len(rows):
        with atomic_write(log) as temporary:
            temporary.write_text("".join(kept), encoding="utf-8", newline="\n")


def _log(folder: Path, row: dict[str, float]) -> None:
    row = {key: value if isinstance(value, int) else float(f"{value:.6g}") for key, value in row.items()}
    with (folder / "log.jsonl").open("a", encoding="utf-8", newline="\n") as file:
        file.write(json.dumps(row) + "\n")


def export_to(trainer: Trainer, bundle: Path) -> Path:
    """Writes ``models/vae/vae.bin`` of a bundle, half precision, the latents centred with a deviation of one."""
    vae = trainer.averaged()
    state = export(vae, *latent_statistics(vae, trainer.pool[:500]))
    path = bundle / "models" / "vae" / "vae.bin"
    with atomic_write(path) as temporary:
        torch.save(to_ldm_names({name: value.half() for name, value in state.items()}), temporary)
    return path


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m comfyui_ace.training.tiny.vae", description="Trains the VAE of ace-tiny, or goes on with it."
    )
    parser.add_argument("folder", type=Path, help="of the run: checkpoint, log, plot and pictures")
    parser.add_argument("--export", type=Path, metavar="BUNDLE", help="write the weights into this bundle at the end")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    for field in fields(Settings):
        parser.add_argument("--" + field.name.replace("_", "-"), type=type(field.default), default=field.default)
    arguments = vars(parser.parse_args())
    folder, bundle, threads = (arguments.pop(name) for name in ("folder", "export", "threads"))
    torch.set_num_threads(threads)
    trainer = train(folder, Settings(**arguments))
    plot_curves(folder / "log.jsonl", folder / "loss.png", ("loss", "psnr_photographs", "psnr_drawings"))
    if bundle is not None:
        print(export_to(trainer, bundle))


if __name__ == "__main__":
    main()
