"""Condition images that need no model: the pictures ACE's controllable generation is steered by.

``CONDITION_IMAGES`` lists them by name with their parameters and a description, so that one node can offer them all.
Segmentation, depth and pose need networks; use a preprocessor pack for those.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch
import torch.nn.functional as F

from ..notices import Notify, log_notice
from . import line_images
from .line_images import blur as blur_picture
from .parameters import Parameters, number, switch
from .preprocess import to_rgb

MAX_SEED = 0xFFFF_FFFF_FFFF_FFFF
SEED_HELP = "Picture i of a batch takes this seed plus i."
KMEANS_SAMPLES = 2**13
KMEANS_ITERATIONS = 20


@dataclass(frozen=True)
class Grayscale(Parameters):
    """Of :func:`grayscale`."""

    invert: bool = switch(False, "Negative: black becomes white.")


@dataclass(frozen=True)
class Mosaic(Parameters):
    """Of :func:`mosaic`."""

    block: int = number(16, 1, 1024, "Side of a mosaic tile in pixels.")


@dataclass(frozen=True)
class Blur(Parameters):
    """Of :func:`blur`."""

    sigma: float = number(4.0, 0.3, 64.0, "How far the blur reaches, in pixels.", 0.1)


@dataclass(frozen=True)
class Degradation(Parameters):
    """Of :func:`degradation`."""

    blur: float = number(1.0, 0.0, 64.0, "Blur in pixels; 0 is none.", 0.1)
    downscale: float = number(2.0, 1.0, 32.0, "How many times smaller the picture is made and back; 1 is not.", 0.1)
    noise: float = number(0.05, 0.0, 1.0, "Noise: its deviation as a share of white; 0 is none.", 0.01)
    jpeg_quality: int = number(40, 1, 100, "JPEG quality; 100 leaves JPEG out.")
    seed: int = number(0, 0, MAX_SEED, SEED_HELP)


@dataclass(frozen=True)
class ColorMap(Parameters):
    """Of :func:`color_map`."""

    block: int = number(64, 1, 1024, "Side of a colour patch in pixels.")
    colors: int = number(0, 0, 64, "Reduce to this many colours of the picture's own; 0 keeps every patch's mean.")
    seed: int = number(0, 0, MAX_SEED, SEED_HELP)


@dataclass(frozen=True)
class ConditionImageKind:
    """One way to make a condition image.

    Attributes:
        label: its name for artists.
        description: what it is for, one sentence.
        parameters: the dataclass of its parameters.
        function: (image (B, H, W, 3) in [0, 1], parameters) -> (B, H, W, 3) in [0, 1].
    """

    label: str
    description: str
    parameters: type[Parameters]
    function: Callable[[torch.Tensor, Parameters], torch.Tensor]


def make_condition_image(
    name: str, image: torch.Tensor, parameters: Parameters | None = None, notify: Notify = log_notice
) -> torch.Tensor:
    """Makes a condition image of one kind.

    Args:
        name: a key of ``CONDITION_IMAGES``.
        image: (B, H, W, C), 1 to 4 channels.
        parameters: an instance of that kind's dataclass; None takes its defaults.
        notify: told where transparency is laid over white or values are clamped.

    Returns:
        (B, H, W, 3) float32 in [0, 1].

    Raises:
        ValueError: no such kind, or no image.
        TypeError: parameters of another kind.
    """
    if name not in CONDITION_IMAGES:
        raise ValueError(f'there is no condition image "{name}"; expected one of {", ".join(CONDITION_IMAGES)}')
    kind = CONDITION_IMAGES[name]
    parameters = kind.parameters() if parameters is None else parameters
    if not isinstance(parameters, kind.parameters):
        raise TypeError(f'"{name}" takes {kind.parameters.__name__} parameters, not {type(parameters).__name__}')
    return kind.function(to_rgb(image, notify), parameters)


def grayscale(image: torch.Tensor, parameters: Grayscale) -> torch.Tensor:
    """Luma of ITU-R BT.601, as OpenCV takes it: (B, H, W, 3) -> (B, H, W, 3)."""
    from kornia.color import rgb_to_grayscale

    gray = rgb_to_grayscale(image.permute(0, 3, 1, 2))[:, 0, :, :, None]
    return (1 - gray if parameters.invert else gray).expand(-1, -1, -1, 3).contiguous()


def mosaic(image: torch.Tensor, parameters: Mosaic) -> torch.Tensor:
    """Square tiles of their mean colour, smaller at the right and bottom edge: (B, H, W, 3) -> (B, H, W, 3)."""
    return _upsample_tiles(_tile_means(image, parameters.block), parameters.block, image)


def blur(image: torch.Tensor, parameters: Blur) -> torch.Tensor:
    """Gaussian blur: (B, H, W, 3) -> (B, H, W, 3)."""
    return blur_picture(image.permute(0, 3, 1, 2), parameters.sigma).clamp_(0, 1).permute(0, 2, 3, 1).contiguous()


def degradation(image: torch.Tensor, parameters: Degradation) -> torch.Tensor:
    """Blurs, shrinks, adds noise, compresses and enlarges again: (B, H, W, 3) -> (B, H, W, 3).

    That is the order in which training data for super-resolution are made (Wang et al. 2021, Real-ESRGAN, section 3.1).
    """
    height, width = image.shape[1:3]
    picture = image.permute(0, 3, 1, 2)
    if parameters.blur > 0:
        picture = blur_picture(picture, parameters.blur)
    if parameters.downscale > 1:
        size = max(1, round(height / parameters.downscale)), max(1, round(width / parameters.downscale))
        picture = F.interpolate(picture, size=size, mode="bicubic", antialias=True)
    if parameters.noise > 0:
        noise = [
            torch.randn(picture.shape[1:], generator=_generator(parameters.seed, index))
            for index in range(picture.shape[0])
        ]
        picture = picture + parameters.noise * torch.stack(noise).to(picture.device)
    picture = picture.clamp(0, 1)
    if parameters.jpeg_quality < 100:
        picture = torch.stack([_jpeg_round_trip(each, parameters.jpeg_quality) for each in picture])
    if picture.shape[2:] != (height, width):
        picture = F.interpolate(picture, size=(height, width), mode="bicubic").clamp_(0, 1)
    return picture.permute(0, 2, 3, 1).contiguous()


def color_map(image: torch.Tensor, parameters: ColorMap) -> torch.Tensor:
    """Patches of mean colour, if wished reduced to a palette found by k-means: (B, H, W, 3) -> (B, H, W, 3)."""
    patches = _tile_means(image, parameters.block)
    if parameters.colors:
        flat = [
            _quantize_colors(each.flatten(1).T, parameters.colors, _generator(parameters.seed, index))
            for index, each in enumerate(patches)
        ]
        patches = torch.stack(flat).transpose(1, 2).reshape(patches.shape)
    return _upsample_tiles(patches, parameters.block, image)


def _tile_means(image: torch.Tensor, block: int) -> torch.Tensor:
    """(B, H, W, 3) -> (B, 3, ceil(H / block), ceil(W / block)); tiles cut by the edge average what they have."""
    height, width = image.shape[1:3]
    tile = min(block, height), min(block, width)
    return F.avg_pool2d(image.permute(0, 3, 1, 2), tile, tile, ceil_mode=True, count_include_pad=False)


def _upsample_tiles(tiles: torch.Tensor, block: int, like: torch.Tensor) -> torch.Tensor:
    """(B, 3, h, w) -> (B, H, W, 3), each tile repeated over its pixels."""
    height, width = like.shape[1:3]
    rows = tiles.permute(0, 2, 3, 1).repeat_interleave(block, dim=1)[:, :height]
    return rows.repeat_interleave(block, dim=2)[:, :, :width].contiguous()


def _jpeg_round_trip(picture: torch.Tensor, quality: int) -> torch.Tensor:
    """Encodes and decodes (3, H, W) by Pillow's codec: kornia's differentiable one is seven times as slow."""
    from PIL import Image

    height, width = picture.shape[1:]
    levels = (picture.permute(1, 2, 0) * 255).round().to(torch.uint8).cpu().contiguous()
    stream = io.BytesIO()
    Image.frombytes("RGB", (width, height), levels.numpy().tobytes()).save(stream, "JPEG", quality=quality)
    decoded = bytearray(Image.open(stream).convert("RGB").tobytes())
    levels = torch.frombuffer(decoded, dtype=torch.uint8).view(height, width, 3)
    return (levels.to(picture.device, torch.float32) / 255).permute(2, 0, 1)


def _quantize_colors(colors: torch.Tensor, count: int, generator: torch.Generator) -> torch.Tensor:
    """Replaces each row of (N, 3) by the nearest of ``count`` centres (Lloyd's k-means).

    ``kornia.contrib.KMeans`` would do, but seeding it reseeds torch's global generators.
    """
    order = torch.randperm(colors.shape[0], generator=generator)[:KMEANS_SAMPLES].to(colors.device)
    sample = colors[order]
    # Start with the colours farthest from each other, so that small vivid areas get one of their own.
    centers = sample[:1]
    for _ in range(count - 1):
        farthest = torch.cdist(sample, centers).amin(dim=1).argmax()
        centers = torch.cat([centers, sample[farthest, None]])
    for _ in range(KMEANS_ITERATIONS):
        member = F.one_hot(torch.cdist(sample, centers).argmin(dim=1), count).to(sample.dtype)
        size = member.sum(dim=0)[:, None]
        centers = torch.where(size > 0, member.T @ sample / size.clamp(min=1), centers)
    nearest = [torch.cdist(part, centers).argmin(dim=1) for part in colors.split(2**20)]
    return centers[torch.cat(nearest)]


def _generator(seed: int, index: int) -> torch.Generator:
    return torch.Generator().manual_seed((seed + index) & MAX_SEED)


CONDITION_IMAGES: Mapping[str, ConditionImageKind] = MappingProxyType(
    {
        "grayscale": ConditionImageKind(
            "Grayscale", "Light and dark without colour, to colour anew.", Grayscale, grayscale
        ),
        "mosaic": ConditionImageKind(
            "Mosaic", "Square tiles that hide detail, to restore or re-imagine.", Mosaic, mosaic
        ),
        "blur": ConditionImageKind("Blur", "The picture out of focus, to sharpen or re-imagine.", Blur, blur),
        "degradation": ConditionImageKind(
            "Degradation", "Noise, blur, low resolution and JPEG damage, to restore.", Degradation, degradation
        ),
        "canny": ConditionImageKind(
            "Canny edges",
            "Thin white edges on black: the tightest hold on shapes.",
            line_images.Canny,
            line_images.canny,
        ),
        "color_map": ConditionImageKind(
            "Colour map", "Coarse patches of colour: where which colour goes.", ColorMap, color_map
        ),
        "sketch": ConditionImageKind(
            "Pencil sketch", "Shaded pencil drawing that keeps fine detail.", line_images.Sketch, line_images.sketch
        ),
        "contour": ConditionImageKind(
            "Contour", "Soft outlines of objects, dark on white.", line_images.Contour, line_images.contour
        ),
        "scribble": ConditionImageKind(
            "Scribble (line art)", "Clean ink lines, dark on white.", line_images.Scribble, line_images.scribble
        ),
        "doodle": ConditionImageKind(
            "Doodle",
            "A few thick hand-drawn-like lines: a loose hold on shapes.",
            line_images.Doodle,
            line_images.doodle,
        ),
    }
)
