"""What an artist reads on a capturing node: what became of its pairs. A node shows two or three lines before scrolling."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ...training.dataset.store import AppendResult, Dataset
from ...training.errors import WriteError


def describe_stored(
    dataset: Dataset, results: Sequence[AppendResult], *, waiting: int, lost: int, reasons: Iterable[str]
) -> str:
    """After pairs were written.

    Args:
        dataset: where they went.
        results: what became of each of them.
        waiting: pairs of this dataset that are still being written.
        lost: pairs of this dataset that were given up.
        reasons: why the last pairs were rejected, newest first.
    """
    counts = dataset.counts()
    lines = [
        _summary(results),
        f"{dataset.name}: {_pairs(counts.pairs)}, {counts.rejected} rejected",
        *_lost(lost),
    ]
    if waiting:
        lines.append(f"{waiting} more being written")
    own = results[0].reason if len(results) == 1 else ""
    lines += [f"rejected: {reason}" for reason in reasons if reason != own]
    lines.append(f"{counts.train} to train on, {counts.validation} held out, in {dataset.folder}")
    lines += dict.fromkeys(f"note: {note}" for result in results for note in result.notes)
    return "\n".join(lines)


def describe_held(name: str, error: WriteError, *, held: int, lost: int) -> str:
    """While the disk refuses.

    Args:
        name: of the dataset.
        error: why it refuses.
        held: pairs that wait in memory.
        lost: pairs that were given up.
    """
    lines = [
        f"NOT KEPT: {error.reason}",
        f"{_pairs(held)} of “{name}” in memory. Solve this and queue again: what waits is written first.",
        *_lost(lost),
        str(error),
    ]
    return "\n".join(lines)


def describe_closing(error: WriteError, *, lost: int) -> str:
    """For pairs that come when the process is ending."""
    return "\n".join([f"NOT KEPT: {error.reason}", *_lost(lost)])


def describe_failure(error: Exception) -> str:
    """For pairs that were given up for another reason than the disk."""
    return f"NOT KEPT: {error}"


def _lost(pairs: int) -> list[str]:
    return [f"{_pairs(pairs)} given up, so run them again."] if pairs else []


def _pairs(count: int) -> str:
    return f"{count} pair{'' if count == 1 else 's'}"


def _summary(results: Sequence[AppendResult]) -> str:
    if len(results) == 1:
        result = results[0]
        return (
            f"✓ kept as {result.id}"
            if result.stored
            else f"there already: {result.reason}"
            if result.id
            else f"✗ NOT KEPT, rejected: {result.reason}"
        )
    parts = []
    for status, word in (("stored", "kept"), ("duplicate", "there already"), ("rejected", "rejected")):
        count = sum(result.status == status for result in results)
        if count:
            parts.append(f"{count} {word}")
    return ", ".join(parts)
