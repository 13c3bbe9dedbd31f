"""Packages that only some of it needs: imported when they are used, with the line that installs them when they lack."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType

from .errors import MatchError

_PIP = {
    "faiss": "faiss-cpu",
    "pyarrow": "pyarrow",
    "fsspec": "fsspec",
    "ray": '"ray[data]"',
    "cv2": "opencv-python-headless",
}


def optional(module: str, purpose: str) -> ModuleType:
    """An optional package.

    Args:
        module: what is imported, such as "faiss" or "ray.data".
        purpose: what it is needed for, as the subject of a sentence.

    Raises:
        MatchError: it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        top = module.split(".")[0]
        if error.name and error.name.split(".")[0] != top:
            raise  # it is there, and something that it needs is not: that is its own message
        raise MatchError(
            f"{purpose} needs the package {top}, which is not installed. Install it and try again:\n"
            f'  "{sys.executable}" -m pip install {_PIP[top]}'
        ) from error
