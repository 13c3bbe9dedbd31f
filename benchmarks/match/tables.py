"""The command line of a benchmark that makes several tables."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping

from ..report import Table


def print_tables(description: str, tables: Mapping[str, Callable[[bool], Table]]) -> int:
    """Reads the command line, makes the tables that it wants and prints them; returns the exit code.

    Args:
        description: of the benchmark.
        tables: by name, what makes one; it is told whether few items are enough.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", choices=tuple(tables), help="one of the tables; repeatable")
    parser.add_argument("--quick", action="store_true", help="few items, to see that all is in order")
    parser.add_argument("--json", action="store_true", help="print JSON instead of Markdown")
    given = parser.parse_args()
    for name in given.only or tables:
        table = tables[name](given.quick)
        print(json.dumps(table.as_dict(), indent=2) if given.json else table.markdown(), flush=True)
    return 0
