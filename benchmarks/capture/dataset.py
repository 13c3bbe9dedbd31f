"""The pair store: pairs written a minute, what a pair costs as the dataset grows, memory, time of `dataset check`.

    python -m comfyui_ace.benchmarks.capture.dataset [--pairs 10000] [--folder FOLDER] [--json]

Every append is durable (the files, the folders and the row are synced), so the disk under FOLDER decides much of it;
the time of one bare sync of a small file there is printed for comparison.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from ...training.dataset.store import Dataset, Pair
from ...training.dataset.upkeep.verify import verify
from ..report import Table
from ..timing import Estimate

_SIDE = 64  # pixels of the small pictures
_SIZES = (64, 512, 1024)


def run(folder: Path, pairs: int) -> list[Table]:
    """All measurements, in a new folder below ``folder``.

    Args:
        folder: on the disk to measure.
        pairs: size of the growing dataset.
    """
    with tempfile.TemporaryDirectory(dir=folder) as place:
        base = Path(place)
        return [_sizes(base, min(pairs, 20)), _growth(base, pairs)]


def _picture(seed: int, side: int) -> np.ndarray:
    """(side, side, 3) uint8 with structure at all scales, which compresses like a photograph and not like noise."""
    random = np.random.default_rng(seed)
    layers = np.zeros((side, side, 3), dtype=np.float32)
    cells = 2
    while cells <= side:
        noise = random.standard_normal((cells, cells, 3)).astype(np.float32)
        planes = [Image.fromarray(noise[:, :, c]).resize((side, side), Image.Resampling.BICUBIC) for c in range(3)]
        layers += np.stack([np.asarray(plane) for plane in planes], axis=2) / cells
        cells *= 2
    return np.clip(128 + 80 * layers, 0, 255).astype(np.uint8)


def _pair(source: np.ndarray, seed: int) -> Pair:
    return Pair(source=source, target=255 - source, instruction="{image} as a negative", seed=seed)


def _timed_append(dataset: Dataset, pair: Pair) -> float:
    start = time.perf_counter()
    status = dataset.append(pair).status
    seconds = time.perf_counter() - start
    if status != "stored":
        raise RuntimeError(f"a pair of the benchmark was not stored but is {status}")
    return seconds


def _sizes(base: Path, count: int) -> Table:
    """One pair by the size of its two pictures; the pictures are made outside of the clock."""
    rows = []
    for side in _SIZES:
        dataset = Dataset.create(base, f"size {side}")
        made = [_pair(_picture(seed, side), seed) for seed in range(2 * count)]
        alone = [_timed_append(dataset, pair) for pair in made[:count]]
        start = time.perf_counter()
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(dataset.append, made[count:]))
        together = (time.perf_counter() - start) / count
        sync = Estimate.of([_sync_time(base) for _ in range(20)])
        rows.append((f"{side} px", Estimate.of(alone), 60 / float(np.mean(alone)), 60 / together, sync))
    columns = ("pictures", "one append, s", "pairs a minute", "pairs a minute, 4 threads", "bare sync of a file, s")
    return Table("Writing pairs (source and result, all checks on)", columns, rows)


def _sync_time(base: Path) -> float:
    path = base / "sync"
    start = time.perf_counter()
    with open(path, "wb") as file:
        file.write(b"x" * 4096)
        file.flush()
        os.fsync(file.fileno())
    return time.perf_counter() - start


def _growth(base: Path, pairs: int) -> Table:
    """A growing dataset of small pairs: cost of a pair, memory of the writer; then opening and checking it."""
    dataset = Dataset.create(base, "growth")
    rows = []
    step = max(pairs // 10, 1)
    for first in range(0, pairs, step):
        seconds = [
            _timed_append(dataset, _pair(_picture(seed, _SIDE), seed))
            for seed in range(first, min(first + step, pairs))
        ]
        rows.append((f"pairs {first} to {first + len(seconds)}", Estimate.of(seconds), _resident()))
    start = time.perf_counter()
    count = len(Dataset(dataset.folder))
    rows.append((f"open and count {count}", time.perf_counter() - start, _resident()))
    start = time.perf_counter()
    result = verify(dataset.folder)
    rows.append(
        (f"dataset check of {result.pairs}, {len(result.faults)} faults", time.perf_counter() - start, _resident())
    )
    columns = ("what", "seconds", "resident memory, MB")
    return Table(f"A dataset that grows ({_SIDE} px, one writer)", columns, rows)


def _resident() -> float | None:
    """Resident memory of this process in MB."""
    try:
        import psutil
    except ImportError:
        return None
    return psutil.Process().memory_info().rss / 1e6


def main() -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=10_000, help="size of the growing dataset (10000)")
    parser.add_argument("--folder", type=Path, help="where to write (default: the system's temporary folder)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of Markdown")
    given = parser.parse_args()
    tables = run(given.folder or Path(tempfile.gettempdir()), given.pairs)
    if given.json:
        print(json.dumps([table.as_dict() for table in tables], indent=2))
    else:
        print("\n".join(table.markdown() for table in tables))
    return 0


if __name__ == "__main__":
    sys.exit(main())
