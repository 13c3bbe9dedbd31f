"""Pictures drawn by chance: shapes, landscapes, fallen leaves, strokes like writing, patterns and gradients."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

Colour = tuple[int, int, int]
_OVERSAMPLE = 2  # drawn larger and scaled down, for smooth edges


def draw(rng: np.random.Generator, height: int, width: int) -> Image.Image:
    """A drawing of some kind, RGB."""
    painter = _PAINTERS[rng.choice(len(_PAINTERS), p=_WEIGHTS)]
    large = painter(rng, height * _OVERSAMPLE, width * _OVERSAMPLE)
    return large.resize((width, height), Image.Resampling.BOX)


def colour(rng: np.random.Generator) -> Colour:
    """Any colour, vivid ones and greys more often than in a cube."""
    kind = rng.random()
    if kind < 0.2:
        grey = int(rng.integers(0, 256))
        return (grey, grey, grey)
    if kind < 0.5:
        hue = rng.random() * 6
        saturation, value = rng.uniform(0.6, 1.0), rng.uniform(0.4, 1.0)
        channels = [1 - saturation * min(1.0, max(0.0, 2 - abs((hue + shift) % 6 - 3))) for shift in (0, 2, 4)]
        return tuple(int(255 * value * channel) for channel in channels)
    return tuple(int(channel) for channel in rng.integers(0, 256, 3))


def gradient(rng: np.random.Generator, height: int, width: int) -> Image.Image:
    """Between two colours, along a line or around a point."""
    first, second = np.array(colour(rng)), np.array(colour(rng))
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    if rng.random() < 0.6:
        angle = rng.uniform(0, 2 * np.pi)
        ramp = x * np.cos(angle) + y * np.sin(angle)
    else:
        ramp = np.hypot(x - rng.random(), y - rng.random())
    ramp = (ramp - ramp.min()) / np.ptp(ramp)
    return _to_image(first + ramp[..., None] * (second - first))


def noise(rng: np.random.Generator, height: int, width: int) -> Image.Image:
    """Clouds: noise whose spectrum falls with frequency as photographs' does, in the colours between two or three."""
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None])
    frequency[0, 0] = np.inf
    spectrum = np.fft.rfft2(rng.standard_normal((2, height, width))) / frequency ** rng.uniform(0.8, 2.2)
    fields = np.fft.irfft2(spectrum, s=(height, width))
    fields = 0.5 + fields / (4 * fields.std(axis=(1, 2), keepdims=True))
    base, *axes = (np.array(colour(rng), dtype=float) for _ in range(3))
    return _to_image(
        base + sum(field.clip(0, 1)[..., None] * (axis - base) for field, axis in zip(fields, axes, strict=True))
    )


def _shapes(rng: np.random.Generator, height: int, width: int) -> Image.Image:
    picture = _background(rng, height, width)
    for _ in range(rng.integers(1, 9)):
        _place(rng, picture, rng.uniform(0.08, 0.5) * min(height, width))
    return picture


def _leaves(rng: np.random.Generator, height: int, width: int) -> Image.Image:
    """Shapes of all sizes that hide each other, many small ones: statistics like a photograph's."""
    picture = _background(rng, height, width)
    small, large = 0.02 * min(height, width), 0.6 * min(height, width)
    for _ in range(rng.integers(30, 120)):
        _place(rng, picture, 1 / rng.uniform(1 / large, 1 / (small * rng.uniform(1, 6))))
    return picture


def _landscape(rng: np.random.Generator, height: int, width: int) -> Image.Image:
    """Sky, sun, ridges, and sometimes a house or trees."""
    sky, glow = np.array(colour(rng)), np.array(colour(rng))
    ramp = np.linspace(0, 1, height)[:, None, None]
    picture = _to_image(np.broadcast_to(sky + ramp * (glow - sky), (height, width, 3)))
    pen = ImageDraw.Draw(picture)
    if rng.random() < 0.6:
        x, y, radius = rng.uniform(0, width), rng.uniform(0, height / 2), rng.uniform(0.04, 0.15) * height
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour(rng))
    horizon = rng.uniform(0.35, 0.7)
    for ridge in range(rng.integers(1, 5)):
        level = horizon + ridge * 0.12
        steps = np.linspace(0, 1, 64)
        wave = sum(rng.uniform(-0.08, 0.08) / k * np.sin(2 * np.pi * (k * steps + rng.random())) for k in (1, 2, 5, 11))
        points = [(step * width, (level + rise) * height) for step, rise in zip(steps, wave, strict=True)]
        pen.polygon([*points, (width, height), (0, height)], fill=colour(rng))
    for _ in range(rng.integers(0, 4)):
        _house_or_tree(
            rng, pen, rng.uniform(0, width), rng.uniform(horizon, 0.95) * height, rng.uniform(0.08, 0.25) * height
        )
    return picture


def _house_or_tree(rng: np.random.Generator, pen: ImageDraw.ImageDraw, x: float, y: float, size: float) -> None:
    if rng.random() < 0.5:
        pen.rectangle((x, y - size, x + size, y), fill=colour(rng))
        pen.polygon(
            [(x - size / 6, y - size), (x + size / 2, y - 1.7 * size), (x + 7 * size / 6, y - size)], fill=colour(rng)
        )
        pen.rectangle((x + size / 5, y - size / 2, x + size / 2, y), fill=colour(rng))
    else:
        pen.rectangle((x - size / 12, y - size / 2, x + size / 12, y), fill=colour(rng))
        pen.ellipse((x - size / 2, y - 1.5 * size, x + size / 2, y - size / 3), fill=colour(rng))


def _strokes(rng: np.random.Generator, height: int, width: int) -> Image.Image:
    """Lines of small strokes, like writing seen from afar, or a few thick curves."""
    picture = _background(rng, height, width)
    pen, ink = ImageDraw.Draw(picture), colour(rng)
    size = rng.uniform(0.05, 0.3) * height
    thickness = max(2, int(size * rng.uniform(0.08, 0.2)))
    y = size * rng.random()
    while y < height:
        x = size * rng.random()
        while x < width:
            for _ in range(rng.integers(1, 4)):
                corners = rng.uniform(0, 0.8, (rng.integers(2, 4), 2)) * size + (x, y)
                pen.line([tuple(corner) for corner in corners], fill=ink, width=thickness, joint="curve")
            x += size * (0.9 if rng.random() < 0.8 else 1.6)
        y += size * 1.4
    return picture


def _pattern(rng: np.random.Generator, height: int, width: int) -> Image.Image:
    """A checkerboard, stripes or dots, turned by any angle."""
    angle, period = rng.uniform(0, np.pi), rng.uniform(0.06, 0.5) * min(height, width)
    if rng.random() < 0.4:
        angle = 0.0
    y, x = np.mgrid[0:height, 0:width]
    u = (x * np.cos(angle) + y * np.sin(angle)) / period + rng.random()
    v = (y * np.cos(angle) - x * np.sin(angle)) / period + rng.random()
    kind = rng.integers(3)
    if kind == 0:
        chosen = (np.floor(u) + np.floor(v)) % 2 == 0
    elif kind == 1:
        chosen = u % 1 < rng.uniform(0.2, 0.8)
    else:
        chosen = np.hypot(u % 1 - 0.5, v % 1 - 0.5) < rng.uniform(0.15, 0.45)
    first, second = _background(rng, height, width), _background(rng, height, width)
    return Image.composite(first, second, Image.fromarray(np.uint8(255 * chosen)))


def _place(rng: np.random.Generator, picture: Image.Image, size: float) -> None:
    """One filled shape somewhere on the picture."""
    height, width = picture.height, picture.width
    mask = Image.new("1", (width, height))
    pen = ImageDraw.Draw(mask)
    x, y = rng.uniform(0, width), rng.uniform(0, height)
    ratio = rng.uniform(0.5, 1.0)
    kind = rng.integers(3)
    if kind == 0:
        pen.ellipse((x - size, y - size * ratio, x + size, y + size * ratio), fill=1)
    else:
        corners = 4 if kind == 1 else int(rng.integers(3, 9))
        angles = rng.random() * 6.28 + np.linspace(0, 2 * np.pi, corners, endpoint=False)
        radii = size * (1.0 if kind == 1 else rng.uniform(0.4, 1.0, corners)) * np.ones(corners)
        pen.polygon(
            [(x + r * np.cos(a), y + ratio * r * np.sin(a)) for r, a in zip(radii, angles, strict=True)], fill=1
        )
    box = mask.getbbox()
    if box is None:
        return
    part = mask.crop(box)
    if box[2] - box[0] > 24 and rng.random() < 0.4:
        fill = (noise if rng.random() < 0.5 else gradient)(rng, box[3] - box[1], box[2] - box[0])
        picture.paste(fill, box[:2], part)
    else:
        picture.paste(colour(rng), box, part)


def _background(rng: np.random.Generator, height: int, width: int) -> Image.Image:
    kind = rng.random()
    if kind < 0.4:
        return Image.new("RGB", (width, height), colour(rng))
    return gradient(rng, height, width) if kind < 0.75 else noise(rng, height, width)


def soften(rng: np.random.Generator, picture: Image.Image) -> Image.Image:
    """Slightly out of focus, as lenses are."""
    return picture.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 1.5)))


def _to_image(pixels: np.ndarray) -> Image.Image:
    return Image.fromarray(np.uint8(pixels.clip(0, 255)))


_PAINTERS: tuple[Callable[[np.random.Generator, int, int], Image.Image], ...] = (
    _shapes,
    _leaves,
    _landscape,
    _strokes,
    _pattern,
    gradient,
    noise,
)
_WEIGHTS = (0.22, 0.28, 0.2, 0.08, 0.08, 0.05, 0.09)
