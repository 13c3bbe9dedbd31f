"""Death, a full disk, strangers' files and others at work: a change by hand is whole or not there."""

import json
import subprocess
import sys
import threading

import pytest
from comfyui_ace.training.dataset.curation.catalogue import Catalogue
from comfyui_ace.training.dataset.curation.edits import PairEdit, edit_pairs
from comfyui_ace.training.dataset.curation.removal import delete_pairs, restore_pairs
from comfyui_ace.training.dataset.disk import changes
from comfyui_ace.training.dataset.disk.changes import JOURNAL
from comfyui_ace.training.dataset.upkeep.repair import repair
from comfyui_ace.training.dataset.upkeep.verify import verify
from comfyui_ace.training.errors import (
    WriteError,
)
from curated_pairs import files, ids, rows_of, seen
from pair_factory import pair

pytestmark = pytest.mark.usefixtures("no_sync")


CRASH = """
import os, sys
from comfyui_ace.training.dataset.curation.catalogue import Catalogue
from comfyui_ace.training.dataset.curation.edits import PairEdit, edit_pairs
from comfyui_ace.training.dataset.curation.removal import delete_pairs, restore_pairs
from comfyui_ace.training.dataset.disk import changes, files
folder, action, step = sys.argv[1], sys.argv[2], int(sys.argv[3])
catalogue = Catalogue(folder)
catalogue.refresh()
seen = {entry.id: entry.digest for entry in list(catalogue)[:2]}
real = os.replace
def dies(*arguments):
    global step
    step -= 1
    if step < 0:
        os._exit(9)
    real(*arguments)
os.replace = dies
if action == "edit":
    edit_pairs(catalogue, seen, PairEdit(weight=4, instruction="{image} by night"))
elif action == "delete":
    delete_pairs(catalogue, seen)
else:
    restore_pairs(catalogue, list(catalogue.history.removed))
"""


@pytest.mark.parametrize(
    ("action", "steps"), [("edit", (0, 1, 2, 3)), ("delete", (0, 1, 2, 7)), ("restore", (0, 1, 4, 6))]
)
def test_death_at_any_moment_leaves_the_old_or_the_new(dataset, catalogue, action, steps):
    """The process dies before one of its renames; whoever comes next sees all of the change or none."""
    chosen = ids(catalogue)[:2]
    if action == "restore":
        delete_pairs(catalogue, seen(catalogue, *chosen))
    before = rows_of(dataset)
    outcomes = []
    for step in steps:
        died = subprocess.run([sys.executable, "-c", CRASH, str(dataset.folder), action, str(step)]).returncode
        assert verify(dataset.folder).faults == []  # which takes the lock, and so completes what was begun
        assert not (dataset.folder / JOURNAL).exists()
        after = rows_of(dataset)
        outcomes.append(after != before)
        if after != before:
            assert len(after) == len(before) + {"edit": 0, "delete": -2, "restore": 2}[action]
            catalogue.refresh()
            undo(catalogue, action, chosen)
            assert sorted(rows_of(dataset)) == sorted(before)
        assert died == 9
    assert outcomes[0] is False and outcomes[-1] is True


def undo(catalogue: Catalogue, action: str, chosen: list[str]) -> None:
    if action == "edit":
        edit_pairs(catalogue, seen(catalogue, *chosen), PairEdit(weight=1, instruction="{image} as a negative"))
    elif action == "delete":
        restore_pairs(catalogue, list(catalogue.history.removed))
    else:
        delete_pairs(catalogue, seen(catalogue, *chosen))


def test_a_disk_that_refuses_leaves_everything(dataset, catalogue, monkeypatch):
    chosen = ids(catalogue)[:2]
    before, rows = files(dataset.folder), rows_of(dataset)

    def full(*arguments):
        raise OSError(28, "No space left on device")

    for name in ("_change_rows", "write_atomic"):
        with monkeypatch.context() as broken:
            broken.setattr(changes, name, full)
            with pytest.raises(WriteError, match="disk is full"):
                edit_pairs(catalogue, seen(catalogue, *chosen), PairEdit(instruction="{image} by night"))
            with pytest.raises(WriteError, match="disk is full"):
                delete_pairs(catalogue, seen(catalogue, *chosen))
    assert files(dataset.folder) == before and rows_of(dataset) == rows
    removed = delete_pairs(catalogue, seen(catalogue, *chosen))
    before, rows = files(dataset.folder), rows_of(dataset)
    with monkeypatch.context() as broken:
        broken.setattr(changes, "_change_rows", full)
        with pytest.raises(WriteError):
            restore_pairs(catalogue, [pair.key for pair in removed])
    assert files(dataset.folder) == before and rows_of(dataset) == rows


@pytest.mark.parametrize("name", ["../outside.png", "target/../../x", "/etc/x/y", "target/a\\b", "a/b/c/d"])
def test_a_strangers_journal_moves_nothing_out(dataset, tmp_path, name):
    (tmp_path / "outside.png").write_bytes(b"precious")
    change = {"moves": [[name, "target/taken.png"]], "history": []}
    (dataset.folder / JOURNAL).write_text(json.dumps(change))
    dataset.append(pair(50))
    assert (tmp_path / "outside.png").read_bytes() == b"precious"
    assert not (dataset.folder / "target" / "taken.png").exists()
    assert (dataset.folder / "orphans" / JOURNAL).is_file()


def test_repair_leaves_deleted_pairs_alone(dataset, catalogue):
    (removed,) = delete_pairs(catalogue, seen(catalogue, ids(catalogue)[0]))
    assert repair(dataset.folder).actions == []
    assert restore_pairs(catalogue, [removed.key])


def test_edits_and_a_capture_at_once_lose_nothing(dataset, catalogue):
    def capture():
        for seed in range(100, 130):
            assert dataset.append(pair(seed)).stored

    writer = threading.Thread(target=capture)
    chosen = ids(catalogue)[:4]
    writer.start()
    for number in range(15):
        catalogue.refresh()
        edit_pairs(catalogue, seen(catalogue, chosen[number % 4]), PairEdit(weight=number + 2))
        if number % 5 == 0:
            restore_pairs(catalogue, [p.key for p in delete_pairs(catalogue, seen(catalogue, chosen[-1]))])
    writer.join()
    catalogue.refresh()
    assert len(catalogue) == len(dataset) == 34
    assert sorted(dataset.row(i).weight for i in chosen) == [13, 14, 15, 16]
    assert verify(dataset.folder).faults == []
