"""The messages of a ComfyUI websocket, sorted by the prompt they are about."""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from host.harness.wire.results import Event, Preview
from PIL import Image

_PREVIEW, _TEXT, _PREVIEW_WITH_METADATA = 1, 3, 4  # kinds of binary messages


@dataclass
class Record:
    """What was said about one prompt so far."""

    events: list[Event] = field(default_factory=list)
    previews: list[Preview] = field(default_factory=list)
    texts: list[tuple[str, str]] = field(default_factory=list)  # (node id, text)
    done: bool = False

    def first(self, type: str, where: Callable[[dict[str, Any]], bool] | None = None) -> Event | None:
        """The first event of a type (and of data that satisfy ``where``), or None."""
        return next((e for e in self.events if e.type == type and (where is None or where(e.data))), None)


class EventLog:
    """Takes websocket messages as they come. Not locked: the owner decides who may call when."""

    def __init__(self) -> None:
        self._records: dict[str, Record] = {}
        self._running: str | None = None  # the prompt at work: binary messages name none
        self._node = ""  # its node at work

    def record(self, prompt_id: str) -> Record:
        """The record of a prompt; empty while nothing was said about it."""
        return self._records.setdefault(prompt_id, Record())

    def take(self, message: str | bytes) -> None:
        """Sort in one message; those that are about no prompt (the queue's length, for one) are dropped."""
        if isinstance(message, str):
            self._take_event(json.loads(message))
        elif self._running is not None:
            self._take_binary(message, self.record(self._running))

    def _take_event(self, message: dict[str, Any]) -> None:
        event = Event(message["type"], message.get("data") or {})
        prompt_id = event.data.get("prompt_id")
        if prompt_id is None:
            return
        record = self.record(prompt_id)
        record.events.append(event)
        if event.type == "execution_start":
            self._running = prompt_id
        elif event.type == "executing" and event.data["node"] is None:
            # The last word about a prompt, sent once its history is written.
            record.done = True
            self._running = None
        elif event.type == "executing":
            self._node = event.data["node"]

    def _take_binary(self, message: bytes, record: Record) -> None:
        kind, size = struct.unpack_from(">II", message)
        payload = message[8:]
        if kind == _TEXT:  # size: bytes of the node id before the text
            record.texts.append((payload[:size].decode(), payload[size:].decode()))
        elif kind == _PREVIEW_WITH_METADATA:  # size: bytes of the JSON before the picture
            metadata = json.loads(payload[:size])
            record.previews.append(Preview(metadata["node_id"], decode_image(payload[size:]), metadata))
        elif kind == _PREVIEW:  # size holds the format; the picture says so itself
            record.previews.append(Preview(self._node, decode_image(payload), {}))


def decode_image(data: bytes) -> Image.Image:
    """An encoded picture, fully read."""
    image = Image.open(io.BytesIO(data))
    image.load()
    return image
