"""Whole runs over folders of pictures on one machine."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from comfyui_ace.benchmarks.match.synthetic import planted, random_keys, search_features
from comfyui_ace.cli import main
from comfyui_ace.training.dataset.store import Dataset
from comfyui_ace.training.dataset.upkeep.verify import verify
from comfyui_ace.training.match.embed import readers
from comfyui_ace.training.match.embed.records import read_record
from comfyui_ace.training.match.emit.examples import EmitSettings
from comfyui_ace.training.match.engines.local import LocalEngine
from comfyui_ace.training.match.errors import MatchError
from comfyui_ace.training.match.link.relation import Window
from comfyui_ace.training.match.report.choices import find_choices
from comfyui_ace.training.match.report.statistics import as_text
from comfyui_ace.training.match.run import emit, find_sets, report
from comfyui_ace.training.match.sets.refine import Limits
from comfyui_ace.training.match.settings import PRESETS, with_preset
from comfyui_ace.training.match.steps.emitting import Choices, DatasetPlace
from picture_collections import contents, encoded, find, photograph, sets_by_name, settings, silent, write_groups

SIZES = [1, 2, 3, 4, 5, 6, 1, 1]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    base = tmp_path_factory.mktemp("pictures")
    write_groups(base / "some", SIZES)
    (base / "some" / "copy.jpg").write_bytes((base / "some" / "g005-0.jpg").read_bytes())
    (base / "some" / "broken.jpg").write_bytes(b"\xff\xd8 and then nothing")
    return base


@pytest.fixture(scope="module")
def found(folder, tmp_path_factory):
    return find(folder, tmp_path_factory.mktemp("run"))


def test_planted_groups_become_sets(found):
    wanted = {f"g{group:03d}-0.jpg": size for group, size in enumerate(SIZES) if size > 1}
    groups = sets_by_name(found.sets)
    for names in groups.values():
        assert len({name.replace("copy", "g005-0")[:4] for name in names}) == 1
    assert sum(map(len, groups.values())) >= 0.9 * sum(wanted.values())
    assert found.counts["set aside"] == 1 and found.counts["copies"] == 1


def test_shards_change_nothing(folder, found, tmp_path):
    other = find(folder, tmp_path, shard_pictures=5)
    assert contents(other.sets, other.pairs) == contents(found.sets, found.pairs)


def test_what_is_done_is_not_done_again(folder, tmp_path, monkeypatch):
    first = find(folder, tmp_path)
    steps = []
    monkeypatch.setattr("comfyui_ace.training.match.embed.readers.read_record", None)  # no picture is read again
    again = find_sets(settings(folder, tmp_path), LocalEngine(workers=1), lambda step, *_: steps.append(step))
    assert again.counts == first.counts and steps == ["looking for pictures"]
    wider = find_sets(settings(folder, tmp_path, window=Window(0.3)), LocalEngine(workers=1), silent)
    assert wider.counts["linked pairs"] > first.counts["linked pairs"]


class ParquetEngine(LocalEngine):
    """This machine alone, with the tables of many, which may lie behind an address."""

    parquet = True


@pytest.mark.parametrize("address", [False, True])
def test_after_a_new_picture_that_comes_first_only_this_one_is_read(folder, tmp_path, monkeypatch, address):
    """It moves all others to the next place, so that every shard is another."""
    if address:
        for module in ("fsspec", "pyarrow"):
            pytest.importorskip(module, reason=f"needs {module}")
    shutil.copytree(folder, tmp_path / "p")
    before = f"file://{tmp_path}/" if address else f"{tmp_path}/"
    chosen, engine = settings(before + "p", before + "run", shard_pictures=5), ParquetEngine if address else LocalEngine
    first, read = find_sets(chosen, engine(workers=1), silent), []
    (tmp_path / "p" / "0.png").write_bytes(encoded(photograph(70), "PNG"))
    (tmp_path / "p" / "z.png").write_bytes(encoded(photograph(71), "PNG"))
    monkeypatch.setattr(readers, "read_record", lambda path, *rest: read.append(path) or read_record(path, *rest))
    again = find_sets(chosen, engine(workers=1), silent)
    assert [Path(path).name for path in read] == ["0.png", "z.png"]
    assert again.counts["embedded"] == first.counts["embedded"] + 2
    assert contents(again.sets, again.pairs) == contents(first.sets, first.pairs)


def place(tmp_path: Path, **changes) -> DatasetPlace:
    return DatasetPlace(str(tmp_path / "datasets"), "pairs", **changes)


def test_pairs_reach_the_dataset_without_words_and_with_scores(folder, found, tmp_path):
    chosen = settings(folder, tmp_path)
    written = emit(found, chosen, LocalEngine(workers=1), place(tmp_path), silent, Choices())
    dataset = Dataset(tmp_path / "datasets" / "pairs")
    rows = list(dataset.rows())
    assert written.stored == len(rows) > 20 and not written.rejected
    for row in rows:
        assert (row.instruction, row.prompt, row.labelled) == ("", "", False)
        assert 0.55 < row.scores["match"]["features"] <= 1
        assert row.origin["by"] == "match" and row.group == f"set-{row.origin['set']}"
        source, target = (row.origin[end].replace("copy", "g005-0")[:4] for end in ("sources", "target"))
        assert source == target
        pair = dataset.load(row)
        assert pair.source.shape == pair.target.shape
    checked = verify(dataset.folder)
    assert checked.ok and any("no instruction yet" in note for note in checked.notes)
    assert verify(dataset.folder, strict=dataset.checks).ok
    again = emit(found, chosen, LocalEngine(workers=1), place(tmp_path), silent, Choices())
    assert (again.stored, again.duplicates) == (0, written.stored)
    by_group = {}
    dataset.split(0.5, seed=2)
    for row in dataset.rows():
        by_group.setdefault(row.group, set()).add(row.split)
    assert all(len(splits) == 1 for splits in by_group.values()) and len(by_group) > 3
    assert verify(dataset.folder).ok


def test_new_pairs_of_a_set_go_where_the_set_is(folder, found, tmp_path):
    few, all_pairs = (settings(folder, tmp_path, emit=EmitSettings(per_set=most)) for most in (1, 40))
    first = emit(found, few, LocalEngine(workers=1), place(tmp_path), silent, Choices())
    Dataset(tmp_path / "datasets" / "pairs").split(0.5, seed=2)
    more = emit(found, all_pairs, LocalEngine(workers=1), place(tmp_path), silent, Choices())
    dataset = Dataset(tmp_path / "datasets" / "pairs")
    assert 0 < first.stored < more.stored + first.stored == len(dataset)
    splits: dict[str, set[str]] = {}
    for row in dataset.rows():
        splits.setdefault(row.group, set()).add(row.split)
    assert all(len(found) == 1 for found in splits.values())
    assert set.union(*splits.values()) == {"train", "validation"} and verify(dataset.folder).ok


def test_rounds_are_histories(folder, found, tmp_path):
    chosen = with_preset("rounds", {"folders": (str(folder),), "output": str(tmp_path)}, {"rounds": 3})
    emit(found, chosen, LocalEngine(workers=1), place(tmp_path), silent, Choices())
    rows = {row.id: row for row in Dataset(tmp_path / "datasets" / "pairs").rows()}
    later = [row for row in rows.values() if row.history]
    assert later and max(len(row.history) for row in later) == 2
    for row in later:
        assert rows[row.history[-1]].origin["target"] == row.origin["sources"]
        assert {rows[one].split for one in row.history} == {row.split}


def test_a_series_has_references(folder, found, tmp_path):
    chosen = with_preset("series", {"folders": (str(folder),), "output": str(tmp_path)}, {})
    emit(found, chosen, LocalEngine(workers=1), place(tmp_path), silent, Choices())
    counts = [len(row.image_files) for row in Dataset(tmp_path / "datasets" / "pairs").rows()]
    assert counts and min(counts) >= 3


def test_sets_can_be_shared_out_among_datasets(folder, found, tmp_path):
    chosen = settings(folder, tmp_path)
    total = emit(found, chosen, LocalEngine(workers=1), place(tmp_path, count=2), silent, Choices())
    datasets = [Dataset(tmp_path / "datasets" / name) for name in ("pairs-0000", "pairs-0001")]
    groups = [{row.group for row in dataset.rows()} for dataset in datasets]
    assert sum(map(len, datasets)) == total.stored and all(groups) and not groups[0] & groups[1]
    again = emit(found, chosen, LocalEngine(workers=1), place(tmp_path, count=2), silent, Choices())
    assert (again.stored, again.duplicates) == (0, total.stored)


def test_every_dataset_gets_its_share_of_the_sets(tmp_path):
    numbers = place(tmp_path, count=8).numbers_of(random_keys(4000))
    assert all(400 < share < 600 for share in np.bincount(numbers, minlength=8))


def test_struck_out_sets_and_pictures_are_not_written(folder, found, tmp_path):
    bucket = found.sets.read(sorted(found.sets.names())[0])
    sizes = {name: int((bucket["set"] == name).sum()) for name in np.unique(bucket["set"]).tolist()}
    largest = max(sizes, key=sizes.get)
    other = next(name for name in sizes if name != largest and sizes[name] > 3)
    picture = int(bucket["key"][bucket["set"] == other][0])  # its middle
    named = f"{largest & (2**64 - 1):016x}"
    file = tmp_path / "choices.json"
    file.write_text(
        json.dumps(
            {
                "format": "ace-match-choices-1",
                "run": found.digest,
                "sets": [],
                "pictures": [f"{picture & (2**64 - 1):016x}"],
            }
        )
    )
    choices = find_choices(str(tmp_path), found.digest, [file], [named])
    assert choices == Choices(frozenset({largest}), frozenset({picture}))
    emit(found, settings(folder, tmp_path), LocalEngine(workers=1), place(tmp_path), silent, choices)
    rows = list(Dataset(tmp_path / "datasets" / "pairs").rows())
    assert named not in {row.origin["set"] for row in rows}
    assert not any(f"{picture & (2**64 - 1):016x}" in row.origin["pictures"] for row in rows)
    assert f"{other & (2**64 - 1):016x}" in {row.origin["set"] for row in rows}  # the rest of that set is there


def test_a_picture_that_changed_meanwhile_is_left_out(tmp_path):
    write_groups(tmp_path / "p", [3])
    found = find(tmp_path / "p", tmp_path / "run")
    (tmp_path / "p" / "g000-1.jpg").write_bytes(encoded(photograph(50)))
    written = emit(
        found, settings(tmp_path / "p", tmp_path / "run"), LocalEngine(workers=1), place(tmp_path), silent, Choices()
    )
    assert written.stored == 1 and "has changed" in next(iter(written.reasons))


def test_within_folders_and_the_largest_set(tmp_path):
    names = write_groups(tmp_path / "all", [4, 3, 3])
    for name, group in names.items():
        style = "b" if group == 2 or name in ("g000-3.jpg",) else "a"
        (tmp_path / "styles" / style).mkdir(parents=True, exist_ok=True)
        (tmp_path / "all" / name).rename(tmp_path / "styles" / style / name)
    together = find(tmp_path / "styles", tmp_path / "run")
    assert ["g000-0.jpg", "g000-1.jpg", "g000-2.jpg", "g000-3.jpg"] in sets_by_name(together.sets).values()
    apart = find(tmp_path / "styles", tmp_path / "run", within_folders=True)
    assert sorted(map(len, sets_by_name(apart.sets).values())) == [3, 3, 3]
    largest = find(tmp_path / "styles", tmp_path / "run", within_folders=True, keep_largest=True)
    assert len(sets_by_name(largest.sets)) == 2  # one a folder
    assert largest.counts["sets"] == 2 and largest.counts["pairs"] == 6
    assert "3 pictures left out, because of each folder" in as_text(largest.counts, None)


@pytest.mark.parametrize("most", [200, 1000])
def test_what_a_full_set_has_no_room_for_is_said(tmp_path, most):
    """One folder of 260 pictures of one style, and one of 30."""
    features, keys = np.concatenate([planted(1, size, 16, 0.3, seed=size)[0] for size in (260, 30)]), random_keys(290)
    paths = [f"/p/{'large' if row < 260 else 'small'}/{row}.jpg" for row in range(290)]
    changes = {"within_folders": True, "keep_largest": True, "window": Window(0.65), "limits": Limits(largest=most)}
    found = search_features(features, keys, tmp_path, LocalEngine(workers=1), paths=paths, **changes)
    assert sorted(map(len, sets_by_name(found.sets).values())) == [30, min(most, 260)]
    said = as_text(found.counts, None)
    assert ("60 pictures that pass with the middle of their folder's set" in said) == (most == 200)
    page = report(found, settings("p", tmp_path), silent).read_text()
    assert ("takes no more than 200" in page) == (most == 200)


def test_the_report_is_complete_and_says_what_was_set_aside(folder, found, tmp_path):
    page = report(found, settings(folder, tmp_path), silent)
    index = page.read_text()
    assert "broken.jpg: " in index.split("<h2>Set aside</h2>")[1]
    for words in ("pairs that pass", "largest set", "Sets by size", "lost at borders"):
        assert words in index
    sets = (page.parent / "sets-0001.html").read_text()
    assert sets.count('class="set"') == found.counts["sets"]
    assert sets.count("data-picture=") >= found.counts["pictures"] and "http" not in sets.replace("http-equiv", "")
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["counts"] == found.counts
    before = page.stat().st_mtime_ns
    assert report(found, settings(folder, tmp_path), silent).stat().st_mtime_ns == before  # not drawn again


def test_the_command_from_folder_to_dataset(folder, tmp_path, capsys):
    common = ["match", str(folder), "-o", str(tmp_path / "run"), "--workers", "1", "--root", str(tmp_path / "ds")]
    assert main(common) == 0
    said = capsys.readouterr().out
    assert "nothing else was written" in said and not (tmp_path / "ds").exists()
    assert main([*common, "--dataset", "mine", "--per-set", "2", "--instruction", "{image} seen again"]) == 0
    assert re.search(r"(\d+) pairs stored, 0 there already, 0 rejected", capsys.readouterr().out)
    rows = list(Dataset(tmp_path / "ds" / "mine").rows())
    assert rows and all(row.labelled for row in rows)
    assert main([*common, "--strike", "x"]) == 0  # only read where a dataset is written
    assert main([*common, "--dataset", "mine", "--strike", "x"]) == 1
    assert "sixteen" in capsys.readouterr().err
    assert main(["match", str(tmp_path / "nowhere")]) == 1
    assert main([*common, "--preset", "face"]) == 1
    assert "--descriptor faces:" in capsys.readouterr().err
    for bad in (["--window", "x"], ["--similarity", "keypoints"], ["--set-size", "3"]):
        with pytest.raises(SystemExit) as stopped:
            main([*common, *bad])
        assert stopped.value.code == 2


def test_presets_have_the_papers_numbers():
    def preset(name, **values):
        return with_preset(name, {"folders": ("p",), "output": "o", **values}, {})

    assert preset("face", descriptor="faces:a,b").first_window == Window(0.8, 0.9)
    assert preset("aligned-face", descriptor="faces:a,b").first_window == Window(0.65)
    style = preset("style")
    assert style.first_window == Window(0.65) and style.within_folders and style.keep_largest
    assert style.limits.largest == 1000
    assert preset("series").emit.references == (3, 8) and preset("series").limits == Limits(4, 200)
    assert preset("style", window=Window(0.7)).first_window == Window(0.7)  # what is given wins
    assert set(PRESETS) == {"scene", "face", "aligned-face", "style", "series", "rounds"}


def test_too_few_pictures_are_explained(tmp_path):
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "a.png").write_bytes(b"nothing")
    (tmp_path / "p" / "b.png").write_bytes(encoded(photograph(0), "PNG"))
    with pytest.raises(MatchError, match=r"1 were set aside.*set-aside\.txt"):
        find(tmp_path / "p", tmp_path / "run")
    assert "a.png\t" in (tmp_path / "run" / "set-aside.txt").read_text()
