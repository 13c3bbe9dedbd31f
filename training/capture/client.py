"""One ComfyUI server over HTTP. What it sends is untrusted: sizes are bounded, names are only quoted back."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp
from yarl import URL

from .errors import CaptureError
from .uploads import SUBFOLDER
from .workflow.graph import Prompt

DEFAULT_URL = "http://127.0.0.1:8188"
_MANY_KINDS = 64  # all of them at once is a megabyte and more, and keeps a server busy for a while
_MAX_JSON = 256 << 20
_MAX_PICTURE = 1 << 30
_QUICK = aiohttp.ClientTimeout(total=60, connect=10)
_BULK = aiohttp.ClientTimeout(total=600, connect=10, sock_read=60)
_HEARTBEAT = 20.0


class TransientServerError(Exception):
    """The network or the server failed in a way that may pass; the same request is worth repeating."""


class PromptValidationError(Exception):
    """The server understood a prompt and will not run it.

    Attributes:
        nodes: what is wrong with each node, in words, by its id.
    """

    def __init__(self, message: str, nodes: Mapping[str, str]):
        super().__init__(message)
        self.nodes = dict(nodes)


class FileMissingError(Exception):
    """The server no longer has a picture that it names in its history."""


@dataclass(frozen=True)
class PictureRef:
    """A picture in one of a server's folders, as the server named it.

    Attributes:
        filename, subfolder: where it is.
        type: which folder: "input", "output" or "temp".
    """

    filename: str
    subfolder: str
    type: str


def parse_url(text: str) -> URL:
    """Reads a server's address; "host:port" will do.

    Raises:
        CaptureError: it is none.
    """
    given = text if "://" in text else f"http://{text}"
    try:
        url = URL(given)
    except ValueError as error:
        raise CaptureError(f"{text!r} is not a server address: {error}.") from error
    if url.scheme not in ("http", "https") or not url.host:
        raise CaptureError(f"{text!r} is not a server address; expected for example {DEFAULT_URL}.")
    return url.with_query(None).with_fragment(None)


def public_name(url: URL) -> str:
    """A server's address without user and password, for people and files."""
    return str(url.with_user(None)).rstrip("/")


class ComfyClient:
    """Requests to one server. Every request may raise ``TransientServerError``, for failures that may pass.

    Attributes:
        url: the server's address.
        name: the same without user and password.
        client_id: by which the server knows who queues and listens.
    """

    def __init__(self, url: URL, session: aiohttp.ClientSession, client_id: str):
        self.url, self.name, self.client_id = url, public_name(url), client_id
        self._session = session

    # -- reading ------------------------------------------------------------------------------------------------

    async def system_stats(self) -> dict[str, Any]:
        """Versions and devices of the server."""
        return _object(await self._json("GET", "system_stats"))

    async def object_info(self, kinds: Collection[str] | None = None) -> dict[str, Any]:
        """Node schemas by type.

        Args:
            kinds: node types; those that the server has are given. None gives all.
        """
        if kinds is None or len(kinds) > _MANY_KINDS or any("/" in kind for kind in kinds):
            return _object(await self._json("GET", "object_info", timeout=_BULK))
        found = await asyncio.gather(*(self._json("GET", f"object_info/{kind}") for kind in kinds))
        return {name: schema for answer in found for name, schema in _object(answer).items()}

    async def queue_remaining(self) -> int:
        """Prompts that run or wait, of all clients."""
        info = _object(await self._json("GET", "prompt")).get("exec_info")
        return _count(info.get("queue_remaining")) if isinstance(info, dict) else 0

    async def queued_prompts(self) -> set[str]:
        """Ids of the prompts that run or wait."""
        queue = _object(await self._json("GET", "queue"))
        entries = [entry for part in ("queue_running", "queue_pending") for entry in queue.get(part) or []]
        return {str(entry[1]) for entry in entries if isinstance(entry, list) and len(entry) > 1}

    async def history(self, prompt_id: str) -> dict[str, Any] | None:
        """A prompt's entry in the server's history; None while it is not finished (or not known)."""
        found = _object(await self._json("GET", f"history/{prompt_id}")).get(prompt_id)
        return found if isinstance(found, dict) else None

    async def picture(self, ref: PictureRef) -> bytes:
        """Downloads a picture's file.

        Raises:
            FileMissingError: the server no longer has it.
        """
        params = {"filename": ref.filename, "subfolder": ref.subfolder, "type": ref.type}
        async with self._request("GET", "view", params=params, timeout=_BULK) as reply:
            if reply.status in (400, 403, 404):
                raise FileMissingError(
                    f"{self.name} does not have the picture {ref.filename!r:.80} (status {reply.status})"
                )
            await _check(reply)
            return await _read(reply, _MAX_PICTURE)

    # -- changing -----------------------------------------------------------------------------------------------

    async def upload(self, name: str, content: bytes) -> str:
        """Uploads a picture to the server's input folder. The same name and content is stored once.

        Returns:
            What a loader's widget takes for it.
        """
        form = aiohttp.FormData()
        form.add_field("image", content, filename=name, content_type="image/png")
        form.add_field("subfolder", SUBFOLDER)
        form.add_field("type", "input")
        stored = _object(await self._json("POST", "upload/image", data=form, timeout=_BULK))
        stem, _, suffix = name.rpartition(".")
        kept = str(stored.get("name", ""))
        # The server adds a number where a broken file of an earlier upload is in the way.
        if not (kept.startswith(stem) and kept.endswith(suffix)) or "/" in kept or "\\" in kept:
            raise TransientServerError(f"{self.name} stored an upload under the strange name {kept!r:.80}")
        # The folder is said because some loaders look into the output folder by default.
        return f"{SUBFOLDER}/{kept} [input]"

    async def submit(self, prompt: Prompt, prompt_id: str) -> None:
        """Queues a prompt under an id of ours.

        Raises:
            PromptValidationError: a part of it is not valid; nothing of it is run.
        """
        body = {"prompt": prompt, "prompt_id": prompt_id, "client_id": self.client_id}
        async with self._request("POST", "prompt", json=body, timeout=_QUICK) as reply:
            if reply.status not in (200, 400):
                await _check(reply)
            answer = _object(_parse(await _read(reply, _MAX_JSON), self.name))
        errors = answer.get("node_errors")
        if reply.status == 200 and not errors:
            return
        if reply.status == 200:  # some outputs are valid and were queued
            await self.cancel([prompt_id])
        raise _validation_error(answer.get("error"), errors)

    async def cancel(self, prompt_ids: Sequence[str]) -> None:
        """Takes waiting prompts out of the queue; one that runs goes on."""
        await self._json("POST", "queue", json={"delete": list(prompt_ids)})

    async def delete_history(self, prompt_id: str) -> None:
        """Deletes a finished prompt from the server's history."""
        await self._json("POST", "history", json={"delete": [prompt_id]})

    async def free(self) -> None:
        """Asks the server to unload its models and drop cached results before its next prompt."""
        await self._json("POST", "free", json={"unload_models": True, "free_memory": True})

    async def events(self) -> AsyncIterator[tuple[str, dict[str, Any]]]:
        """Listens to the server's websocket until the connection ends.

        Yields:
            (type, data) of each message to us.
        """
        try:
            async with self._session.ws_connect(
                self.url / "ws", params={"clientId": self.client_id}, heartbeat=_HEARTBEAT, max_msg_size=0
            ) as socket:
                async for message in socket:
                    if message.type is aiohttp.WSMsgType.TEXT:
                        event = _parse(message.data.encode(), self.name)
                        if isinstance(event, dict) and isinstance(event.get("data"), dict):
                            yield str(event.get("type")), event["data"]
        except (aiohttp.ClientError, asyncio.TimeoutError, OSError) as error:
            raise TransientServerError(f"{self.name}: {_words(error)}") from error

    # -- HTTP ---------------------------------------------------------------------------------------------------

    def _request(self, method: str, path: str, **kwargs: Any) -> _Request:
        return _Request(self.name, self._session.request(method, self.url / path, allow_redirects=False, **kwargs))

    async def _json(self, method: str, path: str, timeout: aiohttp.ClientTimeout = _QUICK, **kwargs: Any) -> Any:
        async with self._request(method, path, timeout=timeout, **kwargs) as reply:
            await _check(reply)
            body = await _read(reply, _MAX_JSON)
        return _parse(body, self.name) if body.strip() else {}


class _Request:
    """A request whose failures, also while the body is read, are ``TransientServerError``."""

    def __init__(self, server: str, request: Any):
        self._server, self._request = server, request

    async def __aenter__(self) -> aiohttp.ClientResponse:
        try:
            return await self._request.__aenter__()
        except (aiohttp.ClientError, asyncio.TimeoutError, OSError) as error:
            raise TransientServerError(f"{self._server}: {_words(error)}") from error

    async def __aexit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        await self._request.__aexit__(kind, error, trace)
        if isinstance(error, (aiohttp.ClientError, asyncio.TimeoutError, OSError)):
            raise TransientServerError(f"{self._server}: {_words(error)}") from error


async def _check(reply: aiohttp.ClientResponse) -> None:
    if reply.status == 200:
        return
    where = f"{reply.url.path} answered {reply.status}"
    if reply.status in (401, 403, 407):
        raise CaptureError(
            f"{public_name(reply.url.origin())} asks for a login ({where}). Give it as http://user:password@host:port."
        )
    detail = (await _read(reply, 1 << 20))[:300].decode("utf-8", "replace").strip()
    raise TransientServerError(f"{public_name(reply.url.origin())}{where}: {detail}".rstrip(": "))


async def _read(reply: aiohttp.ClientResponse, limit: int) -> bytes:
    blocks, size = [], 0
    async for block in reply.content.iter_chunked(1 << 18):
        size += len(block)
        if size > limit:
            raise TransientServerError(f"{reply.url.path} sent more than {limit >> 20} MB")
        blocks.append(block)
    return b"".join(blocks)


def _parse(body: bytes, server: str) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise TransientServerError(f"{server} did not answer as ComfyUI does ({error})") from error


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _count(value: Any) -> int:
    return value if isinstance(value, int) and value >= 0 else 0


def _validation_error(error: Any, node_errors: Any) -> PromptValidationError:
    nodes = {}
    for node_id, entry in _object(node_errors).items():
        reasons = [r for r in _object(entry).get("errors") or [] if isinstance(r, dict)]
        listed = "; ".join(f"{r.get('message', '')}: {r.get('details', '')}".strip(": ") for r in reasons)
        nodes[str(node_id)] = f"node {node_id} ({_object(entry).get('class_type', '?')}): {listed}"
    fallback = f"{_object(error).get('message', 'no reason given')}: {_object(error).get('details', '')}".strip(": ")
    return PromptValidationError("; ".join(nodes.values()) or fallback, nodes)


def _words(error: BaseException) -> str:
    return str(error) or type(error).__name__
