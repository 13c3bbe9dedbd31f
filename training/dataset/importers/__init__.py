"""Imports: pairs that other tools wrote, brought through the same checks as captured ones."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from ...errors import DatasetError
from ..formats import IMPORTS, find_format
from ..intake.checks import CheckSettings
from ..store import Dataset
from .base import ImportOptions, ImportResult, run_import

__all__ = ["ImportOptions", "ImportResult", "import_pairs"]


def import_pairs(
    dataset: Dataset | Callable[[], Dataset],
    source: str | os.PathLike,
    format: str,
    *,
    options: ImportOptions | None = None,
    checks: CheckSettings | None = None,
    progress: Callable[[int], None] | None = None,
) -> ImportResult:
    """Imports from a file or folder. Bad items are listed in the result; the source is never changed.

    Args:
        dataset: the dataset, or what opens or makes it, called when the first pair has been read.
        source: the file or folder.
        format: one of ``IMPORTS``.
        checks: quality checks in place of the dataset's own.
        progress: called with the number of items done.

    Raises:
        DatasetError: there is nothing to import, the source as a whole is not what ``format`` says, or the dataset
            cannot be written.
    """
    entry = find_format(IMPORTS, format)
    read, path = entry.load(), Path(source)
    if not path.exists():
        raise DatasetError(f"{path} is not there.")
    chosen = options or ImportOptions()
    opening = dataset
    if isinstance(dataset, Dataset):
        chosen = replace(chosen, alpha=chosen.alpha or dataset.alpha)
        opening = lambda: dataset  # noqa: E731
    looked_for = f"pairs in {path} by the format {format} ({entry.summary})"
    items = read(path, chosen)
    return run_import(opening, items, checks=checks, tags=chosen.tags, progress=progress, looked_for=looked_for)
