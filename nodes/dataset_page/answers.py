"""Pairs as the page reads them, and errors as answers that say what to do."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from ...training.dataset.curation.catalogue import Catalogue, Entry
from ...training.dataset.curation.history import RemovedPair
from ...training.dataset.disk.rows import PairRow
from ...training.dataset.intake.rejections import Rejection
from ...training.errors import (
    DatasetError,
    DatasetNameError,
    ImageError,
    PairError,
    StalePairError,
    UnknownDatasetError,
    UnknownPairError,
    WriteError,
)
from ...training.judge.ranking import next_comparison, progress
from ..pages.errors import DISK, Kinds
from ..pages.requests import BadRequestError

ERRORS: Kinds = (
    (BadRequestError, 400, "bad_request"),
    (UnknownPairError, 404, "unknown_pair"),
    (StalePairError, 409, "stale"),
    (WriteError, 503, DISK),
    (DatasetNameError, 400, "name"),
    (PairError, 422, "refused"),
    (ImageError, 422, "picture"),
    (UnknownDatasetError, 404, "unknown_dataset"),
    (DatasetError, 422, "refused"),
    (OSError, 503, DISK),
)


def kept_item(catalogue: Catalogue, entry: Entry) -> dict[str, Any]:
    """A stored pair in a list."""
    return {
        "id": entry.id,
        "version": entry.digest,
        "instruction": entry.instruction,
        "split": entry.split,
        "weight": entry.weight,
        "tags": entry.tags,
        "created": entry.created,
        "images": entry.images,
        "masks": entry.masks,
        "edited": any("instruction" in edit.before for edit in catalogue.history.edits.get(entry.id, ())),
    }


def removed_item(pair: RemovedPair) -> dict[str, Any]:
    """A deleted pair in a list."""
    return {
        "id": pair.row.id,
        "key": pair.key,
        "instruction": pair.row.instruction,
        "split": pair.row.split,
        "weight": pair.row.weight,
        "tags": pair.row.tags,
        "created": pair.row.created,
        "images": len(pair.row.image_files),
        "masks": len(pair.row.mask_file_names),
        "deleted": pair.time,
    }


def rejected_item(rejection: Rejection, number: int) -> dict[str, Any]:
    """A rejected pair in a list.

    Args:
        number: of its line, from 0, by which its small picture is asked for.
    """
    return {
        "number": number,
        "name": rejection.name,
        "instruction": rejection.instruction,
        "reasons": [finding["message"] for finding in rejection.findings],
        "checks": [finding["check"] for finding in rejection.findings],
        "tags": rejection.tags,
        "created": rejection.created,
        "thumbnail": rejection.thumbnail is not None,
    }


def details(catalogue: Catalogue, row: PairRow, item: dict[str, Any]) -> dict[str, Any]:
    """All that the page shows of one pair at full size.

    Args:
        item: the same pair in a list.
    """
    return {
        **item,
        "prompt": row.prompt,
        "phrasings": row.phrasings,
        "seed": row.seed,
        "scores": row.scores,
        "rounds": row.history,
        "workflow": row.workflow,
        "teacher_seconds": row.teacher_seconds,
        "pictures": list(pictures(row)),
        "edits": [asdict(edit) for edit in catalogue.history.edits.get(row.id, ())],
    }


def comparison(catalogue: Catalogue) -> dict[str, Any]:
    """The two pairs of which the better one is to be chosen next, None when enough were; choices made and wanted."""
    made, wanted = progress(catalogue)
    two = next_comparison(catalogue)
    shown = None
    if two is not None:
        shown = [details(catalogue, catalogue.row(pair), kept_item(catalogue, catalogue.entry(pair))) for pair in two]
    return {"made": made, "wanted": wanted, "pairs": shown}


def pictures(row: PairRow) -> dict[str, str]:
    """File of each picture of a pair by the name under which the page asks for it: "target", "control_2", "mask"."""
    names = (row.target_file_name, *row.image_files, *row.mask_file_names)
    return {Path(name).parent.name: name for name in names}
