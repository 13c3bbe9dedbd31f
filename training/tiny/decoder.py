"""``python -m comfyui_ace.training.tiny.decoder BUNDLE --output FOLDER``: trains a VAE's decoder further, on a GPU.

The encoder stays as it is, and with it all latents, so that transformers that were trained on them keep their worth. What
is trained is written to ``FOLDER/models/vae/vae.bin``, ready to be copied into the bundle; ``decoder.jsonl`` beside
``models`` has the held-out measurements.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import time
from pathlib import Path

import numpy as np
import torch

from ...ace.files import atomic_write
from ...ace.vae import DiffusersVAE
from ...ace.weights.vae_names import to_ldm_names
from ..trainer.learning.optimizer import EMA, clip_gradients
from .joint.drawing import Drawing, DrawingProcesses
from .text import T5_NAME
from .vae import TURNS, make_optimisers, reconstruction_loss, step_optimisers
from .vae_model import export_again, soften
from .vae_pictures import HeldOut

_NOISE = 0.1  # of the latents' deviation, which is one: small errors of a transformer stay small errors
_MIRRORED = 0.4  # share of the batches whose latents are mirrored or transposed, see `vae.Settings`
_EMA = 0.998
_WARM_UP = 100  # steps
_HOLD = 0.3  # share of the time before the rates fall, in a straight line, to nothing
_MUON_RATE, _REST_RATE = 3e-3, 5e-4


class PicturePool:
    """Pictures of one size with their latents, on a device; the oldest make room for new ones.

    Args:
        vae: encodes them.
        size: height and width.
        most: pictures that are kept.
    """

    def __init__(
        self, vae: DiffusersVAE, device: torch.device, size: tuple[int, int] = (128, 128), most: int = 60_000
    ) -> None:
        self.vae, self.size, self.device = vae, size, device
        self._pictures = torch.empty(most, 3, *size, dtype=torch.uint8, device=device)
        self._latents = torch.empty(most, 4, *(side // 8 for side in size), device=device)
        self._taken = 0

    def __len__(self) -> int:
        return min(self._taken, len(self._pictures))

    @torch.no_grad()
    def add(self, pictures: torch.Tensor) -> None:
        """Takes in (R, H, W, 3) bytes; of another size, nothing."""
        if tuple(pictures.shape[1:3]) != self.size:
            return
        pictures = pictures.to(self.device)
        rows = torch.arange(self._taken, self._taken + len(pictures), device=self.device) % len(self._pictures)
        self._pictures[rows] = pictures.permute(0, 3, 1, 2)
        self._latents[rows] = self.vae.encode(pictures.float() / 255)
        self._taken += len(pictures)

    def choose(self, generator: torch.Generator, count: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Latents (count, 4, h, w), scaled, and pictures (count, 3, H, W) in -1 … 1."""
        rows = torch.randint(len(self), (count,), generator=generator, device=self.device)
        return self._latents[rows], self._pictures[rows].float() / 127.5 - 1


class DecoderTrainer:
    """A decoder with its average and optimisers.

    Args:
        model: a ``diffusers.AutoencoderKL`` as it lies in a bundle; it is left as it is.
    """

    def __init__(self, model: object, device: torch.device, seed: int = 0) -> None:
        self.device, self.step = device, 0
        self.model = copy.deepcopy(model).to(device).train().requires_grad_(False)
        soften(self.model)
        self.scaling = self.model.config.scaling_factor
        trained = (self.model.decoder, self.model.post_quant_conv)
        for block in trained:
            block.requires_grad_(True)
        self._parameters = [parameter for block in trained for parameter in block.parameters()]
        self._ema = EMA(self._parameters, _EMA)
        self._optimisers = make_optimisers(self._parameters)
        self._generator, self._rng = torch.Generator(device).manual_seed(seed), np.random.default_rng(seed)

    def train_step(self, pool: PicturePool, batch: int, progress: float) -> torch.Tensor:
        """One step; returns the loss, (), on the device.

        Args:
            pool: of pictures.
            batch: pictures.
            progress: share of the time that has passed, 0 … 1.
        """
        latents, pictures = pool.choose(self._generator, batch)
        latents = latents + _NOISE * torch.randn(latents.shape, generator=self._generator, device=self.device)
        if self._rng.random() < _MIRRORED:
            turn = TURNS[self._rng.integers(len(TURNS))]
            latents, pictures = turn(latents), turn(pictures)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda"):
            decoded = self.model.decode(latents / self.scaling).sample
        loss = reconstruction_loss(decoded.float(), pictures)
        for parameter in self._parameters:
            parameter.grad = None
        loss.backward()
        clip_gradients(self._parameters, 1.0)
        share = min(1.0, (self.step + 1) / _WARM_UP, max(0.0, 1 - progress) / (1 - _HOLD))
        step_optimisers(self._optimisers, _MUON_RATE * share, _REST_RATE * share)
        self.step += 1
        self._ema.update(self.step)
        return loss.detach()

    def averaged(self) -> object:
        """The VAE with the averaged decoder, with soft norms, on the CPU."""
        with self._ema.applied():
            return copy.deepcopy(self.model).cpu().float().eval()


def train(arguments: argparse.Namespace) -> None:
    """Draws, learns, measures and writes until the time is over."""
    began = time.perf_counter()
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    device, models = torch.device(arguments.device), arguments.bundle / "models"
    processes = DrawingProcesses(Drawing(models / "tokenizer" / T5_NAME, seed=arguments.seed + 1), arguments.processes)
    vae = DiffusersVAE.load(models / "vae" / "vae.bin", device=device)
    trainer, pool = DecoderTrainer(vae.model, device, arguments.seed), PicturePool(vae, device)
    arguments.output.mkdir(parents=True, exist_ok=True)
    held_out, seconds = HeldOut.make(), arguments.minutes * 60
    with (arguments.output / "decoder.jsonl").open("w", encoding="utf-8", newline="\n") as log:

        def report() -> None:
            row = {"step": trainer.step, "pictures": len(pool), **held_out.measure(trainer.averaged())}
            print(json.dumps(row), file=log, flush=True)
            print(row, flush=True)

        report()
        while len(pool) < arguments.first:
            for pictures in processes.get(wait=True).pictures.unbind(1):
                pool.add(pictures)
        while (progress := (time.perf_counter() - began) / seconds) < 1:
            if (drawn := processes.get(wait=False)) is not None:
                for pictures in drawn.pictures.unbind(1):
                    pool.add(pictures)
            trainer.train_step(pool, arguments.batch, progress)
            if device.type == "cuda" and trainer.step % 8 == 0:  # or the time would be over long before the work
                torch.cuda.synchronize()
        processes.close()
        report()
    path = arguments.output / "models" / "vae" / "vae.bin"
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as temporary:
        state = export_again(trainer.averaged())
        torch.save(to_ldm_names({name: value.half() for name, value in state.items()}), temporary)
    print(f"{trainer.step} steps, {time.perf_counter() - began:.0f} s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m comfyui_ace.training.tiny.decoder", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--output", type=Path, required=True, help="folder for models and decoder.jsonl")
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--processes", type=int, default=max(1, (os.cpu_count() or 2) // 4))
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--first", type=int, default=2000, help="pictures before the first step")
    parser.add_argument("--seed", type=int, default=0)
    train(parser.parse_args())


if __name__ == "__main__":
    main()
