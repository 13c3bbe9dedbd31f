"""Draws the icon that the Comfy Registry shows, ``docs/images/icon.png``: a picture on a wire, half before and half after.

.venv/bin/python tools/make_icon.py
"""

from __future__ import annotations

from pathlib import Path

from PIL import Image, ImageDraw

PATH = Path(__file__).resolve().parent.parent / "docs" / "images" / "icon.png"
SIDE = 400  # pixels; the registry's limit
_SCALE = 4  # drawn larger and reduced, for smooth edges
_NIGHT, _NIGHT_LIGHT, _WIRE = (16, 20, 34), (34, 42, 70), (98, 178, 245)
_BEFORE = {"sky": (255, 205, 150), "sun": (255, 244, 214), "far": (226, 120, 98), "near": (122, 60, 88)}
_AFTER = {"sky": (24, 74, 160), "sun": (236, 243, 255), "far": (92, 142, 222), "near": (196, 216, 250)}
_FRAME = (76, 76, 324, 324)


def draw_icon() -> Image.Image:
    """(400, 400) RGBA with transparent corners."""
    side = SIDE * _SCALE
    icon = Image.new("RGBA", (side, side))
    icon.paste(_gradient(side, _NIGHT_LIGHT, _NIGHT), mask=_rounded(side, (0, 0, SIDE, SIDE), 84))
    pen = ImageDraw.Draw(icon)
    pen.line(_scaled((0, SIDE / 2, SIDE, SIDE / 2)), fill=_WIRE, width=12 * _SCALE)
    picture = _landscape(side, _BEFORE)
    diagonal = Image.new("L", (side, side))
    ImageDraw.Draw(diagonal).polygon(_scaled((236, 0, SIDE, 0, SIDE, SIDE, 164, SIDE)), fill=255)
    picture.paste(_landscape(side, _AFTER), mask=diagonal)
    icon.paste(picture, mask=_rounded(side, _FRAME, 40))
    pen.line(_scaled((223.3, _FRAME[1], 176.7, _FRAME[3])), fill=(255, 255, 255), width=7 * _SCALE)
    left, _, right, _ = _FRAME
    for x in (left, right):
        pen.ellipse(_scaled((x - 22, 178, x + 22, 222)), fill=_WIRE, outline=_NIGHT, width=8 * _SCALE)
    return icon.resize((SIDE, SIDE), Image.Resampling.LANCZOS)


def _landscape(side: int, ink: dict[str, tuple[int, int, int]]) -> Image.Image:
    picture = Image.new("RGB", (side, side), ink["sky"])
    pen = ImageDraw.Draw(picture)
    pen.ellipse(_scaled((124, 112, 196, 184)), fill=ink["sun"])
    pen.polygon(_scaled((60, 330, 150, 210, 206, 262, 262, 170, 340, 280, 340, 330)), fill=ink["far"])
    pen.polygon(_scaled((60, 330, 60, 290, 128, 248, 206, 300, 268, 256, 340, 312, 340, 330)), fill=ink["near"])
    return picture


def _gradient(side: int, top: tuple[int, int, int], bottom: tuple[int, int, int]) -> Image.Image:
    shade = Image.linear_gradient("L").resize((side, side))
    return Image.composite(Image.new("RGB", (side, side), bottom), Image.new("RGB", (side, side), top), shade)


def _rounded(side: int, box: tuple[float, ...], radius: int) -> Image.Image:
    mask = Image.new("L", (side, side))
    ImageDraw.Draw(mask).rounded_rectangle(_scaled(box), radius * _SCALE, fill=255)
    return mask


def _scaled(points: tuple[float, ...]) -> list[float]:
    return [_SCALE * value for value in points]


if __name__ == "__main__":
    PATH.parent.mkdir(parents=True, exist_ok=True)
    draw_icon().save(PATH, optimize=True)
