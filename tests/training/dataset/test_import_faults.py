"""What imports meet in folders and tables that people made by hand: nothing of it is lost or changed in silence."""

import argparse
import unicodedata

import numpy as np
import pytest
from comfyui_ace.training.dataset.command import add_parser
from comfyui_ace.training.dataset.importers import ImportOptions, import_pairs
from comfyui_ace.training.dataset.store import Dataset
from pair_factory import picture
from PIL import Image

pytestmark = pytest.mark.usefixtures("no_sync")


@pytest.fixture
def dataset(tmp_path):
    return Dataset.create(tmp_path, "d")


def save(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def folders(base, names=("a", "b", "c")):
    for seed, name in enumerate(names):
        save(base / "before" / f"{name}.png", picture(seed))
        save(base / "after" / f"{name}.png", 255 - picture(seed))
    return base


def test_masks_that_fit_no_pair_and_pairs_without_a_mask_are_named(dataset, tmp_path):
    base = folders(tmp_path / "src")
    for name in ("a", "x"):
        save(base / "mask" / f"{name}.png", np.full((24, 32), 255, np.uint8))
    result = import_pairs(dataset, base, "folders", options=ImportOptions("invert"))
    assert result.stored == 3 and [label for label, _ in result.failed] == ["x.png"]
    assert "no picture named 'x'" in result.failed[0][1]
    assert len(result.notes) == 1 and "2 pair(s) have no mask" in result.notes[0] and "b.png, c.png" in result.notes[0]


def test_a_mask_by_suffix_that_fits_no_pair(dataset, tmp_path):
    for name, pixels in {"p_before": picture(0), "p_after": 255 - picture(0), "q_mask": picture(1)[:, :, 0]}.items():
        save(tmp_path / "src" / f"{name}.png", pixels)
    result = import_pairs(dataset, tmp_path / "src", "folders", options=ImportOptions("invert"))
    assert result.stored == 1 and result.failed == [("q_mask.png", "is a mask, but belongs to no pair")]


def test_names_in_two_spellings_are_one_name(dataset, tmp_path):
    """A picture copied from a Mac may have its umlaut decomposed."""
    composed, decomposed = (unicodedata.normalize(form, "größe") for form in ("NFC", "NFD"))
    for form, folder, pixels in ((composed, "before", picture(0)), (decomposed, "after", 255 - picture(0))):
        save(tmp_path / "src" / folder / f"{form}.png", pixels)
    result = import_pairs(dataset, tmp_path / "src", "folders", options=ImportOptions("invert"))
    assert (result.stored, result.failed) == (1, [])
    musubi = tmp_path / "musubi"
    save(musubi / "image" / f"{composed}.png", picture(3))
    save(musubi / "control" / f"{decomposed}_0.png", 255 - picture(3))
    (musubi / "set.toml").write_text('[[datasets]]\nimage_directory = "image"\ncontrol_directory = "control"\n')
    result = import_pairs(dataset, musubi / "set.toml", "musubi", options=ImportOptions("invert"))
    assert (result.stored, result.failed) == (1, [])


def _parquet(path, rows):
    arrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    parquet.write_table(arrow.Table.from_pylist(rows), path)
    return path


@pytest.mark.parametrize(
    ("kind", "columns"),
    [
        ("instructpix2pix", ("original_image", "edited_image", "edit_prompt")),
        ("magicbrush", ("source_img", "target_img", "instruction")),
        ("omniedit", ("src_img", "edited_img", "edited_prompt_list")),
        ("columns", ("source", "target", "instruction")),
    ],
)
def test_missing_words_are_not_the_word_none(dataset, tmp_path, kind, columns):
    rows = []
    for seed, words in enumerate((None, "do it")):
        files = [
            save(tmp_path / f"{seed}{part}.png", pixels) for part, pixels in enumerate((picture(seed), picture(9)))
        ]
        words = [words] if kind == "omniedit" else words
        rows.append(dict(zip(columns, [*(file.name for file in files), words], strict=True)))
    path = _parquet(tmp_path / "x.parquet", rows)
    result = import_pairs(dataset, path, kind)
    assert result.stored == 1 and "no instruction" in result.failed[0][1]
    assert import_pairs(dataset, path, kind, options=ImportOptions("fixed words")).stored == 1
    assert sorted(row.instruction for row in dataset.rows()) == ["do it", "fixed words"]


def _transparent(path):
    pixels = np.dstack([picture(0), np.full((24, 32), 128, np.uint8)])
    pixels[..., :3][0] = 0
    return save(path, pixels)


@pytest.mark.parametrize("kind", ["folders", "ace-csv", "musubi", "columns"])
def test_alpha_reaches_every_reader(tmp_path, kind):
    base = tmp_path / "src"
    before, after = _transparent(base / "before" / "a.png"), save(base / "after" / "a.png", 255 - picture(0))
    source = base
    if kind == "ace-csv":
        source = base / "x.csv"
        source.write_text("Target:FILE,Source:FILE,Prompt\nafter/a.png,before/a.png,x\n")
    elif kind == "musubi":
        source = base / "x.jsonl"
        source.write_text('{"image_path": "after/a.png", "control_path": "before/a.png", "caption": "x"}\n')
    elif kind == "columns":
        source = _parquet(base / "x.parquet", [{"source": str(before), "target": str(after), "instruction": "x"}])
    seen = {}
    for alpha in ("white", "black", "drop"):
        made = Dataset.create(tmp_path, alpha)
        assert import_pairs(made, source, kind, options=ImportOptions("x", alpha=alpha)).stored == 1
        seen[alpha] = int(next(iter(made)).source[0].max())
    assert seen == {"white": 127, "black": 0, "drop": 0}
    refused = import_pairs(Dataset.create(tmp_path, "e"), source, kind, options=ImportOptions("x", alpha="error"))
    assert refused.stored == 0 and "transparent" in refused.failed[0][1]


def test_the_datasets_own_alpha_is_the_default(tmp_path):
    _transparent(tmp_path / "src" / "before" / "a.png")
    save(tmp_path / "src" / "after" / "a.png", 255 - picture(0))
    made = Dataset.create(tmp_path, "d", alpha="black")
    assert import_pairs(made, tmp_path / "src", "folders", options=ImportOptions("x")).stored == 1
    assert next(iter(made)).source[0].max() == 0


def test_ace_csv_rows_that_are_short_long_or_broken(dataset, tmp_path):
    for seed in range(2):
        save(tmp_path / f"s{seed}.png", picture(seed))
        save(tmp_path / f"t{seed}.png", 255 - picture(seed))
    (tmp_path / "x.csv").write_bytes(
        b"Prompt,Target:FILE,Source:FILE\r\n"
        b"only words\r\n"
        b'"make it\r\nblue",t0.png,s0.png\r\n'
        b'"' + b"x" * 200_000 + b'",t1.png,s1.png\r\n'
        b"ok,t1.png,s1.png,too,much\r\n"
    )
    result = import_pairs(dataset, tmp_path / "x.csv", "ace-csv")
    assert sorted(row.instruction for row in dataset.rows()) == ["make it blue", "ok"]
    assert [label for label, _ in result.failed] == ["x.csv line 2", "x.csv line 5"]
    assert "names no picture" in result.failed[0][1] and "limit" in result.failed[1][1]


def test_ace_plus_rows_that_are_short(dataset, tmp_path):
    save(tmp_path / "t.png", picture(1))
    save(tmp_path / "r.png", picture(2))
    (tmp_path / "x.csv").write_text(
        "prompt#;#ref_image#;#target_image#;#data_type\nshort\nwords\u2028more#;#r.png#;#t.png\n", encoding="utf-8"
    )
    result = import_pairs(dataset, tmp_path / "x.csv", "ace-csv")
    assert result.stored == 1 and next(dataset.rows()).instruction == "words more"
    assert result.failed == [("x.csv line 2", "the row names no picture in its column target_image")]


def _call(*arguments) -> int:
    parser = argparse.ArgumentParser(prog="comfyui-ace")
    add_parser(parser.add_subparsers())
    args = parser.parse_args(["dataset", *map(str, arguments)])
    return args.run(args)


def test_an_import_that_fails_makes_no_dataset(tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    base = folders(tmp_path / "src", names=("a",))
    (base / "before" / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    for source in (tmp_path / "gone", tmp_path / "empty", base):
        assert _call("import", tmp_path / "new", source, "--format", "folders", "--instruction", "x") == 1
        assert not (tmp_path / "new").exists()
    folders(base, names=("a",))
    assert _call("import", tmp_path / "new", base, "--format", "folders", "--instruction", "x") == 0
    assert len(Dataset(tmp_path / "new")) == 1
    capsys.readouterr()
