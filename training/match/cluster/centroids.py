"""k-means on a sample, by faiss; its GPU build takes the GPU by itself."""

from __future__ import annotations

import math

import numpy as np

from ..optional import optional

SAMPLE_PER_CLUSTER = 64
ITERATIONS = 20


def cluster_count(pictures: int, memberships: int) -> int:
    """How many clusters cost the least: assigning costs N·K products, comparing about (P·N)²/(2·K) of them."""
    return max(1, round(memberships * math.sqrt(pictures / 2)))


def sample_share(pictures: int, clusters: int) -> float:
    """The share of the pictures from which centroids are learnt."""
    return min(1.0, clusters * SAMPLE_PER_CLUSTER / max(pictures, 1))


def in_sample(keys: np.ndarray, share: float) -> np.ndarray:
    """Which pictures are in the sample, by their keys alone, whichever shard they are in."""
    return mixed(keys) < np.uint64(min(share * 2.0**64, 2.0**64 - 2**12)) if share < 1 else np.ones(len(keys), bool)


def fit_centroids(features: np.ndarray, keys: np.ndarray, clusters: int, seed: int = 0) -> np.ndarray:
    """Centroids (K, D) float32 of unit length.

    Args:
        features: (N, D) float16. keys: (N,), which decide the order, so that it is the same for every division into shards.
    """
    faiss = optional("faiss", f"Clustering ({len(features)} pictures in the sample)")
    order = np.argsort(keys, kind="stable")
    sample = np.ascontiguousarray(features[order], dtype=np.float32)
    clusters = min(clusters, len(sample))
    gpu = hasattr(faiss, "StandardGpuResources") and faiss.get_num_gpus() > 0
    kmeans = faiss.Kmeans(
        sample.shape[1],
        clusters,
        niter=ITERATIONS,
        seed=seed,
        spherical=True,
        gpu=gpu,
        min_points_per_centroid=1,
        max_points_per_centroid=4 * SAMPLE_PER_CLUSTER,
    )
    kmeans.train(sample)
    centroids = np.asarray(kmeans.centroids, dtype=np.float32).reshape(clusters, -1)
    return centroids / np.maximum(np.linalg.norm(centroids, axis=1, keepdims=True), 1e-6)


def mixed(keys: np.ndarray) -> np.ndarray:
    """Keys as evenly spread unsigned numbers (the finaliser of splitmix64)."""
    values = keys.astype(np.int64).view(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
