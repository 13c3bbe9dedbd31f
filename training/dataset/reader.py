"""From a row to its pictures."""

from __future__ import annotations

from pathlib import Path

from .disk.images import read_image, read_mask
from .disk.rows import PairRow
from .disk.storage import safe_file
from .intake.prepare import Pair


def load_pair(folder: Path, row: PairRow) -> Pair:
    """Decodes a stored pair: pictures as (H, W, 3) uint8, masks as (H, W) uint8 or None, one an image.

    Args:
        folder: of the dataset.

    Raises:
        ImageError: a file is missing or damaged.
        DatasetError: a file is a symbolic link.
    """
    files = row.masks_by_index
    images = [read_image(safe_file(folder, name)).pixels for name in row.image_files]
    masks = [
        read_mask(safe_file(folder, files[index])).pixels if index in files else None for index in range(len(images))
    ]
    return Pair(
        target=read_image(safe_file(folder, row.target_file_name)).pixels,
        source=images[0] if images else None,
        references=tuple(images[1:]),
        masks=tuple(masks),
        instruction=row.instruction,
        prompt=row.prompt,
        history=row.history,
        seed=row.seed,
        tags=row.tags,
        scores=row.scores,
        weight=row.weight,
        workflow=row.workflow,
        teacher_seconds=row.teacher_seconds,
        teacher_memory=row.teacher_memory,
        phrasings=row.phrasings,
        source_caption=row.source_caption,
        target_caption=row.target_caption,
        unlabelled=not row.labelled,
        group=row.group,
        origin=row.origin,
        id=row.id,
        split=row.split,
        created=row.created,
    )
