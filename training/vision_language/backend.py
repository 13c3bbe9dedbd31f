"""What every vision-language model can do here."""

from __future__ import annotations

from typing import Protocol

from .answer import Answer
from .request import Request


class Backend(Protocol):
    """A model behind one small door. It may be asked from several threads at once.

    Attributes:
        model: its name, as the artist knows it.
        address: who gets the pictures: a server's address, or None if they stay in this program.
        parallel: how many questions it can sensibly be asked at once.
    """

    model: str
    address: str | None
    parallel: int

    def ask(self, request: Request) -> Answer:
        """Asks, and waits for the answer.

        Raises:
            ModelError: there is none.
        """
        ...
