"""The formats of imports and exports: names, help texts, and where the code is (imported when it is used)."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass

from ..errors import DatasetError


@dataclass(frozen=True)
class Format:
    """One format.

    Attributes:
        module, function: what reads or writes it, relative to this package.
        summary: one line for the help text.
    """

    module: str
    function: str
    summary: str

    def load(self) -> Callable:
        """The function, its module imported."""
        return getattr(importlib.import_module(f".{self.module}", __package__), self.function)


IMPORTS = {
    "folders": Format(
        "importers.folders", "read_folders", "before/ and after/ with equal file names, or x_before.png and x_after.png"
    ),
    "ai-toolkit": Format(
        "importers.trainers", "read_ai_toolkit", "a job's YAML, or a folder with target/ and control…/"
    ),
    "musubi": Format("importers.trainers", "read_musubi", "a dataset TOML, a jsonl file, or a folder"),
    "magicbrush": Format("importers.tables", "read_magicbrush", "parquet files of MagicBrush; turns become a history"),
    "instructpix2pix": Format("importers.tables", "read_instructpix2pix", "parquet files of InstructPix2Pix"),
    "omniedit": Format("importers.tables", "read_omniedit", "parquet files of OmniEdit, with their scores"),
    "columns": Format(
        "importers.tables", "read_columns", "any parquet files; name the columns with --source, --target"
    ),
    "ace-csv": Format("importers.ace_csv", "read_ace_csv", "the csv of ACE or ACE++"),
}
EXPORTS = {
    "ai-toolkit": Format("exporters.ai_toolkit", "write", "folders and a YAML job; up to 3 condition images"),
    "diffusion-pipe": Format("exporters.diffusion_pipe", "write", "folders and TOML files; 1 condition image"),
    "musubi": Format("exporters.musubi", "write", "jsonl with numbered control paths and a TOML file; copies nothing"),
    "simpletuner": Format("exporters.simpletuner", "write", "folders and two JSON files; up to 3 condition images"),
    "diffusers": Format("exporters.parquet", "write_diffusers", "parquet and a training command; 1 condition image"),
    "webdataset": Format("exporters.webdataset", "write", "tar shards"),
    "huggingface": Format("exporters.parquet", "write_huggingface", "parquet with all columns and a dataset card"),
}


def find_format(formats: dict[str, Format], name: str) -> Format:
    """The format of that name.

    Raises:
        DatasetError: there is none; the message lists the names.
    """
    if name not in formats:
        raise DatasetError(f"There is no format {name!r}. Choose one of: {', '.join(formats)}.")
    return formats[name]
