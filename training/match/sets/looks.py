"""What the second turn compares of each picture: read when it is needed, and no more kept than memory has room for."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import reverse_cuthill_mckee

from ...errors import ImageError
from ..disk.pictures import read_picture
from ..embed.records import decode_reduced
from ..similarity.base import Similarity

_READ_AT_ONCE = 32  # pictures


class Looks:
    """The looks of a group's pictures by row; None for one that is gone, damaged or without anything to compare.

    Args:
        paths: by row.

    Attributes:
        without: rows without a look.
    """

    def __init__(self, similarity: Similarity, paths: np.ndarray):
        self._similarity, self._paths = similarity, paths
        self._kept: OrderedDict[int, Any] = OrderedDict()
        self.without: set[int] = set()

    def all_fit(self, rows: np.ndarray) -> bool:
        """Reads all of `rows` if all of them can be kept."""
        if self._similarity.most_looks is not None and len(rows) > self._similarity.most_looks:
            return False
        for start in range(0, len(rows), _READ_AT_ONCE):
            self._read(rows[start : start + _READ_AT_ONCE].tolist())
        return True

    def __getitem__(self, row: int) -> Any:
        if row in self.without:
            return None
        if row not in self._kept:
            self._read([row])
            if self._similarity.most_looks is not None and len(self._kept) > self._similarity.most_looks:
                self._kept.popitem(last=False)
        if row in self._kept:
            self._kept.move_to_end(row)
        return self._kept.get(row)

    def _read(self, rows: list[int]) -> None:
        pictures = {row: self._pixels(row) for row in rows}
        there = {row: pixels for row, pixels in pictures.items() if pixels is not None}
        looks = zip(there, self._similarity.looks(list(there.values())), strict=True) if there else ()
        found = {row: look for row, look in looks if look is not None}
        self._kept.update(found)
        self.without.update(pictures.keys() - found.keys())

    def _pixels(self, row: int) -> np.ndarray | None:
        """None for a picture that is gone or damaged since it was embedded."""
        try:
            return decode_reduced(read_picture(self._paths[row]), self._similarity.side)[0]
        except (OSError, ImageError):
            return None


def order_for_few(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """An order of pairs in which those of a picture, and of its neighbours, come soon after each other."""
    nodes, ends = np.unique(np.stack([one, other]), return_inverse=True)
    ends = ends.reshape(2, -1)
    graph = coo_matrix((np.ones(len(one)), ends), shape=(len(nodes), len(nodes)))
    rank = np.empty(len(nodes), dtype=np.int64)
    rank[reverse_cuthill_mckee((graph + graph.T).tocsr(), symmetric_mode=True)] = np.arange(len(nodes))
    places = np.sort(rank[ends], axis=0)
    return np.lexsort((places[1], places[0]))
