"""Everything drawn so far, ready to learn from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from ....ace.vae import ImageVAE
from .drawing import DrawnBatch

Key = tuple[int, int, int]


@dataclass(frozen=True, eq=False)
class Chosen:
    """B examples of one layout, N condition images each, on the pool's device.

    Attributes:
        latents: (B, N + 1, 4, h, w), the target first.
        masks: (B, N + 1, 1, h, w).
        ids: (B, N + 1, L).
        dropped: (B, N + 1) bool.
    """

    latents: torch.Tensor
    masks: torch.Tensor
    ids: torch.Tensor
    dropped: torch.Tensor


class Pool:
    """Examples by layout.

    Args:
        vae: encodes what comes in.
        device: where it is kept.
        together: pictures in one pass of the VAE.
    """

    def __init__(self, vae: ImageVAE, device: torch.device, together: int = 256) -> None:
        self.vae, self.device, self.together = vae, device, together
        self._kept: dict[Key, list[torch.Tensor]] = {}
        self._counts: dict[Key, int] = {}

    def __len__(self) -> int:
        return sum(self._counts.values())

    @property
    def counts(self) -> Mapping[Key, int]:
        """Examples by layout."""
        return self._counts

    @torch.no_grad()
    def add(self, batch: DrawnBatch) -> None:
        """Encodes a batch and keeps it."""
        pictures = batch.pictures.to(self.device)  # (R, N + 1, H, W, 3)
        rows, count = pictures.shape[:2]
        flat = pictures.flatten(0, 1)
        with torch.autocast(self.device.type, torch.float16, enabled=self.device.type == "cuda"):
            latents = torch.cat([self.vae.encode(part.float() / 255) for part in flat.split(self.together)])
        new = [
            latents.unflatten(0, (rows, count)).to(torch.float16),
            *(part.to(self.device) for part in (batch.masks, batch.ids, batch.dropped)),
        ]
        used = self._counts.get(batch.layout, 0)
        kept = self._kept.get(batch.layout)
        if kept is None:
            kept = [part.new_empty(16 * rows, *part.shape[1:]) for part in new]
        while used + rows > len(kept[0]):
            kept = [torch.cat([part, torch.empty_like(part)]) for part in kept]
        for part, added in zip(kept, new, strict=True):
            part[used : used + rows] = added
        self._kept[batch.layout], self._counts[batch.layout] = kept, used + rows

    def choose(self, rng: np.random.Generator, count: int, longest: int) -> Chosen:
        """Some examples of one layout; each example of the pool is as likely as any other.

        Args:
            count: B; if there are fewer, some come twice.
            longest: tokens of a text that are kept.
        """
        layouts = list(self._counts)
        shares = np.array([self._counts[layout] for layout in layouts], dtype=float)
        layout = layouts[rng.choice(len(layouts), p=shares / shares.sum())]
        rows = torch.from_numpy(rng.integers(0, self._counts[layout], count)).to(self.device)
        latents, masks, ids, dropped = (part[rows] for part in self._kept[layout])
        return Chosen(latents.float(), masks.float()[:, :, None], ids[..., :longest].long(), dropped)
