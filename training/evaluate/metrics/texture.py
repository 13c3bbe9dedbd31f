"""Structure and texture on the features of VGG16, after DISTS (Ding et al. 2020), where VGG16's weights are at hand.

DISTS weighs its layers by numbers that were learnt; here all of them count alike, so values are not those of the paper.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F

_STAGES = (
    (0, 2),
    (5, 7),
    (10, 12, 14),
    (17, 19, 21),
    (24, 26, 28),
)  # convolutions of VGG16, by their place in `features`
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_CONSTANT = 1e-6
_FILES = "vgg16-*.pth"  # torchvision's name


def find_vgg() -> Path | None:
    """VGG16's weights among the downloads of torch, or None. Nothing is ever downloaded."""
    return next(iter(sorted(Path(torch.hub.get_dir(), "checkpoints").glob(_FILES))), None)


def load_texture_distance(weights: Path) -> Callable[[torch.Tensor, torch.Tensor], float]:
    """A distance of two pictures (B, 3, H, W), 0 … 1: 0 for equal ones, at most about 1.

    Raises:
        ValueError: the file has other weights than those of VGG16.
    """
    state = torch.load(weights, map_location="cpu", weights_only=True)
    try:
        layers = [
            [(state[f"features.{place}.weight"], state[f"features.{place}.bias"]) for place in stage]
            for stage in _STAGES
        ]
    except KeyError as error:
        raise ValueError(f"{weights} has no weights of VGG16: {error} is missing") from error

    @torch.no_grad()
    def distance(one: torch.Tensor, other: torch.Tensor) -> float:
        return texture_distance(vgg_features(one, layers), vgg_features(other, layers))

    return distance


def vgg_features(image: torch.Tensor, layers: list[list[tuple[torch.Tensor, torch.Tensor]]]) -> list[torch.Tensor]:
    """The picture itself and the last features of each stage. Pooling is by a smoothing L2 norm, which does not alias.

    Args:
        image: (B, 3, H, W), 0 … 1.
        layers: weight (C_out, C_in, 3, 3) and bias (C_out,) of the convolutions, by stage.

    Returns:
        (B, C, h, w) each; h and w are halved from stage to stage.
    """
    mean, std = (torch.tensor(values, dtype=image.dtype).view(1, 3, 1, 1) for values in (_MEAN, _STD))
    features, x = [image], (image - mean) / std
    for number, stage in enumerate(layers):
        if number:
            x = _pool(x)
        for weight, bias in stage:
            x = F.relu(F.conv2d(x, weight, bias, padding=1))
        features.append(x)
    return features


def texture_distance(one: list[torch.Tensor], other: list[torch.Tensor]) -> float:
    """1 minus the mean similarity of the maps' means (texture) and of their courses (structure).

    Args:
        one: features (B, C, h, w) of a picture, as `vgg_features` gives them.
        other: those of the other one, of the same shapes.
    """
    texture, structure, count = 0.0, 0.0, 0
    for x, y in zip(one, other, strict=True):
        mean_x, mean_y = x.mean((-2, -1)), y.mean((-2, -1))  # (B, C)
        variance_x, variance_y = x.var((-2, -1), unbiased=False), y.var((-2, -1), unbiased=False)
        covariance = (x * y).mean((-2, -1)) - mean_x * mean_y
        texture += ((2 * mean_x * mean_y + _CONSTANT) / (mean_x**2 + mean_y**2 + _CONSTANT)).mean().item()
        structure += ((2 * covariance + _CONSTANT) / (variance_x + variance_y + _CONSTANT)).mean().item()
        count += 1
    return 1.0 - (texture + structure) / (2 * count)


def _pool(x: torch.Tensor) -> torch.Tensor:
    line = torch.tensor([1.0, 2.0, 1.0], dtype=x.dtype) / 4
    kernel = (line[:, None] * line).view(1, 1, 3, 3).expand(x.shape[1], 1, 3, 3)
    return (F.conv2d(x * x, kernel, stride=2, padding=1, groups=x.shape[1]) + 1e-12).sqrt()
