"""Nodes that the browser itself knows more of than their schema says: its own, and those with widgets from JavaScript."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import EXPORT_ADVICE, WorkflowError
from .widgets import Widgets

# Nodes of packs that stand for wires which are not drawn, in lower case.
_WIRELESS = ("setnode", "getnode", "easy setnode", "easy getnode")
_BROADCASTS = ("anything everywhere", "prompts everywhere", "seed everywhere")


def refusal(kind: str) -> str:
    """Why a node that the server does not have cannot be read; "" where there is nothing particular to say."""
    if kind.startswith(("workflow>", "workflow/")):
        return (
            f"{kind!r} is a group node, which only the browser can take apart. Convert it to a subgraph, or "
            f"{EXPORT_ADVICE[0].lower()}{EXPORT_ADVICE[1:]}"
        )
    if kind.lower() in _WIRELESS:
        return f"{kind!r} passes a value on without a wire, which only the browser can follow. {EXPORT_ADVICE}"
    return ""


def check_broadcasts(node_types: Mapping[str, str]) -> None:
    """Refuses a workflow in which a node feeds others without wires (the Use Everywhere pack).

    Args:
        node_types: the type of every node that runs, by id.

    Raises:
        WorkflowError: there is one.
    """
    for node_id, kind in node_types.items():
        if kind.lower().startswith(_BROADCASTS):
            raise WorkflowError(
                f"node {node_id} ({kind}) feeds other nodes without wires, which only the browser can follow. "
                f"{EXPORT_ADVICE}"
            )


def add_browser_widgets(kind: str, schema: Mapping[str, Any], stored: Any, widgets: Widgets) -> None:
    """Adds what the browser sends beside the declared inputs of a node.

    Args:
        stored: ``widgets_values``.

    Raises:
        WorkflowError: the file has values that nobody can tell the meaning of, in a node that may need them.
    """
    if kind == "CustomCombo":
        _add_options(schema, stored, widgets)
        return
    unnamed = [value for name, value in widgets.extra.items() if name.startswith("#")]
    from_pack = str(schema.get("python_module", "")).startswith("custom_nodes")
    if unnamed and from_pack and not schema.get("output_node"):
        raise WorkflowError(
            f"The file has further values for it ({unnamed[0]!r:.60}) whose names only the browser knows. {EXPORT_ADVICE}"
        )
    for name, value in widgets.extra.items():
        if not name.startswith("#"):
            widgets.values.setdefault(name, value)


def _add_options(schema: Mapping[str, Any], stored: Any, widgets: Widgets) -> None:
    """A Custom Combo's options, which stand in the file alone.

    The browser counts which one is chosen, if the node has a use for the number.
    """
    counted = len(schema.get("output") or []) > 1
    values = list(stored or []) if isinstance(stored, list) else []
    options: list[Any] = []
    for value in [*values[2 if counted else 1 :], ""]:
        options.append(value)
        if not value:
            break
    choice = widgets.values.get("choice")
    if counted:
        widgets.values["index"] = options.index(choice) if choice in options else -1
    widgets.values.update({f"option{number}": value for number, value in enumerate(options, int(counted))})
