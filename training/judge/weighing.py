"""Weights and reports as a command and a node ask for them: with a page, and with a bad judge refused."""

from __future__ import annotations

from pathlib import Path

from ..dataset.store import Dataset
from ..errors import DatasetError
from .pages.preview import describe_report, write_report_page, write_weighing_page
from .pixels import JUDGE
from .ranking import FOLDER
from .report import JudgeReport, report_on
from .weights import Weighing, WeightSettings, apply, weigh


def weigh_dataset(
    dataset: Dataset, settings: WeightSettings, *, page: Path | None = None, force: bool = False, change: bool = True
) -> tuple[Weighing, Path, int]:
    """Forms weights, writes the page that shows what would be kept, and changes the rows.

    Args:
        dataset: whose rows are weighed.
        settings: how.
        page: of the preview; "judge/weights.html" in the dataset if left out.
        force: also by a judge that its own report advises against.
        change: False leaves the rows as they are.

    Returns:
        The weights, the page, and how many rows changed.

    Raises:
        DatasetError: nothing is scored, no pair would be left, or the judge is refused; the page is there all the same
            in the last case, and nothing was changed.
        OSError: the page cannot be written.
    """
    weighing = weigh(list(dataset.rows()), settings)
    page = write_weighing_page(dataset, weighing, page or dataset.folder / FOLDER / "weights.html")
    if not change:
        return weighing, page, 0
    if not force:
        _refuse_bad_judge(dataset, settings.judge)
    return weighing, page, apply(dataset, weighing)


def report_with_page(dataset: Dataset, judge: str, page: Path | None = None) -> tuple[JudgeReport, Path]:
    """The report on a judge and its page, "judge/NAME.html" in the dataset if left out.

    Raises:
        DatasetError: the rows cannot be read.
        OSError: the page cannot be written.
    """
    report = report_on(dataset, judge)
    name = "".join(letter if letter.isalnum() or letter in "-." else "-" for letter in judge)
    return report, write_report_page(dataset, report, page or dataset.folder / FOLDER / f"{name}.html")


def _refuse_bad_judge(dataset: Dataset, judge: str) -> None:
    if judge == JUDGE:
        return
    report = report_on(dataset, judge)
    if report.scored and not report.usable:
        raise DatasetError(f"{describe_report(report)} Take another judge, or force it if you know better (--force).")
