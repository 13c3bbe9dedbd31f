"""Servers with OpenAI's chat interface: LM Studio, llama.cpp, vLLM, Ollama's /v1, `transformers serve`, hosted ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from .answer import Answer, Usage
from .chat import ChatBackend
from .errors import RequestRefused
from .request import LabelledImage, Request, encode_image, schema_in_words


class OpenAIBackend(ChatBackend):
    """One model on one server.

    Args:
        address: as typed, with or without /v1.
        model: as the server names it.
        parallel: questions at once; such servers answer several together.
        others: see :class:`ChatBackend`.
    """

    path = "/chat/completions"

    def __init__(self, address: str, model: str, *, parallel: int = 4, **others: Any) -> None:
        super().__init__(address, model, parallel=parallel, **others)
        if not urlsplit(self.address).path:
            self.address += "/v1"

    def models(self) -> list[str]:
        return self._names("/models", "data", "id")

    def _body(self, request: Request, response_format: str) -> dict[str, Any]:
        return make_body(self.model, request, response_format)

    def _answer(self, value: Any, response_format: str, seconds: float) -> Answer:
        return read_answer(value, response_format, seconds)


def make_body(model: str, request: Request, response_format: str) -> dict[str, Any]:
    """The request as JSON. Every picture follows its label: some servers make a message of its own of each part."""
    content: list[dict[str, Any]] = []
    for part in request.parts:
        if isinstance(part, LabelledImage):
            media, data = encode_image(part, request)
            content += [
                {"type": "text", "text": f"{part.label}:"},
                {"type": "image_url", "image_url": {"url": f"data:{media};base64,{data}"}},
            ]
        else:
            content.append({"type": "text", "text": part})
    if request.schema is not None:
        content.append({"type": "text", "text": schema_in_words(request.schema)})
    messages: list[dict[str, Any]] = [{"role": "user", "content": content}]
    if request.system:
        messages.insert(0, {"role": "system", "content": request.system})
    body: dict[str, Any] = {
        "model": model,
        "messages": messages,
        "temperature": request.temperature,
        "max_tokens": request.max_tokens,
        "stream": False,
    }
    if request.seed is not None:
        body["seed"] = request.seed
    if request.schema is not None and response_format == "json_schema":
        body["response_format"] = {
            "type": "json_schema",
            "json_schema": {"name": "answer", "strict": True, "schema": dict(request.schema)},
        }
    elif request.schema is not None and response_format == "json_object":
        body["response_format"] = {"type": "json_object"}
    return body


def read_answer(value: Any, response_format: str = "none", seconds: float = 0.0) -> Answer:
    """The answer out of what a server sent.

    Raises:
        RequestRefused: it is no completion; some servers report errors with status 200.
    """
    try:
        choice = value["choices"][0]
        message = choice["message"]
    except (TypeError, KeyError, IndexError):
        words = value.get("error") if isinstance(value, Mapping) else value
        raise RequestRefused(f"the server sent no answer but {str(words)[:400]!r}", 200, str(words)[:400]) from None
    usage = value.get("usage") or {}
    reasoning = message.get("reasoning_content") or message.get("reasoning") or ""
    return Answer(
        text=_words(message.get("content")),
        reasoning=_words(reasoning),
        finish_reason=str(choice.get("finish_reason") or ""),
        usage=Usage(_count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens"))),
        seconds=seconds,
        model=str(value.get("model") or ""),
        format=response_format,
    )


def _words(content: Any) -> str:
    """Content is a text, nothing, or a list of parts."""
    if isinstance(content, list):
        return "".join(str(part.get("text") or "") for part in content if isinstance(part, Mapping))
    return content if isinstance(content, str) else ""


def _count(value: Any) -> int:
    return value if isinstance(value, int) and value >= 0 else 0
