"""Everything drawn so far, ready to learn from."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch

from ....ace.vae import ImageVAE
from .drawing import DrawingProcesses, DrawnBatch

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


@dataclass(frozen=True, eq=False)
class EncodedBatch:
    """R examples of one layout, on the pool's device.

    Attributes:
        layout: see :class:`DrawnBatch`.
        columns: latents (R, N + 1, 4, h, w), masks (R, N + 1, h, w), ids (R, N + 1, tokens) and dropped (R, N + 1).
    """

    layout: Key
    columns: tuple[torch.Tensor, ...]


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

    def add(self, batch: DrawnBatch) -> None:
        """Encodes a batch and keeps it."""
        self.keep(self.encode(batch))

    @torch.no_grad()
    def encode(self, batch: DrawnBatch) -> EncodedBatch:
        """A batch as it is kept."""
        pictures = batch.pictures.to(self.device)  # (R, N + 1, H, W, 3)
        flat = pictures.flatten(0, 1)
        with torch.autocast(self.device.type, torch.float16, enabled=self.device.type == "cuda"):
            latents = torch.cat([self.vae.encode(part.float() / 255) for part in flat.split(self.together)])
        return EncodedBatch(
            batch.layout,
            (
                latents.unflatten(0, pictures.shape[:2]).to(torch.float16),
                *(part.to(self.device) for part in (batch.masks, batch.ids, batch.dropped)),
            ),
        )

    def keep(self, batch: EncodedBatch) -> None:
        """Takes in a batch."""
        rows, used = len(batch.columns[0]), self._counts.get(batch.layout, 0)
        kept = self._kept.get(batch.layout)
        if kept is None:
            kept = [part.new_empty(16 * rows, *part.shape[1:]) for part in batch.columns]
        while used + rows > len(kept[0]):
            kept = [torch.cat([part, torch.empty_like(part)]) for part in kept]
        for part, added in zip(kept, batch.columns, strict=True):
            if (
                added.is_cuda
            ):  # it was made on another stream, which must not use its memory again before this copy is done
                added.record_stream(torch.cuda.current_stream())
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


class Intake:
    """Encodes what is drawn in a thread of its own, so that the steps need not wait for it.

    Args:
        processes: draw.
        pool: encodes; nothing is put into it here.
        ahead: encoded batches that may wait.
    """

    def __init__(self, processes: DrawingProcesses, pool: Pool, ahead: int = 64) -> None:
        self._processes, self._pool = processes, pool
        self._ready: queue.Queue[EncodedBatch | BaseException] = queue.Queue(maxsize=ahead)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def wait(self) -> EncodedBatch:
        """The next batch.

        Raises:
            RuntimeError: nothing more can be drawn.
        """
        return _raised(self._ready.get())

    def ready(self, most: int) -> Iterator[EncodedBatch]:
        """Batches that need no waiting, ``most`` at most.

        Raises:
            RuntimeError: nothing more can be drawn.
        """
        for _ in range(most):
            try:
                yield _raised(self._ready.get_nowait())
            except queue.Empty:
                return

    def close(self) -> None:
        """Ends the thread; the processes are left as they are."""
        self._ended.set()
        while self._thread.is_alive():
            with contextlib.suppress(queue.Empty):
                self._ready.get(timeout=0.1)

    def _work(self) -> None:
        try:
            with torch.cuda.stream(torch.cuda.Stream()) if self._on_cuda else contextlib.nullcontext():
                while not self._ended.is_set():
                    encoded = self._pool.encode(self._processes.get(wait=True))
                    if self._on_cuda:  # the steps have a stream of their own, which knows nothing of this one
                        torch.cuda.current_stream().synchronize()
                    self._ready.put(encoded)
        except RuntimeError as error:
            self._ready.put(error)

    @property
    def _on_cuda(self) -> bool:
        return self._pool.device.type == "cuda"


def _raised(result: EncodedBatch | BaseException) -> EncodedBatch:
    if isinstance(result, BaseException):
        raise result
    return result
