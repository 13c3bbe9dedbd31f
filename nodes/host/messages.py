"""Telling the artist what was dropped, added or ignored: on the node and in the log."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any


class Messages:
    """Collects the notices of one node execution; called as ``ace`` calls ``notify``.

    Args:
        node_id: the node to write on; None writes to the log only.
    """

    def __init__(self, node_id: str | None) -> None:
        self.node_id = node_id
        self.lines: list[str] = []

    def __call__(self, message: str) -> None:
        if message in self.lines:
            return
        self.lines.append(message)
        logging.info("ACE Edit: %s", message)
        if self.node_id is not None:
            show_on_node("\n".join(self.lines), self.node_id)


def counted(parts: Mapping[str, int | bool]) -> str:
    """What is not zero, in words.

    Args:
        parts: by what is said of it, its count; True says it in any case.
    """
    return ", ".join(text for text, count in parts.items() if count)


def show_on_node(text: str, node_id: str) -> None:
    """Writes a text on a node, in place of what was written there; from any thread."""
    from server import PromptServer

    PromptServer.instance.send_progress_text(text, node_id)


def send_to_pages(event: str, data: dict[str, Any]) -> None:
    """Sends an event to every open page, whose part is in ``web/``; from any thread."""
    from server import PromptServer

    PromptServer.instance.send_sync(event, data)


def announce_files() -> None:
    """Tells every open page that there are new files, so that its menus show them."""
    send_to_pages("ace.files", {})
