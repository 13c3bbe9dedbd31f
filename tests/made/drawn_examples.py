"""A source of examples for the tests of the trainer; importable in child processes too."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from comfyui_ace.ace.lcu.units import ConditionImage, ConditionUnit, LongContext
from comfyui_ace.training.trainer.data.source import ExampleSource


@dataclass(frozen=True)
class Drawn:
    context: LongContext
    target: torch.Tensor


class Squares(ExampleSource):
    """Negatives of random pictures; every third batch is made from words alone, and every fourth has a mask.

    Args:
        side: of a picture in pixels.
        uneven: makes one row of each batch larger, which is a fault.
        broken: batch that cannot be drawn.
    """

    def __init__(self, side: int = 32, uneven: bool = False, broken: int | None = None) -> None:
        self.side, self.uneven, self.broken = side, uneven, broken
        self.asked: list[tuple[int, int]] = []

    def draw(self, batch: int, row: int) -> Drawn:
        if batch == self.broken:
            raise ValueError("the pen is dry")
        self.asked.append((batch, row))
        side = self.side * (2 if self.uneven and row == 1 else 1)
        image = picture(1000 * batch + row, side)
        if batch % 3 == 2:
            return Drawn(LongContext(ConditionUnit(f"picture number {row}")), image)
        mask = None
        if batch % 4 == 1:
            mask = torch.zeros(1, side, side)
            mask[:, : side // 2] = 1.0
        unit = ConditionUnit(
            "{image} as a negative", [ConditionImage(image, mask, fill="blank" if batch == 1 else "keep")]
        )
        return Drawn(LongContext(unit), 1 - image)

    def held_out(self, number: int) -> Drawn:
        image = picture(-1 - number, self.side)
        return Drawn(LongContext(ConditionUnit("{image} as a negative", [ConditionImage(image)])), 1 - image)


def picture(seed: int, side: int) -> torch.Tensor:
    """(1, side, side, 3), smooth, so that a VAE can show it."""
    generator = torch.Generator().manual_seed(seed & 0xFFFF_FFFF)
    return torch.rand(1, 4, 4, 3, generator=generator).repeat_interleave(side // 4, 1).repeat_interleave(side // 4, 2)


class NoSource:
    """Has the same methods, and is not derived from ExampleSource."""

    draw, held_out = Squares.draw, Squares.held_out
