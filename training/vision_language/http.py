"""One HTTP request with JSON, to the address that was typed and to no other: no redirection is followed, no proxy used."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

from .errors import ModelError, RequestRefused, ServerUnreachable

_LONGEST_ANSWER = 16 << 20  # bytes
_SHOWN = 400  # characters of a server's own words
_BUSY = (429, 502, 503, 504)


class _Stay(urllib.request.HTTPRedirectHandler):
    """Pictures go where the user said, not where a server points."""

    def redirect_request(self, req, fp, code, msg, headers, newurl):
        return None


_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}), _Stay())


def check_address(address: str) -> str:
    """An address as it is used: with a scheme and without a slash at its end.

    Raises:
        ModelError: it is none.
    """
    address = address.strip()
    if "://" not in address:
        address = f"http://{address}"
    address = address.rstrip("/")
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ModelError(
            f"{address!r} is no address of a server; expected something like http://localhost:11434 (Ollama) or "
            "http://localhost:1234/v1 (LM Studio)"
        )
    if parts.username or parts.password:
        raise ModelError(
            "an address must not carry a name or password, since it is written into reports; put the key into the "
            "environment variable ACE_JUDGE_KEY"
        )
    return address


def call(
    url: str,
    body: Mapping[str, Any] | None = None,
    *,
    key: str | None = None,
    timeout: float = 600.0,
    attempts: int = 3,
    wait: float = 2.0,
) -> Any:
    """GET, or POST of ``body``.

    Args:
        key: sent as a bearer token.
        timeout: seconds without a sign of life.
        attempts: where a server is busy or does not answer.
        wait: seconds before the second attempt, doubled for each further one; a server's own wish comes first.

    Returns:
        The JSON that came back.

    Raises:
        ServerUnreachable: nobody listens, or the connection broke.
        RequestRefused: the server said no.
    """
    for attempt in range(1, attempts + 1):
        try:
            return _once(url, body, key, timeout)
        except (ServerUnreachable, RequestRefused) as error:
            busy = isinstance(error, ServerUnreachable) or error.status in _BUSY
            if attempt == attempts or not busy:
                raise
            time.sleep(min(60.0, getattr(error, "retry_after", None) or wait * 2 ** (attempt - 1)))
    raise AssertionError("unreachable")


def _once(url: str, body: Mapping[str, Any] | None, key: str | None, timeout: float) -> Any:
    headers = {"Accept": "application/json", "User-Agent": "ace-edit"}
    data = None
    if body is not None:
        data = json.dumps(body).encode()
        headers["Content-Type"] = "application/json"
    if key:
        headers["Authorization"] = f"Bearer {key}"
    try:
        with _OPENER.open(urllib.request.Request(url, data=data, headers=headers), timeout=timeout) as response:
            content = response.read(_LONGEST_ANSWER + 1)
    except urllib.error.HTTPError as error:
        raise _refused(url, error) from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise ServerUnreachable(
            f"no answer from {url}: {reason}. Is the server running there, and is the address right?"
        ) from error
    if len(content) > _LONGEST_ANSWER:
        raise RequestRefused(f"{url} sent more than {_LONGEST_ANSWER >> 20} MB, which is no answer", 200)
    try:
        return json.loads(content)
    except ValueError as error:
        shown = content[:_SHOWN].decode("utf-8", "replace")
        raise RequestRefused(f"{url} answered with something that is not JSON: {shown!r}", 200, shown) from error


def _refused(url: str, error: urllib.error.HTTPError) -> RequestRefused:
    detail = _server_words(error.read(_LONGEST_ANSWER))
    if 300 <= error.code < 400:
        advice = f"; it points to {error.headers.get('Location', 'another address')!r}: type that one if you trust it"
    else:
        advice = _advice(error.code, detail)
    message = f"{url} refused with status {error.code}: {detail or error.reason}{advice}"
    return RequestRefused(message, error.code, detail, _retry_after(error.headers.get("Retry-After")))


def _server_words(content: bytes) -> str:
    """What the server says, out of the several shapes in use."""
    text = content.decode("utf-8", "replace").strip()
    try:
        value = json.loads(text)
    except ValueError:
        return text[:_SHOWN]
    for key in ("error", "message", "detail"):
        if isinstance(value, dict) and key in value:
            value = value[key]
    return (value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))[:_SHOWN]


def _advice(status: int, detail: str) -> str:
    words = detail.lower()
    if status in (401, 403):
        return "; set the key in the environment variable ACE_JUDGE_KEY"
    if status == 404:
        return "; is the model's name right, and is it loaded?"
    if "context" in words or "n_ctx" in words or "too long" in words:
        return "; load the model with a longer context (8192 tokens or more)"
    if "image" in words and ("support" in words or "mmproj" in words):
        return (
            "; load a model that sees pictures (llama.cpp: with --mmproj), and with a context of at least 8192 tokens: "
            "some servers say this when the context is too short for the pictures"
        )
    return ""


def _retry_after(value: str | None) -> float | None:
    if not value:
        return None
    if value.isdigit():
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (TypeError, ValueError):
        return None
