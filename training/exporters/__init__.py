"""Exports: a dataset in the form that another trainer reads, with that trainer's own configuration."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass

from ..errors import DatasetError
from ..pairs import Dataset
from . import ai_toolkit, diffusion_pipe, musubi, parquet, simpletuner, webdataset
from .base import Export, ExportOptions, ExportResult, as_dataset_error, open_export

__all__ = ["FORMATS", "ExportOptions", "ExportResult", "export_dataset"]


@dataclass(frozen=True)
class Format:
    """One trainer's form. summary: one line for the help text."""

    summary: str
    write: Callable[[Export], None]


FORMATS: dict[str, Format] = {
    "ai-toolkit": Format("folders and a YAML job; up to 3 condition images", ai_toolkit.write),
    "diffusion-pipe": Format("folders and TOML files; 1 condition image", diffusion_pipe.write),
    "musubi": Format("jsonl with numbered control paths and a TOML file; nothing is copied", musubi.write),
    "simpletuner": Format(
        "folders, multidatabackend.json and config.json; up to 3 condition images", simpletuner.write
    ),
    "diffusers": Format("parquet columns and a training command; 1 condition image", parquet.write_diffusers),
    "webdataset": Format("tar shards", webdataset.write),
    "huggingface": Format("parquet with all columns and a dataset card", parquet.write_huggingface),
}


def export_dataset(
    dataset: Dataset,
    output: str | os.PathLike,
    format: str,
    *,
    split: str | None = None,
    options: ExportOptions | None = None,
) -> ExportResult:
    """Export to a folder that is not there yet. Raises `DatasetError` and leaves nothing if it cannot be done.

    split: only this one; by default both, each in its own files. What a trainer cannot take is counted in the result.
    """
    if format not in FORMATS:
        raise DatasetError(f"There is no export {format!r}. Choose one of: {', '.join(FORMATS)}.")
    export = open_export(dataset, output, split, options or ExportOptions())
    try:
        export.building.mkdir(parents=True)
        FORMATS[format].write(export)
        return export.finish()
    except OSError as error:
        raise as_dataset_error(error, export) from error
    finally:
        shutil.rmtree(export.building, ignore_errors=True)
