"""Similarities made of what else there is: the cosine of a descriptor, and a function of two pictures."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ....ace.files import checksum
from ..descriptors.base import Descriptor
from ..errors import MatchError, SetAside


class DescribedSimilarity:
    """The cosine of a descriptor's vectors. See `Similarity`."""

    most_looks = None

    def __init__(self, descriptor: Descriptor):
        self._descriptor = descriptor
        self.name, self.identity, self.side = descriptor.name, descriptor.identity, descriptor.side

    def looks(self, pictures: Sequence[np.ndarray]) -> list[np.ndarray | None]:
        prepared: list[np.ndarray | None] = []
        for pixels in pictures:
            try:
                prepared.append(self._descriptor.prepare(pixels))
            except SetAside:
                prepared.append(None)
        usable = [entry for entry in prepared if entry is not None]
        vectors = iter(self._descriptor.describe(usable) if usable else ())
        return [None if entry is None else next(vectors) for entry in prepared]

    def compare(self, one: np.ndarray, other: np.ndarray) -> float:
        return float(np.dot(one.astype(np.float64), other.astype(np.float64)))


class FunctionSimilarity:
    """A function of two pictures (H, W, 3) uint8 -> number, named as ``module:function`` or ``file.py:function``."""

    side = 1024
    most_looks = 64  # whole pictures, of up to 15 MB

    def __init__(self, text: str):
        self._text = text
        place, _, name = text.rpartition(":")
        self._function = self._load(place, name)
        self.name = name
        source = checksum(Path(place)) if place.endswith(".py") else _source(self._function)
        self.identity = f"function-1 {text} {source}"

    def _load(self, place: str, name: str) -> Callable[[np.ndarray, np.ndarray], float]:
        try:
            if place.endswith(".py"):
                spec = importlib.util.spec_from_file_location("ace_similarity", place)
                module = importlib.util.module_from_spec(spec)
                spec.loader.exec_module(module)
            else:
                module = importlib.import_module(place)
            return getattr(module, name)
        except (ImportError, AttributeError, OSError) as error:
            raise MatchError(
                f"The similarity {self._text!r} cannot be loaded ({error}). It is given as file.py:function or "
                "module:function, a function of two pictures (height, width, 3) that returns a number."
            ) from error

    def looks(self, pictures: Sequence[np.ndarray]) -> list[Any]:
        return list(pictures)

    def compare(self, one: np.ndarray, other: np.ndarray) -> float:
        found = self._function(one, other)
        try:
            return float(found)
        except (TypeError, ValueError) as error:
            raise MatchError(f"{self._text} returned {found!r:.80}; a number is expected.") from error


def _source(function: Callable) -> str:
    try:
        return inspect.getsource(function)
    except (OSError, TypeError):
        return ""
