"""What is seen of a dataset: search, filters, order, small pictures."""

from dataclasses import replace

import pytest
from comfyui_ace.training.dataset.curation.catalogue import Catalogue, Query
from comfyui_ace.training.dataset.curation.edits import PairEdit, edit_pairs
from comfyui_ace.training.dataset.curation.removal import delete_pairs
from comfyui_ace.training.dataset.curation.thumbnails import FOLDER, rejected_thumbnail, thumbnail
from comfyui_ace.training.dataset.upkeep.verify import verify
from comfyui_ace.training.errors import (
    UnknownDatasetError,
    UnknownPairError,
)
from curated_pairs import ids, seen
from pair_factory import pair, picture

pytestmark = pytest.mark.usefixtures("no_sync")


def test_search_filters_and_order(dataset, catalogue):
    first, second, third, _ = ids(catalogue)
    edit_pairs(catalogue, seen(catalogue, second), PairEdit(instruction="{image} as Øl-Bild in BLUE", weight=0.1))
    edit_pairs(catalogue, seen(catalogue, third), PairEdit(split="validation"))

    def found(**query) -> list[str]:
        return [entry.id for entry in catalogue.select(Query(**query))]

    assert found(order="oldest") == ids(catalogue) and found() == ids(catalogue)[::-1]
    assert found(text="blue øl") == [second] and found(text="blue red") == []
    assert set(found(tag="even")) == {first, third}
    assert third in found(split="validation") and second not in found(split="validation", text="blue")
    assert found(order="weight")[0] == second and found(order="words")[-1] == second
    assert found(text=first) == [first]


def test_rejected_and_deleted_pairs_are_found_by_their_words(dataset, catalogue):
    same = picture(3)
    assert dataset.append(pair(3, source=same, target=same, name="nothing", instruction="{image} by nobody")).reason
    delete_pairs(catalogue, seen(catalogue, ids(catalogue)[1]))
    ((number, rejection),) = catalogue.select_rejected(Query(text="nobody"))
    assert catalogue.rejections[number] is rejection and rejection.findings[0]["check"] == "no_op"
    assert rejected_thumbnail(dataset.folder, rejection).startswith(b"\xff\xd8")
    for thumbnail_ in (None, "../metadata.jsonl", "rejected/../metadata.jsonl", f"rejected/{'0' * 16}.jpg"):
        with pytest.raises(UnknownPairError):
            rejected_thumbnail(dataset.folder, replace(rejection, thumbnail=thumbnail_))
    assert len(catalogue.select_removed(Query(text="negative"))) == 1
    assert catalogue.select_removed(Query(text="nobody")) == []


def test_what_others_write_is_read_on_and_only_that(dataset, catalogue, monkeypatch):
    parsed = []
    real = type(catalogue.entry(ids(catalogue)[0])).from_line
    monkeypatch.setattr(
        "comfyui_ace.training.dataset.curation.catalogue.Entry.from_line",
        lambda *arguments: parsed.append(1) or real(*arguments),
    )
    version = catalogue.version
    dataset.append(pair(70))
    assert catalogue.version != version
    catalogue.refresh()
    assert len(catalogue) == 5 and len(parsed) == 1
    edit_pairs(catalogue, seen(catalogue, ids(catalogue)[0]), PairEdit(weight=2))
    assert len(parsed) == 2, "an edit replaces the file, but only the edited line is new"
    assert [catalogue.row(entry.id).id for entry in catalogue] == ids(catalogue)
    with pytest.raises(UnknownDatasetError):
        Catalogue(dataset.folder / "target")


def test_small_pictures_are_made_once(dataset, catalogue, monkeypatch):
    row = dataset.row(ids(catalogue)[0])
    names = (row.source_file_name, row.target_file_name)
    made = thumbnail(dataset.folder, row.id, *names)
    assert made.startswith(b"\xff\xd8") and len(list((dataset.folder / FOLDER).iterdir())) == 1
    with monkeypatch.context() as closed:
        closed.setattr("comfyui_ace.training.dataset.curation.thumbnails.read_image", None)
        assert thumbnail(dataset.folder, row.id, *names) == made
    (removed,) = delete_pairs(catalogue, seen(catalogue, row.id))
    assert thumbnail(dataset.folder, row.id, *map(removed.file, names)) == made
    assert len(list((dataset.folder / FOLDER).iterdir())) == 1
    assert verify(dataset.folder).faults == []
