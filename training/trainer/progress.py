"""How long work reports how far it is. A report may raise: that is how the work is stopped."""

from __future__ import annotations

from collections.abc import Callable

# (what is being done, steps done, steps in all)
Progress = Callable[[str, int, int], None]


def silent_progress(_what: str, _done: int, _total: int) -> None:
    """For callers who want no reports."""
