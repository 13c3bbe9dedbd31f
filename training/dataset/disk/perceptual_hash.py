"""Perceptual hashes: pictures that look the same have hashes that differ in few bits.

A picture's perceptual hash is a difference hash of its luminance (64 bits across, 64 down, on an 8x8 grid) and the mean
colours of its quarters, because a difference hash alone does not see a change of colour.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from PIL import Image

DIFFERENCE_HASH_BYTES = 16
MEAN_COLOUR_BYTES = 12
PERCEPTUAL_HASH_BYTES = DIFFERENCE_HASH_BYTES + MEAN_COLOUR_BYTES
_POPCOUNT = np.array([bin(value).count("1") for value in range(256)], dtype=np.uint8)


def perceptual_hash(pixels: np.ndarray) -> bytes:
    """Hashes one picture.

    Args:
        pixels: (H, W, 3) uint8.

    Returns:
        28 bytes: 128 bits of the difference hash, then 2x2 mean colours of 3 bytes.
    """
    image = Image.fromarray(pixels)
    grey = np.asarray(image.convert("L").resize((9, 9), Image.Resampling.BOX), dtype=np.int16)
    across = grey[:8, 1:] > grey[:8, :8]
    down = grey[1:, :8] > grey[:8, :8]
    bits = np.packbits(np.concatenate([across.ravel(), down.ravel()]))
    quarters = np.asarray(image.resize((2, 2), Image.Resampling.BOX), dtype=np.uint8)
    return bits.tobytes() + quarters.tobytes()


@dataclass(frozen=True)
class PairPerceptualHash:
    """What two pairs must share to be near-duplicates.

    Attributes:
        group: 8 bytes; the exact words, masks and references. Only pairs of one group are compared.
        hashes: of source and target (56 bytes; the source's is zero where there is none).
    """

    group: bytes
    hashes: bytes

    def to_text(self) -> str:
        """Hexadecimal, as the row's column ``fingerprint`` holds it."""
        return (self.group + self.hashes).hex()

    @classmethod
    def from_text(cls, text: str) -> PairPerceptualHash | None:
        """Reads a row's column; None where it holds no usable hash (a dataset that another program wrote)."""
        try:
            data = bytes.fromhex(text)
        except ValueError:
            return None
        if len(data) != 8 + 2 * PERCEPTUAL_HASH_BYTES:
            return None
        return cls(data[:8], data[8:])


def pair_perceptual_hash(
    source: np.ndarray | None, target: np.ndarray, instruction: str, exact: list[str], history: tuple[str, ...]
) -> PairPerceptualHash:
    """Hashes a pair for the search of near-duplicates.

    Args:
        source: (H, W, 3) uint8, None where the pair has none.
        target: (H, W, 3) uint8.
        exact: content hashes of everything that must be equal, not merely similar: references and masks.
    """
    group = hashlib.sha256("\x00".join([instruction, *exact, *history]).encode()).digest()[:8]
    first = bytes(PERCEPTUAL_HASH_BYTES) if source is None else perceptual_hash(source)
    return PairPerceptualHash(group, first + perceptual_hash(target))


class PerceptualHashTable:
    """The hashes of one group as one array, so that a search among many thousands is one numpy expression."""

    def __init__(self) -> None:
        self._hashes = np.zeros((16, 2 * PERCEPTUAL_HASH_BYTES), dtype=np.uint8)
        self._ids: list[str] = []

    def add(self, pair_id: str, hashes: bytes) -> None:
        """Adds a pair's hashes of source and target, 56 bytes."""
        if len(self._ids) == len(self._hashes):
            self._hashes = np.concatenate([self._hashes, np.zeros_like(self._hashes)])
        self._hashes[len(self._ids)] = np.frombuffer(hashes, dtype=np.uint8)
        self._ids.append(pair_id)

    def find_similar(self, hashes: bytes, max_bits: int, max_colour: float) -> list[tuple[str, int]]:
        """Searches for similar pairs.

        Args:
            hashes: of source and target, 56 bytes.
            max_bits: most bits of 128 in which the difference hashes may differ, of source and target alike.
            max_colour: most levels of 255 by which any mean colour may differ.

        Returns:
            (id, bits that differ, the larger number of source and target), the most similar first.
        """
        if not self._ids:
            return []
        known = self._hashes[: len(self._ids)]
        wanted = np.frombuffer(hashes, dtype=np.uint8)
        bits, colour = [], []
        for start in (0, PERCEPTUAL_HASH_BYTES):
            middle, end = start + DIFFERENCE_HASH_BYTES, start + PERCEPTUAL_HASH_BYTES
            bits.append(_POPCOUNT[known[:, start:middle] ^ wanted[start:middle]].sum(axis=1, dtype=np.int32))
            difference = known[:, middle:end].astype(np.int16) - wanted[middle:end].astype(np.int16)
            colour.append(np.abs(difference).max(axis=1))
        distance = np.maximum(*bits)
        found = np.flatnonzero((np.maximum(*colour) <= max_colour) & (distance <= max_bits))
        order = found[np.argsort(distance[found], kind="stable")]
        return [(self._ids[place], int(distance[place])) for place in order]
