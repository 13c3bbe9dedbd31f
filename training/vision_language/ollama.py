"""Ollama's own interface. Its /v1 keeps the context at the server's default, which is too short for two pictures."""

from __future__ import annotations

from typing import Any

from .answer import Answer, Usage
from .chat import ChatBackend
from .errors import ModelError, RequestRefused
from .http import call, check_address
from .request import LabelledImage, Request, encode_image, schema_in_words

CONTEXT = 8192  # tokens


class OllamaBackend(ChatBackend):
    """One model of an Ollama server.

    Args:
        address: as typed; a /v1 at its end is left out.
        model: such as "qwen3-vl:8b".
        context: tokens of the context that is asked for.
        others: see :class:`ChatBackend`.
    """

    path = "/api/chat"

    def __init__(self, address: str, model: str, *, context: int = CONTEXT, **others: Any) -> None:
        super().__init__(address, model, **others)
        self.address = self.address.removesuffix("/v1")
        self.context = context

    def models(self) -> list[str]:
        return self._names("/api/tags", "models", "name")

    def _body(self, request: Request, response_format: str) -> dict[str, Any]:
        return make_body(self.model, request, response_format, self.context)

    def _answer(self, value: Any, response_format: str, seconds: float) -> Answer:
        return read_answer(value, response_format, seconds)


def make_body(model: str, request: Request, response_format: str, context: int = CONTEXT) -> dict[str, Any]:
    """The request as JSON. A message carries its pictures beside its text, so each picture has a message with its label.

    ``think`` is left to the model: with it off, some models ignore the format.
    """
    messages: list[dict[str, Any]] = []
    if request.system:
        messages.append({"role": "system", "content": request.system})
    for part in request.parts:
        if isinstance(part, LabelledImage):
            messages.append({"role": "user", "content": f"{part.label}:", "images": [encode_image(part, request)[1]]})
        else:
            messages.append({"role": "user", "content": part})
    options: dict[str, Any] = {
        "temperature": request.temperature,
        "num_ctx": context,
        "num_predict": request.max_tokens,
    }
    if request.seed is not None:
        options["seed"] = request.seed
    body: dict[str, Any] = {"model": model, "messages": messages, "stream": False, "options": options}
    if request.schema is not None:
        messages.append({"role": "user", "content": schema_in_words(request.schema)})
        if response_format != "none":
            body["format"] = dict(request.schema) if response_format == "json_schema" else "json"
    return body


def read_answer(value: Any, response_format: str = "none", seconds: float = 0.0) -> Answer:
    """The answer out of what Ollama sent. Raises `RequestRefused` if it is none."""
    message = value.get("message") if isinstance(value, dict) else None
    if not isinstance(message, dict):
        words = str(value.get("error") if isinstance(value, dict) else value)[:400]
        raise RequestRefused(f"Ollama sent no answer but {words!r}", 200, words)
    counts = [value.get(key) for key in ("prompt_eval_count", "eval_count")]
    read, written = (count if isinstance(count, int) else 0 for count in counts)
    return Answer(
        text=str(message.get("content") or ""),
        reasoning=str(message.get("thinking") or ""),
        finish_reason=str(value.get("done_reason") or ""),
        usage=Usage(read, written),
        seconds=seconds,
        model=str(value.get("model") or ""),
        format=response_format,
    )


def is_ollama(address: str, key: str | None = None) -> bool:
    """Whether Ollama listens at an address: asked at that very address, with one small question and no picture."""
    root = check_address(address).removesuffix("/v1")
    try:
        version = call(f"{root}/api/version", key=key, timeout=10, attempts=1)
    except ModelError:
        return False
    return isinstance(version, dict) and set(version) == {"version"}
