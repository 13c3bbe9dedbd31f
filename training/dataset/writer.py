"""From a prepared pair to its files under temporary names and to its row."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime, timezone
from pathlib import Path

import numpy as np

from .disk.images import write_png
from .disk.rows import (
    PairRow,
    caption_file,
    control_file,
    mask_file,
    target_file,
)
from .disk.storage import as_write_error, delete_files, stage
from .intake.prepare import PreparedPair

_PROVISIONAL = "new"  # stands for the id, which is only certain under the dataset's lock


def stage_pair(folder: Path, pair: PreparedPair) -> dict[str, str]:
    """Writes all files of a pair under temporary names.

    Args:
        folder: of the dataset.

    Returns:
        The temporary name by the final name under a provisional id, in the order in which the files shall become
        visible; ``final_name`` puts in the real id.

    Raises:
        DatasetError: one cannot be written; nothing is left behind.
    """
    jobs: list[tuple[str, Callable]] = []
    for index in reversed(range(len(pair.images))):
        if pair.masks[index] is not None:
            jobs.append((mask_file(_PROVISIONAL, index), _png(pair.masks[index])))
        jobs.append((control_file(_PROVISIONAL, index), _png(pair.images[index])))
    jobs.append((caption_file(_PROVISIONAL), lambda file: file.write(pair.prompt.encode())))
    # The target comes last: trainers list that folder, and then find its controls already there.
    jobs.append((target_file(_PROVISIONAL), _png(pair.target)))
    # Compression releases the interpreter's lock, so the pictures of a pair are written side by side.
    with ThreadPoolExecutor(max_workers=4) as pool:
        futures = {name: _submit(pool, stage, folder, name, write) for name, write in jobs}
    staged = {name: future.result() for name, future in futures.items() if future.exception() is None}
    errors = [future.exception() for future in futures.values() if future.exception() is not None]
    if errors:
        delete_files(folder, list(staged.values()))
        raise as_write_error(errors[0], folder) if isinstance(errors[0], OSError) else errors[0]
    return staged


def _submit(pool: ThreadPoolExecutor, work: Callable, *arguments: object) -> Future:
    """``pool.submit``, or the work itself where the interpreter is ending and starts no more threads."""
    try:
        return pool.submit(work, *arguments)
    except RuntimeError:
        future: Future = Future()
        try:
            future.set_result(work(*arguments))
        except Exception as error:
            future.set_exception(error)
        return future


def final_name(name: str, pair_id: str) -> str:
    """A file name under the provisional id, with the real id in its place."""
    folder, _, file = name.partition("/")
    return f"{folder}/{pair_id}{Path(file).suffix}"


def make_row(pair: PreparedPair, pair_id: str, split: str) -> PairRow:
    """The row of a pair that is stored now."""
    count = len(pair.images)
    return PairRow(
        id=pair_id,
        target_file_name=target_file(pair_id),
        source_file_name=control_file(pair_id, 0) if count else None,
        reference_file_names=tuple(control_file(pair_id, index) for index in range(1, count)),
        mask_file_names=tuple(mask_file(pair_id, index) for index in range(count) if pair.masks[index] is not None),
        instruction=pair.instruction,
        prompt=pair.prompt,
        history=pair.history,
        seed=pair.seed,
        scores=pair.scores,
        weight=pair.weight,
        split=split,
        workflow=pair.workflow,
        created=datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        tags=pair.tags,
        content_hash=pair.content_hash,
        source_hash=pair.source_hash,
        fingerprint=pair.perceptual_hash.to_text(),
        teacher_seconds=pair.teacher_seconds,
        teacher_memory=pair.teacher_memory,
        phrasings=pair.phrasings,
        source_caption=pair.source_caption,
        target_caption=pair.target_caption,
        group=pair.group,
        origin=pair.origin,
    )


def _png(pixels: np.ndarray) -> Callable:
    return lambda file: write_png(file, pixels)
