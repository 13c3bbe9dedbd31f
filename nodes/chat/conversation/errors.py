"""Why something cannot be done with a conversation, in the words of the person who talks."""

from __future__ import annotations


class ChatError(RuntimeError):
    """It cannot be done; the message says what to do."""


class UnknownChatError(ChatError):
    """There is no such conversation, turn or picture; it may have gone meanwhile."""
