"""Random masks of boxes and irregular strokes after LaMa (Suvorov et al., 2022), which ACE's inpainting data was made by.

Sizes and numbers are those of LaMa's three published settings for 256-pixel crops; here they scale with the picture.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from PIL import Image

KINDS = ("mixed", "strokes", "boxes")
REFERENCE_PIXELS = 256
BOX_PROBABILITY = 0.3 / 1.3
"""Of boxes in a mixture; LaMa's odds are strokes 1, boxes 0.3."""
MAX_SEED = 0xFFFF_FFFF_FFFF_FFFF
ATTEMPTS = 64


@dataclass(frozen=True)
class Style:
    """How many shapes are drawn, and how large. Pairs are ranges, both ends included.

    Attributes:
        strokes: how many.
        stroke_length: of each segment, in pixels of a 256-pixel crop, as all below.
        stroke_width: of each segment.
        boxes: how many.
        box_side: of each box.
        box_margin: that boxes keep from the picture's edge.
    """

    strokes: tuple[int, int]
    stroke_length: tuple[int, int]
    stroke_width: tuple[int, int]
    boxes: tuple[int, int]
    box_side: tuple[int, int]
    box_margin: int

    def scaled(self, factor: float) -> Style:
        """The same numbers of shapes, each ``factor`` times as large."""
        lengths = {
            name: tuple(max(1, round(bound * factor)) for bound in getattr(self, name))
            for name in ("stroke_length", "stroke_width", "box_side")
        }
        return replace(self, box_margin=int(self.box_margin * factor), **lengths)


STYLES = {
    # LaMa's thin setting draws no boxes; these are a quarter of the thick ones.
    "thin": Style((4, 50), (10, 49), (5, 14), (1, 5), (8, 38), 0),
    "medium": Style((4, 5), (10, 109), (5, 54), (1, 5), (10, 49), 0),
    "thick": Style((1, 5), (10, 209), (5, 104), (1, 3), (30, 149), 10),
}


def random_masks(
    height: int,
    width: int,
    *,
    count: int = 1,
    seed: int = 0,
    kind: str = "mixed",
    style: str = "medium",
    shapes: tuple[int, int] | None = None,
    coverage: tuple[float, float] = (0.0, 0.5),
) -> torch.Tensor:
    """Draws masks of strokes or boxes; never an empty one.

    Mask i depends on ``seed`` + i alone, so a batch holds what single draws give. Shapes go on being added, larger or
    smaller, until the marked share lies within ``coverage``, as nearly as whole pixels allow.

    Args:
        height: in pixels.
        width: in pixels.
        count: how many masks.
        seed: any integer; 64 bits of it count.
        kind: "strokes", "boxes", or "mixed", which draws one kind or the other for each mask.
        style: a key of ``STYLES``: how thick.
        shapes: fewest and most shapes for each mask; None takes the style's.
        coverage: smallest and largest share of the picture, in [0, 1].

    Returns:
        (count, height, width) of zeros and ones.

    Raises:
        ValueError: a number out of range, or no such kind or style.
    """
    if height < 1 or width < 1 or count < 1:
        raise ValueError(f"{count} masks of {width}x{height} were asked for; each number must be at least 1")
    if kind not in KINDS or style not in STYLES:
        raise ValueError(
            f'kind is "{kind}" and style "{style}"; expected one of {", ".join(KINDS)} and of {", ".join(STYLES)}'
        )
    if shapes is not None and not 1 <= shapes[0] <= shapes[1]:
        raise ValueError(f"shapes is {shapes}; expected (least, most) with 1 <= least <= most")
    least, most = coverage
    if not 0 <= least <= most <= 1:
        raise ValueError(f"coverage is {coverage}; expected (least, most) with 0 <= least <= most <= 1")
    masks = []
    for index in range(count):
        generator = torch.Generator().manual_seed((seed + index) & MAX_SEED)
        boxes = kind == "boxes" or (kind == "mixed" and torch.rand((), generator=generator).item() < BOX_PROBABILITY)
        masks.append(_draw_mask(height, width, STYLES[style], boxes, shapes, coverage, generator))
    return torch.stack(masks)


def _draw_mask(
    height: int,
    width: int,
    style: Style,
    boxes: bool,
    shapes: tuple[int, int] | None,
    coverage: tuple[float, float],
    generator: torch.Generator,
) -> torch.Tensor:
    """One mask (height, width)."""
    from PIL import Image

    least = max(1, math.ceil(coverage[0] * height * width))
    most = max(least, math.floor(coverage[1] * height * width))
    wanted = _integer(*(shapes or (style.boxes if boxes else style.strokes)), generator)
    scale = min(height, width) / REFERENCE_PIXELS
    canvas, marked, drawn = Image.new("L", (width, height)), 0, 0
    draw = _draw_box if boxes else _draw_stroke
    # A shape that marks too much is drawn anew at half the size; once enough are drawn that mark too little, the next
    # are larger. Both are bounded by the number of attempts, not by luck.
    for _ in range(wanted + ATTEMPTS):
        if drawn >= wanted and marked >= least:
            break
        trial = canvas.copy()
        draw(trial, style.scaled(scale), drawn, generator)
        trial_marked = trial.histogram()[255]
        if trial_marked > most:
            scale /= 2
            continue
        canvas, marked, drawn = trial, trial_marked, drawn + 1
        if drawn >= wanted and marked < least:
            scale *= 1.5
    mask = torch.frombuffer(bytearray(canvas.tobytes()), dtype=torch.uint8).reshape(height, width) > 0
    if marked < least:
        unmarked = (~mask.flatten()).nonzero().flatten()
        mask.view(-1)[unmarked[: least - marked]] = True
    return mask.to(torch.float32)


def _draw_stroke(canvas: Image.Image, style: Style, index: int, generator: torch.Generator) -> None:
    """A line of one to five segments, each with its own direction, length and brush, round at its joints."""
    from PIL import ImageDraw

    pen = ImageDraw.Draw(canvas)
    x, y = _integer(0, canvas.width - 1, generator), _integer(0, canvas.height - 1, generator)
    for _ in range(_integer(1, 5, generator)):
        # LaMa draws whole radians; strokes of even number turn the other way round.
        angle = 0.01 + _integer(0, 3, generator)
        angle = -angle if index % 2 == 0 else angle
        length, brush = _integer(*style.stroke_length, generator), _integer(*style.stroke_width, generator)
        end_x = min(max(round(x + length * math.sin(angle)), 0), canvas.width - 1)
        end_y = min(max(round(y + length * math.cos(angle)), 0), canvas.height - 1)
        pen.line((x, y, end_x, end_y), fill=255, width=brush)
        for joint_x, joint_y in ((x, y), (end_x, end_y)):
            left, top = joint_x - brush // 2, joint_y - brush // 2
            pen.ellipse((left, top, left + brush - 1, top + brush - 1), fill=255)
        x, y = end_x, end_y


def _draw_box(canvas: Image.Image, style: Style, index: int, generator: torch.Generator) -> None:
    """A rectangle that keeps clear of the picture's edge by the margin, where there is room for it."""
    sides, starts = [], []
    for available in (canvas.width, canvas.height):
        margin = min(style.box_margin, (available - 1) // 2)
        longest = min(style.box_side[1], available - 2 * margin)
        side = _integer(min(style.box_side[0], longest), longest, generator)
        sides.append(side)
        starts.append(_integer(margin, available - margin - side, generator))
    canvas.paste(255, (starts[0], starts[1], starts[0] + sides[0], starts[1] + sides[1]))


def _integer(least: int, most: int, generator: torch.Generator) -> int:
    """One of ``least`` … ``most``, both included."""
    return int(torch.randint(least, most + 1, (), generator=generator))
