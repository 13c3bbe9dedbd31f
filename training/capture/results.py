"""From a finished prompt to pairs in the dataset."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...ace.pictures.files.mask_reading import given_mask
from ..dataset.disk.images import read_image, read_mask
from ..dataset.disk.names import slug
from ..dataset.disk.rows import is_duration
from ..dataset.intake.black_masks import without_black
from ..dataset.intake.prepare import Pair
from ..dataset.store import AppendResult, Dataset
from .client import ComfyClient, PictureRef
from .inputs import LoadedPicture
from .plan import RESULT, Job, Plan

_KEY = 8  # characters of a job's key in the ids of its pairs


class UnusableResultError(Exception):
    """A prompt ended well, but what it gave makes no pair."""


@dataclass(frozen=True)
class FetchedFiles:
    """The pictures of a finished prompt, as files.

    Attributes:
        result: of the result.
        previews: of the other pictures of the pair, by node.
        seconds: as ``edit_seconds`` says.
    """

    result: tuple[bytes, ...]
    previews: Mapping[str, tuple[bytes, ...]]
    seconds: float | None = None


async def fetch_files(client: ComfyClient, plan: Plan, entry: Mapping[str, Any]) -> FetchedFiles:
    """Downloads the pictures that a prompt's history entry names.

    Raises:
        FileMissingError: the server no longer has one.
        TransientServerError: a request failed.
        UnusableResultError: the history is none that ComfyUI writes.
    """
    nodes = [node for pair in plan.previews for node in pair if node is not None]
    files = {node: [await client.picture(ref) for ref in picture_refs(entry, node)] for node in (RESULT, *nodes)}
    return FetchedFiles(tuple(files[RESULT]), {node: tuple(files[node]) for node in nodes}, edit_seconds(plan, entry))


def edit_seconds(plan: Plan, entry: Mapping[str, Any]) -> float | None:
    """How long a finished prompt took to run by the server's clock, without its time in the queue.

    Returns:
        Seconds; None where the server does not say, or where it had a part of the edit (all that depends on the source)
        in its cache, so that time would be missing.
    """
    sent = {}
    status = entry.get("status")
    for message in (status.get("messages") or ()) if isinstance(status, Mapping) else ():
        if isinstance(message, Sequence) and len(message) == 2 and isinstance(message[1], Mapping):
            sent[str(message[0])] = message[1]
    begun, ended = (sent.get(name, {}).get("timestamp") for name in ("execution_start", "execution_success"))
    cached = sent.get("execution_cached", {}).get("nodes")
    known = all(is_duration(value) for value in (begun, ended)) and isinstance(cached, Sequence)
    if not known or ended < begun or not plan.edit_nodes or not plan.edit_nodes.isdisjoint(map(str, cached)):
        return None
    return (ended - begun) / 1000


def picture_refs(entry: Mapping[str, Any], node: str) -> list[PictureRef]:
    """The pictures of one node in a prompt's history entry.

    Raises:
        UnusableResultError: the entry is none that ComfyUI writes.
    """
    outputs = entry.get("outputs")
    output = outputs.get(node) if isinstance(outputs, Mapping) else None
    images = output.get("images") if isinstance(output, Mapping) else None
    refs = []
    for image in images if isinstance(images, Sequence) else ():
        values = [image.get(k) for k in ("filename", "subfolder", "type")] if isinstance(image, Mapping) else [None]
        if not all(isinstance(value, str) for value in values):
            raise UnusableResultError(f"the server describes the picture of {node} as {image!r:.80}")
        refs.append(PictureRef(*values))
    return refs


def make_pairs(plan: Plan, job: Job, inputs: Sequence[LoadedPicture], fetched: FetchedFiles) -> list[Pair]:
    """The pairs of one job: one, or as many as the result has pictures.

    Args:
        inputs: the decoded input files.

    Raises:
        UnusableResultError: there is no result, or it does not fit the other pictures.
        ImageError: a picture cannot be decoded.
    """
    count = len(fetched.result)
    if count == 0:
        raise UnusableResultError("the workflow ended without a result")
    bound = dict(zip(plan.bound, inputs, strict=True))
    pictures = [
        (
            _images_of(fetched, preview, count, bound.get(index), "picture"),
            _images_of(fetched, mask, count, bound.get(index), "mask"),
        )
        for index, (preview, mask) in enumerate(plan.previews)
    ]
    pairs = []
    for number in range(count):
        images = [image[number] for image, _ in pictures]
        masks, notes = without_black([given_mask(mask[number]) for _, mask in pictures])
        pairs.append(
            Pair(
                source=images[0] if images else None,
                references=images[1:],
                masks=masks,
                notes=notes,
                target=read_image(io.BytesIO(fetched.result[number]), alpha="drop").pixels,
                instruction=plan.instruction,
                seed=job.seed,
                tags=plan.tags,
                workflow=plan.workflow,
                teacher_seconds=None if fetched.seconds is None else fetched.seconds / count,
                name=pair_name(job, number if count > 1 else None),
            )
        )
    return pairs


def store_pairs(dataset: Dataset, job: Job, pairs: Sequence[Pair]) -> list[AppendResult]:
    """Appends the pairs that an earlier process has not stored yet.

    Raises:
        DatasetError: the dataset cannot be written.
    """
    return [dataset.append(pair) for number, pair in enumerate(pairs) if number not in job.stored]


def pair_name(job: Job, number: int | None) -> str:
    """A name whose end tells which job a pair is of, for people and for ``stored_result_numbers``."""
    tail = job.key[:_KEY] if number is None else f"{job.key[:_KEY]}-{number}"
    return f"{slug(job.group.name, limit=39 - len(tail))}-{tail}"


def stored_result_numbers(dataset: Dataset, keys: set[str]) -> dict[str, frozenset[int | None]]:
    """Which results of unfinished jobs the dataset holds already.

    A process may have stored the pairs of a job and died before it noted so.

    Args:
        keys: of the jobs.

    Returns:
        Numbers of results by job, None for the only one of its job.
    """
    wanted = {key[:_KEY]: key for key in keys}
    found: dict[str, set[int | None]] = {}
    for row in dataset.rows() if wanted else ():
        match = re.search(rf"-([0-9a-f]{{{_KEY}}})(?:-(\d+))?-[0-9a-f]+$", row.id)
        if match and match.group(1) in wanted:
            number = None if match.group(2) is None else int(match.group(2))
            found.setdefault(wanted[match.group(1)], set()).add(number)
    return {key: frozenset(numbers) for key, numbers in found.items()}


def _images_of(
    fetched: FetchedFiles, preview: str | None, count: int, bound: LoadedPicture | None, part: str
) -> list[np.ndarray | None]:
    """A condition image's pictures (H, W, 3) or masks (H, W), one a result.

    From the server where a node shows them there, else from the input file.
    """
    if preview is None:
        local = None if bound is None else bound.pixels if part == "picture" else bound.mask
        return [local] * count
    files = fetched.previews[preview]
    if len(files) not in (1, count):
        raise UnusableResultError(
            f"the workflow has {len(files)} {part}s for {count} results, so they cannot be paired"
        )
    if part == "picture":
        decoded = [read_image(io.BytesIO(file), alpha="drop").pixels for file in files]
    else:
        decoded = [read_mask(io.BytesIO(file)).pixels for file in files]
    return decoded * count if len(decoded) == 1 else decoded
