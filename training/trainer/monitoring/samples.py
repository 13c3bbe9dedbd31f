"""Sheets of pictures on held-out pairs: what the model sees, what the teacher made of it, what the student makes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ....ace.files import atomic_write
from ....ace.model.conditioning import Conditioning
from ....ace.model.sampler import NotFiniteError, sample
from ..config import SamplesSection
from ..data.batches import HeldOut, collate
from ..errors import TrainError
from ..learning.objective import seeded_generator

_STREAM = 3
_GAP, _LABEL = 8, 16  # pixels


class SampleRenderer:
    """Makes a sheet of samples whenever it is asked, always from the same pairs and noise.

    Args:
        store: of the pairs.
        settings: of the sampler, none left out.
        load_vae: opens the VAE on a device; called for every sheet, so that it takes no memory in between.
        seed: of the noise.
    """

    def __init__(
        self,
        store: HeldOut,
        settings: SamplesSection,
        load_vae: Callable[[Any], Any],
        seed: int,
    ) -> None:
        self.store, self.settings, self.load_vae, self.seed = store, settings, load_vae, seed

    def latents(self, model: Any) -> list[torch.Tensor | None]:
        """Samples the student.

        Args:
            model: an ACE model or :class:`ShardedModel`.

        Returns:
            one (1, 4, H, W) a pair; None where sampling gave values that are no numbers.
        """
        results: list[torch.Tensor | None] = []
        for index in range(len(self.store.examples)):
            one = self.store[index]
            positive, negative = (
                collate([one], [dropped], self.store.indicators).conditioning.to(model.device)
                for dropped in (False, True)
            )
            noise = torch.randn(1, *one.target.shape, generator=seeded_generator(self.seed, _STREAM, index))
            settings = {name: getattr(self.settings, name) for name in ("steps", "guidance_scale", "guidance_rescale")}
            try:
                results.append(sample(model, noise, positive, negative, **settings))
            except NotFiniteError:  # said on the sheet; the training itself watches its loss
                results.append(None)
        return results

    def sheet(self, latents: Sequence[torch.Tensor | None], device: torch.device) -> np.ndarray:
        """Decodes results and sets them beside their condition images and the teacher's.

        Args:
            latents: of :meth:`latents`.
            device: where the VAE runs.

        Returns:
            (H, W, 3) uint8.

        Raises:
            DataError: a picture cannot be read; the pair is named.
        """
        vae = self.load_vae(device)
        rows = []
        for index, latent in enumerate(latents):
            shown = self.store.given(index)
            if latent is None:
                shown.append(("student: NaN", torch.full_like(shown[-1][1], 0.5)))
            else:
                shown.append(("student", vae.decode(latent).cpu()))
            rows.append([(label, _bytes(picture[0])) for label, picture in shown])
        return _arrange(rows)


class ShardedModel:
    """Lets a sampler use a model whose weights are sharded (FSDP): only its forward pass may be called.

    Args:
        wrapped: the model in its wrapper.
        device, dtype: of its inputs.
    """

    def __init__(self, wrapped: Any, device: torch.device, dtype: torch.dtype) -> None:
        self.wrapped, self.device, self.dtype = wrapped, device, dtype

    def prepare(self, conditioning: Conditioning, _like: torch.Tensor) -> Conditioning:
        """Nothing is prepared: that would need the weights outside of a forward pass."""
        return conditioning

    def __call__(self, x: torch.Tensor, timesteps: torch.Tensor, conditioning: Conditioning) -> torch.Tensor:
        return self.wrapped(x, timesteps, conditioning)


def save_sheet(pixels: np.ndarray, path: Path) -> Path:
    """Writes a sheet (H, W, 3) uint8 as PNG, whole or not at all.

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
    """(H, W, 3), 0 … 1, as uint8."""
    return (picture.clamp(0, 1) * 255).round().to(torch.uint8).numpy()


def _arrange(rows: Sequence[Sequence[tuple[str, np.ndarray]]]) -> np.ndarray:
    """Rows of labelled pictures (h, w, 3) on white, (H, W, 3); student and teacher line up at the right."""
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
