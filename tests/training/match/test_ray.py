"""Ray on this machine finds the same as the local engine, whatever the shards.

It goes on where it was stopped, and works on addresses as fsspec opens them.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

import numpy as np
import pytest
from comfyui_ace.benchmarks.match.synthetic import planted, random_keys, search_features
from comfyui_ace.training.dataset.store import Dataset
from comfyui_ace.training.match.engines.local import LocalEngine
from comfyui_ace.training.match.errors import MatchError
from comfyui_ace.training.match.link.relation import Window
from comfyui_ace.training.match.run import emit, find_sets, report
from comfyui_ace.training.match.steps import linking
from comfyui_ace.training.match.steps.emitting import Choices, DatasetPlace
from picture_collections import contents, settings, silent, write_groups

ray = pytest.importorskip("ray", reason="needs ray[data]")
pytest.importorskip("faiss", reason="needs faiss-cpu")
pytest.importorskip("pyarrow", reason="needs pyarrow")
pytestmark = pytest.mark.timeout(1800)  # processes of Ray start slowly on a busy machine

FEATURES, _ = planted(60, 6, 24, 0.5, seed=40)
KEYS = random_keys(len(FEATURES), 40)
CLUSTERED = {"window": Window(0.7), "exact_up_to": 0, "clusters": 12, "memberships": 3, "near_copies": True}


@pytest.fixture(scope="module")
def engine():
    from comfyui_ace.training.match.engines.ray_data import RayEngine

    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers cannot import this file
    started = RayEngine(memory=256 << 20)
    yield started
    started.close()


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    folder = tmp_path_factory.mktemp("local")
    return search_features(FEATURES, KEYS, folder, LocalEngine(workers=1), [120, 90], **CLUSTERED)


@pytest.fixture
def small_buckets(monkeypatch):
    monkeypatch.setattr(linking, "_BYTES_PER_BUCKET", 15_000)
    monkeypatch.setattr(linking, "_LINKS_PER_BUCKET", 100)


@dataclass(frozen=True)
class FailingLinks:
    """The task that links, until the third bucket. It stands for a machine that is lost."""

    inner: linking.LinksTask
    keeps: bool = False
    accelerated: bool = True

    def start(self, resources):
        work = self.inner.start(resources)

        def failing(bucket, rows):
            if bucket == 2:
                raise RuntimeError("the machine is gone")
            return work(bucket, rows)

        return failing


def test_ray_finds_what_the_local_engine_finds_though_its_workers_fail(tmp_path, engine, local, small_buckets):
    """Other shards in another order, several buckets, groups by rounds of label propagation, and another try."""

    class Failing:
        """The engine, with the failing task in place of the one that links."""

        name, parquet = engine.name, engine.parquet
        map, close = engine.map, engine.close

        def shuffle(self, source, items, task, buckets, progress):
            failing = FailingLinks(task) if isinstance(task, linking.LinksTask) else task
            return engine.shuffle(source, items, failing, buckets, progress)

    order = np.random.default_rng(4).permutation(len(KEYS))

    def search(chosen):
        sizes = [70, 150, 33]
        return search_features(FEATURES[order], KEYS[order], tmp_path, chosen, sizes, **CLUSTERED, most_in_memory=0)

    with pytest.raises(MatchError, match="goes on from what is done"):
        search(Failing())
    assigned = {path: path.stat().st_mtime_ns for path in tmp_path.glob("assigned-*/*.parquet")}
    assert assigned and not list(tmp_path.glob("links-*/done.json"))
    other = search(engine)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.glob("assigned-*/*.parquet")} == assigned
    assert len(contents(local.sets, local.pairs)[1]) > 300
    assert contents(other.sets, other.pairs) == contents(local.sets, local.pairs)
    assert (other.counts, other.probe) == (local.counts, local.probe)
    assert any(path.name.startswith("stars-0a-") for path in tmp_path.iterdir())  # there were rounds
    assert list(tmp_path.glob("links-*/*.parquet")) and not list(tmp_path.glob("*/*.safetensors"))


def test_pictures_from_an_address_to_datasets(tmp_path, engine):
    """Folders and the run's own folder as fsspec opens them, as with an object store."""
    write_groups(tmp_path / "p", [1, 3, 4, 2])
    (tmp_path / "p" / "broken.jpg").write_bytes(b"\xff\xd8 and then nothing")
    here = find_sets(settings(tmp_path / "p", tmp_path / "here"), LocalEngine(workers=1), silent)
    there = settings(f"file://{tmp_path}/p", f"file://{tmp_path}/there")
    found = find_sets(there, engine, silent)
    assert found.counts == here.counts and found.counts["set aside"] == 1

    def members(one):
        return {(name, key) for name, key, _ in contents(one.sets, one.pairs)[0]}

    assert members(found) == members(here) and members(here)
    assert report(found, there, silent) is None and (tmp_path / "there" / "summary.json").is_file()
    written = emit(found, there, engine, DatasetPlace(str(tmp_path / "ds"), "pairs", 2), silent, Choices())
    assert written.stored == found.counts["pairs"]
    sizes = [len(Dataset(tmp_path / "ds" / f"pairs-000{number}")) for number in (0, 1)]
    place = DatasetPlace("ds", "pairs", 2)
    names = {name for name, *_ in contents(found.sets, found.pairs)[0]}
    shares = np.bincount(place.numbers_of(np.array(sorted(names))), minlength=2)
    assert sum(sizes) == written.stored and [size > 0 for size in sizes] == [share > 0 for share in shares]
    with pytest.raises(MatchError, match="use --engine ray"):
        find_sets(there, LocalEngine(workers=1), silent)


def test_a_cluster_that_is_not_there_is_explained(monkeypatch):
    from comfyui_ace.training.match.engines.ray_data import RayEngine

    def refuse(**options):
        raise ConnectionError(f"nobody answers at {options['address']}")  # after a minute of tries

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", refuse)
    with pytest.raises(MatchError, match=r"No Ray cluster can be used at 10\.0\.0\.1:6379: nobody answers"):
        RayEngine("10.0.0.1:6379")
