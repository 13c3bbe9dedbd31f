"""What can go wrong while pairs are looked for, in the words of the person who has to act on it."""

from __future__ import annotations


class MatchError(RuntimeError):
    """Pairs cannot be looked for, or a step of it failed; the message says what to do."""


class SetAside(ValueError):
    """One picture that a descriptor or a similarity cannot judge (no face in it, …); the message is the reason."""
