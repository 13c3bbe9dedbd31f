"""What training needs beside the pack's own requirements, and how to get it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.util import find_spec

from ..ace.packages import missing_packages_message
from .trainer.errors import TrainError

TRAINING_PACKAGES = ("accelerate", "peft", "diffusers")


def require_packages(names: Sequence[str] = TRAINING_PACKAGES) -> None:
    """Checks that packages are installed, without importing them.

    Raises:
        TrainError: some are missing; the message has the line that installs them into this very Python.
    """
    if sys.version_info < (3, 11):
        names = (*names, "tomli")  # reads the configurations; later Pythons have their own
    missing = [name for name in names if find_spec(name) is None]
    if missing:
        raise TrainError(missing_packages_message(missing, "training", "try again"))
