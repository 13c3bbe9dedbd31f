"""Arguments that several commands share; numbers are refused where they are typed and not after an hour of training."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable

from ..ace.pictures.files.mask_readings import MASK_READINGS
from ..ace.text_files import check_encoding

MAX_STEPS = 1000
"""Of a sampler: the timesteps that ACE knows."""

MAX_SEED = 2**64 - 1
"""The largest seed that torch's generators take, and ComfyUI."""


def add_mask_from(parser: argparse._ActionsContainer) -> None:
    """Adds ``--mask-from``, the way in which masks' files are read."""
    parser.add_argument(
        "--mask-from",
        choices=MASK_READINGS,
        default="auto",
        help="what of a mask's file is the mask: its brightness, what is painted on it (opaque), or the hole cut into it "
        "(transparent); auto takes what the file most probably means",
    )


def text_encoding(name: str) -> str:
    """For ``type=`` of an argument: the name of a text encoding."""
    try:
        return check_encoding(name)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def bounded_int(minimum: int, maximum: int | None = None) -> Callable[[str], int]:
    """For ``type=`` of an argument: parses whole numbers from ``minimum`` to ``maximum``, both included."""

    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"expected a whole number, got {text!r}") from None
        if value < minimum or (maximum is not None and value > maximum):
            upper = " or more" if maximum is None else f" to {maximum}"
            raise argparse.ArgumentTypeError(f"expected {minimum}{upper}, got {text}")
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
            raise argparse.ArgumentTypeError(f"expected {_range(minimum, maximum)}, got {text}")
        return value

    return parse


def _range(minimum: float, maximum: float) -> str:
    """Finite numbers in words."""
    if math.isinf(minimum):
        return "a finite number" if math.isinf(maximum) else f"a finite number up to {maximum:g}"
    return (
        f"a finite number of {minimum:g} or more"
        if math.isinf(maximum)
        else f"a number from {minimum:g} to {maximum:g}"
    )
