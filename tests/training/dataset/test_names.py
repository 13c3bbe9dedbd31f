"""Dataset names: what a stranger's workflow could try, and what ordinary people type."""

import os
import sys

import pytest
from comfyui_ace.training.dataset.disk.names import (
    check_dataset_name,
    list_datasets,
    resolve_dataset,
    slug,
)
from comfyui_ace.training.dataset.intake.wording import trigger_instruction
from comfyui_ace.training.dataset.store import Dataset
from comfyui_ace.training.errors import DatasetNameError
from hypothesis import given
from hypothesis import strategies as st

HOSTILE = [
    "",
    " ",
    ".",
    "..",
    "../up",
    "..\\up",
    "/etc",
    "C:\\x",
    "C:x",
    "a/b",
    "a\\b",
    "~",
    ".hidden",
    "end.",
    "end ",
    "a..b",
    "CON",
    "con.txt",
    "nul",
    "COM1",
    "com¹",
    "LPT9.png",
    "CONIN$",
    "a\x00b",
    "a\nb",
    "a\x1b[2Jb",
    "a\u202eb",  # right-to-left override
    "a\u200bb",  # zero-width space
    "a\u2215b",  # division slash
    "a\uff0fb",  # full-width solidus
    "\uff21BC",  # full-width A: NFKC changes it
    "e\u0301",  # decomposed é
    "a*b",
    "a?b",
    "a|b",
    "$(id)",
    "`id`",
    "a;b",
    "x" * 65,
    "漢" * 64,
    "\ud800",
    "-rf",
    "😀",
]


@pytest.mark.parametrize("name", HOSTILE, ids=[ascii(name)[:24] for name in HOSTILE])
def test_hostile_names_are_refused_with_a_reason(name, tmp_path):
    with pytest.raises(DatasetNameError, match="cannot be used"):
        resolve_dataset(tmp_path, name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["portraits", "Ölbilder 2", "肖像画", "v1.2_final-x", "console", "0"])
def test_ordinary_names_pass_unchanged(name, tmp_path):
    assert check_dataset_name(name) == name
    assert resolve_dataset(tmp_path, name) == tmp_path.resolve() / name


@pytest.mark.parametrize("value", [None, 3, b"bytes", ["a"]])
def test_a_name_is_text(value):
    with pytest.raises(DatasetNameError, match="text"):
        check_dataset_name(value)


@given(st.text(max_size=80))
def test_an_accepted_name_is_one_folder_below_the_root(name):
    root = os.path.realpath("/tmp")
    try:
        folder = resolve_dataset(root, name)
    except DatasetNameError:
        return
    assert str(folder.parent) == root
    assert os.path.normpath(folder) == str(folder)
    assert not any(ord(character) < 32 for character in folder.name)


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights on Windows")
def test_a_link_out_of_the_datasets_folder_is_refused(tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    root = tmp_path / "datasets"
    root.mkdir()
    (root / "trap").symlink_to(elsewhere)
    with pytest.raises(DatasetNameError, match="link"):
        resolve_dataset(root, "trap")


def test_a_root_that_is_itself_a_link_is_fine(tmp_path):
    real = tmp_path / "disk"
    real.mkdir()
    (tmp_path / "datasets").symlink_to(real)
    assert resolve_dataset(tmp_path / "datasets", "a") == real.resolve() / "a"


@pytest.mark.parametrize("there, asked", [("Portraits", "portraits"), ("STRASSE", "straße"), ("Äpfel", "äPFEL")])
def test_names_that_differ_in_capitals_alone_are_one_dataset_elsewhere(tmp_path, there, asked):
    """On Windows and macOS both would be one folder, so a copy would lose one of them."""
    Dataset.create(tmp_path, there)
    for resolve in (resolve_dataset, Dataset.create, Dataset.open_or_create, Dataset.open):
        with pytest.raises(DatasetNameError, match=f"There is a dataset {there!r} already, and {asked!r} differs"):
            resolve(tmp_path, asked)
    assert list_datasets(tmp_path) == [there]
    assert resolve_dataset(tmp_path, there) == tmp_path.resolve() / there


def test_two_datasets_that_are_there_already_are_both_opened(tmp_path):
    for name in ("A", "a"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "metadata.jsonl").touch()
    assert [resolve_dataset(tmp_path, name).name for name in ("A", "a")] == ["A", "a"]


def test_a_disk_that_ignores_case_opens_the_folder_as_it_is_spelled(tmp_path, monkeypatch):
    Dataset.create(tmp_path, "Portraits")
    monkeypatch.setattr(os.path, "lexists", lambda path: True)
    assert resolve_dataset(tmp_path, "portraits").name == "Portraits"


def test_a_disk_that_takes_letters_apart_lists_them_whole(tmp_path):
    """HFS+ stores é as e and an accent; a name typed with one letter still finds it."""
    (tmp_path / "E\u0301tude").mkdir()
    (tmp_path / "E\u0301tude" / "metadata.jsonl").touch()
    assert list_datasets(tmp_path) == ["\u00c9tude"]


def test_the_error_suggests_a_name_that_works():
    with pytest.raises(DatasetNameError, match="'my-portraits'"):
        check_dataset_name("my/portraits")


def test_list_shows_datasets_only(tmp_path):
    for name in ("b", "a"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "metadata.jsonl").touch()
    (tmp_path / "no-dataset").mkdir()
    (tmp_path / "file").touch()
    assert list_datasets(tmp_path) == ["a", "b"]
    assert list_datasets(tmp_path / "absent") == []


@given(st.text(max_size=100))
def test_slug_is_always_an_id(text):
    from comfyui_ace.training.dataset.disk.rows import check_id

    check_id(slug(text))


def test_slug_keeps_what_is_readable():
    assert slug("IMG_0001 (Copy).JPG") == "img-0001-copy-jpg"
    assert slug("Größe") == "groe"
    assert slug("肖像") == "pair"
    assert slug("CON") == "pair"


def test_datasets_named_in_other_scripts_have_a_trigger_of_their_own():
    words = {
        name: trigger_instruction(name, 1).split()[1]
        for name in ("雪", "雨", "雪 style", "スケッチ", "Größe", "ink v2")
    }
    assert len(set(words.values())) == len(words) and all(word.isascii() for word in words.values())
    assert words["ink v2"] == "ink-v2" and words["Größe"] != "gro-e" and words["雪 style"].startswith("style-")
    assert trigger_instruction("雪", 1) == trigger_instruction("雪", 1)
