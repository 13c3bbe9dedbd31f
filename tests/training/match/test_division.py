"""The same sets and pairs, however the pictures are divided: shards, clusters, engines, label propagation."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from comfyui_ace.benchmarks.match.synthetic import embedded_columns, planted, random_keys, search_features
from comfyui_ace.training.dataset.disk.perceptual_hash import DIFFERENCE_HASH_BYTES
from comfyui_ace.training.match.cluster.centroids import in_sample
from comfyui_ace.training.match.disk.places import Place
from comfyui_ace.training.match.embed.records import LOOKS_BYTES
from comfyui_ace.training.match.engines.local import LocalEngine
from comfyui_ace.training.match.link.relation import Window
from comfyui_ace.training.match.report.statistics import as_text
from comfyui_ace.training.match.steps.copies import find_copies
from comfyui_ace.training.match.steps.work import Shards, Work
from picture_collections import contents

FEATURES, GROUPS = planted(80, 7, 32, 0.5, seed=20)
KEYS = random_keys(len(FEATURES))
WINDOW = Window(0.75, 0.99)


def found_in(folder, sizes, order=None, engine=None, **changes):
    order = np.arange(len(KEYS)) if order is None else order
    values = {"window": WINDOW, **changes}
    return search_features(FEATURES[order], KEYS[order], folder, engine or LocalEngine(workers=1), sizes, **values)


@pytest.fixture(scope="module")
def exact(tmp_path_factory):
    found = found_in(tmp_path_factory.mktemp("exact"), [])
    assert found.counts["sets"] > 70 and found.counts["pairs"] > 1000 and found.probe is None
    return found


def test_shards_of_any_size_in_any_order_give_the_same(tmp_path, exact):
    order = np.random.default_rng(0).permutation(len(KEYS))
    other = found_in(tmp_path, [1, 130, 17, 200], order)
    assert contents(other.sets, other.pairs) == contents(exact.sets, exact.pairs)


def test_label_propagation_gives_the_same(tmp_path, exact, monkeypatch):
    monkeypatch.setattr("comfyui_ace.training.match.steps.linking._LINKS_PER_BUCKET", 40)
    other = found_in(tmp_path, [100] * 5, most_in_memory=0)
    assert contents(other.sets, other.pairs) == contents(exact.sets, exact.pairs)


def test_several_buckets_of_groups_give_the_same(tmp_path, exact, monkeypatch):
    monkeypatch.setattr("comfyui_ace.training.match.steps.grouping._PICTURES_PER_BUCKET", 60)
    other = found_in(tmp_path, [100] * 5)
    assert len(other.sets.names()) > 3
    assert contents(other.sets, other.pairs) == contents(exact.sets, exact.pairs)
    assert {k: v for k, v in other.counts.items() if k != "divided groups"} == {
        k: v for k, v in exact.counts.items() if k != "divided groups"
    }


def test_clusters_find_the_same_where_everybody_is_in_all(tmp_path, exact, monkeypatch):
    pytest.importorskip("faiss", reason="needs faiss-cpu")
    monkeypatch.setattr("comfyui_ace.training.match.steps.linking._BYTES_PER_BUCKET", 20_000)
    other = found_in(tmp_path, [100] * 5, exact_up_to=0, clusters=6, memberships=6)
    assert other.counts["linked pairs"] == exact.counts["linked pairs"]
    assert contents(other.sets, other.pairs) == contents(exact.sets, exact.pairs)
    assert other.probe["lost"] == 0 and other.probe["pairs"] == 2 * exact.counts["linked pairs"]


def test_the_probe_tells_what_clusters_lose(tmp_path, exact):
    pytest.importorskip("faiss", reason="needs faiss-cpu")
    lost = []
    for memberships in (1, 2, 4):
        other = found_in(tmp_path / str(memberships), [300], exact_up_to=0, clusters=60, memberships=memberships)
        truth = 1 - other.counts["linked pairs"] / exact.counts["linked pairs"]
        assert other.probe["queries"] == len(KEYS) and other.probe["lost"] == pytest.approx(truth)
        lost.append(truth)
    assert lost[0] > lost[1] > lost[2] and lost[0] > 0.05


def test_clusters_do_not_depend_on_shards(tmp_path):
    pytest.importorskip("faiss", reason="needs faiss-cpu")
    order = np.random.default_rng(1).permutation(len(KEYS))
    one = found_in(tmp_path / "a", [], exact_up_to=0, clusters=30, memberships=3)
    other = found_in(tmp_path / "b", [90, 90, 300], order, exact_up_to=0, clusters=30, memberships=3)
    assert contents(one.sets, one.pairs) == contents(other.sets, other.pairs)
    assert one.counts["linked pairs"] == other.counts["linked pairs"] and one.probe == other.probe


def test_a_group_too_large_for_one_machine_is_divided_by_clusters(tmp_path):
    pytest.importorskip("faiss", reason="needs faiss-cpu")
    other = found_in(tmp_path, [200], exact_up_to=0, clusters=8, memberships=4, window=Window(0.2), most_together=100)
    assert other.counts["divided groups"] == 1
    assert other.counts["largest group"] < len(KEYS) * 0.6
    members, tested = contents(other.sets, other.pairs)
    assert len({key for _, key, _ in members}) == len(members) > 400  # nobody is in two sets
    assert all(score > 0.2 for *_, (score,) in tested)


def test_comparing_tells_how_far_it_is_and_a_stop_there_loses_that_step_alone(tmp_path, exact, monkeypatch):
    monkeypatch.setattr("comfyui_ace.training.match.link.links.BLOCK", 100)
    told = []

    def stopped(step, done, total):
        if step == "comparing" and done:
            told.append((done, total))
            if len(told) == 4:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        search_features(FEATURES, KEYS, tmp_path, LocalEngine(workers=1), [100] * 5, stopped, window=WINDOW)
    assert told == [(done, 21) for done in (1, 2, 3, 4)]  # 6 x 7 / 2 blocks
    steps = []
    other = search_features(
        FEATURES, KEYS, tmp_path, LocalEngine(workers=1), [100] * 5, lambda step, *_: steps.append(step), window=WINDOW
    )
    assert contents(other.sets, other.pairs) == contents(exact.sets, exact.pairs)
    assert steps[0] == "comparing" and "looking for copies" not in steps


def test_a_very_large_group_tells_how_far_it_is_and_that_the_window_is_wide(tmp_path, monkeypatch):
    for name in ("steps.grouping.MOST_LISTED", "sets.graphs.MOST_LISTED", "report.statistics._WIDE"):
        monkeypatch.setattr(f"comfyui_ace.training.match.{name}", 500)
    monkeypatch.setattr("comfyui_ace.training.match.sets.graphs._MOST_LINKS", 2000)
    told = []

    def on_progress(step, done, total):
        if "too wide" in step:
            told.append((done, total))

    wide = {"window": Window(0.1), "on_progress": on_progress}
    found = search_features(FEATURES, KEYS, tmp_path, LocalEngine(workers=1), **wide)
    size = found.counts["largest group"]
    assert size > 500 and told[0] == (0, size) and 0.9 * size < told[-1][0] <= size and told == sorted(told)
    assert "probably too wide" in as_text(found.counts, None)


def test_which_copies_stay_does_not_depend_on_shards(tmp_path, monkeypatch):
    """Frames of slow shots, each like the next few, some of them twice, in other shards and buckets, and by rounds."""
    shots, frames = 12, 30
    keys = random_keys(shots * frames, 8)
    rng = np.random.default_rng(8)
    looks = np.repeat(rng.integers(0, 150, (shots, LOOKS_BYTES), dtype=np.uint8), frames, axis=0)
    looks[:, DIFFERENCE_HASH_BYTES:-1] += np.tile(np.arange(frames, dtype=np.uint8) * 3, shots)[:, None]
    keys, looks = np.concatenate([keys, keys[:40]]), np.concatenate([looks, looks[:40]])
    paths = [f"/p/{number:04d}.jpg" for number in range(len(keys))]

    def copies(folder, ends, order, most_in_memory):
        work = Work(Place.of(tmp_path / folder), LocalEngine(workers=1), lambda *_: None)
        tables = work.tables("embedded", "looks")
        names = []
        for start, end in pairwise([0, *ends, len(keys)]):
            rows = order[start:end]
            columns = embedded_columns(np.ones((len(rows), 1), np.float16), keys[rows], [paths[row] for row in rows])
            names.append(f"shard{start:03d}")
            tables.write(names[-1], {**columns, "looks": looks[rows]})
        shards, _, count = find_copies(work, Shards(tuple(names), tables), len(keys), True, most_in_memory)
        found = dict(shards.copies())
        assert len(found) == count and not found.keys() & set(found.values())
        return found

    whole = copies("whole", [], np.arange(len(keys)), 10**6)
    stay = [n for n in range(shots * frames) if paths[n] not in whole]
    assert 4 * shots < len(stay) < 11 * shots and len(whole) == len(keys) - len(stay)
    for module, name in (("copies", "PICTURES"), ("copies", "LINKS"), ("linking", "LINKS")):
        monkeypatch.setattr(f"comfyui_ace.training.match.steps.{module}._{name}_PER_BUCKET", 50)
    assert copies("parts", [90, 100, 260], rng.permutation(len(keys)), 0) == whole


def test_the_sample_is_drawn_by_keys():
    keys = random_keys(50_000, 3)
    drawn = in_sample(keys, 0.1)
    assert 4_700 < drawn.sum() < 5_300
    assert (in_sample(keys, 0.2) | ~drawn).all()  # a larger share holds the smaller one
    assert in_sample(keys, 1.0).all()
