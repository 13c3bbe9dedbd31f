"""Files that are one picture twice: equal content, or looks that differ by no more than an encoder's loss.

A picture goes if a better one of equal looks stays: the one with more pixels, then with more bytes (the PNG and not the
JPEG made of it), then with the smaller key. That depends on the pictures alone and not on the order in which they come.
One that goes itself takes nobody with it, or of the frames of a slow shot, each like the next, a single one would stay.
Candidates share the file's hash or one of four parts of the difference hash, which of 100 recompressed or scaled copies
99 do; the mean colours of 64 blocks and the sharpness decide. A blurred or sharpened version is thus no copy.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ...dataset.disk.perceptual_hash import DIFFERENCE_HASH_BYTES
from ..disk.columns import Columns, take, texts

MOST_LEVELS = 6  # of 255, by which no block may differ; JPEG of quality 70 and scaling stay below
MOST_STEPS = 3  # of sharpness, a fifth of a doubling; JPEG of quality 50 and scaling to a third stay below
_PARTS = ((0, 4), (4, 8), (8, 12), (12, DIFFERENCE_HASH_BYTES))  # bytes
_NEIGHBOURS, _MOST_PAIRS = 256, 1 << 23  # compared with each, and in all, where very many share a part (blank ones)


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


def alike_rows(columns: Columns, nearly: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows that are alike, (M,) each: the worse, the better, and whether they are equal, so that the worse one always goes.

    Rows with an equal "band" are compared. Of equal ones each is named with the best of them, and this alone with others.

    Args:
        columns: band, key, looks, pixels, bytes, path; a picture may come several times under different bands.
    """
    order = np.lexsort((columns["key"], -columns["bytes"], -columns["pixels"], columns["band"]))
    found = [(np.zeros(0, np.int64),) * 2 + (np.zeros(0, bool),)]
    for start, end in runs(columns["band"][order]):
        if end - start > 1:
            rows = order[start:end]
            for first, last in runs(columns["key"][rows]):  # copies of one file, by their paths
                rows[first:last] = sorted(rows[first:last], key=lambda row: columns["path"][row])
            worse, better, equal = _alike_places(take({name: columns[name] for name in ("key", "looks")}, rows), nearly)
            found.append((rows[worse], rows[better], equal))
    return tuple(map(np.concatenate, zip(*found, strict=True)))


def settle(worse: np.ndarray, better: np.ndarray, equal: np.ndarray, paths: np.ndarray) -> Columns:
    """Which pictures go, from the best to the worst: node, and of, the path of one that stays.

    Args:
        worse, better, equal: (M,), as `alike_rows` finds them in all bands; all that is alike to one of them is there.
        paths: (M,), of the better ones.
    """
    order = np.lexsort((~equal, better, worse))
    first = np.ones(len(order), dtype=bool)
    first[1:] = (worse[order][1:] != worse[order][:-1]) | (better[order][1:] != better[order][:-1])
    order = order[first]
    equal, paths = equal[order], paths[order]
    nodes, ends = np.unique(np.stack([worse[order], better[order]]), return_inverse=True)
    worse, better = ends.reshape(2, -1)
    gone = _gone(worse, better, equal, len(nodes))
    of: dict[int, str] = {}
    for one, other, path in zip(worse.tolist(), better.tolist(), paths, strict=True):
        if not gone[other]:
            of[one] = min(path, of.get(one, path))
    leader = dict(zip(worse[equal].tolist(), better[equal].tolist(), strict=True))
    left = np.flatnonzero(gone)
    named = []
    for node in left.tolist():  # the best of equal ones may go itself
        while node not in of:
            node = leader[node]
        named.append(of[node])
    return {"node": nodes[left], "of": texts(named)}


def _gone(worse: np.ndarray, better: np.ndarray, equal: np.ndarray, count: int) -> np.ndarray:
    """Which of the pictures 0 … count - 1 go; each is judged when all that are better have been."""
    gone = np.zeros(count, dtype=bool)
    gone[worse[equal]] = True
    waits_for = np.bincount(worse, minlength=count)
    below = worse[np.argsort(better, kind="stable")]
    starts = np.concatenate([[0], np.cumsum(np.bincount(better, minlength=count))])
    ready = np.flatnonzero(waits_for == 0).tolist()
    for node in ready:
        near = below[starts[node] : starts[node + 1]]
        if not gone[node]:
            gone[near] = True
        waits_for[near] -= 1
        ready += near[waits_for[near] == 0].tolist()
    return gone


def runs(values: np.ndarray) -> Iterator[tuple[int, int]]:
    """Start and end of every run of equal values."""
    if len(values):
        starts = np.flatnonzero(np.r_[True, values[1:] != values[:-1]])
        yield from zip(starts.tolist(), [*starts[1:].tolist(), len(values)], strict=True)


def _alike_places(group: Columns, nearly: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`alike_rows` of one band, for pictures from the best to the worst."""
    keys, looks = group["key"], group["looks"]
    same = np.ascontiguousarray(looks).view(f"V{looks.shape[1]}")[:, 0] if nearly else keys
    _, first, inverse = np.unique(same, return_index=True, return_inverse=True)
    leader = first[inverse.reshape(-1)]
    copies = np.flatnonzero(leader != np.arange(len(keys)))
    found = [(copies, leader[copies], np.ones(len(copies), dtype=bool))]
    if nearly:
        # Beyond so many of one band the pictures are sorted by their looks and compared with the next ones only.
        near = np.sort(first)
        most = min(_NEIGHBOURS, max(8, _MOST_PAIRS // len(near)))
        if len(near) > most:
            near = near[np.lexsort(looks[near][:, DIFFERENCE_HASH_BYTES:].T)]
        for step in range(1, min(len(near), most)):
            one, other = near[:-step], near[step:]
            alike = _alike(looks[one], looks[other])
            worse, better = np.maximum(one, other)[alike], np.minimum(one, other)[alike]
            found.append((worse, better, np.zeros(len(worse), dtype=bool)))
    return tuple(map(np.concatenate, zip(*found, strict=True)))


def _alike(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    apart = np.abs(one[:, DIFFERENCE_HASH_BYTES:].astype(np.int16) - other[:, DIFFERENCE_HASH_BYTES:])
    return (apart[:, :-1].max(axis=1) <= MOST_LEVELS) & (apart[:, -1] <= MOST_STEPS)
