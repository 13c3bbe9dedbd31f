"""Tables of results."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

from .timing import Estimate

Cell = str | int | float | Estimate | None


@dataclass(frozen=True)
class Table:
    """Results of one benchmark.

    Attributes:
        title: what was measured.
        columns: headings, with units.
        rows: one value a column; numbers stay numbers until they are shown.
        notes: what a reader must know to judge the numbers.
    """

    title: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[Cell, ...]]
    notes: tuple[str, ...] = ()

    def markdown(self) -> str:
        """A heading, the table and the notes."""
        lines = [*_head(self.title, self.columns), *map(_row, self.rows), *_foot(self.notes)]
        return "\n".join(lines) + "\n"

    def as_dict(self) -> dict:
        """For JSON: rows as mappings; an estimate as {median, low, high}."""
        plain = [[asdict(cell) if isinstance(cell, Estimate) else cell for cell in row] for row in self.rows]
        rows = [dict(zip(self.columns, row, strict=True)) for row in plain]
        return {"title": self.title, "rows": rows, "notes": list(self.notes)}


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[Cell]], notes: Sequence[str] = ()) -> None:
    """Prints what takes long row by row, as it is measured: a run that is ended has shown what it found.

    Args:
        title: what is measured.
        columns: headings, with units.
        rows: measured as they are asked for.
        notes: what a reader must know to judge the numbers.
    """
    print("\n".join(_head(title, columns)), flush=True)
    for row in rows:
        print(_row(row), flush=True)
    for line in _foot(notes):
        print(line, flush=True)


def _head(title: str, columns: Sequence[str]) -> list[str]:
    return [f"## {title}", "", _line(columns), _line(["---"] * len(columns))]


def _row(cells: Sequence[Cell]) -> str:
    return _line([_show(cell) for cell in cells])


def _foot(notes: Sequence[str]) -> list[str]:
    return ["", *notes] if notes else []


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _show(cell: Cell) -> str:
    if cell is None:
        return "–"
    if isinstance(cell, float):
        return f"{cell:.3g}" if abs(cell) < 100 else f"{cell:,.0f}"
    if isinstance(cell, Estimate):
        digits = max(0, min(4, 3 - len(str(int(abs(cell.median)))) + (abs(cell.median) < 1) + (abs(cell.median) < 0.1)))
        return format(cell, f".{digits}f")
    return str(cell)
