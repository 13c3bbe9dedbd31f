"""What a model answered, and the JSON object in it, however it is wrapped."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

# Thinking that ends; an opening tag may be missing, since chat templates put it into the prompt.
_THINKING = re.compile(r"\A.*?</(?:think|thinking|thought|reasoning)>", re.DOTALL | re.IGNORECASE)
_OPEN_THINKING = re.compile(r"\A\s*<(?:think|thinking|thought|reasoning)>", re.IGNORECASE)
_CHANNEL = re.compile(r"\A.*<\|channel\|>final<\|message\|>", re.DOTALL)  # the harmony format
_FENCE = re.compile(r"```[A-Za-z]*[ \t]*\n?(.*?)```", re.DOTALL)
_DECODER = json.JSONDecoder()


@dataclass(frozen=True)
class Usage:
    """Tokens that were read and written; 0 where the server does not tell."""

    prompt_tokens: int = 0
    completion_tokens: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(self.prompt_tokens + other.prompt_tokens, self.completion_tokens + other.completion_tokens)


@dataclass(frozen=True)
class Answer:
    """One answer.

    Attributes:
        text: as it came, thinking apart where the server tells them apart.
        reasoning: the thinking, where the server sends it apart.
        finish_reason: "stop", "length" (it was cut off), or what else the server says; empty if nothing.
        usage: its cost.
        seconds: it took.
        model: as the server names it.
        format: how JSON was asked for, "json_schema", "json_object" or "none".
        recorded: it was not asked anew.
    """

    text: str
    reasoning: str = ""
    finish_reason: str = ""
    usage: Usage = Usage()
    seconds: float = 0.0
    model: str = ""
    format: str = "none"
    recorded: bool = False

    @property
    def truncated(self) -> bool:
        return self.finish_reason == "length"

    def json(self) -> dict[str, Any] | None:
        """The object that was asked for, or None if there is none to read; nothing is ever guessed.

        Some servers put the answer among the thinking and leave the content empty, so that is looked at, too.
        """
        found = find_object(self.text)
        return find_object(self.reasoning) if found is None and not self.text.strip() else found


def without_thinking(text: str) -> str:
    """The text behind the thinking; empty if the thinking was cut off before its end."""
    text = _CHANNEL.sub("", text)
    stripped = _THINKING.sub("", text)
    return "" if _OPEN_THINKING.match(stripped) else stripped.strip()


def find_object(text: str) -> dict[str, Any] | None:
    """The last whole JSON object at the outermost level of a text, or None.

    The last one, because models that repeat the schema or an example do so before they answer.
    """
    text = without_thinking(text)
    for candidate in (*reversed(_FENCE.findall(text)), text):
        objects = _objects(candidate)
        if objects:
            return objects[-1]
    return None


def _objects(text: str) -> list[dict[str, Any]]:
    found, place = [], 0
    while (place := text.find("{", place)) >= 0:
        try:
            value, place = _DECODER.raw_decode(text, place)
        except (ValueError, RecursionError):
            place += 1
            continue
        if isinstance(value, dict):
            found.append(value)
    return found
