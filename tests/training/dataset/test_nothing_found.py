"""An import or a capture that finds nothing says so, what it looked for and what is there instead."""

from pathlib import Path

import pytest
from comfyui_ace.ace.pictures.files.picture_folders import PICTURE_FORMATS, PICTURE_SUFFIXES, is_picture, list_folder
from comfyui_ace.cli import main
from comfyui_ace.training.capture import inputs
from comfyui_ace.training.capture.errors import CaptureError
from comfyui_ace.training.capture.inputs import group_by_stem
from comfyui_ace.training.dataset.disk.images import read_image
from comfyui_ace.training.dataset.importers import ImportOptions, import_pairs
from comfyui_ace.training.dataset.store import Dataset
from comfyui_ace.training.errors import DatasetError
from pair_factory import picture
from PIL import Image

pytestmark = pytest.mark.usefixtures("no_sync")


def save(path: Path, seed: int, format: str | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = picture(seed % 100) if seed < 100 else 255 - picture(seed % 100)
    Image.fromarray(pixels).save(path, format)


def both(base: Path, name: str, seed: int) -> None:
    save(base / "before" / name, seed)
    save(base / "after" / name, seed + 100)


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


@pytest.fixture
def source(tmp_path):
    base = tmp_path / "src"
    for name in ("before", "after"):
        (base / name).mkdir(parents=True)
    return base


def test_every_listed_format_is_read(tmp_path):
    for format, suffixes in PICTURE_FORMATS.items():
        for suffix in (*suffixes, *map(str.upper, suffixes)):
            path = tmp_path / f"a{suffix}"
            save(path, 1, format)
            assert is_picture(path) and list_folder(tmp_path).pictures == [path]
            assert read_image(path).pixels.shape == (24, 32, 3)
            path.unlink()
    assert {".jfif", ".avif", ".webp", ".tif"} <= set(PICTURE_SUFFIXES) and not is_picture("a.txt")


def test_pictures_and_captions_of_any_ending_are_imported(source, tmp_path):
    for seed, name in enumerate(("a.jfif", "b.avif", "c.JPG", "d.tiff")):
        both(source, name, seed)
    for caption in ("a.TXT", "b.txt", "c.Txt", "d.TXT"):
        (source / "after" / caption).write_text(f"words of {caption[0]}")
    dataset = Dataset.create(tmp_path, "d")
    assert import_pairs(dataset, source, "folders").stored == 4
    assert {row.instruction for row in dataset.rows()} == {f"words of {name}" for name in "abcd"}


def test_subfolders_are_said_and_taken_when_asked(source, tmp_path, capsys):
    both(source, "cats/one.png", 0)
    both(source, "dogs/one.png", 1)
    command = ["dataset", "import", str(tmp_path / "d"), str(source), "--format", "folders", "--instruction", "x"]
    assert main(command) == 1 and not (tmp_path / "d").exists()
    error = capsys.readouterr().err
    assert "nothing to import" in error and "2 subfolder(s): cats, dogs" in error and "--subfolders" in error
    assert ".png" in error and "before/ and after/" in error, "what was looked for"
    assert main([*command, "--subfolders"]) == 0
    assert len(list(Dataset(tmp_path / "d").rows())) == 2


OTHERS = {
    "phone": (("before/a.heic", "before/b.HEIC", "after/a.heic"), ("2 .heic", "convert them to JPEG")),
    "empty": ((), ("no pictures", "passed over: nothing")),
    "raw": (("before/a.CR2", "after/a.jpg.part"), ("1 .cr2", "develop", "1 .part")),
    "no ending": (("before/a", "before/.hidden", "before/Thumbs.db"), ("1 without an ending",)),
}


@pytest.mark.parametrize("case", OTHERS)
def test_what_is_there_instead_is_counted(source, tmp_path, case):
    files, words = OTHERS[case]
    touch(*(source / name for name in files))
    with pytest.raises(DatasetError) as caught:
        import_pairs(lambda: pytest.fail("no dataset is made"), source, "folders")
    assert all(word in str(caught.value) for word in words), caught.value
    assert "hidden" not in str(caught.value) and "thumbs" not in str(caught.value).lower()


def test_what_is_passed_over_beside_pairs_is_a_note(source, tmp_path):
    both(source, "a.png", 0)
    (source / "after" / "a.txt").write_text("words")
    touch(source / "after" / "b.psd", source / "before" / "deeper" / "c.png")
    result = import_pairs(Dataset.create(tmp_path, "d"), source, "folders")
    assert result.stored == 1 and not result.failed and len(result.notes) == 2
    assert any("1 .psd" in note and "save them as PNG" in note for note in result.notes)
    assert any("1 subfolder(s): deeper" in note for note in result.notes) and "txt" not in "".join(result.notes)


@pytest.mark.parametrize(
    ("format", "name", "text"),
    [
        ("musubi", "a.toml", "[general]\n"),
        ("musubi", "a.jsonl", "\n\n"),
        ("ai-toolkit", "a.yaml", "job: extension\n"),
        ("ace-csv", "a.csv", "Target:FILE,Source:FILE,Prompt\n"),
    ],
)
def test_tables_and_configurations_without_pairs(tmp_path, format, name, text):
    (tmp_path / name).write_text(text)
    with pytest.raises(DatasetError, match=r"nothing to import|names no dataset|has no rows"):
        import_pairs(lambda: pytest.fail("no dataset is made"), tmp_path / name, format)


def test_an_empty_parquet_table(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    import pyarrow

    table = pyarrow.table(
        {"source": pyarrow.array([], pyarrow.binary()), "target": pyarrow.array([], pyarrow.binary())}
    )
    parquet.write_table(table, tmp_path / "t.parquet")
    with pytest.raises(DatasetError, match="nothing to import"):
        import_pairs(lambda: pytest.fail("no dataset is made"), tmp_path / "t.parquet", "columns")


def test_musubi_folders_without_pictures(source, tmp_path):
    touch(source / "before" / "a.heic")
    (tmp_path / "m.toml").write_text(
        f'[[datasets]]\nimage_directory = "{(source / "after").as_posix()}"\n'
        f'control_directory = "{(source / "before").as_posix()}"\n'
    )
    with pytest.raises(DatasetError, match=r"(?s)nothing to import.*1 \.heic"):
        import_pairs(
            lambda: pytest.fail("no dataset is made"), tmp_path / "m.toml", "musubi", options=ImportOptions("x")
        )


def test_captures_look_at_the_same_files(tmp_path):
    touch(tmp_path / "in" / "a.heic", tmp_path / "in" / "a.txt")
    save(tmp_path / "in" / "cats" / "a.jfif", 0)
    with pytest.raises(CaptureError, match=r"no pictures.*1 \.heic.*1 subfolder\(s\): cats.*--subfolders"):
        group_by_stem([tmp_path / "in"], {})
    (group,), unusable, (passed_over,) = group_by_stem([tmp_path / "in"], {}, subfolders=True)
    assert (group.name, unusable) == ("cats/a", [])
    assert passed_over.count("1 .heic") == 1


def test_a_folder_is_looked_through_once(tmp_path, monkeypatch):
    """Where it lies on the other side of a slow wire, that takes minutes."""
    save(tmp_path / "in" / "a.png", 0)
    save(tmp_path / "masks" / "a.png", 0)
    looked = []
    monkeypatch.setattr(
        inputs, "list_folder", lambda folder, **how: looked.append(folder) or list_folder(folder, **how)
    )
    group_by_stem([tmp_path / "in", tmp_path / "in"], {0: tmp_path / "masks"})
    assert looked == [tmp_path / "in", tmp_path / "masks"]


def test_a_link_that_leads_back_is_not_followed_for_ever(tmp_path):
    save(tmp_path / "in" / "a.png", 0)
    (tmp_path / "in" / "loop").symlink_to(tmp_path / "in", target_is_directory=True)
    assert list_folder(tmp_path / "in", subfolders=True).pictures == [tmp_path / "in" / "a.png"]
