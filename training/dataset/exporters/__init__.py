"""Exports: a dataset in the form that another trainer reads, with that trainer's own configuration."""

from __future__ import annotations

import os
import shutil

from ..formats import EXPORTS, find_format
from ..store import Dataset
from .base import ExportOptions, ExportResult, as_dataset_error, open_export

__all__ = ["ExportOptions", "ExportResult", "export_dataset"]


def export_dataset(
    dataset: Dataset,
    output: str | os.PathLike,
    format: str,
    *,
    split: str | None = None,
    options: ExportOptions | None = None,
) -> ExportResult:
    """Exports to a folder that is not there yet. What the trainer cannot take is counted in the result.

    Args:
        output: the new folder.
        format: one of ``EXPORTS``.
        split: only this one; by default both, each in its own files.

    Raises:
        DatasetError: it cannot be done; nothing is left in the output.
    """
    write = find_format(EXPORTS, format).load()
    export = open_export(dataset, output, split, options or ExportOptions())
    try:
        export.building.mkdir(parents=True)
        write(export)
        return export.finish()
    except OSError as error:
        raise as_dataset_error(error, export) from error
    finally:
        shutil.rmtree(export.building, ignore_errors=True)
