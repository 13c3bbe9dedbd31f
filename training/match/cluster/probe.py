"""How many pairs are lost at the borders of clusters: exact search for some pictures, beside what clusters find."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..link.relation import BLOCK, Vectors, Window
from .centroids import mixed

QUERIES = 2000


@dataclass(frozen=True)
class Queries:
    """Pictures for which all pairs are looked for. keys (Q,), features (Q, D) float16, clusters (Q, P)."""

    keys: np.ndarray
    features: np.ndarray
    clusters: np.ndarray


def choose_queries(keys: np.ndarray, most: int = QUERIES) -> np.ndarray:
    """Indices of the queries among candidates: those whose mixed keys are the smallest, whatever their order."""
    return np.argsort(mixed(keys), kind="stable")[:most]


def count_met(
    queries: Queries, keys: np.ndarray, features: np.ndarray, clusters: np.ndarray, window: Window, device: str = "cpu"
) -> tuple[int, int]:
    """Pairs of the queries with a shard's pictures that pass, and how many of them share a cluster."""
    count = len(queries.keys)
    vectors = Vectors(np.concatenate([queries.features, features]), device)
    asked, all_pairs, met = np.arange(count), 0, 0
    for start in range(count, len(vectors), BLOCK):
        one, other = vectors.passing(asked, np.arange(start, min(start + BLOCK, len(vectors))), window)
        other = other - count
        different = queries.keys[one] != keys[other]
        one, other = one[different], other[different]
        shared = (queries.clusters[one][:, :, None] == clusters[other][:, None, :]).any(axis=(1, 2))
        all_pairs, met = all_pairs + len(one), met + int(shared.sum())
    return all_pairs, met
