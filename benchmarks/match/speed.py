"""What matching costs: beside plain faiss calls, per picture, and with Ray.

    OMP_NUM_THREADS=1 python -m comfyui_ace.benchmarks.match.speed [--only search|pictures|ray ...] [--count N] [--json]

Each job has a process of its own, whose CPU time and largest resident memory are told. Ray's workers are processes
beside it: of them the wall time counts, which other programs on the machine make longer.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ...training.match.engines.base import Engine
from ...training.match.engines.local import LocalEngine
from ...training.match.link.components import components
from ...training.match.link.relation import Window
from ...training.match.run import find_sets
from ...training.match.settings import MatchSettings
from ..memory import peak_bytes
from ..report import Table
from .synthetic import planted, random_keys, search_features

_WINDOW, _DIMENSION = Window(0.75), 896  # as many numbers as the layout descriptor has
_RAY_DIMENSION, _RAY_SHARDS = 64, 20


def search_here(count: int, folder: Path) -> dict[str, float]:
    """Our search over features: pairs, groups, sets, every pair of a set tested."""
    features, _ = planted(count // 5, 5, _DIMENSION, 0.4)
    found = search_features(features, random_keys(count), folder, LocalEngine(workers=1), window=_WINDOW)
    return {"pairs": found.counts["linked pairs"], "sets": found.counts["sets"]}


def search_faiss(count: int, folder: Path) -> dict[str, float]:
    """The same by faiss: a flat index, a range search of all, groups of what it finds."""
    import faiss

    features = planted(count // 5, 5, _DIMENSION, 0.4)[0].astype(np.float32)
    index = faiss.IndexFlatIP(_DIMENSION)
    index.add(features)
    limits, _, others = index.range_search(features, _WINDOW.low)
    ones = np.repeat(np.arange(count), np.diff(limits.astype(np.int64)))
    apart = ones < others
    _, labels = components(np.stack([ones[apart], others[apart]], axis=1))
    return {"pairs": int(apart.sum()), "sets": len(np.unique(labels))}


def clusters_here(count: int, folder: Path) -> dict[str, float]:
    """Our search by clusters, each picture in four."""
    features, _ = planted(count // 5, 5, _DIMENSION, 0.4)
    found = search_features(
        features,
        random_keys(count),
        folder,
        LocalEngine(workers=1),
        window=_WINDOW,
        exact_up_to=0,
        clusters=_clusters(count),
    )
    return {"pairs": found.counts["linked pairs"], "sets": found.counts["sets"]}


def clusters_faiss(count: int, folder: Path) -> dict[str, float]:
    """The same by faiss: k-means, the four nearest centroids, and products within each cluster; pairs met twice are one."""
    import faiss

    features = planted(count // 5, 5, _DIMENSION, 0.4)[0].astype(np.float32)
    kmeans = faiss.Kmeans(_DIMENSION, _clusters(count), niter=20, spherical=True, max_points_per_centroid=256)
    kmeans.train(features)
    _, nearest = kmeans.index.search(features, 4)
    packed = []
    for cluster in range(_clusters(count)):
        rows = np.flatnonzero((nearest == cluster).any(axis=1))
        one, other = np.triu(features[rows] @ features[rows].T > _WINDOW.low, 1).nonzero()
        packed.append(rows[one] * count + rows[other])
    pairs = np.unique(np.concatenate(packed))
    _, labels = components(np.stack([pairs // count, pairs % count], axis=1))
    return {"pairs": len(pairs), "sets": len(np.unique(labels))}


def _clusters(count: int) -> int:
    return max(8, count // 100)


def read_pictures(count: int, folder: Path) -> dict[str, float]:
    """A folder of JPEG files, from reading to sets; the files are made beforehand, by `make_pictures`."""
    steps: dict[str, float] = {}
    last = [time.process_time(), ""]

    def tell(step: str, done: int, total: int) -> None:
        now = time.process_time()
        if last[1]:
            steps[last[1]] = steps.get(last[1], 0.0) + now - last[0]
        last[:] = now, step

    found = find_sets(MatchSettings((str(folder / "pictures"),), str(folder / "run")), LocalEngine(workers=1), tell)
    tell("", 0, 0)
    return {"pairs": found.counts["linked pairs"], "sets": found.counts.get("sets", 0), "steps": steps}


def make_pictures(count: int, folder: Path) -> dict[str, float]:
    """JPEG files of 256 px: parts of photographs, each followed by four of other colour and light."""
    from PIL import Image, ImageEnhance

    from ...training.tiny.world.pictures import Pictures

    (folder / "pictures").mkdir(parents=True)
    source = Pictures("train", size=(256, 256), seed=1, photographs=1.0)
    for number in range(count):
        if number % 5 == 0:
            first = picture = Image.fromarray((source[number // 5].numpy() * 255).astype(np.uint8))
        else:
            picture = ImageEnhance.Color(first).enhance(0.3 * (number % 5))
            picture = ImageEnhance.Brightness(picture).enhance(1.3 - 0.15 * (number % 5))
        picture.save(folder / "pictures" / f"{number:06d}.jpg", quality=90)
    return {"pairs": 0, "sets": 0}


def ray_steps(count: int, folder: Path) -> dict[str, float]:
    """All steps over features in shards, with Ray on this machine and with the local engine: the same sets and pairs."""
    from ...training.match.engines.ray_data import RayEngine

    features, _ = planted(count // 10, 10, _RAY_DIMENSION, 0.4)
    keys = random_keys(count)
    told: dict[str, float] = {}
    contents = []
    for engine in (RayEngine(memory=1 << 30), LocalEngine(workers=1)):
        steps, found = _timed_search(features, keys, folder / engine.name, engine)
        contents.append(_contents(found))
        told |= {f"{engine.name}: {step}": seconds for step, seconds in steps.items()}
        engine.close()
    same = contents[0] == contents[1]
    return {"pairs": found.counts["linked pairs"], "sets": found.counts["sets"], "same": same, "steps": told}


def _timed_search(features: np.ndarray, keys: np.ndarray, folder: Path, engine: Engine):
    """Wall seconds of every step, and what was found; label propagation in rounds, as for more links than memory holds."""
    steps: dict[str, float] = {}
    last = [time.perf_counter(), "preparing"]

    def tell(step: str, done: int, total: int) -> None:
        now = time.perf_counter()
        steps[last[1]] = steps.get(last[1], 0.0) + now - last[0]
        last[:] = now, step.split(",")[0]

    sizes = [len(keys) // _RAY_SHARDS] * (_RAY_SHARDS - 1)
    changes = {"window": _WINDOW, "exact_up_to": 0, "near_copies": True, "most_in_memory": 0}
    found = search_features(features, keys, folder, engine, sizes, tell, **changes)
    tell("", 0, 0)
    return steps, found


def _contents(found) -> tuple[list, list]:
    """All members and all pairs with their scores, in one order, whatever the buckets."""
    sets = [found.sets.read(name) for name in found.sets.names()]
    pairs = [found.pairs.read(name) for name in found.pairs.names()]
    members = np.concatenate([np.stack([p["set"], p["key"], p["place"].astype(np.int64)], axis=1) for p in sets])
    tested = [zip(p["one"].tolist(), p["other"].tolist(), p["scores"][:, 0].tolist(), strict=True) for p in pairs]
    return sorted(map(tuple, members.tolist())), sorted(pair for part in tested for pair in part)


JOBS: dict[str, Callable[[int, Path], dict[str, float]]] = {
    "search_here": search_here,
    "search_faiss": search_faiss,
    "clusters_here": clusters_here,
    "clusters_faiss": clusters_faiss,
    "make_pictures": make_pictures,
    "read_pictures": read_pictures,
    "ray_steps": ray_steps,
}


def _run_job(name: str, count: int, folder: Path) -> dict[str, float]:
    """A job in its own process."""
    module = [sys.executable, "-m", "comfyui_ace.benchmarks.match.speed", "--job", name]
    told = subprocess.run(
        [*module, "--count", str(count), "--folder", str(folder)], stdout=subprocess.PIPE, encoding="utf-8", check=True
    )
    return json.loads(told.stdout.splitlines()[-1])


def searching(count: int) -> Table:
    """Against plain faiss calls, in turns."""
    rows = []
    for kind in ("search", "clusters"):
        results: dict[str, list[dict]] = {"here": [], "faiss": []}
        for _ in range(2):
            for name, listed in results.items():
                with tempfile.TemporaryDirectory() as folder:
                    listed.append(_run_job(f"{kind}_{name}", count, Path(folder)))
        least = {name: min(listed, key=lambda one: one["cpu"]) for name, listed in results.items()}
        for name, one in least.items():
            rows.append(
                (
                    f"{'all with all' if kind == 'search' else f'{_clusters(count)} clusters'}, "
                    f"{'ours' if name == 'here' else 'plain faiss'}",
                    one["cpu"],
                    one["cpu"] / least["faiss"]["cpu"],
                    one["peak"] / 1e9,
                    one["peak"] / least["faiss"]["peak"],
                    one["pairs"],
                    one["sets"],
                )
            )
    columns = ("search", "CPU s", "/ faiss", "peak memory, GB", "/ faiss", "pairs", "sets")
    note = (
        f"{count:,} features of {_DIMENSION} numbers; the lower CPU time of two. Ours reads them from float16 tables, "
        "tests every pair of a set and writes all down; faiss holds float32 in memory and stops at linked groups. "
        "Making the features counts in both."
    )
    return Table("Searching, against plain faiss calls", columns, rows, (note,))


def reading(count: int) -> Table:
    """A folder of pictures, from files to sets."""
    with tempfile.TemporaryDirectory() as folder:
        _run_job("make_pictures", count, Path(folder))
        told = _run_job("read_pictures", count, Path(folder))
    rows = [(step, seconds, 1000 * seconds / count) for step, seconds in told["steps"].items() if seconds > 0.005]
    rows.append(("all", told["cpu"], 1000 * told["cpu"] / count))
    note = (
        f"{count:,} JPEG files of 256 px, layout descriptor; peak memory {told['peak'] / 1e9:.2f} GB, PyTorch included."
    )
    return Table("A folder of pictures", ("step", "CPU s", "CPU ms a picture"), rows, (note,))


def scaling(count: int) -> Table:
    """Every step with Ray, and with the local engine."""
    with tempfile.TemporaryDirectory() as folder:
        told = _run_job("ray_steps", count, Path(folder))
    names = dict.fromkeys(name.split(": ")[1] for name in told["steps"])
    rows = [(step, told["steps"].get(f"ray: {step}"), told["steps"].get(f"local: {step}")) for step in names]
    note = (
        f"{count:,} features of {_RAY_DIMENSION} numbers in {_RAY_SHARDS} shards, {told['pairs']:,} pairs, "
        f"{told['sets']:,} sets; the same sets, pairs and scores with both: {'yes' if told['same'] else 'NO'}. "
        "Wall time on a machine in use; Ray on two cores, whose start and messages between processes are most of it."
    )
    return Table("All steps with Ray", ("step", "Ray, s", "local, s"), rows, (note,))


def main() -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    tables = {"search": (searching, 20_000), "pictures": (reading, 20_000), "ray": (scaling, 200_000)}
    parser.add_argument("--only", action="append", choices=tuple(tables), help="one of the tables; repeatable")
    parser.add_argument("--count", type=int, help="pictures (20000; 200000 with Ray)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of Markdown")
    parser.add_argument("--job", choices=tuple(JOBS), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.job:
        start = time.process_time()
        told = JOBS[given.job](given.count, given.folder)
        print(json.dumps({**told, "cpu": time.process_time() - start, "peak": peak_bytes() or 0}))
        return 0
    for name in given.only or tables:
        run, count = tables[name]
        table = run(given.count or count)
        print(json.dumps(table.as_dict(), indent=2) if given.json else table.markdown(), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
