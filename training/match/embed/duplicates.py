"""Files that are one picture twice: equal content, or looks that differ by no more than an encoder's loss.

A picture goes if a better one of equal looks is there: the one with more pixels, then with more bytes (the PNG and not
the JPEG made of it), then with the smaller key. That depends on the pictures alone and not on the order in which they
come. Candidates share the file's hash or one of four parts of the difference hash, which of 100 recompressed or scaled
copies 99 do; the mean colours of 64 blocks and the sharpness decide. A blurred or sharpened version is thus no copy.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ...dataset.disk.perceptual_hash import DIFFERENCE_HASH_BYTES
from ..disk.columns import Columns, take

MOST_LEVELS = 6  # of 255, by which no block may differ; JPEG of quality 70 and scaling stay below
MOST_STEPS = 3  # of sharpness, a fifth of a doubling; JPEG of quality 50 and scaling to a third stay below
_PARTS = ((0, 4), (4, 8), (8, 12), (12, DIFFERENCE_HASH_BYTES))  # bytes
_NEIGHBOURS = 256  # pictures compared with each, where very many share a part (blank ones)


def bands(columns: Columns, nearly: bool) -> list[np.ndarray]:
    """Numbers (N,) int64 that duplicates share at least one of.

    Args:
        nearly: look for nearly equal pictures, too.
    """
    found = [columns["key"]]
    for number, (start, end) in enumerate(_PARTS if nearly else ()):
        padded = np.zeros((len(columns["key"]), 8), dtype=np.uint8)
        padded[:, : end - start] = columns["looks"][:, start:end]
        padded[:, 7] = number + 1
        found.append(padded.view("<i8")[:, 0])
    return found


def better_rows(columns: Columns, nearly: bool) -> np.ndarray:
    """For each row the best one that it is a copy of, (N,) int64; -1 for what stays. Rows with an equal "band" are compared.

    Args:
        columns: band, key, looks, pixels, bytes, path; a picture may come several times under different bands.
    """
    order = np.lexsort((columns["key"], -columns["bytes"], -columns["pixels"], columns["band"]))
    better = np.full(len(order), -1, dtype=np.int64)
    for start, end in runs(columns["band"][order]):
        if end - start > 1:
            rows = order[start:end]
            for first, last in runs(columns["key"][rows]):  # copies of one file, by their paths
                rows[first:last] = sorted(rows[first:last], key=lambda row: columns["path"][row])
            found = _better(take({name: columns[name] for name in ("key", "looks")}, rows), nearly)
            better[rows] = np.where(found < np.arange(len(rows)), rows[found], -1)
    return better


def runs(values: np.ndarray) -> Iterator[tuple[int, int]]:
    """Start and end of every run of equal values."""
    if len(values):
        starts = np.flatnonzero(np.r_[True, values[1:] != values[:-1]])
        yield from zip(starts.tolist(), [*starts[1:].tolist(), len(values)], strict=True)


def _better(group: Columns, nearly: bool) -> np.ndarray:
    """For pictures from the best to the worst, the place of the best that equals it; its own if there is none."""
    keys, looks = group["key"], group["looks"]
    _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    found = first[inverse]
    if not nearly:
        return found
    # Beyond so many of one band the pictures are sorted by their looks and compared with the next ones only.
    near = np.lexsort(looks[:, DIFFERENCE_HASH_BYTES:].T) if len(keys) > _NEIGHBOURS else np.arange(len(keys))
    for step in range(1, min(len(keys), _NEIGHBOURS)):
        one, other = near[:-step], near[step:]
        alike = _alike(looks[one], looks[other])
        np.minimum.at(found, np.maximum(one, other)[alike], np.minimum(one, other)[alike])
    return found


def _alike(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    apart = np.abs(one[:, DIFFERENCE_HASH_BYTES:].astype(np.int16) - other[:, DIFFERENCE_HASH_BYTES:])
    return (apart[:, :-1].max(axis=1) <= MOST_LEVELS) & (apart[:, -1] <= MOST_STEPS)
