"""What labelling a large dataset costs beside the model that is asked: time, memory, and going on where it was stopped.

    .venv/bin/python -m comfyui_ace.benchmarks.training.labelling [--pairs N] [FOLDER]

The model is the scripted one of the tests, which looks at drawn scenes and answers at once; a real one takes seconds for each
pair, so that what is measured here must be small beside that.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from ...training.dataset.store import Dataset
from ...training.label.applying import apply_labels, plan, undo
from ...training.label.journal import LabelJournal
from ...training.label.labeller import Labeller
from ...training.label.labelling import label_dataset
from ...training.label.settings import LabelSettings
from ..memory import peak_bytes
from ..report import Table
from .distillation import CHECKS

_TESTS = Path(__file__).resolve().parents[2] / "tests"
sys.path[:0] = [str(_TESTS), str(_TESTS / "made")]

from label_models import COLOURS, PLACES, Looking, scene_pair  # noqa: E402


def fill(folder: Path, count: int) -> Dataset:
    """Squares that take another colour, 96 px."""
    dataset = Dataset.create(folder, "scenes", checks=CHECKS)
    colours = list(COLOURS)
    for number in range(count):
        before, after = colours[number % 4], colours[(number + 1 + number // 4 % 3) % 4]
        dataset.append(scene_pair(number, before, after, PLACES[number % len(PLACES)]))
    return dataset


def run(folder: Path, count: int) -> Table:
    """The table."""
    settings = LabelSettings()
    dataset = fill(folder, count)
    journal = LabelJournal(dataset.folder)
    rows = []

    def measure(what: str, work: Callable[[], object], number: int = count) -> object:
        start = time.perf_counter()
        done = work()
        seconds = time.perf_counter() - start
        rows.append((what, seconds, 1000 * seconds / number, peak_bytes() / 1e6))
        return done

    half = iter(range(count // 2))
    first = measure(
        "label, stopped at half",
        lambda: label_dataset(
            dataset, Labeller(Looking(), settings), settings, should_stop=lambda: next(half, None) is None
        ),
        count // 2,
    )
    second = measure(
        "go on", lambda: label_dataset(dataset, Labeller(Looking(), settings), settings), count - count // 2
    )
    assert first.proposed + second.proposed == count, (first, second)
    again = measure("once more: all is known", lambda: label_dataset(dataset, Labeller(Looking(), settings), settings))
    assert again.known == count, again
    measure("open the journal", lambda: LabelJournal(dataset.folder))
    journal.refresh()
    planned = measure("what would be written", lambda: plan(dataset, journal))
    written = measure("write it into the rows", lambda: apply_labels(dataset, journal, planned))
    assert written.changed == count, written
    assert measure("undo it", lambda: undo(dataset, journal)).changed == count
    size = (dataset.folder / "label" / "labels.jsonl").stat().st_size
    rows.append(("size of the journal, MB", size / 1e6, None, None))
    return Table(f"Labelling {count} pairs beside the model", ("what", "s", "ms a pair", "peak memory, MB"), rows)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", help="where to write (default: a temporary one)")
    parser.add_argument("--pairs", type=int, default=10_000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        print(run(Path(folder), given.pairs).markdown())


if __name__ == "__main__":
    main()
