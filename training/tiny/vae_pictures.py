"""The pictures the VAE learns from, and how well it brings held-out ones back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ...ace.lcu.frames import fit_frames
from ...ace.lcu.units import resolve
from ...ace.pictures.resolution import Resolution
from .world.examples import NAMES, Examples
from .world.pictures import Pictures, contact_sheet


def render(pictures: Pictures, count: int, edited: float) -> torch.Tensor:
    """The first ``count`` pictures as bytes, (count, 3, H, W); a share ``edited`` of them as a task shows or makes them."""
    examples = Examples(pictures.split, pictures.seed, pictures.photographs)
    rendered = []
    for index in range(count):
        rng = pictures.generator(index)
        image = _of_a_task(rng, examples, index, pictures.size) if rng.random() < edited else pictures.draw(rng)
        rendered.append((image * 255).round().to(torch.uint8).permute(2, 0, 1))
    return torch.stack(rendered)


def _of_a_task(rng: np.random.Generator, examples: Examples, index: int, size: tuple[int, int]) -> torch.Tensor:
    """A condition image with its hole, or a result: the VAE must know more than untouched pictures. (H, W, 3)."""
    example = examples.of(str(rng.choice(NAMES)), index, size)
    shown = [frame.image()[0] for frame in fit_frames(resolve(example.context), Resolution.exact(*size))]
    shown.append(example.target[0])
    return shown[rng.integers(len(shown))]


@torch.no_grad()
def reconstruct(vae: Any, images: torch.Tensor) -> torch.Tensor:
    """(N, 3, H, W) uint8 -> what comes back of the mode, float 0 … 1."""
    outputs = []
    for part in images.split(8):
        pixels = part.float() / 127.5 - 1
        outputs.append(vae.decode(vae.encode(pixels).latent_dist.mode()).sample.clamp(-1, 1) / 2 + 0.5)
    return torch.cat(outputs)


def psnr(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Decibels for each picture of (N, 3, H, W), 0 … 1, against uint8 targets."""
    return -10 * (output - target.float() / 255).square().mean((1, 2, 3)).clamp(min=1e-10).log10()


def latent_statistics(vae: Any, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and standard deviation of each channel over pictures (N, 3, H, W) uint8; (4,) each."""
    with torch.no_grad():
        parts = [vae.encode(part.float() / 127.5 - 1).latent_dist.mode() for part in images.split(8)]
    latents = torch.cat(parts)
    return latents.mean((0, 2, 3)), latents.std((0, 2, 3))


@dataclass(frozen=True)
class HeldOut:
    """Pictures never trained on, uint8 (N, 3, 128, 128)."""

    photographs: torch.Tensor
    drawings: torch.Tensor

    @classmethod
    def make(cls) -> HeldOut:
        photographs = render(Pictures("validation", seed=1, photographs=1.0), 64, edited=0.0)
        return cls(photographs, render(Pictures("validation", seed=1, photographs=0.0), 32, edited=0.0))

    def measure(self, vae: Any) -> dict[str, float]:
        """PSNR and the error of a picture's mean colour, averaged over pictures."""
        result = {}
        for name in ("photographs", "drawings"):
            target = getattr(self, name)
            output = reconstruct(vae, target)
            shift = (output.mean((2, 3)) - target.float().mean((2, 3)) / 255).abs().mean()
            result |= {f"psnr_{name}": psnr(output, target).mean().item(), f"colour_shift_{name}": shift.item()}
        return result

    def sheet(self, vae: Any) -> torch.Tensor:
        """Originals above what comes back, (H, W, 3)."""
        chosen = torch.cat([self.photographs[:16], self.drawings[:8]])
        output = reconstruct(vae, chosen)
        rows = []
        for start in range(0, len(chosen), 8):
            rows += [*(chosen[start : start + 8].float() / 255), *output[start : start + 8]]
        return contact_sheet([image.permute(1, 2, 0) for image in rows], columns=8)
