"""`check` finds every kind of damage, `repair` mends it without deleting, and then `check` is content."""

import contextlib
import json
import os
import shutil
import threading
import time
from dataclasses import replace

import numpy as np
import pytest
from comfyui_ace.training.capture.journal import open_journal
from comfyui_ace.training.dataset.disk.files import repair_last_line
from comfyui_ace.training.dataset.intake.checks import CheckSettings
from comfyui_ace.training.dataset.provenance.provenance import save_graph
from comfyui_ace.training.dataset.settings import DatasetSettings
from comfyui_ace.training.dataset.store import Dataset
from comfyui_ace.training.dataset.upkeep.repair import repair
from comfyui_ace.training.dataset.upkeep.verify import verify
from comfyui_ace.training.errors import DatasetError
from pair_factory import half_mask, pair, picture
from PIL import Image

pytestmark = pytest.mark.usefixtures("no_sync")

GRAPH = {"1": {"class_type": "LoadImage", "inputs": {"image": "a.png"}}}


@pytest.fixture
def dataset(tmp_path):
    """Four pairs: plain, with reference and masks, and two rounds of one picture; one graph."""
    made = Dataset.create(tmp_path, "d", settings=DatasetSettings(0.3))
    workflow = save_graph(made.folder, GRAPH).hash
    made.append(pair(0, name="plain", workflow=workflow))
    made.append(pair(1, name="rich", references=[picture(9)], masks=[np.full((24, 32), 255, np.uint8), half_mask()]))
    first = made.append(pair(2, name="one"))
    made.append(pair(2, name="two", source=255 - picture(2), target=picture(3), history=[first.id]))
    return made


def by_name(dataset) -> dict[str, str]:
    return {row.id.rsplit("-", 1)[0]: row.id for row in dataset.rows()}


def edit_row(dataset, name: str, **changes) -> None:
    wanted = by_name(dataset)[name]
    path = dataset.folder / "metadata.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    path.write_text("".join(json.dumps({**row, **changes} if row["id"] == wanted else row) + "\n" for row in rows))


def content(folder) -> set[tuple[int, bytes]]:
    return {(path.stat().st_size, path.read_bytes()) for path in folder.rglob("*") if path.is_file()}


def test_a_good_dataset_has_no_faults(dataset):
    result = verify(dataset.folder)
    assert result.ok and result.pairs == 4 and result.notes == []
    assert verify(dataset.folder, strict=CheckSettings()).ok


def png(folder, relative: str, pixels: np.ndarray, **options) -> None:
    Image.fromarray(pixels).save(folder / relative, **options)


def swap(folder, left: str, right: str) -> None:
    a, b = (folder / left).read_bytes(), (folder / right).read_bytes()
    (folder / left).write_bytes(b)
    (folder / right).write_bytes(a)


DAMAGE = {
    "missing": lambda d, i: (d.folder / f"target/{i['plain']}.png").unlink(),
    "damaged": lambda d, i: os.truncate(d.folder / f"control/{i['plain']}.png", 900),
    "format": lambda d, i: png(d.folder, f"target/{i['plain']}.png", 255 - picture(0), format="JPEG"),
    "mask_size": lambda d, i: png(d.folder, f"mask_2/{i['rich']}.png", half_mask(9, 9)),
    "changed": lambda d, i: swap(d.folder, f"target/{i['plain']}.png", f"target/{i['rich']}.png"),
    "caption": lambda d, i: (d.folder / f"target/{i['plain']}.txt").write_text("something else"),
    "orphan": lambda d, i: png(d.folder, "control/stray.png", picture(5)),
    "row": lambda d, i: (d.folder / "metadata.jsonl").open("a").write('{"id": "half'),
    "history": lambda d, i: edit_row(d, "two", history=["gone-123"]),
    "duplicate_id": lambda d, i: (d.folder / "metadata.jsonl").open("a").write(d.row(i["plain"]).to_json() + "\n"),
    "workflow": lambda d, i: next((d.folder / "workflows").glob("*[!o].json")).write_text("{}"),
    "settings": lambda d, i: (d.folder / "dataset.json").write_text("nonsense"),
    "instruction": lambda d, i: edit_row(d, "plain", instruction="use {image4}"),
    "letters": lambda d, i: edit_row(d, "plain", instruction="mach es gr\ufffdn"),
    "letters ": lambda d, i: edit_row(d, "plain", prompt="mach es gr\ufffdn"),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_every_damage_is_found_and_mended(dataset, kind):
    ids = by_name(dataset)
    DAMAGE[kind](dataset, ids)
    found = verify(dataset.folder)
    assert kind.strip() in {fault.kind for fault in found.faults}, found.faults
    assert all(fault.message and fault.place for fault in found.faults)
    before = content(dataset.folder)
    planned = repair(dataset.folder, dry_run=True)
    assert {entry for entry in content(dataset.folder) if entry not in before} == set(), "a dry run changes nothing"
    done = repair(dataset.folder)
    assert done.actions == planned.actions and done.actions
    after = verify(dataset.folder)
    assert after.ok, after.faults
    assert after.pairs >= 2
    # Files are moved, never deleted; only files that repair writes itself may differ.
    lost = before - content(dataset.folder)
    assert all(b'"target_file_name"' in data for _, data in lost), "only metadata.jsonl may be rewritten"
    assert dataset.append(pair(50)).stored
    assert repair(dataset.folder).actions == []


def test_a_split_source_is_found_and_joined(dataset):
    splits = {row.id: row.split for row in dataset.rows()}
    ids = by_name(dataset)
    other = "train" if splits[ids["two"]] == "validation" else "validation"
    edit_row(dataset, "two", split=other)
    assert [fault.kind for fault in verify(dataset.folder).faults] == ["split"]
    repair(dataset.folder)
    assert {row.id: row.split for row in dataset.rows()} == splits and verify(dataset.folder).ok


def test_swapped_pictures_are_both_named(dataset):
    ids = by_name(dataset)
    swap(dataset.folder, f"control/{ids['plain']}.png", f"control/{ids['one']}.png")
    faults = verify(dataset.folder).faults
    assert {fault.place for fault in faults} == {ids["plain"], ids["one"]}
    assert all("source" in fault.message or "control/" in fault.message for fault in faults)


def test_a_round_without_its_past_goes_with_it(dataset):
    ids = by_name(dataset)
    (dataset.folder / f"target/{ids['one']}.png").unlink()
    assert repair(dataset.folder).set_aside == 2
    assert set(by_name(dataset)) == {"plain", "rich"}
    side = (dataset.folder / "orphans" / "dropped-rows.jsonl").read_text()
    assert ids["one"] in side and ids["two"] in side
    assert (dataset.folder / "orphans" / f"control--{ids['two']}.png").is_file()


def test_edits_made_on_purpose_can_be_accepted(dataset):
    ids = by_name(dataset)
    retouched = np.roll(255 - picture(0), 3, axis=0)
    png(dataset.folder, f"target/{ids['plain']}.png", retouched)
    (dataset.folder / f"target/{ids['rich']}.txt").write_text("better words\n")
    result = repair(dataset.folder, accept_changes=True)
    assert result.kept == 4 and result.set_aside == 0
    assert verify(dataset.folder).ok
    assert np.array_equal(dataset.load(ids["plain"]).target, retouched)
    row = dataset.row(ids["rich"])
    assert (row.prompt, row.instruction) == ("better words", "{image} better words"), "training reads the instruction"
    assert dataset.append(pair(0, target=retouched)).status == "duplicate"


CAPTIONS = {
    # instruction before, images, the caption's bytes -> instruction, prompt
    "a mark": ("{image} old", 1, b"\xef\xbb\xbfnew words\r\n", "{image} new words", "new words"),
    "UTF-16": ("{image} old", 1, "grün".encode("utf-16"), "{image} grün", "grün"),
    "within": ("make {image} old", 1, b"make the image new", "make {image} new", "make the image new"),
    "tokens": ("{image} old", 1, b"turn {image} blue", "turn {image} blue", "turn the image blue"),
    "two pictures": ("{image} in {image1}", 2, b"image 2 in image 1", "{image1} in {image}", "image 2 in image 1"),
    "two, unnamed": ("{image}, {image1}: old", 2, b"new", "{image}, {image1}: new", "new"),
}


@pytest.mark.parametrize("case", CAPTIONS)
def test_an_accepted_caption_is_what_training_reads(tmp_path, case):
    before, images, caption, instruction, prompt = CAPTIONS[case]
    made = Dataset.create(tmp_path, "d")
    kept = made.append(pair(0, instruction=before, references=[picture(8)] * (images - 1)))
    path = made.folder / f"target/{kept.id}.txt"
    path.write_bytes(caption)
    assert not verify(made.folder).ok
    repair(made.folder, accept_changes=True)
    row = made.row(kept.id)
    assert (row.instruction, row.prompt, path.read_bytes()) == (instruction, prompt, prompt.encode())
    assert verify(made.folder).ok
    again = made.append(pair(0, instruction=instruction, references=[picture(8)] * (images - 1)))
    assert (again.status, again.id) == ("duplicate", kept.id), "its content is known under the new words"


@pytest.mark.parametrize("caption", [b"gr\xfcn", b"", b" \n", "gr\ufffdn".encode(), b"use {image4}", b"\xff\xfe\x00"])
def test_a_caption_that_cannot_be_one_is_not_accepted(dataset, caption):
    kept = by_name(dataset)["plain"]
    path, before = dataset.folder / f"target/{kept}.txt", dataset.row(kept)
    path.write_bytes(caption)
    result = repair(dataset.folder, accept_changes=True)
    assert any(path.name in action and "not accepted" in action for action in result.actions)
    assert dataset.row(kept) == before and path.read_text() == before.prompt
    assert (dataset.folder / "orphans" / f"target--{kept}.txt").read_bytes() == caption
    assert verify(dataset.folder).ok


def test_lost_letters_are_replaced_by_an_accepted_caption(dataset):
    kept = by_name(dataset)["plain"]
    edit_row(dataset, "plain", instruction="{image} gr\ufffdn", prompt="gr\ufffdn")
    (dataset.folder / f"target/{kept}.txt").write_text("gr\ufffdn", encoding="utf-8")
    assert {"letters", "changed"} <= {fault.kind for fault in verify(dataset.folder).faults}
    (dataset.folder / f"target/{kept}.txt").write_text("grün", encoding="utf-8")
    assert repair(dataset.folder, accept_changes=True).set_aside == 0
    assert dataset.row(kept).instruction == "{image} grün" and verify(dataset.folder).ok


def test_unfinished_files_of_the_dead_are_notes_and_old_ones_move(dataset):
    part = dataset.folder / "target" / ".new.png.0123.part"
    part.write_bytes(b"half")
    result = verify(dataset.folder)
    assert result.ok and "unfinished" in result.notes[0]
    assert "left alone" in repair(dataset.folder).actions[0] and part.exists()
    os.utime(part, (time.time() - 7200,) * 2)
    repair(dataset.folder)
    assert not part.exists() and (dataset.folder / "orphans" / "target--.new.png.0123.part").read_bytes() == b"half"


def test_trainers_caches_are_no_faults(dataset):
    (dataset.folder / "target" / "_latent_cache").mkdir()
    (dataset.folder / "target" / "x_qie.safetensors").touch()
    (dataset.folder / "notes.txt").touch()
    assert verify(dataset.folder).ok


@pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")
def test_links_are_faults_and_are_moved_not_followed(dataset, tmp_path):
    ids = by_name(dataset)
    real = dataset.folder / f"control/{ids['plain']}.png"
    shutil.move(real, tmp_path / "secret.png")
    real.symlink_to(tmp_path / "secret.png")
    assert "link" in {fault.kind for fault in verify(dataset.folder).faults}
    repair(dataset.folder)
    assert verify(dataset.folder).ok and (tmp_path / "secret.png").exists()
    assert (dataset.folder / "orphans" / f"control--{ids['plain']}.png").is_symlink()


def test_strict_runs_the_checks_at_the_door(dataset):
    off = CheckSettings(no_op=False)
    dataset.append(pair(7, target=picture(7)), checks=off)
    assert verify(dataset.folder).ok
    (fault,) = verify(dataset.folder, strict=CheckSettings()).faults
    assert fault.kind == "check_no_op"


def test_checking_while_others_write_finds_nothing(dataset):
    stop = threading.Event()

    def write() -> None:
        seed = 100
        while not stop.is_set():
            Dataset(dataset.folder).append(pair(seed))
            seed += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        results = [verify(dataset.folder) for _ in range(8)]
        deadline = time.monotonic() + 60
        while results[-1].pairs == results[0].pairs and time.monotonic() < deadline:  # the writer may be slow
            results.append(verify(dataset.folder))
    finally:
        stop.set()
        writer.join()
    assert [fault for result in results for fault in result.faults] == []
    assert results[-1].pairs > results[0].pairs


def test_a_read_only_dataset_can_be_checked(dataset, monkeypatch):
    from comfyui_ace.training.dataset.upkeep import verify as module

    def refuse(folder):
        raise DatasetError("read-only")

    monkeypatch.setattr(module, "locked", refuse)
    result = verify(dataset.folder)
    assert result.ok and "read-only" in result.notes[0]


def test_what_is_no_dataset_says_so(tmp_path):
    for work in (verify, repair):
        with pytest.raises(DatasetError, match="not a dataset"):
            work(tmp_path)


def test_split_is_by_source_reproducible_and_followed_by_later_pairs(tmp_path):
    dataset = Dataset.create(tmp_path, "d")
    for source in range(20):
        for variant in range(2):
            dataset.append(pair(source, target=picture(500 + source * 2 + variant)))
    counts = dataset.split(0.25, seed=5)
    assert (counts.train, counts.validation) == (30, 10)
    first = {row.id: row.split for row in dataset.rows()}
    assert verify(dataset.folder).ok
    dataset.split(0.5, seed=6)
    assert {row.id: row.split for row in dataset.rows()} != first
    dataset.split(0.25, seed=5)
    assert {row.id: row.split for row in dataset.rows()} == first
    held_out = next(row for row in dataset.rows("validation"))
    source = dataset.load(held_out).source
    assert dataset.append(pair(0, source=source, target=picture(900))).split == "validation"
    assert Dataset(dataset.folder).settings == DatasetSettings(0.25, 5)
    assert dataset.split(0.0).validation == 0
    assert dataset.split(0.001).validation in (2, 3)
    with pytest.raises(DatasetError, match="between 0 and 1"):
        dataset.split(1.5)


def test_rewrite_keeps_lines_that_it_cannot_read(dataset):
    path = dataset.folder / "metadata.jsonl"
    path.write_text("not a row\n" + path.read_text())
    assert dataset.rewrite(lambda row: replace(row, weight=3.0)) == 4
    assert path.read_text().startswith("not a row\n")
    assert {row.weight for row in dataset.rows()} == {3.0}


OWN_FILES = [
    "metadata.jsonl",
    "dataset.json",
    "rejected.jsonl",
    "capture.jsonl",
    "orphans/torn-lines.txt",
    "orphans/dropped-rows.jsonl",
]


@pytest.mark.skipif(not hasattr(os, "O_NOFOLLOW"), reason="links need rights of their own there")
@pytest.mark.parametrize("name", OWN_FILES)
def test_links_in_place_of_a_datasets_own_files_are_faults_and_lead_nowhere(dataset, tmp_path, name):
    """A dataset from a stranger may hold a link to any file of the user's; nothing is ever appended to that."""
    victim, place = tmp_path / "victim.txt", dataset.folder / name
    place.parent.mkdir(exist_ok=True)
    keep = place.read_bytes() if place.exists() else b"torn"
    victim.write_bytes(keep)
    place.unlink(missing_ok=True)
    place.symlink_to(victim)
    assert [(fault.kind, fault.place) for fault in verify(dataset.folder).faults] == [("link", name)]
    for work in (
        lambda: Dataset(dataset.folder).append(pair(50)),
        lambda: Dataset(dataset.folder).append(pair(51, target=picture(51))),  # rejected: equals its source
        lambda: _capture_note(dataset.folder),
        lambda: repair_last_line(place),
    ):
        with contextlib.suppress(DatasetError):
            work()
    assert victim.read_bytes() == keep
    with (dataset.folder / "metadata.jsonl").open("rb") as file:
        torn = file.read() + b'{"id": "half'
    if name != "metadata.jsonl":
        (dataset.folder / "metadata.jsonl").write_bytes(torn)
    repair(dataset.folder)
    assert victim.read_bytes() == keep and not place.is_symlink() and verify(dataset.folder).ok


def _capture_note(folder) -> None:
    with open_journal(folder) as journal:
        journal.failed("a", "b")


@pytest.mark.skipif(not hasattr(os, "O_NOFOLLOW"), reason="links need rights of their own there")
@pytest.mark.parametrize("name", [".lock", ".capture.lock"])
def test_a_link_in_place_of_a_lock_is_refused(dataset, tmp_path, name):
    """Opening a lock file empties it."""
    victim, place = tmp_path / "victim.txt", dataset.folder / name
    victim.write_text("precious")
    place.unlink(missing_ok=True)
    place.symlink_to(victim)
    assert ("link", name) in [(fault.kind, fault.place) for fault in verify(dataset.folder).faults]
    with pytest.raises(DatasetError, match="is a symbolic link"):
        Dataset(dataset.folder).append(pair(50)) if name == ".lock" else _capture_note(dataset.folder)
    assert victim.read_text() == "precious"


def test_a_folder_where_a_file_should_be_is_a_fault(dataset):
    caption = dataset.folder / f"target/{by_name(dataset)['plain']}.txt"
    caption.unlink()
    caption.mkdir()
    settings = dataset.folder / "dataset.json"
    settings.unlink()
    settings.mkdir()
    assert {fault.kind for fault in verify(dataset.folder).faults} == {"caption", "settings"}
    repair(dataset.folder)
    assert verify(dataset.folder).ok and caption.read_text() == "as a negative"


@pytest.mark.parametrize(
    "changes",
    [
        {"scores": {"a": {"b": float("nan")}}},
        {"tags": ["x", "\ud800"]},
        {"instruction": "\udfff"},
        {"mine": [float("inf")]},
    ],
)
def test_a_row_that_could_never_be_written_again_is_a_fault(dataset, changes):
    edit_row(dataset, "plain", **changes)
    assert {fault.kind for fault in verify(dataset.folder).faults} == {"row", "orphan"}
    repair(dataset.folder)
    assert verify(dataset.folder).ok and len(dataset) == 3
    dataset.split(0.5)  # which writes every row
