"""Values of widgets that bring their own further widgets (DynamicCombo)."""

from __future__ import annotations

from typing import Any


def require_choice(choice: dict[str, Any] | None, what: str) -> dict[str, Any]:
    """The widget's value.

    Args:
        choice: what the host passes: a dictionary with the choice and the widgets that it brings.
        what: what is chosen, for the message.

    Raises:
        ValueError: the workflow asks for something that this version does not know, for which the host passes nothing.
    """
    if choice is None:
        raise ValueError(f"the {what} that this workflow asks for is unknown here; choose another, or update ACE Edit")
    return choice
