"""Features with planted groups, searched as if pictures had been embedded."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from ...training.match.descriptors.layout import LayoutDescriptor
from ...training.match.disk.columns import Columns, texts
from ...training.match.disk.places import Place
from ...training.match.embed.records import LOOKS_BYTES
from ...training.match.engines.base import Engine
from ...training.match.run import Found, search
from ...training.match.settings import MatchSettings
from ...training.match.steps.work import OnProgress, Shards, Work, digest_of

_FAMILY = 5  # directions of a family


def planted(
    groups: int, members: int, dimension: int, spread: float, seed: int = 0, family: float | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Features (N, D) float16 of unit length around ``groups`` directions, and the group of each.

    Args:
        groups, members: how many directions, and features around each.
        dimension: D.
        spread: length of what is added to a direction; two members of a group have a cosine of about 1 / (1 + spread²).
        seed: of directions, spread and order.
        family: None draws each direction by itself; a cosine draws them in fives that are so near to each other.
    """
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((groups, dimension))
    if family is not None:
        shared = rng.standard_normal((-(-groups // _FAMILY), dimension))[np.arange(groups) // _FAMILY]
        centres = np.sqrt(family) * shared + np.sqrt(1 - family) * centres
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    group = np.repeat(np.arange(groups), members)
    noise = rng.standard_normal((len(group), dimension)) * (spread / np.sqrt(dimension))
    features = centres[group] + noise
    order = rng.permutation(len(group))
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    return features[order].astype(np.float16), group[order]


def random_keys(count: int, seed: int = 0) -> np.ndarray:
    """Keys (N,) int64, as pictures have them."""
    return np.random.default_rng((7, seed)).integers(-(2**63), 2**63 - 1, count)


def embedded_columns(features: np.ndarray, keys: np.ndarray, paths: Sequence[str] | None = None) -> Columns:
    """An embedded shard's columns, as if pictures had been read; their looks are random."""
    count = len(keys)
    rng = np.random.default_rng(abs(int(keys[0])) if count else 0)
    return {
        "path": texts(paths or [f"/p/{key & 0xFFFFFFFFFFFFFFFF:016x}.jpg" for key in keys.tolist()]),
        "key": keys,
        "looks": rng.integers(0, 256, (count, LOOKS_BYTES), dtype=np.uint8),
        "height": np.full(count, 64, np.int32),
        "width": np.full(count, 64, np.int32),
        "feature": features,
        "reason": texts([""] * count),
        "size": np.zeros(count, np.int64),
        "modified": np.zeros(count, np.int64),
    }


def search_features(
    features: np.ndarray,
    keys: np.ndarray,
    output: Path,
    engine: Engine,
    sizes: Sequence[int] = (),
    on_progress: OnProgress = lambda *_: None,
    paths: Sequence[str] | None = None,
    **changes,
) -> Found:
    """A run over features.

    Args:
        features: (N, D) float16.
        keys: (N,).
        output: the run's folder.
        engine: what runs it.
        sizes: of the shards; one more takes what is left.
        on_progress: is told (step, done, of).
        paths: of the pictures; None makes some up.
        changes: fields of ``MatchSettings``.
    """
    work = Work(Place.of(output), engine, on_progress)
    tables = work.tables("embedded", digest_of("planted"))
    names = []
    for number, (start, end) in enumerate(pairwise([0, *np.cumsum(sizes).tolist(), len(keys)])):
        names.append(f"shard{number:03d}")
        if names[-1] not in tables.names():
            named = None if paths is None else paths[start:end]
            tables.write(names[-1], embedded_columns(features[start:end], keys[start:end], named))
    descriptor = LayoutDescriptor(dimension=features.shape[1])
    counts = {"files": len(keys), "set aside": 0, "embedded": len(keys)}
    values = {"folders": ("planted",), "output": str(output), "near_copies": False, **changes}
    return search(work, Shards(tuple(names), tables), counts, MatchSettings(**values), descriptor)
