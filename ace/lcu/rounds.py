"""Rounds of editing on disk: which pictures, masks and instructions led to a result.

A JSON list, oldest first; paths are relative to the file::

    [{"instruction": "{image} make it snow",
      "images": [{"indicator": "{image}", "image": "photo.jpg", "mask": null}]}]
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..files import atomic_write
from ..notices import Notify, silent
from ..pictures.image_files import load_mask, load_picture
from .intake import condition_image
from .units import ConditionUnit


@dataclass(frozen=True)
class StoredImage:
    """A condition image by its files.

    Attributes:
        indicator: the word for it.
        image: the picture's file.
        mask: the mask's file, if there is one.
    """

    indicator: str
    image: Path
    mask: Path | None = None


@dataclass(frozen=True)
class StoredRound:
    """A condition unit by its files.

    Attributes:
        instruction: with indicators.
        images: what it speaks of.
    """

    instruction: str
    images: tuple[StoredImage, ...]

    def load(self, notify: Notify = silent) -> ConditionUnit:
        """Reads the pictures.

        Raises:
            ValueError: a file is missing or unreadable, or a mask has another shape than its picture.
        """
        images = [
            condition_image(
                load_picture(stored.image, notify),
                None if stored.mask is None else load_mask(stored.mask),
                stored.indicator,
                notify,
            )
            for stored in self.images
        ]
        return ConditionUnit(self.instruction, images)


def load_rounds(path: str | Path) -> list[StoredRound]:
    """Reads a history file.

    Raises:
        ValueError: no such file, or not a history file.
    """
    path = Path(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return [
            StoredRound(
                entry["instruction"],
                tuple(
                    StoredImage(
                        image["indicator"],
                        path.parent / image["image"],
                        path.parent / image["mask"] if image.get("mask") else None,
                    )
                    for image in entry["images"]
                ),
            )
            for entry in content
        ]
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path} is not a history of rounds ({type(error).__name__}: {error}); expected the .json file that "
            "`comfyui-ace edit` writes beside a result"
        ) from None


def save_rounds(rounds: Sequence[StoredRound], path: str | Path) -> None:
    """Writes a history file with paths relative to it; an existing one is replaced."""
    path = Path(path)

    def relative(file: Path | None) -> str | None:
        return None if file is None else Path(os.path.relpath(file, path.parent)).as_posix()

    content = [
        {
            "instruction": one.instruction,
            "images": [
                {"indicator": image.indicator, "image": relative(image.image), "mask": relative(image.mask)}
                for image in one.images
            ],
        }
        for one in rounds
    ]
    with atomic_write(path) as temporary:
        Path(temporary).write_text(json.dumps(content, indent=2, ensure_ascii=False), encoding="utf-8")
