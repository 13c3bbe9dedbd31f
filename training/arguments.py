"""Numbers on a command line, refused where they are typed and not after an hour of training."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable


def whole(least: int) -> Callable[[str], int]:
    """Parses whole numbers from ``least`` on."""

    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"expected a whole number, got {text!r}") from None
        if value < least:
            raise argparse.ArgumentTypeError(f"expected {least} or more, got {value}")
        return value

    return parse


def real(least: float = -math.inf, most: float = math.inf) -> Callable[[str], float]:
    """Parses finite numbers from ``least`` to ``most``, both included."""

    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"expected a number, got {text!r}") from None
        if not (math.isfinite(value) and least <= value <= most):
            upper = "" if math.isinf(most) else f" to {most:g}"
            raise argparse.ArgumentTypeError(f"expected a number from {least:g}{upper}, got {text}")
        return value

    return parse
