"""What a prompt gave back: history, pictures, events and, where it failed, the reason."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from PIL import Image


@dataclass(frozen=True)
class Event:
    """One JSON message of the websocket."""

    type: str
    data: dict[str, Any]


@dataclass(frozen=True)
class Preview:
    """One picture sent while a node was at work. ``metadata`` is what the server sent with it."""

    node_id: str
    image: Image.Image
    metadata: dict[str, Any]


@dataclass(frozen=True)
class PromptError:
    """Why a prompt did not do what was asked.

    ``kind`` is "validation" (refused before running), "execution" (a node raised) or "interrupted".
    ``message`` holds everything the artist is shown; ``node_errors`` is the server's own record by node id.
    """

    kind: str
    message: str
    node_id: str | None = None
    node_type: str | None = None
    exception_type: str | None = None
    traceback: str = ""
    node_errors: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        where = f" in node {self.node_id} ({self.node_type})" if self.node_id else ""
        return "\n".join(part for part in (f"{self.kind} error{where}: {self.message}", self.traceback) if part)


class PromptFailedError(AssertionError):
    """A prompt that should have run did not; ``error`` says why, ``result`` is None for a refused prompt."""

    def __init__(self, error: PromptError, result: Result | None = None):
        super().__init__(str(error))
        self.error = error
        self.result = result


@dataclass(frozen=True)
class Result:
    """A finished prompt.

    ``executed`` lists the nodes that did work, in order; ``cached`` those whose outputs were kept from before.
    ``images`` decodes every picture in ``outputs``, by node id. ``texts`` are (node id, text) messages.
    """

    prompt_id: str
    history: dict[str, Any]
    outputs: dict[str, dict[str, Any]]
    images: dict[str, list[Image.Image]]
    executed: list[str]
    cached: list[str]
    events: list[Event]
    previews: list[Preview]
    texts: list[tuple[str, str]]
    error: PromptError | None

    @property
    def image(self) -> Image.Image:
        """The only picture of the prompt."""
        pictures = [picture for of_node in self.images.values() for picture in of_node]
        if len(pictures) != 1:
            raise AssertionError(f"expected one picture, got {len(pictures)} from nodes {sorted(self.images)}")
        return pictures[0]

    def progress(self, node_id: str | None = None) -> list[tuple[float, float]]:
        """(value, max) as the nodes (or one node) reported them."""
        data = [event.data for event in self.events if event.type == "progress"]
        return [(d["value"], d["max"]) for d in data if node_id in (None, d["node"])]


def validation_error(error: dict[str, Any] | None, node_errors: dict[str, Any]) -> PromptError:
    """The server's refusal as one error; the first complaining node is named."""
    lines = [error["message"]] if error else []
    first: tuple[str, dict[str, Any]] | None = None
    for node_id, entry in node_errors.items():
        first = first or (node_id, entry)
        for reason in entry["errors"]:
            lines.append(f"node {node_id} ({entry['class_type']}): {reason['message']}: {reason['details']}")
    if error and error.get("details") and not node_errors:
        lines.append(error["details"])
    extra = (error or {}).get("extra_info") or {}
    return PromptError(
        kind="validation",
        message="\n".join(lines),
        node_id=first[0] if first else extra.get("node_id"),
        node_type=first[1]["class_type"] if first else extra.get("class_type"),
        exception_type=(error or {}).get("type"),
        node_errors=node_errors,
    )


def execution_error(events: list[Event]) -> PromptError | None:
    """The failure among the events of a prompt, or None."""
    for event in events:
        data = event.data
        if event.type == "execution_error":
            return PromptError(
                kind="execution",
                message=data["exception_message"].strip(),
                node_id=data["node_id"],
                node_type=data["node_type"],
                exception_type=data["exception_type"],
                traceback="".join(data["traceback"]),
            )
        if event.type == "execution_interrupted":
            return PromptError(
                kind="interrupted",
                message="the prompt was interrupted",
                node_id=data["node_id"],
                node_type=data["node_type"],
            )
    return None
