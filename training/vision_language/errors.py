"""Why a model gives no answer, in the words of the person who runs it."""

from __future__ import annotations


class ModelError(RuntimeError):
    """There is no answer to be had; the message says what to do."""


class ServerUnreachable(ModelError):
    """Nobody listens at the address, or the connection broke; asking later may help."""


class RequestRefused(ModelError):
    """The server answered, with an error.

    Attributes:
        status: the HTTP status.
        detail: what the server said, shortened.
        retry_after: seconds after which it wants to be asked again, if it says so.
    """

    def __init__(self, message: str, status: int, detail: str = "", retry_after: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.detail = detail
        self.retry_after = retry_after


class NotRecorded(ModelError):
    """Only recorded answers are allowed, and this question has none."""


class ProbeFailed(ModelError):
    """The model does not see the pictures it is sent, or mistakes their order."""
