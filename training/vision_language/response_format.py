"""How JSON is asked for: strictly first, then less so, and what a server can do is remembered."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from pathlib import Path

from ...ace.files import atomic_write
from .answer import Answer
from .errors import RequestRefused

FORMATS = ("json_schema", "json_object", "none")
# A server that cannot do a format says so with one of these; others mean something else.
_CANNOT = (400, 404, 415, 422, 500, 501)
MEMORY = "ACE_SERVER_MEMORY"


class FormatMemory:
    """What format works, by server and model. Kept in a file, if there is one; any thread may ask."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._formats: dict[str, str] = self._read()

    def response_format(self, address: str, model: str) -> str | None:
        with self._lock:
            found = self._formats.get(f"{address} {model}")
        return found if found in FORMATS else None

    def remember(self, address: str, model: str, response_format: str) -> None:
        """Keeps a format that worked. A file that cannot be written costs a few questions next time, nothing else."""
        with self._lock:
            if self._formats.get(f"{address} {model}") == response_format:
                return
            self._formats[f"{address} {model}"] = response_format
            if self.path is None:
                return
            try:
                with atomic_write(self.path) as temporary:
                    temporary.write_text(json.dumps(self._formats, indent=1), encoding="utf-8", newline="\n")
            except OSError:
                pass

    def _read(self) -> dict[str, str]:
        try:
            value = json.loads(self.path.read_text(encoding="utf-8")) if self.path else {}
        except (OSError, ValueError):
            return {}
        return {key: kept for key, kept in value.items() if isinstance(kept, str)} if isinstance(value, dict) else {}


def user_format_memory() -> FormatMemory:
    """That of this user on this machine: ``$ACE_SERVER_MEMORY``, else a file among the caches."""
    given = os.environ.get(MEMORY)
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return FormatMemory(Path(given) if given else base / "ace-edit" / "servers.json")


def ask_strictly(ask: Callable[[str], Answer], memory: FormatMemory, address: str, model: str) -> Answer:
    """Asks in the strictest format that works.

    A format is left when the server refuses it, or when the answer in it holds no JSON (empty, endless white space, or the
    JSON swallowed by thinking). The format that gave JSON is remembered; on the last one the answer stands as it is.

    Args:
        ask: asks in a format.

    Raises:
        ModelError: of the last format.
    """
    known = memory.response_format(address, model)
    start = FORMATS.index(known) if known else 0
    answer: Answer | None = None
    for response_format in FORMATS[start:]:
        last = response_format == FORMATS[-1]
        try:
            answer = ask(response_format)
        except RequestRefused as error:
            if last or error.status not in _CANNOT:
                raise
            continue
        if answer.json() is not None:
            memory.remember(address, model, response_format)
            return answer
        if known:
            return answer  # it works with this server; one unreadable answer is the model's
    assert answer is not None
    return answer
