"""Examples as tensors of bytes, drawn by other processes."""

from __future__ import annotations

import queue
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import multiprocessing

from ....ace.encode import branch_texts
from ....ace.pictures.preprocess import LATENT_PIXELS
from ....ace.pictures.resolution import Resolution
from ....ace.text import END_TOKEN, tokenize
from ...trainer.data.drawn import fit_example
from ..world.examples import Example, Examples

MAX_TOKENS = 64  # of a picture: 128 x 128 pixels
MOST_TOKENS = 56  # of a text; a two-line sentence of the world has up to 49
_WAITING = 4  # batches that a process draws ahead


@dataclass(frozen=True, eq=False)
class DrawnBatch:
    """R examples of one layout; N condition images each.

    Attributes:
        pictures: (R, N + 1, H, W, 3) bytes, the target first, then the condition images as the model sees them.
        masks: (R, N + 1, h, w) bytes at the latents' size, 1 where the target may change, then each image's.
        ids: (R, N + 1, tokens), the target's text first; what is past the end token is 0.
        dropped: (R, N + 1), whether dropping the instruction empties this text.
    """

    pictures: torch.Tensor
    masks: torch.Tensor
    ids: torch.Tensor
    dropped: torch.Tensor

    @property
    def layout(self) -> tuple[int, int, int]:
        """Condition images, height and width in pixels."""
        return self.pictures.shape[1] - 1, *self.pictures.shape[2:4]


def to_tensors(examples: Sequence[Example], tokenizer: Any, resolution: Resolution) -> DrawnBatch:
    """Puts examples of one layout into tensors.

    Raises:
        ValueError: they are not of one layout, or a text is longer than MOST_TOKENS.
    """
    parts = [_one(example, tokenizer, resolution) for example in examples]
    return DrawnBatch(*(torch.stack(column) for column in zip(*parts, strict=True)))


def _one(example: Example, tokenizer: Any, resolution: Resolution) -> tuple[torch.Tensor, ...]:
    fitted = fit_example(example, resolution)
    pictures = torch.cat(fitted.pictures)
    size = tuple(side // LATENT_PIXELS for side in pictures.shape[1:3])
    given = (fitted.target_mask, *fitted.masks)
    masks = torch.cat([torch.ones(1, *size) if mask is None else mask for mask in given])
    texts, without = branch_texts(fitted.resolved)
    ids = torch.zeros(len(texts), MOST_TOKENS, dtype=torch.int16)
    for row, text in enumerate(texts):
        tokens = tokenize(text, tokenizer)
        ids[row, : len(tokens)] = torch.tensor(tokens, dtype=torch.int16)
    dropped = torch.tensor([text != other for text, other in zip(texts, without, strict=True)])
    return (pictures * 255).round().to(torch.uint8), (masks > 0.5).to(torch.uint8), ids, dropped


def without_instruction(ids: torch.Tensor, dropped: torch.Tensor) -> torch.Tensor:
    """Token ids (…, L) with those texts emptied that ``dropped`` (…) marks."""
    empty = torch.zeros_like(ids)
    empty[..., 0] = END_TOKEN
    return torch.where(dropped[..., None], empty, ids)


@dataclass(frozen=True)
class Drawing:
    """What is drawn: see :class:`Examples`; ``tokenizer`` is a folder, ``rows`` examples make a batch."""

    tokenizer: Path
    max_tokens: int = MAX_TOKENS
    rows: int = 48
    split: str = "train"
    seed: int = 0
    photographs: float = 0.5
    shares: Mapping[str, float] | None = None

    def batches(self, first: int, step: int):
        """Batches ``first``, ``first + step``, … without end."""
        from transformers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(str(self.tokenizer), local_files_only=True)
        examples = Examples(self.split, self.seed, self.photographs, dict(self.shares or {}))
        resolution = Resolution.published(self.max_tokens)
        number = first
        while True:
            drawn = [examples.draw(number, row) for row in range(self.rows)]
            yield to_tensors(drawn, tokenizer, resolution)
            number += step


def _work(drawing: Drawing, first: int, step: int, results: Any) -> None:
    torch.set_num_threads(1)
    for batch in drawing.batches(first, step):
        results.put(batch)


class DrawingProcesses:
    """Draws batches in other processes until it is closed.

    Args:
        drawing: what.
        processes: how many.
    """

    def __init__(self, drawing: Drawing, processes: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._results = context.Queue(maxsize=_WAITING * processes)
        self._processes = [
            context.Process(target=_work, args=(drawing, number, processes, self._results), daemon=True)
            for number in range(processes)
        ]
        for process in self._processes:
            process.start()

    def get(self, wait: bool) -> DrawnBatch | None:
        """The next batch; None if there is none yet and ``wait`` is not set.

        Raises:
            RuntimeError: a process has ended, which none does by itself.
        """
        while True:
            try:
                return self._results.get(timeout=5.0) if wait else self._results.get_nowait()
            except queue.Empty:
                if ended := [process.exitcode for process in self._processes if not process.is_alive()]:
                    raise RuntimeError(f"{len(ended)} of the processes that draw have ended ({ended[0]})") from None
                if not wait:
                    return None

    def close(self) -> None:
        """Ends the processes."""
        for process in self._processes:
            process.terminate()
