"""Why a training run cannot start or go on, in the words of the person who has to act on it."""

from __future__ import annotations


class TrainError(RuntimeError):
    """A run cannot start or go on; the message says what is kept and what to do."""


class ConfigError(TrainError, ValueError):
    """The configuration has unknown keys or values that are not allowed."""


class DataError(TrainError):
    """A pair or a cached item cannot be used; the message names it."""
