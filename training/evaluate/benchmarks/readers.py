"""The benchmarks by name: how each is read, and how it is measured."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .emu import read_emu
from .folder import read_folder
from .icebench import read_icebench
from .magicbrush import read_magicbrush
from .omniedit import read_omniedit
from .sessions import SETTINGS, Session, Setting


@dataclass(frozen=True)
class Benchmark:
    """One benchmark.

    Attributes:
        name, title: for the command line, and for people.
        read: from its folder to sessions.
        profile: how it is measured; empty for one that a judge marks alone.
        settings: ways of running it.
        sizes: edits that count in the released test set, by setting, as far as that is known.
    """

    name: str
    title: str
    read: Callable[[Path], Iterator[Session]]
    profile: str
    settings: tuple[Setting, ...] = ("single",)
    sizes: Mapping[Setting, int] = field(default_factory=dict)


BENCHMARKS = {
    benchmark.name: benchmark
    for benchmark in (
        Benchmark(
            "magicbrush",
            "MagicBrush",
            read_magicbrush,
            "magicbrush",
            SETTINGS,
            {"single": 1053, "multi": 535, "history": 535},
        ),
        Benchmark("emu", "Emu Edit", read_emu, "emu", sizes={"single": 3589}),
        Benchmark("icebench", "ICE-Bench", read_icebench, "icebench", sizes={"single": 6538}),
        Benchmark("omniedit", "OmniEdit-Bench", read_omniedit, "", sizes={"single": 434}),
    )
}


def find_benchmark(name: str, folder: Path) -> tuple[Benchmark, Path]:
    """The benchmark of a name and its folder; any other name is itself the folder of a benchmark of one's own."""
    if name in BENCHMARKS:
        return BENCHMARKS[name], folder
    return Benchmark(Path(name).name, Path(name).name, read_folder, "magicbrush", SETTINGS), Path(name)
