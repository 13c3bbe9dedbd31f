"""Sheets of pictures on held-out pairs: what the model sees, what the teacher made of it, what the student makes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ....ace.files import atomic_write
from ....ace.model.conditioning import Conditioning
from ....ace.model.sampler import sample
from ...errors import DatasetError
from ..config import SamplesSection
from ..data.batches import SampleStore, collate
from ..data.encoding import fitted_pixels
from ..data.examples import Example
from ..errors import DataError, TrainError
from ..learning.objective import seeded

_STREAM = 3
_GAP, _LABEL = 8, 16  # pixels


class SheetPainter:
    """Draws one sheet whenever it is asked, always the same pairs and noise.

    Args:
        store: of the pairs to draw.
        settings: of the sampler, none left out.
        load_vae: opens the VAE on a device; called for every sheet, so that it takes no memory in between.
        seed: of the noise.
    """

    def __init__(
        self,
        store: SampleStore,
        settings: SamplesSection,
        load_vae: Callable[[Any], Any],
        seed: int,
    ) -> None:
        self.store, self.settings, self.load_vae, self.seed = store, settings, load_vae, seed

    def latents(self, model: Any) -> list[torch.Tensor]:
        """The student's results, one (1, 4, H, W) a pair. ``model`` is an ACE model or :class:`ShardedModel`."""
        results = []
        for index in range(len(self.store.examples)):
            one = self.store[index]
            positive, negative = (
                collate([one], [texts], torch.ones(1), self.store.indicators).conditioning.to(model.device)
                for texts in (one.texts, one.negative_texts)
            )
            noise = torch.randn(1, *one.target.shape, generator=seeded(self.seed, _STREAM, index))
            results.append(
                sample(
                    model,
                    noise,
                    positive,
                    negative,
                    steps=self.settings.steps,
                    guidance_scale=self.settings.guidance_scale,
                    guidance_rescale=self.settings.guidance_rescale,
                )
            )
        return results

    def sheet(self, latents: Sequence[torch.Tensor], device: torch.device) -> np.ndarray:
        """Decodes results and sets them beside their sources and the teacher's: (H, W, 3) uint8."""
        vae = self.load_vae(device)
        rows = []
        for example, latent in zip(self.store.examples, latents, strict=True):
            shown = [*_given(example), ("student", vae.decode(latent).cpu())]
            rows.append([(label, _bytes(picture[0])) for label, picture in shown])
        return _arrange(rows)


def _given(example: Example) -> list[tuple[str, torch.Tensor]]:
    """The pictures of a pair, as the model sees them."""
    try:
        sources = [(f"image {k + 1}", fitted_pixels(item)) for k, item in enumerate(example.references)]
        return [*sources, ("teacher", fitted_pixels(example.target))]
    except (OSError, ValueError, DatasetError) as error:
        raise DataError(f"{example.place} cannot be drawn: {error}") from error


class ShardedModel:
    """Lets a sampler use a model whose weights are spread over processes: only its forward pass may be called."""

    def __init__(self, wrapped: Any, device: torch.device, dtype: torch.dtype) -> None:
        self.wrapped, self.device, self.dtype = wrapped, device, dtype

    def prepare(self, conditioning: Conditioning, _like: torch.Tensor) -> Conditioning:
        return conditioning

    def __call__(self, x: torch.Tensor, timesteps: torch.Tensor, conditioning: Conditioning) -> torch.Tensor:
        return self.wrapped(x, timesteps, conditioning)


def save_sheet(pixels: np.ndarray, path: Path) -> Path:
    """Writes a sheet as PNG, whole or not at all.

    Raises:
        TrainError: the disk is full or not writable.
    """
    from PIL import Image

    try:
        with atomic_write(path) as temporary:
            Image.fromarray(pixels).save(temporary, format="PNG")
    except OSError as error:
        raise TrainError(f"{path} cannot be written ({error}); the run's last checkpoint is kept") from error
    return path


def _bytes(picture: torch.Tensor) -> np.ndarray:
    return (picture.clamp(0, 1) * 255).round().to(torch.uint8).numpy()


def _arrange(rows: Sequence[Sequence[tuple[str, np.ndarray]]]) -> np.ndarray:
    """Rows of labelled pictures on white; student and teacher line up at the right."""
    from PIL import Image, ImageDraw

    widths = [sum(pixels.shape[1] + _GAP for _, pixels in row) for row in rows]
    heights = [_LABEL + max(pixels.shape[0] for _, pixels in row) + _GAP for row in rows]
    sheet = Image.new("RGB", (max(widths) + _GAP, sum(heights) + _GAP), "white")
    pen = ImageDraw.Draw(sheet)
    top = _GAP
    for row, width, height in zip(rows, widths, heights, strict=True):
        left = _GAP + max(widths) - width
        for label, pixels in row:
            pen.text((left, top), label, fill="black")
            sheet.paste(Image.fromarray(pixels), (left, top + _LABEL))
            left += pixels.shape[1] + _GAP
        top += height
    return np.asarray(sheet)
