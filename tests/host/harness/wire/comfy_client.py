"""A client of a running ComfyUI: HTTP and one websocket, synchronous to its caller.

All traffic runs on one event loop in a thread of its own, so tests stay plain functions and a Playwright page may
be open in the same test.
"""

from __future__ import annotations

import asyncio
import io
import json
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from host.harness.graph import Graph
from host.harness.wire.events import EventLog, Record, decode_image
from host.harness.wire.results import Event, PromptError, PromptFailedError, Result, execution_error, validation_error
from PIL import Image

_HTTP_TIMEOUT = 60.0


@dataclass(frozen=True)
class Reply:
    """An HTTP answer, whatever its status."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class ComfyClient:
    """Everything a test asks of a ComfyUI server. Use as a context manager or call ``connect`` and ``close``."""

    def __init__(self, url: str):
        self.url = url
        self.client_id = uuid.uuid4().hex
        self._loop: asyncio.AbstractEventLoop | None = None
        self._session: aiohttp.ClientSession | None = None
        self._reader: asyncio.Task | None = None
        self._log = EventLog()
        self._news = threading.Condition()  # guards the log
        self._refused: dict[str, dict[str, Any]] = {}  # node errors of prompts that were queued in part
        self._lost: str | None = None  # why the websocket is gone

    # -- connection ---------------------------------------------------------------------------------------------

    def connect(self) -> None:
        """Open the websocket; raises what aiohttp raises when no server answers."""
        self._start_loop()
        self._await(self._open_socket(), _HTTP_TIMEOUT)

    def close(self) -> None:
        if self._loop is None:
            return
        self._await(self._close_session(), _HTTP_TIMEOUT)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._loop = None

    def __enter__(self):
        self.connect()
        return self

    def __exit__(self, *exc_info) -> None:
        self.close()

    def _start_loop(self) -> None:
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(target=self._loop.run_forever, name="comfy-client", daemon=True)
            self._thread.start()

    def _await(self, coroutine, timeout: float) -> Any:
        future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        try:
            return future.result(timeout)
        except FutureTimeout:
            future.cancel()
            raise TimeoutError(f"{self.url} gave no answer within {timeout:.0f} s") from None

    async def _get_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(self.url)
        return self._session

    async def _close_session(self) -> None:
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.gather(self._reader, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    # -- websocket ----------------------------------------------------------------------------------------------

    async def _open_socket(self) -> None:
        session = await self._get_session()
        # Previews can be larger than aiohttp's default limit of 4 MB, which would close the socket.
        socket = await session.ws_connect("/ws", params={"clientId": self.client_id}, max_msg_size=0)
        # What the browser announces too: previews then come with the id of their node.
        await socket.send_json({"type": "feature_flags", "data": {"supports_preview_metadata": True}})
        self._reader = asyncio.create_task(self._read(socket))

    async def _read(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        reason = "the server closed the websocket"
        try:
            async for message in socket:
                with self._news:
                    if message.type in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
                        self._log.take(message.data)
                    self._news.notify_all()
        except Exception as error:
            reason = f"the websocket failed: {error!r}"
        finally:
            with self._news:
                self._lost = reason
                self._news.notify_all()

    # -- HTTP ---------------------------------------------------------------------------------------------------

    def fetch(self, path: str, method: str = "GET", *, timeout: float = _HTTP_TIMEOUT, **kwargs: Any) -> Reply:
        """Any request (``params=``, ``json=``, ``data=`` as in aiohttp); the caller looks at the status."""
        return self._await(self._request(method, path, kwargs), timeout)

    async def _request(self, method: str, path: str, kwargs: dict[str, Any]) -> Reply:
        session = await self._get_session()
        async with session.request(method, path, **kwargs) as reply:
            return Reply(reply.status, reply.headers, await reply.read())

    def _ok(self, path: str, method: str = "GET", **kwargs: Any) -> Reply:
        reply = self.fetch(path, method, **kwargs)
        if reply.status != 200:
            raise AssertionError(
                f"{method} {path} answered {reply.status}: {reply.body[:500].decode(errors='replace')}"
            )
        return reply

    def object_info(self, node: str | None = None) -> dict[str, Any]:
        """The schema of every node by id, or of one node (KeyError when the server does not know it)."""
        if node is None:
            return self._ok("/object_info").json()
        info = self._ok(f"/object_info/{node}").json()
        if node not in info:
            raise KeyError(f"the server has no node {node!r}")
        return info[node]

    def upload_image(self, source: Image.Image | Path | str, name: str) -> str:
        """Put a picture (PIL, or a file's bytes unchanged) into the input folder; returns LoadImage's value."""
        if isinstance(source, Image.Image):
            buffer = io.BytesIO()
            source.save(buffer, format="PNG")
            content = buffer.getvalue()
        else:
            content = Path(source).read_bytes()
        form = aiohttp.FormData()
        form.add_field("image", content, filename=name, content_type="application/octet-stream")
        form.add_field("overwrite", "true")
        stored = self._ok("/upload/image", "POST", data=form).json()
        return "/".join(part for part in (stored["subfolder"], stored["name"]) if part)

    def view(self, filename: str, subfolder: str = "", type: str = "output") -> Image.Image:
        """A picture of the server's output, temp or input folder, with its metadata in ``.info``."""
        params = {"filename": filename, "subfolder": subfolder, "type": type}
        return decode_image(self._ok("/view", params=params).body)

    def history(self, prompt_id: str | None = None) -> dict[str, Any]:
        """All finished prompts by id, or the entry of one (KeyError while it is not finished)."""
        if prompt_id is None:
            return self._ok("/history").json()
        return self._ok(f"/history/{prompt_id}").json()[prompt_id]

    def interrupt(self, prompt_id: str | None = None) -> None:
        """Stop the running prompt, or only if it is ``prompt_id``; a prompt that still waits is not touched."""
        self._ok("/interrupt", "POST", json={"prompt_id": prompt_id} if prompt_id else {})

    def free(self) -> None:
        """Unload all models and forget all cached outputs; done when it returns."""
        self._ok("/free", "POST", json={"unload_models": True, "free_memory": True})
        # The server only sets a flag, which its worker acts on between two prompts. A prompt of no weight in between
        # makes sure of the order: whatever is queued after this call finds nothing cached.
        barrier = Graph()
        barrier.node("PreviewImage", images=barrier.node("EmptyImage", width=1, height=1, batch_size=1, color=0))
        self.run(barrier)

    # -- prompts ------------------------------------------------------------------------------------------------

    def queue(self, prompt: Graph | Mapping[str, Any], extra_data: Mapping[str, Any] | None = None) -> str:
        """Queue a prompt and return its id; PromptFailedError (validation) when the server refuses it."""
        nodes = prompt.prompt() if isinstance(prompt, Graph) else prompt
        body: dict[str, Any] = {"prompt": nodes, "client_id": self.client_id}
        if extra_data:
            body["extra_data"] = dict(extra_data)
        reply = self.fetch("/prompt", "POST", json=body)
        if reply.status not in (200, 400):
            raise _unexpected("POST", "/prompt", reply)
        answer = reply.json()
        if reply.status == 400:
            raise PromptFailedError(validation_error(answer["error"], answer["node_errors"]))
        self._refused[answer["prompt_id"]] = answer["node_errors"]
        return answer["prompt_id"]

    def wait(self, prompt_id: str, timeout: float = 120.0) -> Result:
        """The result of a queued prompt, failed or not. On a timeout the prompt is interrupted: TimeoutError."""
        try:
            record = self._wait_for(prompt_id, lambda record: record.done, timeout, "finish")
        except TimeoutError:
            self.interrupt(prompt_id)
            raise
        return self.collect(prompt_id, record)

    def collect(self, prompt_id: str, record: Record) -> Result:
        """The result of a finished prompt from its history and from what some websocket recorded about it."""
        entry = self.history(prompt_id)
        events = list(record.events)
        error = execution_error(events)
        if error is None and self._refused.get(prompt_id):  # some outputs ran, others were refused
            error = validation_error(None, self._refused[prompt_id])
        cached = {node for event in events if event.type == "execution_cached" for node in event.data["nodes"]}
        return Result(
            prompt_id=prompt_id,
            history=entry,
            outputs=entry["outputs"],
            images=self._images(entry["outputs"]),
            executed=[e.data["node"] for e in events if e.type == "executing" and e.data["node"] is not None],
            cached=sorted(cached),
            events=events,
            previews=list(record.previews),
            texts=list(record.texts),
            error=error,
        )

    def wait_for_event(
        self, prompt_id: str, type: str, timeout: float = 60.0, where: Callable[[dict[str, Any]], bool] | None = None
    ) -> Event:
        """The first event of that type (and data) about a prompt, past or to come; to act in mid-run."""
        record = self._wait_for(prompt_id, lambda r: r.done or r.first(type, where), timeout, f"send {type!r}")
        event = record.first(type, where)
        if event is None:
            raise AssertionError(f"prompt {prompt_id} finished without an event {type!r} of that kind")
        return event

    def run(
        self,
        prompt: Graph | Mapping[str, Any],
        timeout: float = 120.0,
        *,
        extra_data: Mapping[str, Any] | None = None,
        check: bool = True,
    ) -> Result:
        """Queue a prompt and wait. PromptFailedError when it does not succeed, unless ``check`` is off."""
        result = self.wait(self.queue(prompt, extra_data), timeout)
        if check and result.error is not None:
            raise PromptFailedError(result.error, result)
        return result

    def run_expect_error(self, prompt: Graph | Mapping[str, Any], timeout: float = 120.0) -> PromptError:
        """The error of a prompt that must fail, when queued or when run."""
        try:
            self.run(prompt, timeout)
        except PromptFailedError as failure:
            return failure.error
        raise AssertionError("the prompt succeeded, but an error was expected")

    def _wait_for(self, prompt_id: str, condition: Callable[[Record], object], timeout: float, what: str) -> Record:
        deadline = time.monotonic() + timeout
        with self._news:
            record = self._log.record(prompt_id)
            while not condition(record):
                if self._lost is not None:
                    raise ConnectionError(f"{self._lost}{self._post_mortem()}")
                left = deadline - time.monotonic()
                if left <= 0:
                    seen = [event.type for event in record.events[-5:]]
                    raise TimeoutError(
                        f"prompt {prompt_id} did not {what} within {timeout:.0f} s; last events: {seen}"
                        f"{self._post_mortem()}"
                    )
                self._news.wait(left)
            return record

    def _post_mortem(self) -> str:
        """What is known about the server when something went wrong; a client that owns it knows more."""
        return ""

    def _images(self, outputs: Mapping[str, Any]) -> dict[str, list[Image.Image]]:
        return {
            node_id: [self.view(**{key: item[key] for key in ("filename", "subfolder", "type")}) for item in images]
            for node_id, output in outputs.items()
            if (images := output.get("images"))
        }


def _unexpected(method: str, path: str, reply: Reply) -> AssertionError:
    return AssertionError(f"{method} {path} answered {reply.status}: {reply.body[:500].decode(errors='replace')}")
