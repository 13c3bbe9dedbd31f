"""Why a training run cannot start or go on, in the words of the person who has to act on it."""

from __future__ import annotations


class TrainError(RuntimeError):
    """A run cannot start or go on; the message says what is kept and what to do."""


class ConfigError(TrainError, ValueError):
    """The configuration has unknown keys or values that are not allowed."""


class FinishedRunError(TrainError):
    """A run that has done all its steps is asked to learn something else: it would learn nothing of it.

    Attributes:
        step: steps the run has done; with more than these it goes on.
        changes: what is different from the run, in words.
    """

    def __init__(self, message: str, *, step: int, changes: tuple[str, ...]) -> None:
        super().__init__(message)
        self.step, self.changes = step, changes


class DataError(TrainError):
    """A pair or a cached item cannot be used; the message names it."""
