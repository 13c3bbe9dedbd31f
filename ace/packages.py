"""What to do about Python packages that are missing or too old."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.util import find_spec


def missing_packages_message(packages: Sequence[str], user: str = "ACE Edit", then: str = "start ComfyUI anew") -> str:
    """The line that installs packages into this very Python, in a sentence that says who needs them."""
    one = len(packages) == 1
    missing = f"package{'' if one else 's'} {', '.join(packages)}, which {'is' if one else 'are'} not installed"
    return f"{user} needs the {missing}. Run this line, then {then}:\n{_install(*packages)}"


def missing_module_message(module: str) -> str:
    """The same for a module that could not be imported: its package is missing, or is there and lacks the module."""
    package = module.partition(".")[0]
    if package == module or find_spec(package) is None:
        return missing_packages_message([package])
    return (
        f"ACE Edit needs {module}, which the installed version of {package} does not have. Run this line, then start "
        f"ComfyUI anew:\n{_install('--upgrade', package)}"
    )


def _install(*arguments: str) -> str:
    return f'  "{sys.executable}" -m pip install {" ".join(arguments)}'
