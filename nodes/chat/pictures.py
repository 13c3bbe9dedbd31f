"""What the page is answered about pictures."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from aiohttp import web

from ..pages.requests import read_body
from .conversation import images
from .conversation.errors import ChatError, UnknownChatError
from .conversation.store import Chats, find_chat
from .dependencies import Dependencies
from .requests import ProvideRequest

_AT_ONCE = 2  # decoding takes a core each, and something may be sampling
# A picture is named by what is seen on it, so the browser need never ask again.
_KEEP = {"Cache-Control": "private, max-age=31536000, immutable", "X-Content-Type-Options": "nosniff"}


class Pictures:
    """Handlers, see ``routes``; the others are those of ``page.Page``.

    Args:
        dependencies: what ComfyUI gives.
    """

    def __init__(self, dependencies: Dependencies):
        self._dependencies = dependencies
        self._decoding = asyncio.Semaphore(_AT_ONCE)

    def chats(self, request: web.Request) -> Chats:
        """The conversations of whoever asks."""
        return Chats(self._dependencies.chats(request))

    async def add_picture(self, request: web.Request) -> web.Response:
        folder, data = await self._uploaded(request)
        return web.json_response(await self._decode(images.add_picture, folder, data))

    async def add_mask(self, request: web.Request) -> web.Response:
        folder, data = await self._uploaded(request)
        return web.json_response(await self._decode(images.add_mask, folder, request.match_info["file"], data))

    async def add_edited(self, request: web.Request) -> web.Response:
        """A picture as ComfyUI's mask editor saved it."""
        folder, data = await self._uploaded(request)
        return web.json_response(await self._decode(images.add_edited, folder, request.match_info["file"], data))

    async def picture(self, request: web.Request) -> web.StreamResponse:
        # The browser asks for pictures without saying who it is, so they are found by the id alone, which nobody can guess.
        chat, file = request.match_info["chat"], request.match_info["file"]
        folder = (await asyncio.to_thread(find_chat, self._dependencies.users(), chat)).folder(chat)
        if not request.query.get("small"):
            path = await asyncio.to_thread(images.picture_path, folder, file)
            return web.FileResponse(path, headers={**_KEEP, "Content-Type": "image/png"})
        async with self._decoding:
            if request.transport is None or request.transport.is_closing():
                return web.Response(status=204)  # the browser has scrolled past it
            data = await asyncio.to_thread(images.small_picture, folder, file)
        return web.Response(body=data, content_type="image/jpeg", headers=_KEEP)

    async def to_input(self, request: web.Request) -> web.Response:
        """Puts a picture where Load Image finds it."""
        if request.content_type != "application/json":
            raise ChatError("This is asked for as application/json.")
        file = request.match_info["file"]
        await asyncio.to_thread(images.picture_path, self._folder(request), file)
        name = images.menu_name(file)
        await asyncio.to_thread(self._provide, [name])
        return web.json_response({"name": name})

    async def provide(self, request: web.Request) -> web.Response:
        """Puts pictures of conversations, as a workflow that is being opened names them, where Load Image finds them."""
        body: ProvideRequest = await read_body(request, ProvideRequest)
        return web.json_response({"copied": await asyncio.to_thread(self._provide, list(body.names))})

    def _provide(self, names: list[str]) -> list[str]:
        return images.provide(names, self._dependencies.users(), self._dependencies.input_folder())

    def _folder(self, request: web.Request) -> Path:
        return self.chats(request).folder(request.match_info["chat"])

    async def _uploaded(self, request: web.Request) -> tuple[Path, bytes]:
        images.check_upload(request.content_type, request.content_length)
        folder = self._folder(request)
        if not await asyncio.to_thread(folder.is_dir):
            raise UnknownChatError("There is no such conversation; it may have been deleted meanwhile.")
        data = bytearray()
        async for block in request.content.iter_chunked(1 << 16):  # the server's own limit is for bodies read at once
            data += block
            images.check_upload(request.content_type, len(data))
        return folder, bytes(data)

    async def _decode(self, work: Any, *arguments: Any) -> Any:
        async with self._decoding:
            return await asyncio.to_thread(work, *arguments)
