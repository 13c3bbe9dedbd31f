"""Numbers on a command line, refused where they are typed and not after an hour of training."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable


def bounded_int(minimum: int) -> Callable[[str], int]:
    """For ``type=`` of an argument: parses whole numbers from ``minimum`` on."""

    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"expected a whole number, got {text!r}") from None
        if value < minimum:
            raise argparse.ArgumentTypeError(f"expected {minimum} or more, got {value}")
        return value

    return parse


def bounded_float(minimum: float = -math.inf, maximum: float = math.inf) -> Callable[[str], float]:
    """For ``type=`` of an argument: parses finite numbers from ``minimum`` to ``maximum``, both included."""

    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"expected a number, got {text!r}") from None
        if not (math.isfinite(value) and minimum <= value <= maximum):
            upper = "" if math.isinf(maximum) else f" to {maximum:g}"
            raise argparse.ArgumentTypeError(f"expected a number from {minimum:g}{upper}, got {text}")
        return value

    return parse
