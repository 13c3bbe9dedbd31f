"""Parameters that carry their own bounds and help, so that widgets can be made from them."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any


def number(default: float, minimum: float, maximum: float, help: str, step: float = 1) -> Any:
    """A numeric field of a ``Parameters`` dataclass.

    Args:
        default: its type decides whether the field takes whole numbers.
        minimum: lowest value allowed.
        maximum: highest value allowed.
        help: a sentence for the tooltip.
        step: of the widget.
    """
    return field(default=default, metadata={"min": minimum, "max": maximum, "step": step, "help": help})


def switch(default: bool, help: str) -> Any:
    """A yes-or-no field of a ``Parameters`` dataclass."""
    return field(default=default, metadata={"help": help})


@dataclass(frozen=True)
class Parameters:
    """Base of frozen dataclasses whose numeric fields are checked against their bounds.

    Raises:
        ValueError: a number is out of bounds; the message names it.
    """

    def __post_init__(self) -> None:
        for item in fields(self):
            bounds, value = item.metadata, getattr(self, item.name)
            if "min" in bounds and not bounds["min"] <= value <= bounds["max"]:
                raise ValueError(f"{item.name} is {value}; expected {bounds['min']} to {bounds['max']}")
