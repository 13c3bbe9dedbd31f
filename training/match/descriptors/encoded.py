"""Any vision encoder from a local path as a descriptor."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from ...encoders import EncoderError, load_encoder
from ..errors import MatchError

_BATCH = 32


class EncodedDescriptor:
    """See `Descriptor`. path: of the encoder; device: where it computes."""

    sees = (
        "It sees what its encoder was trained to tell apart: SigLIP and CLIP what is shown and how, DINOv2 the thing "
        "itself, CSD the style."
    )

    def __init__(self, path: str, device: torch.device | str):
        try:
            self._encoder = load_encoder(path, device)
        except EncoderError as error:
            raise MatchError(str(error)) from error
        self.name = self._encoder.name
        self.prepare = self._encoder.preparation
        self.identity = f"encoder-1 {self._encoder.digest} {self.prepare}"
        grey = np.full((self.prepare.side, self.prepare.side, 3), 128, dtype=np.uint8)
        self.dimension = self.describe([grey]).shape[1]
        self.side = max(self.prepare.side, self.prepare.shortest or 0)

    def describe(self, prepared: Sequence[np.ndarray]) -> np.ndarray:
        batches = [self._encoder.encode(prepared[start : start + _BATCH]) for start in range(0, len(prepared), _BATCH)]
        return np.concatenate(batches)
