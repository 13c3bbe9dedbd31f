"""Union-find: from links to sets.

On one machine the sets of a graph are found at once. On many, rounds of the large-star and small-star operations
(Kiveris et al. 2014, "Connected Components in MapReduce and Beyond") pass the smallest label on until every picture is
linked to the smallest of its set; each operation looks at the links of one picture at a time.
"""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components


def merge(labels: np.ndarray, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Labels after the sets of one[k] and other[k] have been united; a set's label is its smallest index.

    Args:
        labels: (N,), for each index the smallest of its set.
    """
    left, right = labels[one], labels[other]
    apart = left != right
    if not apart.any():
        return labels
    left, right = left[apart], right[apart]
    packed = np.unique(np.minimum(left, right) * len(labels) + np.maximum(left, right))
    left, right = packed // len(labels), packed % len(labels)
    touched, places = np.unique(np.concatenate([left, right]), return_inverse=True)
    ends = places[: len(left)], places[len(left) :]
    size = len(touched)
    count, group = connected_components(
        coo_matrix((np.ones(len(left), bool), ends), shape=(size, size)), directed=False
    )
    smallest = np.full(count, len(labels))
    np.minimum.at(smallest, group, touched)
    renamed = np.arange(len(labels))
    renamed[touched] = smallest[group]
    return renamed[labels]


def components(links: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The nodes of a graph, ascending, and for each the smallest node of its set.

    Args:
        links: (L, 2) int64, any numbers.
    """
    nodes, places = np.unique(links, return_inverse=True)
    places = places.reshape(links.shape)
    return nodes, nodes[merge(np.arange(len(nodes)), places[:, 0], places[:, 1])]


def large_star(node: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Every larger neighbour of a node is linked to the smallest of its neighbourhood.

    Args:
        node, other: (L,), the links of whole nodes, each link once from either end.
    """
    node, other = _sorted(node, other)
    smallest = np.minimum(_smallest(node, other), node)
    larger = other > node
    return other[larger], smallest[larger]


def small_star(node: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A node and its smaller neighbours are linked to the smallest of them.

    Args:
        node, other: (L,), the links of whole nodes to smaller ones.
    """
    node, other = _sorted(node, other)
    smallest = _smallest(node, other)
    rest = other != smallest
    return np.concatenate([other[rest], node]), np.concatenate([smallest[rest], smallest])


def unique_links(node: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each link once, by node and then by the other end."""
    node, other = _sorted(node, other)
    new = np.ones(len(node), dtype=bool)
    new[1:] = (node[1:] != node[:-1]) | (other[1:] != other[:-1])
    return node[new], other[new]


def _sorted(node: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    order = np.lexsort((other, node))
    return node[order], other[order]


def _smallest(node: np.ndarray, other: np.ndarray) -> np.ndarray:
    """For each link the smallest other end of its node; links sorted by node and other end."""
    first = np.ones(len(node), dtype=bool)
    first[1:] = node[1:] != node[:-1]
    return other[np.flatnonzero(first)][np.cumsum(first) - 1] if len(node) else other
