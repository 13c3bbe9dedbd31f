"""Why an evaluation cannot be made."""

from __future__ import annotations


class EvaluationError(RuntimeError):
    """There is nothing to compare, or not with these files; the message says what to do."""


class NothingMeasuredError(EvaluationError):
    """The student gave no picture on any pair."""
