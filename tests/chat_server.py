"""A server on this machine that speaks like those with vision-language models, for tests: a script says what it answers."""

from __future__ import annotations

import base64
import io
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
from PIL import Image


@dataclass
class Asked:
    """One request as it came: path, headers and JSON body (None for a GET)."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any] | None

    def pictures(self) -> list[Image.Image]:
        """The pictures in it, in order, of either interface."""
        found = []
        for message in self.body["messages"]:
            found += message.get("images", [])
            content = message["content"] if isinstance(message["content"], list) else []
            found += [part["image_url"]["url"].partition(",")[2] for part in content if part["type"] == "image_url"]
        return [Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB") for data in found]


@dataclass
class Reply:
    """What the server sends: a status, and JSON or raw bytes."""

    value: Any = None
    status: int = 200
    raw: bytes | None = None
    headers: dict[str, str] = field(default_factory=dict)


def openai_reply(content: Any, **message: Any) -> Reply:
    """A chat completion."""
    finish = message.pop("finish_reason", "stop")
    return Reply(
        {
            "model": "served",
            "choices": [{"message": {"role": "assistant", "content": content, **message}, "finish_reason": finish}],
            "usage": {"prompt_tokens": 100, "completion_tokens": 10},
        }
    )


def ollama_reply(content: str, **message: Any) -> Reply:
    """A native answer of Ollama."""
    reason = message.pop("done_reason", "stop")
    return Reply(
        {
            "model": "served",
            "message": {"role": "assistant", "content": content, **message},
            "done": True,
            "done_reason": reason,
            "prompt_eval_count": 100,
            "eval_count": 10,
        }
    )


@contextmanager
def chat_server(answer: Callable[[Asked], Reply]) -> Iterator[tuple[str, list[Asked]]]:
    """Runs the server; gives its address and the list of what it was asked."""
    asked: list[Asked] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._serve(None)

        def do_POST(self) -> None:
            self._serve(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

        def _serve(self, body: dict[str, Any] | None) -> None:
            one = Asked(self.path, dict(self.headers), body)
            asked.append(one)
            reply = answer(one)
            data = reply.raw if reply.raw is not None else json.dumps(reply.value).encode()
            self.send_response(reply.status)
            for name, value in {"Content-Length": str(len(data)), **reply.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()


def colour_name(picture: Image.Image) -> str:
    """Which of the probe's swatches a picture is."""
    red, green, blue = picture.getpixel((picture.width // 2, picture.height // 2))
    if red > 150:
        return "yellow" if green > 150 else "red"
    return "blue" if blue > 150 else "green"


def name_colours(one: Asked) -> str:
    """A right answer to the probe."""
    first, second = map(colour_name, one.pictures())
    return json.dumps({"first": first, "second": second})


def marks_by_picture(one: Asked) -> Reply:
    """The answers of a model named eyes that tells colours apart and whose marks depend on the picture."""
    if one.path == "/v1/models":
        return Reply({"data": [{"id": "eyes"}]})
    if one.body is None:
        return Reply({"error": "?"}, 404)
    if "first" in json.dumps(one.body["response_format"]):
        return openai_reply(name_colours(one))
    names = one.body["response_format"]["json_schema"]["schema"]["required"][1:]
    value = int(np.asarray(one.pictures()[-1], dtype=np.uint32).sum() % 11)
    return openai_reply(json.dumps({"reasoning": "seen", **{name: (value + n) % 11 for n, name in enumerate(names)}}))
