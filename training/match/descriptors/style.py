"""A style descriptor that needs no weights: palette, contrast and texture, wherever they lie in the picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from .base import concatenated
from .layout import directions, gradients, opponents

_SIDE, _LEVELS, _DIRECTIONS = 128, 4, 8
_PALETTE, _TONES, _STEPS = 5, 9, 8  # bins of each colour axis, of lightness, and of the strengths of edges
_SHARES = {"palette": 0.5, "tones": 0.15, "texture": 0.35}


@dataclass(frozen=True)
class StyleDescriptor:
    """See the module."""

    name: str = "style (built in)"
    identity: str = "style-1"
    sees: str = (
        "It sees palette, contrast and the grain of a texture: flat colours against gradients, line work against soft "
        "shading, warm against cold. It does not see brushwork, a hand or an epoch: for these give a style encoder such "
        "as CSD by its path."
    )
    dimension: int = _PALETTE**3 + _TONES + _LEVELS * _STEPS + _DIRECTIONS
    side: int = _SIDE

    @staticmethod
    def prepare(pixels: np.ndarray) -> np.ndarray:
        """(H, W, 3) uint8 -> (174,) float32 of unit length."""
        image = Image.fromarray(pixels).resize((_SIDE, _SIDE), Image.Resampling.BOX)
        colour = np.asarray(image, dtype=np.float32) / 255
        light = colour @ np.array([0.299, 0.587, 0.114], dtype=np.float32)
        parts = {"palette": _palette(colour, light), "tones": _tones(light), "texture": _texture(light)}
        return concatenated([(share, parts[name]) for name, share in _SHARES.items()])

    def describe(self, prepared: Sequence[np.ndarray]) -> np.ndarray:
        return np.stack(prepared)


def _palette(colour: np.ndarray, light: np.ndarray) -> np.ndarray:
    """Roots of a joint histogram of lightness and the two opponent colours, without its mean."""
    axes = np.concatenate([light[..., None], opponents(colour) / 2 + 0.5], axis=-1).reshape(-1, 3)
    # Most pictures keep near grey: finer bins there.
    axes[:, 1:] = 0.5 + 0.5 * np.sign(axes[:, 1:] - 0.5) * np.sqrt(np.abs(2 * axes[:, 1:] - 1))
    bins = np.minimum((axes * _PALETTE).astype(np.int64), _PALETTE - 1)
    flat = (bins[:, 0] * _PALETTE + bins[:, 1]) * _PALETTE + bins[:, 2]
    return _centred_roots(np.bincount(flat, minlength=_PALETTE**3))


def _tones(light: np.ndarray) -> np.ndarray:
    return _centred_roots(np.histogram(light, bins=_TONES, range=(0, 1))[0])


def _texture(light: np.ndarray) -> np.ndarray:
    """Of every scale: the strengths of edges as a histogram, and at the finest how they lie to the main direction."""
    parts = []
    for level in range(_LEVELS):
        size = _SIDE >> level
        step = light.reshape(size, 1 << level, size, 1 << level).mean(axis=(1, 3))
        across, down = gradients(step)
        strength = np.log2(np.hypot(across, down) * 255 + 1)
        parts.append(_centred_roots(np.histogram(strength, bins=_STEPS, range=(0, 8))[0]))
        if level == 0:
            turned = directions(across, down, _DIRECTIONS).sum(axis=(0, 1))
            parts.append(_centred_roots(np.roll(turned, -int(turned.argmax()))))
    return np.concatenate(parts)


def _centred_roots(counts: np.ndarray) -> np.ndarray:
    roots = np.sqrt(counts / max(float(counts.sum()), 1e-6))
    return roots - roots.mean()
