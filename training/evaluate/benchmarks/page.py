"""A benchmark's table as a page: one's own numbers beside the papers'."""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape
from pathlib import Path

from ....ace.files import atomic_write
from ...listing import listed
from ...pages import facts_table, html_page
from ..metrics.similarity import Mean
from ..profiles.icebench import DIMENSIONS
from .published import published
from .readers import Benchmark
from .scoring import Table

_STYLE = """
.numbers td, .numbers th { padding-right: 1.4rem; } .numbers td { text-align: right; font-variant-numeric: tabular-nums; }
.own td, .own th { font-weight: 600; border-top: 1px solid var(--line); }
"""
_TITLES = {
    "single": "Single turn: each edit on its own",
    "multi": "Several turns: each edit on the model's own last result, the last one counts",
    "history": "Several turns with history: the same, and the model sees all earlier rounds",
}
_NAMED = 10  # turns that are named in a sentence
_MARKS = {"pq": "PQ", "sc": "SC", "o": "O"}
_TOOLS = {
    "clip": "CLIP",
    "clip_words": "CLIP that reads words (a folder of the whole model)",
    "dino": "DINO",
    "ocr": "OCR",
    "faces": "encoder of faces",
    "language_model": "judge",
}
_DIMENSIONS = dict(zip(DIMENSIONS, ("prompt following", "source consistency"), strict=True))


def write_benchmark(benchmark: Benchmark, model: str, tables: Sequence[Table], folder: Path) -> Path:
    """Writes ``benchmark.json`` and ``index.html``. Raises OSError."""
    content = {"benchmark": benchmark.name, "model": model, "tables": [table.as_dict() for table in tables]}
    with atomic_write(folder / "benchmark.json") as temporary:
        temporary.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8", newline="\n")
    parts = [part for table in tables for part in _table(benchmark, model, table)]
    path = folder / "index.html"
    with atomic_write(path) as temporary:
        temporary.write_text(
            html_page(f"{model} on {benchmark.title}", *parts, style=_STYLE), encoding="utf-8", newline="\n"
        )
    return path


def describe_table(table: Table) -> str:
    """The numbers in a line."""
    numbers = [f"{label} {_number(table.means[key])}" for key, label in _columns(table).items()]
    return (
        f"{table.setting}: {', '.join(numbers) or 'nothing could be measured'} ({table.measured} of {table.expected})"
    )


def _columns(table: Table) -> dict[str, str]:
    """Label by key, of everything there is a mean of."""
    labels = {} if table.profile is None else {metric.key: metric.label for metric in table.profile.metrics}
    labels |= _DIMENSIONS | _MARKS
    return {key: label for key, label in labels.items() if key in table.means}


def _table(benchmark: Benchmark, model: str, table: Table) -> list[str]:
    columns = _columns(table)
    up = {} if table.profile is None else {one.key: one.higher_is_better for one in table.profile.metrics}
    head = "".join(f"<th>{escape(label)} {'↑' if up.get(key, True) else '↓'}</th>" for key, label in columns.items())
    rows = [
        f"<tr><th>{escape(name)}</th>"
        + "".join(f"<td>{'–' if key not in numbers else _form(key, numbers[key])}</td>" for key in columns)
        + "</tr>"
        for name, numbers in _comparable(benchmark, table).items()
    ]
    own = "".join(f"<td>{_number(table.means[key], key)}</td>" for key in columns)
    rows.append(f'<tr class="own"><th>{escape(model)}</th>{own}</tr>')
    return [
        f"<h2>{escape(_TITLES[table.setting])}</h2>",
        f'<table class="numbers"><tr><th></th>{head}</tr>{"".join(rows)}</table>',
        *_warnings(table, benchmark),
        facts_table(_facts(table)),
        *_tasks(table, columns),
    ]


def _comparable(benchmark: Benchmark, table: Table) -> dict[str, dict[str, float]]:
    """The papers' rows. Measured in another way than theirs, only a judge's marks still mean the same."""
    rows = published(benchmark.name, table.setting)
    if table.profile is not None and table.profile.name != benchmark.profile:
        rows = {name: {key: numbers[key] for key in _MARKS if key in numbers} for name, numbers in rows.items()}
    return {name: numbers for name, numbers in rows.items() if any(key in table.means for key in numbers)}


def _warnings(table: Table, benchmark: Benchmark) -> list[str]:
    lines = []
    if table.measured < table.expected:
        lines.append(
            f"Measured on {table.measured} of {table.expected} results: not comparable with the papers until all are there."
        )
        lines.append(f"Without a result: {listed(table.missing, _NAMED)}.")
    released = benchmark.sizes.get(table.setting)
    if released not in (None, table.expected):
        lines.append(
            f"The released test set has {released} edits that count, this data {table.expected}: not comparable with the "
            "papers."
        )
    if _comparable(benchmark, table):
        lines.append(
            "The papers' rows are their own measurements. They compare only if the encoders below are the ones named, "
            "and the data is the released test set."
        )
    skipped = {
        f"{reason} ({key})": count for key, mean in table.means.items() for reason, count in mean.skipped.items()
    }
    lines += [f"Left out of the mean: {count} × {reason}." for reason, count in skipped.items()]
    return [f'<p class="facts">{escape(line)}</p>' for line in lines]


def _facts(table: Table) -> dict[str, str]:
    facts = dict(table.tools)
    if table.profile is not None:
        facts |= {
            "measured as by": table.profile.title,
            "encoders of the profile": table.profile.encoders,
            "preprocessing": table.profile.preprocessing,
            "compared with": table.profile.reference,
            "averaged": table.profile.aggregation,
        }
    facts |= {
        f"{key} left out": f"no {' and no '.join(_TOOLS[need] for need in needs)} was given"
        for key, needs in table.left_out.items()
    }
    return facts


def _tasks(table: Table, columns: dict[str, str]) -> list[str]:
    if not table.by_task:
        return []
    head = "".join(f"<th>{escape(label)}</th>" for label in columns.values())
    rows = "".join(
        f"<tr><th>{escape(task) or '(no task)'}</th>"
        + "".join(f"<td>{_number(means[key], key) if key in means else '–'}</td>" for key in columns)
        + "</tr>"
        for task, means in table.by_task.items()
    )
    return [
        f'<details><summary>By task</summary><table class="numbers"><tr><th></th>{head}</tr>{rows}</table></details>'
    ]


def _number(mean: Mean, key: str = "") -> str:
    return "–" if mean.value is None else _form(key, mean.value)


def _form(key: str, value: float) -> str:
    return f"{value:.2f}" if key in _MARKS else f"{value:.4f}"
