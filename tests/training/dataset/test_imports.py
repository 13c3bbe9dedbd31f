"""Imports keep the right picture with the right words, list what they cannot use, and can be run twice."""

import json
from pathlib import Path

import numpy as np
import pytest
from comfyui_ace.training.dataset.exporters import export_dataset
from comfyui_ace.training.dataset.importers import ImportOptions, import_pairs
from comfyui_ace.training.dataset.intake.checks import CheckSettings
from comfyui_ace.training.dataset.store import Dataset
from comfyui_ace.training.dataset.upkeep.verify import verify
from comfyui_ace.training.errors import DatasetError
from pair_factory import encoded, half_mask, pair, picture
from PIL import Image

pytestmark = pytest.mark.usefixtures("no_sync")


@pytest.fixture
def dataset(tmp_path):
    return Dataset.create(tmp_path, "d")


def save(path: Path, pixels: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def png(pixels: np.ndarray) -> dict:
    """A picture as `datasets` keeps it in parquet."""
    return {"bytes": encoded(pixels), "path": None}


def negatives(dataset) -> list[int]:
    """Seeds of the pairs (source = picture(seed), target = its negative); fails on any other pairing."""
    known = {picture(seed).tobytes(): seed for seed in range(60)}
    found = []
    for loaded in dataset:
        assert np.array_equal(loaded.target, 255 - loaded.source)
        found.append(known[loaded.source.tobytes()])
    return sorted(found)


def test_before_and_after_folders(dataset, tmp_path):
    base = tmp_path / "src"
    for seed in range(3):
        save(base / "Before" / f"p{seed}.png", picture(seed))
        save(base / "after" / f"p{seed}.png", 255 - picture(seed))
    (base / "after" / "p1.txt").write_text("\ufeffits own\nwords")
    save(base / "mask" / "p2.png", np.full((24, 32), 255, np.uint8))
    save(base / "after" / "lonely.png", picture(9))
    save(base / "Before" / "only.png", picture(8))
    result = import_pairs(dataset, base, "folders", options=ImportOptions(instruction="invert", tags=("mine",)))
    assert (result.stored, result.rejected) == (3, 0)
    assert sorted(label for label, _ in result.failed) == ["lonely.png", "only.png"]
    assert all("no picture named" in reason for _, reason in result.failed)
    assert negatives(dataset) == [0, 1, 2]
    rows = {row.id.rsplit("-", 1)[0]: row for row in dataset.rows()}
    assert rows["p1"].instruction == "its own words" and rows["p0"].instruction == "invert"
    assert rows["p2"].mask_file_names and rows["p0"].tags == ("mine",)
    again = import_pairs(dataset, base, "folders", options=ImportOptions(instruction="invert", tags=("mine",)))
    assert (again.stored, again.duplicates) == (0, 3)
    assert verify(dataset.folder).ok


def test_folders_by_name_and_references_in_order(dataset, tmp_path):
    base = tmp_path / "src"
    save(base / "x" / "a.png", picture(0))
    save(base / "y" / "a.jpg", 255 - picture(0))
    save(base / "r1" / "a.png", picture(1))
    save(base / "r2" / "a.png", picture(2))
    options = ImportOptions("words", source="x", target="y", references=("r1", "r2"))
    assert import_pairs(dataset, base, "folders", options=options).stored == 1
    (loaded,) = dataset
    assert np.array_equal(loaded.references[0], picture(1)) and np.array_equal(loaded.references[1], picture(2))
    with pytest.raises(DatasetError, match="no folder 'nope'"):
        import_pairs(dataset, base, "folders", options=ImportOptions(source="nope"))


def test_a_gap_in_the_references_is_not_closed_silently(dataset, tmp_path):
    base = tmp_path / "src"
    for folder in ("target", "control", "control_3"):
        save(base / folder / "a.png", picture(len(folder)))
    (base / "control_2").mkdir()
    result = import_pairs(dataset, base, "folders", options=ImportOptions("x"))
    assert result.stored == 0 and "control_2" in result.failed[0][1]


@pytest.mark.parametrize(("before", "after"), [("_before", "_after"), ("_start", "_end"), ("_R", "_T")])
def test_pairs_by_suffix(dataset, tmp_path, before, after):
    base = tmp_path / "src"
    for seed in range(2):
        save(base / f"p{seed}{before}.png", picture(seed))
        save(base / f"p{seed}{after}.png", 255 - picture(seed))
        (base / f"p{seed}.txt").write_text(f"words {seed}")
    save(base / "stray.png", picture(5))
    result = import_pairs(dataset, base, "folders")
    assert result.stored == 2 and result.failed == [("stray.png", "has no partner")]
    assert negatives(dataset) == [0, 1]
    assert sorted(row.instruction for row in dataset.rows()) == ["words 0", "words 1"]


def test_bad_pictures_are_listed_and_the_rest_goes_on(dataset, tmp_path):
    base = tmp_path / "src"
    for seed in range(3):
        save(base / "before" / f"p{seed}.png", picture(seed))
        save(base / "after" / f"p{seed}.png", 255 - picture(seed))
    (base / "after" / "p1.png").write_bytes(b"broken")
    save(base / "before" / "same.png", picture(7))
    save(base / "after" / "same.png", picture(7))
    result = import_pairs(dataset, base, "folders", options=ImportOptions("x"))
    assert (result.stored, result.rejected, len(result.failed)) == (2, 1, 1)
    assert "p1.png" in result.failed[0][1]
    off = CheckSettings(no_op=False)
    assert import_pairs(dataset, base, "folders", options=ImportOptions("x"), checks=off).stored == 1


def test_two_pictures_of_one_name_are_an_error(dataset, tmp_path):
    save(tmp_path / "src" / "before" / "a.png", picture(0))
    save(tmp_path / "src" / "before" / "a.jpg", picture(1))
    save(tmp_path / "src" / "after" / "a.png", picture(2))
    with pytest.raises(DatasetError, match="two pictures named 'a'"):
        import_pairs(dataset, tmp_path / "src", "folders", options=ImportOptions("x"))


def test_a_folder_of_anything_else_says_what_was_expected(dataset, tmp_path):
    save(tmp_path / "src" / "a.png", picture(0))
    with pytest.raises(DatasetError, match="--source and --target"):
        import_pairs(dataset, tmp_path / "src", "folders")
    with pytest.raises(DatasetError, match="not there"):
        import_pairs(dataset, tmp_path / "absent", "folders")


@pytest.mark.parametrize("name", ["ai-toolkit", "musubi", "huggingface"])
def test_our_own_exports_come_back(dataset, tmp_path, name):
    pytest.importorskip({"ai-toolkit": "yaml", "musubi": "tomllib", "huggingface": "pyarrow"}[name])
    for seed in range(4):
        dataset.append(pair(seed, instruction=f"negative number {seed}", weight=0.5))
    dataset.append(pair(10, references=[picture(11)], instruction="negative"))
    dataset.split(0.0)
    export = export_dataset(dataset, tmp_path / "out", name)
    config = export.folder if name == "huggingface" else export.configs[0]
    back = Dataset.create(tmp_path, "back")
    result = import_pairs(back, config, {"huggingface": "columns"}.get(name, name))
    assert result.stored == 5 and result.failed == []
    original = {row.content_hash for row in dataset.rows()}
    assert {row.content_hash for row in back.rows()} == original
    assert negatives(back) == [0, 1, 2, 3, 10]


def test_musubi_folders_by_its_own_rule(dataset, tmp_path):
    base = tmp_path / "m"
    for name in ("a", "a_1"):  # the longer name claims its controls first
        save(base / "img" / f"{name}.png", picture(len(name)))
        (base / "img" / f"{name}.caption").write_text(f"words of {name}")
    save(base / "ctl" / "a_0.png", picture(20))
    save(base / "ctl" / "a_2.png", picture(21))
    save(base / "ctl" / "a_1_0.png", picture(22))
    save(base / "ctl" / "b.png", picture(23))
    (base / "data.toml").write_text(
        '[general]\ncaption_extension = ".caption"\n[[datasets]]\nimage_directory = "img"\ncontrol_directory = "ctl"\n'
    )
    pytest.importorskip("tomllib")
    result = import_pairs(dataset, base / "data.toml", "musubi")
    assert result.stored == 2 and [label for label, _ in result.failed] == ["b.png"]
    by_words = {loaded.instruction: loaded for loaded in dataset}
    assert np.array_equal(by_words["words of a"].source, picture(20))
    assert np.array_equal(by_words["words of a"].references[0], picture(21))
    assert np.array_equal(by_words["words of a_1"].source, picture(22))


def test_musubi_jsonl_with_bad_lines(dataset, tmp_path):
    save(tmp_path / "t.png", 255 - picture(0))
    save(tmp_path / "c.png", picture(0))
    lines = [
        {"image_path": "t.png", "control_path": str(tmp_path / "c.png"), "caption": "one"},
        {"image_path": "t.png", "caption": "no control"},
        {"caption": "nothing"},
        {"image_path": "gone.png", "control_path_0": "c.png", "caption": "lost"},
    ]
    text = "\n".join(json.dumps(line) for line in lines) + "\nnot json\n[1]\n"
    (tmp_path / "x.jsonl").write_text(text)
    result = import_pairs(dataset, tmp_path / "x.jsonl", "musubi")
    assert result.stored == 1 and negatives(dataset) == [0]
    assert [label for label, _ in result.failed] == [f"x.jsonl line {number}" for number in (2, 3, 4, 5, 6)]


def write_parquet(path: Path, rows: list[dict]) -> Path:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    return path


def test_magicbrush_turns_become_rounds(dataset, tmp_path):
    hole = np.dstack([picture(0), 255 - half_mask()])
    middle, end = picture(0).copy(), None
    middle[:, :16] = 255 - middle[:, :16]
    end = np.roll(middle, 5, axis=1)
    turn = {"img_id": 17, "mask_img": png(hole)}
    rows = [
        {**turn, "turn_index": 1, "source_img": png(picture(0)), "target_img": png(middle), "instruction": "first"},
        {**turn, "turn_index": 2, "source_img": png(middle), "target_img": png(end), "instruction": "then"},
        {"img_id": 18, "turn_index": 1, "mask_img": None}
        | {"source_img": png(picture(3)), "target_img": png(picture(4)), "instruction": "other"},
    ]
    source = write_parquet(tmp_path / "mb" / "data" / "train-0.parquet", rows).parents[1]
    off = CheckSettings(mask=False)
    result = import_pairs(dataset, source, "magicbrush", checks=off)
    assert result.stored == 3 and result.failed == []
    first, second, other = dataset.rows()
    assert first.history == () and second.history == (first.id,) and other.history == ()
    assert np.array_equal(dataset.load(first).masks[0], half_mask()), "transparent = may change = white"
    assert dataset.load(other).masks == (None,)
    assert "magicbrush" in first.tags


def _mask_of_magicbrush(dataset, tmp_path, mask, **options):
    row = {"img_id": 1, "turn_index": 1, "source_img": png(picture(0)), "target_img": png(picture(1))}
    rows = [{**row, "instruction": "a", "mask_img": png(mask)}]
    table = write_parquet(tmp_path / "x.parquet", rows)
    result = import_pairs(
        dataset, table, "magicbrush", options=ImportOptions(**options), checks=CheckSettings(mask=False)
    )
    (only,) = dataset.rows()
    return dataset.load(only).masks[0], result.notes


@pytest.mark.parametrize(
    ("mask", "options", "expected", "said"),
    [
        (half_mask(), {}, half_mask(), "no transparency"),
        (picture(0), {}, None, "the source without a hole"),
        (np.dstack([picture(0), np.full_like(half_mask(), 255)]), {}, None, "counts as no mask"),
        (np.dstack([picture(0), half_mask()]), {"mask_from": "opaque"}, half_mask(), ""),
    ],
)
def test_magicbrush_masks_without_a_hole_are_spoken_of(dataset, tmp_path, mask, options, expected, said):
    found, notes = _mask_of_magicbrush(dataset, tmp_path, mask, **options)
    assert (found is None) if expected is None else np.array_equal(found, expected)
    assert said in " ".join(notes) and bool(notes) is bool(said)


def test_a_round_whose_past_was_turned_down_stands_alone(dataset, tmp_path):
    rows = [
        {
            "img_id": 1,
            "turn_index": 1,
            "source_img": png(picture(0)),
            "target_img": png(picture(0)),
            "instruction": "a",
        },
        {
            "img_id": 1,
            "turn_index": 2,
            "source_img": png(picture(0)),
            "target_img": png(picture(1)),
            "instruction": "b",
        },
    ]
    result = import_pairs(dataset, write_parquet(tmp_path / "x.parquet", rows), "magicbrush")
    assert (result.stored, result.rejected) == (1, 1)
    assert next(dataset.rows()).history == () and "stand alone" in result.notes[0]


@pytest.mark.parametrize("column", ["original_image", "input_image"])
def test_instructpix2pix(dataset, tmp_path, column):
    rows = [
        {column: png(picture(seed)), "edit_prompt": "invert it", "edited_image": png(255 - picture(seed))}
        for seed in range(3)
    ]
    result = import_pairs(dataset, write_parquet(tmp_path / "x.parquet", rows), "instructpix2pix")
    assert result.stored == 3 and negatives(dataset) == [0, 1, 2]
    assert next(dataset.rows()).instruction == "invert it"


def test_omniedit_with_scores(dataset, tmp_path):
    row = {
        "omni_edit_id": "task_obj_add_1",
        "task": "addition",
        "src_img": png(picture(0)),
        "edited_img": png(255 - picture(0)),
        "edited_prompt_list": ["invert", "make a negative"],
        "sc_score_1": 9,
        "pq_score": 8,
        "o_score": 8.4,
    }
    assert import_pairs(dataset, write_parquet(tmp_path / "x.parquet", [row]), "omniedit").stored == 1
    (kept,) = dataset.rows()
    assert kept.scores == {"omniedit": {"sc_score_1": 9.0, "pq_score": 8.0, "o_score": 8.4}}
    assert kept.instruction == "invert" and kept.tags == ("omniedit", "addition")


def test_tables_that_do_not_fit_say_what_they_have(dataset, tmp_path):
    path = write_parquet(tmp_path / "x.parquet", [{"a": 1, "b": 2}])
    with pytest.raises(DatasetError, match=r"has no column src_img.*it has a, b"):
        import_pairs(dataset, path, "omniedit")
    (tmp_path / "bad.parquet").write_bytes(b"nonsense")
    with pytest.raises(DatasetError, match="not a parquet file"):
        import_pairs(dataset, tmp_path / "bad.parquet", "omniedit")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match="no parquet files"):
        import_pairs(dataset, tmp_path / "empty", "omniedit")
    broken = {"src_img": {"bytes": b"x", "path": None}, "edited_img": png(picture(0)), "edited_prompt_list": ["x"]}
    result = import_pairs(dataset, write_parquet(tmp_path / "y.parquet", [broken]), "omniedit")
    assert result.stored == 0 and result.failed[0][0] == "y.parquet row 1"


def test_named_columns_and_datasets_saved_to_disk(dataset, tmp_path):
    import datasets

    rows = {"b4": [png(picture(0))], "out": [png(255 - picture(0))], "caption": ["invert"]}
    features = datasets.Features({"b4": datasets.Image(), "out": datasets.Image(), "caption": datasets.Value("string")})
    datasets.Dataset.from_dict(rows, features=features).save_to_disk(str(tmp_path / "saved"))
    options = ImportOptions(source="b4", target="out")
    assert import_pairs(dataset, tmp_path / "saved", "columns", options=options).stored == 1
    assert negatives(dataset) == [0]


def test_the_published_ace_csv(dataset, tmp_path):
    save(tmp_path / "ace" / "images" / "s.png", picture(0))
    save(tmp_path / "ace" / "images" / "t.png", 255 - picture(0))
    (tmp_path / "ace" / "train.csv").write_text(
        "Target:FILE,Source:FILE,Prompt\n"
        'images/t.png,images/s.png,"{image}, a drawing, in ink"\n'
        "images/t.png,,only words\n"
        "images/gone.png,images/s.png,lost\n"
    )
    result = import_pairs(dataset, tmp_path / "ace", "ace-csv")
    assert result.stored == 2 and result.failed[0][0] == "train.csv line 4"
    first, second = dataset.rows()
    assert first.instruction == "{image}, a drawing, in ink" and first.prompt == "a drawing, in ink"
    assert second.source_file_name is None


def test_ace_plus_csv(dataset, tmp_path):
    for name, seed in (("e", 0), ("t", 1), ("r", 2)):
        save(tmp_path / f"{name}.png", picture(seed))
    save(tmp_path / "m.png", np.full((24, 32), 255, np.uint8))
    (tmp_path / "x.csv").write_text(
        "edit_image#;#edit_mask#;#ref_image#;#target_image#;#prompt#;#data_type\n"
        "e.png#;#m.png#;#r.png#;#t.png#;#put {image1}, there#;#local\n"
        "#;##;#r.png#;#t.png#;#like this#;#portrait\n"
    )
    assert import_pairs(dataset, tmp_path / "x.csv", "ace-csv").stored == 2
    first, second = dataset
    assert np.array_equal(first.source, picture(0)) and np.array_equal(first.references[0], picture(2))
    assert first.masks[0].min() == 255 and first.tags == ("local",)
    assert np.array_equal(second.source, picture(2)) and second.references == ()
    (tmp_path / "y.csv").write_text("a,b\n1,2\n")
    with pytest.raises(DatasetError, match="Target:FILE"):
        import_pairs(dataset, tmp_path / "y.csv", "ace-csv")
