"""A conversation with the routes of the page of datasets, in a server of their own, without a host."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from comfyui_ace.nodes.dataset_page.routes import add_routes
from comfyui_ace.training.dataset.store import Dataset


def talk(dataset: Dataset, work: Callable[[Talk], Awaitable[None]]) -> None:
    """Runs a conversation with a server that has the routes."""

    async def run() -> None:
        app = web.Application()
        routes = web.RouteTableDef()
        add_routes(routes, lambda: dataset.folder.parent)
        app.add_routes(routes)
        async with TestClient(TestServer(app)) as client:
            await work(Talk(client))

    with ThreadPoolExecutor(1) as pool:  # in this thread a browser of other tests may keep a loop running
        pool.submit(asyncio.run, run()).result()


class Talk:
    """A page's requests about the one dataset."""

    def __init__(self, client: TestClient):
        self.client = client

    async def get(self, path: str, status: int = 200, **query):
        reply = await self.client.get(f"/ace/datasets{path}", params={key: str(value) for key, value in query.items()})
        assert reply.status == status, await reply.text()
        return await reply.json() if reply.content_type == "application/json" else await reply.read()

    async def post(self, path: str, body, status: int = 200):
        reply = await self.client.post(f"/ace/datasets/夜 1.5{path}", json=body)
        assert reply.status == status, await reply.text()
        return await reply.json()

    async def items(self, **query):
        return (await self.get("/夜 1.5/list", **query))["items"]
