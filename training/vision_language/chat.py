"""What servers with a chat interface have in common."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from typing import Any

from .answer import Answer
from .http import call, check_address
from .request import Request
from .response_format import FormatMemory, ask_strictly


class ChatBackend(ABC):
    """One model on one server.

    Args:
        address: as typed.
        model: as the server names it.
        key: sent as a bearer token; from the environment, see :func:`..servers.open_backend`.
        parallel: questions at once.
        memory: which formats work where.
        timeout: seconds without a sign of life.
    """

    path: str  # of the chat, below the address

    def __init__(
        self,
        address: str,
        model: str,
        *,
        key: str | None = None,
        parallel: int = 1,
        memory: FormatMemory | None = None,
        timeout: float = 600.0,
    ) -> None:
        self.address = check_address(address)
        self.model = model
        self.parallel = parallel
        self._key = key
        self._memory = memory or FormatMemory()
        self._timeout = timeout

    def ask(self, request: Request) -> Answer:
        """Asks, and waits for the answer, in the strictest format that the server keeps. Raises `ModelError`."""
        if request.schema is None:
            return self._ask(request, "none")
        return ask_strictly(
            lambda response_format: self._ask(request, response_format), self._memory, self.address, self.model
        )

    @abstractmethod
    def models(self) -> list[str]:
        """Names of the models that the server offers. Raises `ModelError` if it does not tell."""

    @abstractmethod
    def _body(self, request: Request, response_format: str) -> dict[str, Any]:
        """The request as JSON."""

    @abstractmethod
    def _answer(self, value: Any, response_format: str, seconds: float) -> Answer:
        """The answer out of what the server sent. Raises `RequestRefused` if it is none."""

    def _ask(self, request: Request, response_format: str) -> Answer:
        started = time.monotonic()
        value = call(
            f"{self.address}{self.path}", self._body(request, response_format), key=self._key, timeout=self._timeout
        )
        return self._answer(value, response_format, time.monotonic() - started)

    def _names(self, path: str, entries: str, name: str) -> list[str]:
        """``name`` of each of the ``entries`` that a list of the server holds."""
        listed = call(f"{self.address}{path}", key=self._key, timeout=30)
        found = listed.get(entries) if isinstance(listed, dict) else None
        return [str(entry[name]) for entry in found or () if isinstance(entry, dict) and name in entry]
