"""An encoder: how a picture is brought to it, and what it makes of a batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image

CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
HALF = (0.5, 0.5, 0.5)


class EncoderError(ValueError):
    """A file or folder is no encoder that can be read here; the message says what would be."""


@dataclass(frozen=True)
class Preparation:
    """From a picture of any size to the square that the encoder takes. It imports no torch and can be sent to processes.

    Attributes:
        side: of the square.
        shortest: None stretches the picture to the square; a number scales its shorter side to it and cuts the square
            from the middle.
        resample: Pillow's filter, by number.
    """

    side: int
    shortest: int | None = None
    resample: int = int(Image.Resampling.BICUBIC)

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        """(H, W, 3) uint8 -> (side, side, 3) uint8."""
        image = Image.fromarray(pixels)
        if self.shortest is None:
            return np.asarray(image.resize((self.side, self.side), self.resample))
        scale = self.shortest / min(image.size)
        image = image.resize([max(self.side, round(length * scale)) for length in image.size], self.resample)
        left, top = ((length - self.side) // 2 for length in image.size)
        return np.asarray(image.crop((left, top, left + self.side, top + self.side)))


@dataclass(frozen=True)
class Encoder:
    """What turns pictures into features.

    Attributes:
        name: family and sizes, for people.
        digest: SHA-256 of its weights, so that a number can say what measured it.
        preparation: how pictures are brought to it.
        mean, std: of the colours, which are 0 … 1.
        forward: (B, 3, side, side) normalised -> (B, D).
        device, dtype: where and in what it computes.
    """

    name: str
    digest: str
    preparation: Preparation
    mean: Sequence[float]
    std: Sequence[float]
    forward: Callable[[torch.Tensor], torch.Tensor]
    device: torch.device
    dtype: torch.dtype

    @torch.inference_mode()
    def encode(self, prepared: Sequence[np.ndarray]) -> np.ndarray:
        """Squares, as ``preparation`` makes them, to (B, D) float32 of unit length."""
        pixels = torch.from_numpy(np.stack(prepared)).to(self.device).permute(0, 3, 1, 2).float() / 255
        mean, std = (pixels.new_tensor(values).view(1, 3, 1, 1) for values in (self.mean, self.std))
        features = self.forward(((pixels - mean) / std).to(self.dtype)).float()
        return torch.nn.functional.normalize(features, dim=-1).cpu().numpy()
