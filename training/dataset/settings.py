"""``dataset.json``: what a dataset decides once for all its pairs; and the making of an empty dataset."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ...ace.files import rename
from ..errors import DatasetError
from .disk.storage import METADATA, as_write_error

SETTINGS = "dataset.json"
FORMAT = 1


@dataclass(frozen=True)
class DatasetSettings:
    """How new pairs are divided into train and validation.

    Attributes:
        validation_fraction: share of the sources that is held out, 0 to 1.
        split_seed: which ones.
    """

    validation_fraction: float = 0.1
    split_seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.validation_fraction <= 1:
            raise DatasetError(f"validation_fraction is between 0 and 1, got {self.validation_fraction}.")

    def to_json(self) -> bytes:
        """Content of ``dataset.json``."""
        return (json.dumps({"format": FORMAT, **asdict(self)}, indent=2) + "\n").encode()

    @classmethod
    def read(cls, folder: Path) -> DatasetSettings:
        """The settings of the dataset in a folder; the defaults where another program wrote it without any.

        Raises:
            DatasetError: they cannot be read, or are of a later format.
        """
        path = folder / SETTINGS
        try:
            data = json.loads(path.read_bytes())
            version = int(data.get("format", FORMAT))
            settings = cls(_number(data, "validation_fraction", float), _number(data, "split_seed", int))
        except FileNotFoundError:
            return cls()
        except OSError as error:
            raise DatasetError(f"{path} cannot be read: {error.strerror or error}. Fix or remove it.") from error
        except (DatasetError, ValueError, KeyError, TypeError, AttributeError) as error:
            what = f"{error}" if isinstance(error, (DatasetError, ValueError)) else f"{error!r}"
            raise DatasetError(f"{path} cannot be read ({what}). Fix it, or delete it for the defaults.") from error
        if version > FORMAT:
            raise DatasetError(
                f"{folder} has format {version}, and this version of ACE Edit reads up to {FORMAT}. Update ACE Edit."
            )
        return settings


def _number(data: Mapping[str, Any], name: str, kind: type[int] | type[float]) -> Any:
    value = data[name]
    if isinstance(value, bool) or not isinstance(value, (int, float)) or kind(value) != value:
        raise ValueError(f"{name} is {value!r}, expected a {'whole ' if kind is int else ''}number")
    return kind(value)


def make_dataset(folder: Path, settings: DatasetSettings) -> None:
    """Makes an empty dataset. It is built beside its final name and renamed, so that nobody sees half of it.

    Raises:
        DatasetError: something is there already, or the disk refuses.
    """
    if os.path.lexists(folder):
        raise DatasetError(f"{folder} is there already. Choose another name; nothing existing is overwritten.")
    building = folder.with_name(f".{uuid.uuid4().hex[:12]}.part")
    try:
        building.mkdir(parents=True)
        for name in ("target", "control"):
            (building / name).mkdir()
        (building / METADATA).touch()
        (building / SETTINGS).write_bytes(settings.to_json())
        rename(building, folder)
    except OSError as error:
        with contextlib.suppress(OSError):
            shutil.rmtree(building)
        raise as_write_error(error, folder) from error
