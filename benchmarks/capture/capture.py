"""What capture costs a pair, beside the same workflow run over the same pictures without it, on a running ComfyUI.

    python -m comfyui_ace.benchmarks.capture.capture [--server URL] [--workflow FILE] [--pairs 6] [--rounds 3]
        [--side 1024] [--json]

Without a file the workflow is made of core nodes alone: blurs, as many as make up --seconds. "Alone" means pictures
uploaded beforehand, all prompts queued at once, nothing fetched. The client's CPU time counts against a server only on the
same machine and only where the CPU computes; beside a GPU it is hidden behind the next prompt.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import sys
import tempfile
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import numpy as np
from PIL import Image

from ...training.capture.client import DEFAULT_URL, ComfyClient, parse_url
from ...training.capture.failures import classify_failure
from ...training.capture.plan import make_plan
from ...training.capture.role_finder import find_roles
from ...training.capture.roles import RoleChoices
from ...training.capture.sweep import CaptureSettings, capture
from ...training.capture.workflow.graph import Prompt, check_prompt, node_types
from ...training.capture.workflow.load import load_workflow, read_workflow
from ..report import Table
from ..timing import Estimate, ratio

_MAX_BLURS = 400


@dataclass(frozen=True)
class _Round:
    """Seconds a pair without and with capture, and CPU seconds of the client a pair."""

    plain: float
    captured: float
    client: float


def run(url: str, prompt: Prompt | None, pairs: int, rounds: int, seconds: float, side: int) -> Table:
    """Measures capture against the same workflow without it.

    Args:
        url: of a running ComfyUI.
        prompt: the workflow; None makes one of blurs that takes about ``seconds``.
        pairs: pictures a round.
        rounds: of both in turns.
        seconds: length of the workflow of blurs.
        side: of the pictures, in pixels.
    """
    with tempfile.TemporaryDirectory() as place:
        return asyncio.run(_measure(Path(place), url, prompt, pairs, rounds, seconds, side))


async def _measure(
    base: Path, url: str, prompt: Prompt | None, pairs: int, rounds: int, seconds: float, side: int
) -> Table:
    async with aiohttp.ClientSession() as session:
        client = ComfyClient(parse_url(url), session, str(uuid.uuid4()))
        if prompt is None:
            once = min([await _alone(client, blur_workflow(8), [smooth_picture(side)]) for _ in range(2)]) / 8
            prompt = blur_workflow(max(1, min(_MAX_BLURS, round(seconds / once))))
        await _alone(client, prompt, [smooth_picture(side)])  # warm up
        done = []
        for number in range(rounds):
            contents = [smooth_picture(side) for _ in range(pairs)]
            folder = base / f"round{number}"
            folder.mkdir()
            plain = await _alone(client, prompt, contents) if number % 2 == 0 else 0.0
            captured, cpu = await _captured(folder, url, prompt, contents)
            plain = plain or await _alone(client, prompt, contents)
            done.append(_Round(plain / pairs, captured / pairs, cpu / pairs))
    note = f"{len(prompt)} nodes, {side} px, {pairs} pictures a round, {rounds} rounds in turns; start included."
    return _table(done, note)


def _table(done: list[_Round], note: str) -> Table:
    added = [one.captured - one.plain for one in done]
    rows = [
        ("workflow alone, s a picture", Estimate.of([one.plain for one in done])),
        ("captured, s a pair", Estimate.of([one.captured for one in done])),
        ("added, s a pair", Estimate.of(added)),
        ("captured / alone", ratio([one.captured for one in done], [one.plain for one in done])),
        ("client's CPU time, s a pair", Estimate.of([one.client for one in done])),
    ]
    return Table("Capture over a folder", ("what", "value"), rows, (note,))


def smooth_picture(side: int) -> bytes:
    """PNG of a smooth random picture."""
    small = np.random.default_rng().integers(0, 256, (16, 16, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(small).resize((side, side), Image.Resampling.BICUBIC).save(file, "PNG", compress_level=1)

    return file.getvalue()


def blur_workflow(blurs: int) -> Prompt:
    """A picture, blurred so many times, inverted and shown: core nodes alone."""
    prompt: Prompt = {"1": {"class_type": "LoadImage", "inputs": {"image": "any.png"}}}
    for number in range(2, blurs + 2):
        inputs = {"image": [str(number - 1), 0], "blur_radius": 7, "sigma": 2.0}
        prompt[str(number)] = {"class_type": "ImageBlur", "inputs": inputs}
    inverted = str(blurs + 2)
    prompt[inverted] = {"class_type": "ImageInvert", "inputs": {"image": [str(blurs + 1), 0]}}
    prompt["end"] = {"class_type": "PreviewImage", "inputs": {"images": [inverted, 0]}}
    return prompt


async def _alone(client: ComfyClient, prompt: Prompt, contents: list[bytes]) -> float:
    """Seconds in which the server works off one prompt a picture, all queued at once."""
    workflow = load_workflow(prompt, await client.object_info(node_types(prompt)))
    plan = make_plan(workflow, find_roles(workflow, RoleChoices()), "")
    names = [await client.upload(f"bench-{uuid.uuid4().hex}.png", content) for content in contents]
    ids = [str(uuid.uuid4()) for _ in names]
    start = time.perf_counter()
    for number, (name, prompt_id) in enumerate(zip(names, ids, strict=True)):
        await client.submit(plan.prompt(dict.fromkeys(plan.bindings, name), number), prompt_id)
    for prompt_id in ids:
        while (entry := await client.history(prompt_id)) is None:
            await asyncio.sleep(0.02)
        if (failure := classify_failure(entry)) is not None:
            raise RuntimeError(f"the workflow failed: {failure.message}")
        await client.delete_history(prompt_id)
    return time.perf_counter() - start


async def _captured(folder: Path, url: str, prompt: Prompt, contents: list[bytes]) -> tuple[float, float]:
    """Wall and client CPU seconds of a capture of the pictures."""
    inputs = folder / "inputs"
    inputs.mkdir()
    for number, content in enumerate(contents):
        (inputs / f"{number}.png").write_bytes(content)
    workflow = folder / "workflow.json"
    workflow.write_text(json.dumps(prompt), encoding="utf-8", newline="\n")
    settings = CaptureSettings(workflow, (inputs,), folder / "datasets", "bench", servers=(url,))
    wall, cpu = time.perf_counter(), time.process_time()
    progress = await capture(settings, lambda event, data: None)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    if progress.stored != len(contents):
        raise RuntimeError(f"{progress.stored} of {len(contents)} pairs were stored: {progress.counts()}")
    return wall, cpu


def main() -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", default=DEFAULT_URL, help="a running ComfyUI (%(default)s)")
    parser.add_argument("--workflow", type=Path, help="a workflow in API format, one source and one result")
    parser.add_argument("--pairs", type=int, default=6, help="pictures a round (%(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="(%(default)s)")
    parser.add_argument("--seconds", type=float, default=5.0, help="length of the workflow (%(default)s)")
    parser.add_argument("--side", type=int, default=1024, help="pixels (%(default)s)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of Markdown")
    given = parser.parse_args()
    prompt = check_prompt(read_workflow(given.workflow)) if given.workflow else None
    table = run(given.server, prompt, given.pairs, given.rounds, given.seconds, given.side)
    print(json.dumps(table.as_dict(), indent=2) if given.json else table.markdown())
    return 0


if __name__ == "__main__":
    sys.exit(main())
