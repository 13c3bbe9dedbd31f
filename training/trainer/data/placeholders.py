"""Condition units of pairs whose pictures are not opened."""

from __future__ import annotations

from pathlib import Path

import torch

from ....ace.lcu.indicators import indicator
from ....ace.lcu.units import ConditionImage, ConditionUnit
from ....ace.pictures.fit import PATCH_PIXELS, Box, Fit
from ...dataset.disk.rows import PairRow
from ...dataset.disk.storage import safe_file
from .file_index import FileIndex
from .items import MaskItem, PictureItem


class Placeholders:
    """Condition units whose images have a shape but no pixels, and the way back from such an image to its file."""

    def __init__(self, folder: Path, files: FileIndex, fill: str) -> None:
        self.folder, self.files, self.fill = folder, files, fill
        self._items: list[tuple[torch.Tensor, PictureItem, MaskItem | None]] = []

    def unit(self, row: PairRow, instruction: str) -> ConditionUnit:
        """One of a pair's instructions with placeholders for its images."""
        masks = row.masks_by_index
        images = []
        for index, name in enumerate(row.image_files):
            picture, size = self._item(PictureItem, name)
            image, mask, mask_item = _shape_only(*size, 3), None, None
            if index in masks:
                mask_item, mask_size = self._item(MaskItem, masks[index])
                mask = _shape_only(*mask_size)
            self._items.append((image, picture, mask_item))
            fill = "keep" if mask is None else self.fill
            images.append(ConditionImage(image, mask, indicator(index), fill))
        return ConditionUnit(instruction, images)

    def items(self, image: torch.Tensor) -> tuple[PictureItem, MaskItem | None]:
        """The files behind a placeholder."""
        return next((picture, mask) for known, picture, mask in self._items if known is image)

    def _item(self, kind, name: str):
        path = safe_file(self.folder, name)
        info = self.files.picture(path)
        return kind(path, info.sha256, _unfitted(info.height, info.width)), (info.height, info.width)


def _shape_only(*shape: int) -> torch.Tensor:
    """(1, *shape) in the memory of one number."""
    return torch.zeros(()).expand(1, *shape)


def _unfitted(height: int, width: int) -> Fit:
    """Carries the source's size until the frame's own fit is known."""
    return Fit(height, width, Box(0, 0, height, width), PATCH_PIXELS, PATCH_PIXELS)
