"""What a page shows of a run, and opens: its curve, the replacement workflow, the report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ...ace.files import atomic_write
from . import files as training_files
from .curve import read_curve

KINDS = ("train", "distil")
_RESULT = "result.json"
_REPORT = "report"
_REPORT_PAGE = "index.html"
# What evaluation writes there. Anything else has come by another way, and is not handed out.
_REPORT_TYPES = {".html": "text/html", ".json": "application/json", ".png": "image/png", ".jpg": "image/jpeg"}


class RunNotFoundError(LookupError):
    """There is no such run, or it has no such file."""


def save_result(folder: Path, *, workflow: Path | None, verdict: str) -> None:
    """Notes in the run's folder what came out of it.

    Args:
        folder: of the run.
        workflow: the replacement among the user's workflows, if there is one.
        verdict: in one sentence.

    Raises:
        OSError: it cannot be written.
    """
    result = {"workflow": workflow and workflow.name, "verdict": verdict}
    with atomic_write(folder / _RESULT) as temporary:
        temporary.write_text(json.dumps(result, ensure_ascii=False), encoding="utf-8", newline="\n")


def read_run(kind: str, name: str) -> dict[str, Any]:
    """What a page shows of a run.

    Args:
        kind: "train" or "distil".
        name: of the run, from a page.

    Returns:
        "curve" as :meth:`LossCurve.as_json`; "workflow", name of a file among the user's workflows, or None; "report",
        whether there is one; "verdict".

    Raises:
        RunNotFoundError: there is none.
    """
    from ...training.trainer.reporting import METRICS

    folder = _run_folder(kind, name)
    result = _read_result(folder)
    workflow = result.get("workflow")
    known = isinstance(workflow, str) and training_files.is_workflow(workflow)
    return {
        "curve": read_curve(folder / METRICS).as_json(),
        "workflow": workflow if known else None,
        "report": (folder / _REPORT / _REPORT_PAGE).is_file(),
        "verdict": str(result.get("verdict", "")),
    }


def report_file(kind: str, name: str, file: str) -> tuple[Path, str]:
    """A file of a run's report, and its content type.

    Args:
        kind: "train" or "distil".
        name: of the run, from a page.
        file: name of the file, from a page; "" is the report's page.

    Raises:
        RunNotFoundError: there is none below the report's folder, be it that the name leads elsewhere.
    """
    folder = _run_folder(kind, name) / _REPORT
    path = folder / (file or _REPORT_PAGE)
    content_type = _REPORT_TYPES.get(path.suffix.lower())
    # Links are followed first: what a name leads to counts, not how it is written.
    inside = path.resolve().is_relative_to(folder.resolve()) and folder.resolve().parent == folder.parent.resolve()
    if content_type is None or not inside or "\\" in file or not path.is_file():
        raise RunNotFoundError(f"the report of {name!r:.80} has no file {file!r:.80}")
    return path, content_type


def _run_folder(kind: str, name: str) -> Path:
    """The folder of a run that is there.

    Raises:
        RunNotFoundError: it is not, or the name is none that a run can have.
    """
    missing = RunNotFoundError(f"there is no run {name!r:.80}; it is made by the node of that name")
    if kind not in KINDS:
        raise missing
    try:
        folder = training_files.run_folder(kind, training_files.check_name(name))
    except ValueError:
        raise missing from None
    if folder.is_symlink() or not folder.is_dir():
        raise missing
    return folder


def _read_result(folder: Path) -> dict[str, Any]:
    try:
        result = json.loads((folder / _RESULT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return result if isinstance(result, dict) else {}
