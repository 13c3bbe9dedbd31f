"""The store: what goes in comes out, once, in the published layout, and nothing else gets in."""

import json
import os
from dataclasses import replace

import numpy as np
import pytest
from comfyui_ace.training.dataset.disk.rows import FORMAT_KEYS
from comfyui_ace.training.dataset.intake.checks import CheckSettings
from comfyui_ace.training.dataset.provenance.provenance import save_graph
from comfyui_ace.training.dataset.settings import DatasetSettings
from comfyui_ace.training.dataset.store import Dataset, Pair, PairRow
from comfyui_ace.training.errors import DatasetError, ImageError, PairError, RowError
from pair_factory import half_mask, pair, picture
from PIL import Image

pytestmark = pytest.mark.usefixtures("no_sync")


@pytest.fixture
def dataset(tmp_path):
    return Dataset.create(tmp_path, "pairs")


def files(folder) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_a_pair_comes_back_as_it_went_in(dataset):
    given_pair = Pair(
        source=picture(0),
        references=[picture(1, 8, 9), picture(2, 10, 11)],
        masks=[half_mask(), None, half_mask(10, 11)],
        target=picture(3),
        instruction="put {image1} and {image2}\n into {image}",
        seed=2**64 - 1,
        tags=["a", "b", "a"],
        scores={"viescore": {"sc": 7, "pq": 8.5}},
        weight=0.5,
        name="IMG_1.JPG",
    )
    result = dataset.append(given_pair)
    assert result.stored and result.findings == ()
    loaded = dataset.load(result.id)
    assert np.array_equal(loaded.source, given_pair.source)
    assert np.array_equal(loaded.target, given_pair.target)
    for kept, wanted in zip(loaded.references, given_pair.references, strict=True):
        assert np.array_equal(kept, wanted)
    assert np.array_equal(loaded.masks[0], half_mask()) and loaded.masks[1] is None
    assert np.array_equal(loaded.masks[2], half_mask(10, 11))
    assert loaded.instruction == "put {image1} and {image2} into {image}"
    assert loaded.prompt == "put image 2 and image 3 into image 1"
    assert (loaded.seed, loaded.tags, loaded.weight) == (2**64 - 1, ("a", "b"), 0.5)
    assert loaded.scores == {"viescore": {"sc": 7.0, "pq": 8.5}}
    assert loaded.split == result.split == dataset.row(result.id).split


def test_the_layout_on_disk_is_the_published_one(dataset):
    first = dataset.append(pair(0, masks=[half_mask()], references=[picture(9)], seed=5)).id
    second = dataset.append(pair(1)).id
    assert files(dataset.folder) - {".lock", "dataset.json"} == {
        "metadata.jsonl",
        f"target/{first}.png",
        f"target/{first}.txt",
        f"control/{first}.png",
        f"control_2/{first}.png",
        f"mask/{first}.png",
        f"target/{second}.png",
        f"target/{second}.txt",
        f"control/{second}.png",
    }
    rows = [json.loads(line) for line in (dataset.folder / "metadata.jsonl").read_text().splitlines()]
    assert [list(row) for row in rows] == [list(rows[0])] * 2
    assert tuple(rows[0])[:14] == FORMAT_KEYS
    assert rows[0]["source_file_name"] == f"control/{first}.png"
    assert rows[0]["reference_file_names"] == [f"control_2/{first}.png"]
    assert rows[0]["mask_file_names"] == [f"mask/{first}.png"]
    assert rows[1]["reference_file_names"] == rows[1]["mask_file_names"] == []
    assert "_" not in first and "." not in first
    caption = (dataset.folder / "target" / f"{first}.txt").read_text()
    assert caption == "image 1 as a negative"  # no line break: SimpleTuner reads one caption a line
    with Image.open(dataset.folder / "mask" / f"{first}.png") as mask:
        assert (mask.format, mask.mode) == ("PNG", "L")


def test_text_to_image_has_no_source(dataset):
    result = dataset.append(Pair(target=picture(0), instruction="a cat"))
    row = dataset.row(result.id)
    assert row.source_file_name is None and row.image_files == ()
    assert dataset.load(result.id).source is None


def test_the_same_pair_is_kept_once(dataset):
    first = dataset.append(pair(0))
    again = dataset.append(pair(0, seed=99, tags=["new"], name="other"))
    assert again.status == "duplicate" and again.id == first.id
    assert len(dataset) == 1
    assert Dataset(dataset.folder).append(pair(0)).status == "duplicate"
    assert dataset.append(pair(0, instruction="another wording")).stored
    assert dataset.append(pair(0, masks=[np.full((24, 32), 255, np.uint8)])).stored
    assert not [name for name in files(dataset.folder) if name.endswith(".part")]


def test_a_near_duplicate_is_turned_down_and_a_variant_is_not(dataset):
    coarse = Image.fromarray(picture(0, 6, 6)).resize((64, 64), Image.Resampling.BICUBIC)
    source = np.asarray(coarse)
    kept = dataset.append(pair(0, source=source, target=255 - source))
    touched = source.copy()
    touched[0, 0] ^= 1
    result = dataset.append(pair(0, source=touched, target=255 - touched))
    assert result.status == "rejected" and kept.id in result.reason
    assert [finding.check for finding in result.findings] == ["near_duplicate"]
    flipped = source[:, ::-1]
    assert dataset.append(pair(0, source=source, target=flipped)).stored, "another result for the same source"
    assert dataset.append(pair(0, source=touched, target=255 - touched, instruction="other words")).stored
    off = CheckSettings(near_duplicate=False)
    assert dataset.append(pair(0, source=touched, target=255 - touched), checks=off).stored


def test_several_seeds_of_a_local_edit_are_variants_and_not_duplicates(dataset):
    """A small thing of another kind in the same place leaves the perceptual hash of the whole picture as it is."""
    source = np.asarray(Image.fromarray(picture(0, 12, 12)).resize((256, 256), Image.Resampling.BICUBIC))

    def insert(seed: int) -> np.ndarray:
        target = source.copy()
        small = Image.fromarray(picture(seed, 4, 4)).resize((20, 20), Image.Resampling.BICUBIC)
        target[100:120, 100:120] = np.asarray(small)
        return target

    kept = [dataset.append(pair(0, source=source, target=insert(seed))) for seed in range(1, 5)]
    assert all(result.stored for result in kept), [result.reason for result in kept]
    again = insert(2)
    again[0, 0] ^= 1
    result = dataset.append(pair(0, source=source, target=again))
    assert result.status == "rejected" and kept[1].id in result.reason
    stricter = CheckSettings(near_duplicate_block=255)
    assert dataset.append(pair(0, source=source, target=insert(9)), checks=stricter).status == "rejected"
    touched = source.copy()
    touched[0, 0] ^= 1  # of another source, the look alone decides
    assert dataset.append(pair(0, source=touched, target=insert(10))).status == "rejected"


def test_rejections_are_listed_with_reason_number_and_picture(dataset):
    result = dataset.append(pair(0, target=picture(0), tags=["t"]))
    assert result.status == "rejected" and result.id is None
    dataset.append(pair(0, target=picture(0)))  # again: listed once
    (entry,) = dataset.rejected()
    assert entry.reason == result.reason and entry.findings[0]["check"] == "no_op"
    assert entry.seed == 0 and entry.tags == ("t",) and entry.instruction == "{image} as a negative"
    with Image.open(dataset.folder / entry.thumbnail) as thumbnail:
        assert thumbnail.size == (64, 24)
    assert len(dataset) == 0 and not list((dataset.folder / "target").iterdir())
    counts = dataset.counts()
    assert (counts.pairs, counts.rejected, counts.by_check) == (0, 1, {"no_op": 1})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"instruction": " ", "prompt": None}, "no instruction"),
        ({"instruction": "use {image3}"}, "names {image3}"),
        ({"source": None, "references": [picture(1)]}, "no source"),
        ({"references": [picture(1)] * 10}, "at most 10"),
        ({"masks": [None, None]}, "2 masks for 1"),
        ({"history": ["nope"]}, "not in"),
        ({"history": ["../x"]}, "history"),
        ({"workflow": "0" * 64}, "save_graph"),
        ({"workflow": "../../etc"}, "save_graph"),
        ({"weight": float("nan")}, "weight"),
        ({"weight": -1}, "weight"),
        ({"scores": {"a": float("inf")}}, "scores"),
        ({"seed": "x"}, "seed"),
        ({"instruction": "x" * 30_000}, "characters"),
    ],
)
def test_a_pair_that_makes_no_sense_is_an_error_and_leaves_nothing(dataset, changes, message):
    before = files(dataset.folder)
    with pytest.raises(PairError, match=message):
        dataset.append(pair(0, **changes))
    with pytest.raises(ImageError):
        dataset.append(pair(0, target="a.png"))
    assert files(dataset.folder) == before


def test_conversions_are_reported(dataset):
    rgba = np.dstack([picture(0), np.full((24, 32), 128, np.uint8)])
    result = dataset.append(pair(0, source=rgba, target=picture(1).astype(np.uint16) * 257))
    assert result.stored
    assert set(result.notes) == {"source: transparency filled with white", "target: 16 bits a channel reduced to 8"}


def test_variants_of_a_source_share_a_split(tmp_path):
    dataset = Dataset.create(tmp_path, "d", settings=DatasetSettings(0.5, 3))
    splits = {}
    for source in range(12):
        for variant in range(2):
            result = dataset.append(pair(source, target=picture(1000 + 10 * source + variant)))
            splits.setdefault(source, set()).add(result.split)
    assert all(len(found) == 1 for found in splits.values())
    assert {"train"} in splits.values() and {"validation"} in splits.values()
    counts = dataset.counts()
    assert counts.train + counts.validation == 24 and counts.validation == len(list(dataset.rows("validation")))


def test_later_rounds_follow_the_split_of_the_first(tmp_path):
    dataset = Dataset.create(tmp_path, "d", settings=DatasetSettings(0.5))
    for seed in range(8):
        first = dataset.append(pair(seed))
        second = dataset.append(pair(seed, source=255 - picture(seed), target=picture(seed + 50), history=[first.id]))
        third = dataset.append(
            pair(seed, source=picture(seed + 50), target=picture(seed + 80), history=[first.id, second.id])
        )
        assert first.split == second.split == third.split
        assert dataset.load(third.id).history == (first.id, second.id)


def test_a_workflow_is_referred_to_by_hash(dataset):
    graph = {"1": {"class_type": "LoadImage", "inputs": {"image": "a.png"}}}
    saved = save_graph(dataset.folder, graph)
    result = dataset.append(pair(0, workflow=saved.hash))
    assert dataset.row(result.id).workflow == saved.hash


def test_create_never_overwrites(tmp_path):
    Dataset.create(tmp_path, "d").append(pair(0))
    with pytest.raises(DatasetError, match="there already"):
        Dataset.create(tmp_path, "d")
    assert len(Dataset.open_or_create(tmp_path, "d")) == 1
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "holiday.jpg").touch()
    with pytest.raises(DatasetError, match="not a dataset"):
        Dataset.open_or_create(tmp_path, "mine")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["d", "mine"]


def test_stray_files_are_never_overwritten(dataset):
    probe = Dataset.create(dataset.folder.parent, "probe").append(pair(0)).id
    stray = dataset.folder / "control" / f"{probe}.png"
    stray.write_bytes(b"mine")
    result = dataset.append(pair(0))
    assert result.stored and result.id != probe and result.id.startswith(probe)
    assert stray.read_bytes() == b"mine"


@pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")
def test_links_inside_a_dataset_are_not_followed(dataset, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    kept = dataset.append(pair(0)).id
    target = dataset.folder / "target" / f"{kept}.png"
    target.rename(outside / "real.png")
    target.symlink_to(outside / "real.png")
    with pytest.raises(DatasetError, match="link"):
        dataset.load(kept)
    (dataset.folder / "mask").symlink_to(outside)
    with pytest.raises(DatasetError, match="link"):
        dataset.append(pair(1, masks=[half_mask()]))
    assert [path.name for path in outside.iterdir()] == ["real.png"]
    assert len(dataset) == 1


def test_rows_that_point_elsewhere_are_refused(dataset):
    kept = dataset.append(pair(0)).id
    good = json.loads(dataset.row(kept).to_json())
    for key, value in [
        ("id", "../x"),
        ("id", "a_b"),
        ("id", "a.b"),
        ("target_file_name", "../../etc/passwd"),
        ("target_file_name", "/etc/passwd"),
        ("source_file_name", "target/" + kept + ".png"),
        ("reference_file_names", ["control_3/" + kept + ".png"]),
        ("mask_file_names", ["mask_2/" + kept + ".png"]),
        ("mask_file_names", [good["target_file_name"]]),
        ("mask_file_names", None),
        ("workflow", "../x"),
        ("split", "test"),
        ("weight", "1"),
        ("seed", 1.5),
        ("scores", []),
        ("history", ["a/b"]),
        ("content_hash", "zz"),
    ]:
        with pytest.raises(RowError):
            PairRow.from_json(json.dumps({**good, key: value}))
    with pytest.raises(RowError, match="keys missing: seed"):
        PairRow.from_json(json.dumps({key: value for key, value in good.items() if key != "seed"}))
    assert PairRow.from_json(json.dumps({**good, "later": [1]})).extra == {"later": [1]}


def test_unknown_keys_survive_a_rewrite(dataset):
    kept = dataset.append(pair(0)).id
    path = dataset.folder / "metadata.jsonl"
    row = {**json.loads(path.read_text()), "from_the_future": 1}
    path.write_text(json.dumps(row) + "\n")
    assert dataset.rewrite(lambda row: replace(row, weight=2.0)) == 1
    assert json.loads(path.read_text())["from_the_future"] == 1
    assert dataset.row(kept).weight == 2.0


def test_a_torn_last_line_is_passed_over_and_then_healed(dataset):
    kept = dataset.append(pair(0)).id
    path = dataset.folder / "metadata.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole + whole[: len(whole) // 2])
    assert [row.id for row in dataset.rows()] == [kept] and len(dataset) == 1
    second = dataset.append(pair(1)).id
    assert [row.id for row in dataset.rows()] == [kept, second]
    assert path.read_bytes().startswith(whole)
    assert (dataset.folder / "orphans" / "torn-lines.txt").read_bytes() == whole[: len(whole) // 2] + b"\n"


def test_a_last_line_without_line_break_is_kept(dataset):
    kept = dataset.append(pair(0)).id
    path = dataset.folder / "metadata.jsonl"
    path.write_bytes(path.read_bytes().rstrip(b"\n"))
    second = dataset.append(pair(1)).id
    assert [row.id for row in dataset.rows()] == [kept, second]


def test_the_digest_depends_on_content_alone(tmp_path):
    one, two = Dataset.create(tmp_path, "one"), Dataset.create(tmp_path, "two")
    for seed in (0, 1, 2):
        one.append(pair(seed))
    for seed in (2, 0):
        two.append(pair(seed, tags=["x"], name="other"))
    assert one.digest() != two.digest()
    two.append(pair(1))
    assert one.digest() == two.digest()
