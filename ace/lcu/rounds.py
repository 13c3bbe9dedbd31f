"""Rounds of editing on disk: which pictures, masks and instructions led to a result.

A JSON list, oldest first; paths are relative to the file, or absolute where they lie on another drive::

    [{"instruction": "{image} make it snow",
      "images": [{"indicator": "{image}", "image": "photo.jpg", "mask": null}]}]

Where a mask's file was not to be read as it most probably means, ``mask_from`` says how.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..files import atomic_write, relative_path
from ..notices import Notify, silent
from ..pictures.image_files import load_mask, load_picture
from ..text_files import TextEncodingError, read_text
from .intake import condition_image
from .units import ConditionUnit


@dataclass(frozen=True)
class StoredImage:
    """A condition image by its files.

    Attributes:
        indicator: the word for it.
        image: the picture's file.
        mask: the mask's file, if there is one.
        mask_from: what of that file is the mask; a key of :data:`ace.pictures.files.mask_reading.MASK_READINGS`.
    """

    indicator: str
    image: Path
    mask: Path | None = None
    mask_from: str = "auto"


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
                None if stored.mask is None else load_mask(stored.mask, notify, reading=stored.mask_from),
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
        content = json.loads(read_text(path))
        return [
            StoredRound(
                entry["instruction"],
                tuple(
                    StoredImage(
                        image["indicator"],
                        path.parent / image["image"],
                        path.parent / image["mask"] if image.get("mask") else None,
                        image.get("mask_from", "auto"),
                    )
                    for image in entry["images"]
                ),
            )
            for entry in content
        ]
    except TextEncodingError as error:
        raise ValueError(f"this is not a history of rounds: {error}") from None
    except (OSError, json.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{path} is not a history of rounds ({type(error).__name__}: {error}); expected the .json file that "
            "`comfyui-ace edit` writes beside a result"
        ) from None


def save_rounds(rounds: Sequence[StoredRound], path: str | Path) -> None:
    """Writes a history file with paths relative to it; an existing one is replaced."""
    path = Path(path)

    def relative(file: Path | None) -> str | None:
        return None if file is None else relative_path(file, path.parent)

    content = [
        {
            "instruction": one.instruction,
            "images": [
                {
                    "indicator": image.indicator,
                    "image": relative(image.image),
                    "mask": relative(image.mask),
                    **({} if image.mask_from == "auto" else {"mask_from": image.mask_from}),
                }
                for image in one.images
            ],
        }
        for one in rounds
    ]
    with atomic_write(path) as temporary:
        Path(temporary).write_text(json.dumps(content, indent=2, ensure_ascii=False), encoding="utf-8", newline="\n")
