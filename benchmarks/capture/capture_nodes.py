"""What Capture Source and Capture Result cost a run of a workflow, on a running ComfyUI with this pack.

    python -m comfyui_ace.benchmarks.capture.capture_nodes [--server URL] [--runs 12] [--seconds 5] [--side 1024] [--json]

The same workflow with and without the markers in turns, each time over another picture. How long the markers hold up the
graph is what the server says of their beginning and end; the rest of what they cost is the writing, which goes on beside
the graph and takes CPU time that only a workflow that itself computes on the CPU can miss. Each run begins when the pair
before it is on disk, so what is written of one does not count against the next; how long that takes is a row of its own.
The pairs stay in a dataset whose name begins with "bench", and the benchmark fails where one of them is not kept.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import sys
import time
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from itertools import pairwise

import aiohttp

from ...training.capture.client import DEFAULT_URL, ComfyClient, parse_url
from ...training.capture.failures import classify_failure
from ...training.capture.workflow.graph import Prompt
from ...training.capture.workflow.markers import RESULT, SOURCE
from ..report import Table
from ..timing import Estimate, ratio
from .capture import blur_workflow, smooth_picture

_MAX_BLURS = 400
_MARKERS = ("source", "result")  # their node ids
_MAX_WRITING = 60.0  # seconds


@dataclass
class _NodeTimes:
    """When the server began each node, by prompt."""

    begun: dict[str, list[tuple[float, str]]] = field(default_factory=dict)

    def held(self, prompt_id: str) -> float:
        """Seconds in which a marker was at work."""
        times = self.begun[prompt_id]
        return sum(after - before for (before, node), (after, _) in pairwise(times) if node in _MARKERS)

    def duration(self, prompt_id: str) -> float:
        times = self.begun[prompt_id]
        return times[-1][0] - times[0][0]


def run(url: str, runs: int, seconds: float, side: int) -> Table:
    """Measures a workflow with and without markers.

    Args:
        url: of a running ComfyUI with this pack.
        runs: of each.
        seconds: length of the workflow.
        side: of the pictures, in pixels.
    """
    return asyncio.run(_measure(url, runs, seconds, side))


async def _measure(url: str, runs: int, seconds: float, side: int) -> Table:
    async with aiohttp.ClientSession() as session:
        client = ComfyClient(parse_url(url), session, str(uuid.uuid4()))
        async with _watching(session, client) as watch:
            once = await _duration(client, watch, blur_workflow(8), side)
            once = min(once, await _duration(client, watch, blur_workflow(8), side)) / 8
            plain = blur_workflow(max(1, min(_MAX_BLURS, round(seconds / once))))
            marked = with_markers(plain, f"bench-{uuid.uuid4().hex[:8]}")
            await _run(client, marked, side)  # makes the dataset
            await _written(client, session)
            alone, captured, held, writing = [], [], [], []
            for number in range(runs):
                for prompt in (plain, marked) if number % 2 else (marked, plain):
                    prompt_id = await _run(client, prompt, side)
                    (alone if prompt is plain else captured).append(watch.duration(prompt_id))
                    if prompt is marked:
                        held.append(watch.held(prompt_id))
                        writing.append(await _written(client, session) - watch.begun[prompt_id][-1][0])
    return _table(alone, captured, held, writing, f"{len(plain)} nodes, {side} px, {runs} runs each, in turns.")


async def _written(client: ComfyClient, session: aiohttp.ClientSession) -> float:
    """Wait until what was captured is on disk, which it is some time after the graph's end; when it was so."""
    begun = time.perf_counter()
    while True:
        async with session.get(client.url / "ace/capture") as reply:
            reply.raise_for_status()
            left = await reply.json()
        now = time.perf_counter()
        if left["held"] or left["lost"] or now - begun > _MAX_WRITING:
            raise RuntimeError(f"pairs are not kept after {now - begun:.0f} s: {left}. The server's log says why.")
        if not left["waiting"]:
            return now
        await asyncio.sleep(0.02)


def _table(alone: list[float], captured: list[float], held: list[float], writing: list[float], note: str) -> Table:
    rows = [
        ("workflow alone, s", Estimate.of(alone)),
        ("with markers, s", Estimate.of(captured)),
        ("with markers / alone", ratio(captured, alone)),
        ("markers at work, ms", Estimate.of([1000 * value for value in held])),
        ("markers at work / workflow", ratio(held, captured)),
        ("written after the graph's end, s", Estimate.of(writing)),
    ]
    return Table("Capture in the graph", ("what", "value"), rows, (note,))


def with_markers(prompt: Prompt, dataset: str) -> Prompt:
    """`blur_workflow` with its picture and its result marked."""
    source, result = _MARKERS
    marked = {node_id: {**node, "inputs": dict(node["inputs"])} for node_id, node in prompt.items()}
    marked[source] = {"class_type": SOURCE, "inputs": {"image": ["1", 0], "index": 0}}
    marked["2"]["inputs"]["image"] = [source, 0]
    words = {"instruction": "{image} inverted", "dataset": dataset, "tags": "", "seed": -1, "checks": ""}
    marked[result] = {"class_type": RESULT, "inputs": {"image": marked["end"]["inputs"]["images"], **words}}
    marked["end"]["inputs"]["images"] = [result, 0]
    return marked


async def _duration(client: ComfyClient, watch: _NodeTimes, prompt: Prompt, side: int) -> float:
    return watch.duration(await _run(client, prompt, side))


async def _run(client: ComfyClient, prompt: Prompt, side: int) -> str:
    """Run over a picture that the server has not seen; returns the prompt's id when it is done."""
    name = await client.upload(f"bench-{uuid.uuid4().hex}.png", smooth_picture(side))
    fed = {**prompt, "1": {"class_type": "LoadImage", "inputs": {"image": name}}}
    prompt_id = str(uuid.uuid4())
    await client.submit(fed, prompt_id)
    while (entry := await client.history(prompt_id)) is None:
        await asyncio.sleep(0.05)
    if (failure := classify_failure(entry)) is not None:
        raise RuntimeError(f"the workflow failed: {failure.message}")
    await asyncio.sleep(0.1)  # for the last word on the websocket
    return prompt_id


@contextlib.asynccontextmanager
async def _watching(session: aiohttp.ClientSession, client: ComfyClient) -> AsyncIterator[_NodeTimes]:
    watch = _NodeTimes()
    async with session.ws_connect(client.url / "ws", params={"clientId": client.client_id}, max_msg_size=0) as socket:

        async def listen() -> None:
            async for message in socket:
                if message.type is not aiohttp.WSMsgType.TEXT:
                    continue
                event = json.loads(message.data)
                data = event["data"]
                # The workflow ends with its success. Its last word comes when the pair is on disk, if nothing else is queued.
                if event["type"] == "execution_success" or (event["type"] == "executing" and data["node"] is not None):
                    times = watch.begun.setdefault(data["prompt_id"], [])
                    times.append((time.perf_counter(), data.get("node", "")))

        task = asyncio.create_task(listen())
        try:
            yield watch
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def main() -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", default=DEFAULT_URL, help="a running ComfyUI with this pack (%(default)s)")
    parser.add_argument("--runs", type=int, default=12, help="with markers, and as many without (%(default)s)")
    parser.add_argument("--seconds", type=float, default=5.0, help="length of the workflow (%(default)s)")
    parser.add_argument("--side", type=int, default=1024, help="pixels (%(default)s)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of Markdown")
    given = parser.parse_args()
    table = run(given.server, given.runs, given.seconds, given.side)
    print(json.dumps(table.as_dict(), indent=2) if given.json else table.markdown())
    return 0


if __name__ == "__main__":
    sys.exit(main())
