"""A server of ACE Chat's routes for tests, without a host: folders and queue are made up."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from comfyui_ace.nodes.chat.conversation.images import add_pixels
from comfyui_ace.nodes.chat.conversation.store import PLACE, Chats
from comfyui_ace.nodes.chat.conversation.tree import Answer
from comfyui_ace.nodes.chat.dependencies import Dependencies, PromptState
from comfyui_ace.nodes.chat.routes import add_routes
from conversations import pixels

NOBODY = "0" * 32


class House:
    """A server's folders and queue, made up."""

    def __init__(self, root: Path):
        self.root = root
        self.chats = Chats(root / "user" / "default" / PLACE)
        self.queue: dict[str, PromptState] = {}
        self.told: list[str] = []

    def dependencies(self) -> Dependencies:
        return Dependencies(
            chats=lambda request: self.chats.root,
            users=lambda: self.root / "user",
            input_folder=lambda: self.root / "input",
            exports=lambda: self.root / "output" / "ACE Chat",
            datasets=lambda: self.root / "datasets",
            choices=lambda: {"bundles": ["ace-tiny"]},
            states=lambda ids: {one: self.queue.get(one, PromptState("gone")) for one in ids},
            announce=self.told.append,
        )


class Client:
    """What a page asks."""

    def __init__(self, client: TestClient):
        self.client = client

    async def get(self, path: str, status: int = 200, **query):
        return await self._read(await self.client.get(f"/ace/chats{path}", params=query), status)

    async def post(self, path: str, body=None, status: int = 200):
        return await self._read(await self.client.post(f"/ace/chats{path}", json={} if body is None else body), status)

    async def send(self, path: str, data: bytes, status: int = 200, kind: str = "image/png"):
        reply = await self.client.post(f"/ace/chats{path}", data=data, headers={"Content-Type": kind})
        return await self._read(reply, status)

    async def _read(self, reply, status: int):
        assert reply.status == status, await reply.text()
        return await reply.json() if reply.content_type == "application/json" else await reply.read()


def run(house: House, work: Callable[[Client], Awaitable[None]]) -> None:
    async def serve() -> None:
        app, routes = web.Application(), web.RouteTableDef()
        add_routes(routes, house.dependencies())
        app.add_routes(routes)
        async with TestClient(TestServer(app)) as client:
            await work(Client(client))

    with ThreadPoolExecutor(1) as pool:  # in this thread a browser of other tests may keep a loop running
        pool.submit(asyncio.run, serve()).result()


def answer(house: House, told: dict, seed: int) -> str:
    """What the node would store."""
    chat_id, turn_id = told["chat"]["id"], told["turn"]
    stored = Answer(**add_pixels(house.chats.folder(chat_id), pixels(seed)), finished=1.0)
    house.chats.change(chat_id, lambda chat: chat.with_changed(turn_id, answer=stored))
    return stored.file
