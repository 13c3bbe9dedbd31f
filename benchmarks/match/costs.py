"""What each step costs an item, for the sizing of large runs on paper.

OMP_NUM_THREADS=1 python -m comfyui_ace.benchmarks.match.costs [--only pictures|products ...] [--quick] [--json]

CPU time of one process and, with OMP_NUM_THREADS=1, one thread.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from ...training.dataset.store import Dataset
from ...training.encoders import Preparation
from ...training.match.cluster.assign import assign
from ...training.match.cluster.centroids import fit_centroids
from ...training.match.descriptors.layout import LayoutDescriptor
from ...training.match.disk.columns import Tables
from ...training.match.disk.places import Place
from ...training.match.embed.records import content_key, read_record
from ...training.match.emit.examples import EmitSettings
from ...training.match.emit.writing import Writer, WriteSettings
from ...training.match.link.links import links_within
from ...training.match.link.relation import Vectors, Window
from ...training.tiny.world.photographs import SOURCES, whole
from ..report import Table
from ..timing import Estimate, ratio, time_interleaved
from .synthetic import embedded_columns, planted, random_keys
from .tables import print_tables

_DIMENSION = 768  # of SigLIP base
_PICTURE = 1152, 864  # about one megapixel
_CPU = torch.device("cpu")


def reading(quick: bool) -> Table:
    """A picture of a megapixel, from its file to what a descriptor needs, and into a dataset."""
    with tempfile.TemporaryDirectory() as folder:
        paths = _photographs(Path(folder), 4 if quick else 24)
        layout, square = LayoutDescriptor(), Preparation(256)
        work = {
            "read for the layout descriptor": _reading(paths, layout.prepare, layout.side),
            f"read for an encoder of {square.side} px": _reading(paths, square, square.side),
        }
        times = time_interleaved(work, _CPU)
        rows = [(name, Estimate.of([1000 * one / len(paths) for one in listed])) for name, listed in times.items()]
        rows.append(("write a pair into a dataset", _writing(paths, Path(folder))))
        size = np.mean([path.stat().st_size for path in paths]) / 1e3
        pair = sum(p.stat().st_size for p in Path(folder, "pairs").rglob("*.png")) / max(len(paths) // 2, 1) / 1e6
    notes = (
        f"{len(paths)} JPEG files of {_PICTURE[0]} x {_PICTURE[1]} px, {size:.0f} kB each; a pair is two such as PNG, "
        f"{pair:.1f} MB. Hash, looks and checks are in it.",
    )
    return Table("What a picture costs", ("step", "CPU ms an item"), rows, notes)


def comparing(quick: bool) -> Table:
    """Matrix products of the search, and the bytes of its tables."""
    count = 4_000 if quick else 8_000
    features, _ = planted(count // 5, 5, _DIMENSION, 0.4)
    keys = random_keys(count)
    centroids = fit_centroids(features, keys, count // 40)
    vectors = Vectors(features)
    left = np.random.default_rng(0).standard_normal((2048, _DIMENSION)).astype(np.float32)
    operations = {
        "a plain matrix product of 2,048 rows": 2048**2,
        "all pairs of a neighbourhood": count * (count + 1) / 2,
        f"assigning to {len(centroids)} clusters": count * len(centroids),
    }
    functions = (
        lambda: left @ left.T,
        lambda: links_within(vectors, Window(0.75)),
        lambda: assign(vectors, centroids, 4),
    )
    times = time_interleaved(dict(zip(operations, functions, strict=True)), _CPU, rounds=3)
    rates = {name: [2 * _DIMENSION * operations[name] / 1e9 / one for one in listed] for name, listed in times.items()}
    plain = next(iter(rates.values()))
    rows = [(name, Estimate.of(rate), ratio(rate, plain)) for name, rate in rates.items()]
    with tempfile.TemporaryDirectory() as folder:
        sizes = {}
        for parquet in (False, True):
            tables = Tables(Place.of(Path(folder)), parquet)
            tables.write("t", embedded_columns(features[:2000], keys[:2000]))
            sizes[tables.suffix] = Path(folder, f"t{tables.suffix}").stat().st_size / 2000
    stored = ", ".join(f"{size:,.0f} bytes in {suffix}" for suffix, size in sizes.items())
    notes = (f"{count:,} features of {_DIMENSION} numbers. An embedded picture takes {stored}.",)
    return Table("What comparing costs", ("step", "GFLOP/s", "/ plain product"), rows, notes)


def _photographs(folder: Path, count: int) -> list[Path]:
    found = []
    names = [source.name for source in SOURCES if min(whole(source.name).size) >= 256]
    rng = np.random.default_rng(0)
    for number in range(count):
        picture = whole(names[number % len(names)])
        side = int(min(picture.size) * rng.uniform(0.6, 1.0))
        part = picture.crop((0, 0, side, side)).resize(_PICTURE, Image.Resampling.LANCZOS)
        grain = rng.normal(0, 3, (_PICTURE[1], _PICTURE[0], 3))  # enlarged pictures are smoother than cameras' are
        pixels = np.clip(np.asarray(part) + grain, 0, 255).astype(np.uint8)
        found.append(folder / f"{number:03d}.jpg")
        Image.fromarray(pixels).save(found[-1], quality=85)
    return found


def _reading(paths: list[Path], prepare: Callable, side: int) -> Callable[[], None]:
    def work() -> None:
        for path in paths:
            record = read_record(str(path), prepare, side)
            if record.reason:
                raise RuntimeError(f"{path}: {record.reason}")

    return work


def _writing(paths: list[Path], folder: Path) -> Estimate:
    """Sets of two; every pair is read whole, brought to one shape, checked and stored."""
    dataset = Dataset.open_or_create(folder, "pairs")
    writer = Writer(dataset, EmitSettings(), WriteSettings())
    times = []
    for number, (one, other) in enumerate(zip(paths[::2], paths[1::2], strict=True)):
        keys = sorted((content_key(path.read_bytes()), str(path)) for path in (one, other))
        started = time.process_time()
        writer.write_set(number, dict(keys), [(keys[0][0], keys[1][0], (0.8,))])
        times.append(1000 * (time.process_time() - started))
    if writer.written.stored != len(times):
        raise RuntimeError(f"pairs were left out: {writer.written}")
    return Estimate.of(times)


if __name__ == "__main__":
    sys.exit(print_tables(__doc__, {"pictures": reading, "products": comparing}))
