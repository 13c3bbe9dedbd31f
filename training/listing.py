"""Long lists in messages: the first few, and how many more there are."""

from __future__ import annotations

from collections.abc import Sequence


def listed(names: Sequence[str], most: int) -> str:
    """The first ``most`` names in one sentence: "a, b, c and 4 more"."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def first_lines(lines: Sequence[str], most: int, whole: str = "") -> list[str]:
    """The first ``most`` lines, and one that says how many there are beside them.

    Args:
        lines: all of them.
        most: how many are shown.
        whole: where all can be seen, such as "--json lists all".
    """
    shown = list(lines[:most])
    if len(lines) > most:
        shown.append(f"… and {len(lines) - most} more" + (f" ({whole})" if whole else ""))
    return shown
