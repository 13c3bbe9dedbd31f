"""Local structure that two pictures share: SIFT keypoints, matched, and kept where one homography explains them.

Lowe 2004, "Distinctive Image Features from Scale-Invariant Keypoints"; Fischler and Bolles 1981 for the geometric check.
Nothing is learnt and no weights are needed. It sees the same thing, photographed or drawn, moved, scaled, turned or
partly hidden; it sees nothing in smooth pictures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image

_SIDE, _KEYPOINTS = 384, 384  # pixels of the longer side; at most so many
_RATIO = 0.9  # of the distances to the nearest and the second nearest
_TOLERANCE = 4.0  # pixels
_LEAST_INLIERS = 8  # fewer agree by chance


@dataclass(frozen=True)
class Keypoints:
    """places: (K, 2), in pixels. descriptions: (K, 128)."""

    places: torch.Tensor
    descriptions: torch.Tensor


class KeypointSimilarity:
    """Keypoints in agreement, of those of the picture that has fewer, 0 … 1. See `Similarity`."""

    name, identity, side = "keypoints", "keypoints-1", _SIDE
    most_looks = 4096  # of 200 kB

    def __init__(self) -> None:
        from kornia.feature import SIFTFeature

        self._detector = SIFTFeature(_KEYPOINTS).eval()

    @torch.inference_mode()
    def looks(self, pictures: Sequence[np.ndarray]) -> list[Keypoints | None]:
        return [self._look(pixels) for pixels in pictures]

    def compare(self, one: Keypoints, other: Keypoints) -> float:
        from kornia.feature import match_smnn

        with torch.inference_mode():
            _, pairs = match_smnn(one.descriptions, other.descriptions, _RATIO)
            if len(pairs) < _LEAST_INLIERS:
                return 0.0
            inliers = _agreeing(one.places[pairs[:, 0]], other.places[pairs[:, 1]])
        return inliers / min(len(one.places), len(other.places)) if inliers >= _LEAST_INLIERS else 0.0

    def _look(self, pixels: np.ndarray) -> Keypoints | None:
        from kornia.feature import get_laf_center

        image = Image.fromarray(pixels).convert("L")
        scale = _SIDE / max(image.size)
        if scale < 1:
            image = image.resize([max(1, round(length * scale)) for length in image.size], Image.Resampling.BOX)
        grey = torch.from_numpy(np.array(image, dtype=np.float32) / 255)[None, None]
        frames, responses, descriptions = self._detector(grey)
        kept = responses[0] > 0
        if int(kept.sum()) < _LEAST_INLIERS:
            return None
        return Keypoints(get_laf_center(frames)[0, kept], descriptions[0, kept])


def _agreeing(one: torch.Tensor, other: torch.Tensor) -> int:
    """How many of the matches one homography explains. The tries are drawn from a fixed seed."""
    from kornia.geometry.ransac import RANSAC

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        try:
            _, inliers = RANSAC("homography", inl_th=_TOLERANCE, max_iter=8, max_lo_iters=2)(one, other)
        except (RuntimeError, ValueError):  # all tries were degenerate: points on a line
            return 0
    return int(inliers.sum())
