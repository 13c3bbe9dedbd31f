"""Where examples come from that are not stored: drawn by number while training, so that none need be seen twice."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from importlib import import_module
from typing import Any, Protocol

import torch

from ....ace.lcu.units import LongContext
from ..errors import ConfigError

_ROOMS = __name__.rsplit(".", 3)[0]  # names with a leading dot are looked up from here: ".tiny.source:TinySource"


class DrawnExample(Protocol):
    """What the model is given and what it should answer.

    Attributes:
        context: condition images, masks, words and history, of batch 1.
        target: (1, H, W, 3) float, 0 … 1; with an image to edit, of that image's size or shape.
    """

    context: LongContext
    target: torch.Tensor


class ExampleSource(ABC):
    """Draws examples by number; the same number always gives the same example, in every process and after every stop.

    Only classes derived from this one can be named in a configuration.

    Attributes:
        version: counts up whenever the same numbers and options would give other examples.
    """

    version: int = 1

    @abstractmethod
    def draw(self, batch: int, row: int) -> DrawnExample:
        """Example ``row``, from 0, of batch ``batch``, from 0.

        All rows of a batch have the same number of condition images, and after fitting the same sizes.
        """

    @abstractmethod
    def held_out(self, number: int) -> DrawnExample:
        """Example ``number`` to measure on, of any layout; training must never see it."""


def open_source(name: str, options: Mapping[str, Any]) -> ExampleSource:
    """Makes the source that a configuration names.

    Args:
        name: `module:Class`; a leading dot stands for this pack's own `training` folder.
        options: keyword arguments of the class.

    Raises:
        ConfigError: there is no such class, it is no source, or it does not take these options.
    """
    module, colon, attribute = name.partition(":")
    if not colon or not module.strip(".") or not attribute:
        raise ConfigError(f'data.source.name is {name!r}; write module:Class, such as ".tiny.source:TinySource"')
    try:
        kind = getattr(import_module(module, _ROOMS), attribute)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"data.source.name: {name} cannot be imported ({error})") from error
    if not (isinstance(kind, type) and issubclass(kind, ExampleSource)):
        raise ConfigError(f"data.source.name: {name} is no class derived from {__name__}.ExampleSource")
    try:
        return kind(**options)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"data.source.options: {name} cannot be made of {dict(options)} ({error})") from error


def source_digest(name: str, options: Mapping[str, Any], source: ExampleSource) -> str:
    """SHA-256 over all that decides which examples a source draws."""
    facts = [name, source.version, dict(options)]
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()
