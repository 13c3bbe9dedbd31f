"""The hashes of a pair after somebody changed it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from .disk.images import pixel_hash
from .disk.perceptual_hash import pair_perceptual_hash
from .disk.rows import PairRow
from .intake.prepare import content_hash
from .reader import load_pair


def rehashed(folder: Path, row: PairRow) -> PairRow:
    """The row with hashes of its words and of what its files hold now.

    Args:
        folder: of the dataset.

    Raises:
        ImageError: a file is missing or damaged.
        DatasetError: a file is a symbolic link.
    """
    pair = load_pair(folder, row)
    hashes = [pixel_hash(image) for image in pair.images]
    masks = ["" if mask is None else pixel_hash(mask) for mask in pair.masks]
    target = pixel_hash(pair.target)
    perceptual = pair_perceptual_hash(pair.source, pair.target, row.instruction, [*hashes[1:], *masks], row.history)
    return replace(
        row,
        content_hash=content_hash(hashes, masks, target, row.instruction, row.history),
        source_hash=hashes[0] if hashes else target,
        fingerprint=perceptual.to_text(),
    )
