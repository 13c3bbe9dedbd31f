"""ace-tiny's world as a source of the trainer: `data.source.name = ".tiny.source:TinySource"`."""

from __future__ import annotations

from collections.abc import Mapping

from ..trainer.data.source import ExampleSource
from .world.examples import NAMES, Example, Examples


class TinySource(ExampleSource):
    """Draws examples of every task.

    Args:
        seed: of all of them.
        photographs: share of photographs where a task takes any picture.
        shares: how often a task is drawn, where that is not its usual share.

    Raises:
        ValueError: there is no such task.
    """

    def __init__(self, seed: int = 0, photographs: float = 0.5, shares: Mapping[str, float] | None = None) -> None:
        self.train, self.validation = (
            Examples(split, seed, photographs, dict(shares or {})) for split in ("train", "validation")
        )

    def draw(self, batch: int, row: int) -> Example:
        return self.train.draw(batch, row)

    def held_out(self, number: int) -> Example:
        """The tasks in turn."""
        return self.validation.of(NAMES[number % len(NAMES)], number // len(NAMES))
