"""Perceptual metrics that need no downloaded weights; together they show a blurred picture for what it is.

L1 and PSNR reward a picture that hedges: the mean of all plausible results is blurred and near to each of them.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

_WINDOW, _SIGMA = 11, 1.5
_C1, _C2 = 0.01**2, 0.03**2
_SCALES = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # Wang et al. 2003
_GMS_CONSTANT = 170.0 / 255.0**2  # Xue et al. 2014, for pictures from 0 to 1
_LUMINANCE = (0.299, 0.587, 0.114)
_FLOOR = 1e-5  # power a coefficient below which a band is empty: the rounding of 8-bit pictures


def multi_scale_ssim(one: torch.Tensor, other: torch.Tensor) -> float:
    """MS-SSIM (Wang, Simoncelli and Bovik 2003): structure on five scales, brightness on the coarsest; 1 for equal ones.

    On pictures too small for five scales the finer ones are used, with their weights scaled up to a sum of 1. Only
    windows that lie in the picture count.

    Args:
        one, other: (B, C, H, W), 0 … 1, at least 11 pixels a side.
    """
    _check(one, other)
    smaller = min(one.shape[-2:])
    count = sum(smaller // 2**scale >= _WINDOW for scale in range(len(_SCALES)))
    if not count:
        raise ValueError(f"SSIM needs pictures of at least {_WINDOW} pixels a side, got {tuple(one.shape[-2:])}")
    # The published weights are rounded and sum to 1.0001; all five are taken as they are.
    weights = _SCALES if count == len(_SCALES) else [weight / sum(_SCALES[:count]) for weight in _SCALES[:count]]
    product = torch.ones(one.shape[:2], dtype=one.dtype, device=one.device)  # (B, C)
    for scale, weight in enumerate(weights):
        brightness, structure = _ssim_parts(one, other)
        value = brightness * structure if scale == count - 1 else structure
        product = product * value.mean((-2, -1)).clamp(min=0) ** weight
        one, other = (F.avg_pool2d(image, 2) for image in (one, other))
    return product.mean().item()


def luma_ssim(one: torch.Tensor, other: torch.Tensor) -> float:
    """SSIM (Wang et al. 2004) of the brightness rounded to 8 bits, as pyiqa measures it; negative structure counts as 0.

    Args:
        one, other: (B, 3, H, W), 0 … 1, at least 11 pixels a side; only windows that lie in the picture count.
    """
    _check(one, other)
    levels = [(_grey(image.double()) * 255).round() / 255 for image in (one, other)]
    brightness, structure = _ssim_parts(*levels)
    return (brightness * structure.clamp(min=0)).mean().item()


def gradient_similarity_deviation(one: torch.Tensor, other: torch.Tensor) -> float:
    """GMSD (Xue et al. 2014): spread of the similarity of edges over the picture; 0 for equal ones, about .3 for poor ones.

    Args:
        one, other: (B, 3, H, W), 0 … 1.
    """
    _check(one, other)
    maps = [_gradient(F.avg_pool2d(_grey(image), 2, ceil_mode=True)) for image in (one, other)]
    similarity = (2 * maps[0] * maps[1] + _GMS_CONSTANT) / (maps[0] ** 2 + maps[1] ** 2 + _GMS_CONSTANT)
    return similarity.flatten(1).std(dim=1, unbiased=False).mean().item()


def detail_ratio(picture: torch.Tensor, wanted: torch.Tensor) -> float:
    """Fine detail of a picture as a share of what is wanted: the ratio of amplitudes in the finest octave of the spectrum.

    1 is as much, less is softer, more is grainier or sharper. Detail at the wrong place counts, too; that it is at the
    right one is what the other metrics say.

    Args:
        picture, wanted: (B, 3, H, W), 0 … 1.
    """
    _check(picture, wanted)
    powers = [_finest_octave(_grey(image)) for image in (picture, wanted)]
    return ((powers[0] + _FLOOR) / (powers[1] + _FLOOR)).sqrt().mean().item()


def _check(one: torch.Tensor, other: torch.Tensor) -> None:
    if one.shape != other.shape or one.ndim != 4:
        raise ValueError(
            f"pictures of one size (batch, channels, height, width) are compared, got {tuple(one.shape)} and "
            f"{tuple(other.shape)}"
        )


def _ssim_parts(one: torch.Tensor, other: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Brightness and structure of SSIM at every window, (B, C, H - 10, W - 10)."""
    place = torch.arange(_WINDOW, dtype=one.dtype, device=one.device) - _WINDOW // 2
    line = torch.exp(-(place**2) / (2 * _SIGMA**2))
    line = line / line.sum()
    channels = one.shape[1]

    def smooth(image: torch.Tensor) -> torch.Tensor:
        across = F.conv2d(image, line.view(1, 1, 1, -1).expand(channels, 1, 1, -1), groups=channels)
        return F.conv2d(across, line.view(1, 1, -1, 1).expand(channels, 1, -1, 1), groups=channels)

    mean_one, mean_other = smooth(one), smooth(other)
    variance_one = smooth(one * one) - mean_one**2
    variance_other = smooth(other * other) - mean_other**2
    covariance = smooth(one * other) - mean_one * mean_other
    brightness = (2 * mean_one * mean_other + _C1) / (mean_one**2 + mean_other**2 + _C1)
    return brightness, (2 * covariance + _C2) / (variance_one + variance_other + _C2)


def _grey(image: torch.Tensor) -> torch.Tensor:
    """(B, 3, H, W) -> (B, 1, H, W)."""
    weights = torch.tensor(_LUMINANCE, dtype=image.dtype, device=image.device).view(1, 3, 1, 1)
    return (image * weights).sum(1, keepdim=True)


def _gradient(grey: torch.Tensor) -> torch.Tensor:
    """Magnitude by Prewitt's operator, (B, 1, H, W)."""
    across = torch.tensor([[1.0, 0.0, -1.0]] * 3, dtype=grey.dtype, device=grey.device).view(1, 1, 3, 3) / 3
    padded = F.pad(grey, (1, 1, 1, 1), mode="replicate")
    return (F.conv2d(padded, across) ** 2 + F.conv2d(padded, across.transpose(-1, -2)) ** 2).sqrt()


def _finest_octave(grey: torch.Tensor) -> torch.Tensor:
    """Mean power a coefficient from 1/4 to 1/2 cycles a pixel, (B,). A window keeps the borders out of it."""
    height, width = grey.shape[-2:]
    window = torch.hann_window(height, periodic=False, dtype=grey.dtype, device=grey.device)[:, None]
    window = window * torch.hann_window(width, periodic=False, dtype=grey.dtype, device=grey.device)
    centred = (grey - grey.mean((-2, -1), keepdim=True)) * window
    power = torch.fft.rfft2(centred[:, 0]).abs() ** 2 / (window**2).sum().clamp(min=1e-12)
    down = torch.fft.fftfreq(height, device=grey.device)[:, None]
    across = torch.fft.rfftfreq(width, device=grey.device)
    radius = (down**2 + across**2).sqrt()
    band = (radius >= 0.25) & (radius <= 0.5)
    return power[:, band].mean(1) if band.any() else power.new_zeros(len(power))
