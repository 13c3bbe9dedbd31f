"""Whether the packages of requirements.txt are there; said when the pack is loaded, not in the middle of a run."""

from __future__ import annotations

import logging
from importlib.util import find_spec
from pathlib import Path

from ...ace.packages import missing_packages_message

_FILE = Path(__file__).resolve().parents[2] / "requirements.txt"


def missing_requirements() -> list[str]:
    """Packages of requirements.txt that this Python does not have. Their modules have the same names."""
    from packaging.requirements import Requirement

    lines = _FILE.read_text(encoding="utf-8").splitlines()
    wanted = [Requirement(line) for line in lines if line.strip() and not line.startswith("#")]
    needed = [each.name for each in wanted if each.marker is None or each.marker.evaluate()]
    return [name for name in needed if find_spec(name) is None]


def warn_of_missing() -> None:
    """Logs what is missing. The pack loads all the same: not every node needs it."""
    if missing := missing_requirements():
        logging.warning("%s", missing_packages_message(missing))
