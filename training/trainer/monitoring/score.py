"""The score of a student's pictures on held-out pairs, with the same noise at every measurement."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from ....ace.pictures.preprocess import binarize, fit_mask
from ...dataset.disk.images import read_mask
from ...errors import DatasetError
from ..data.batches import SampleStore
from ..data.encoding import fitted_pixels
from ..data.examples import Example
from ..errors import DataError
from .samples import SampleRenderer


@dataclass(frozen=True)
class PictureScore:
    """A measurement.

    Attributes:
        score: 1 - l1 / source_l1: 0 is no better than leaving the source alone, 1 is the teacher.
        l1: of the student's pictures, against the teacher's, 0 … 1.
        source_l1: of the unedited sources; at least some pair is changed by its teacher.
    """

    score: float
    l1: float
    source_l1: float


class ScoreMeter:
    """Samples held-out pairs and compares with the teacher, as :mod:`training.evaluate` does.

    Args:
        renderer: of the pairs; each has a picture that is edited.

    Raises:
        DataError: a picture cannot be read.
    """

    def __init__(self, renderer: SampleRenderer) -> None:
        self.renderer = renderer
        store: SampleStore = renderer.store
        self._pairs = [_compared(example) for example in store.examples]
        sources = [(source - teacher).abs().mean().item() for source, _, teacher in self._pairs]
        self.source_l1 = sum(sources) / len(sources)

    def measure(self, latents: Sequence[torch.Tensor | None], device: Any) -> PictureScore:
        """Decodes what the student sampled and compares it with the teacher's results.

        Args:
            latents: of :meth:`SampleRenderer.latents`. A pair without a picture counts as if it had been left alone.
            device: where the VAE runs.
        """
        vae = self.renderer.load_vae(device)
        distances = []
        for latent, (source, mask, teacher) in zip(latents, self._pairs, strict=True):
            result = source if latent is None else vae.decode(latent).cpu().float().clamp(0, 1)
            if mask is not None:
                result = torch.where(mask[..., None] > 0, result, source)
            distances.append((result - teacher).abs().mean().item())
        l1 = sum(distances) / len(distances)
        return PictureScore(1.0 - l1 / self.source_l1, l1, self.source_l1)


def _compared(example: Example) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor]:
    """Source and teacher's result (1, H, W, 3), and the mask (1, H, W) of what may change, None meaning everything.

    Raises:
        DataError: one cannot be read; the pair is named.
    """
    try:
        item, mask_item = example.references[example.edited], example.masks[example.edited]
        source = fitted_pixels(replace(item, blanked=None))
        teacher = fitted_pixels(example.target)
        if mask_item is None:
            return source, None, teacher
        mask = fit_mask(binarize(torch.from_numpy(read_mask(mask_item.path).pixels)[None].float() / 255.0), item.fit)
        return source, mask if mask.any() else None, teacher
    except (OSError, ValueError, DatasetError) as error:
        raise DataError(f"{example.place} cannot be measured: {error}") from error
