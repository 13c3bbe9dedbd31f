"""What the page is told of labels and what it may decide, in a server of its own."""

from __future__ import annotations

import pytest
from comfyui_ace.training.dataset.store import Dataset
from comfyui_ace.training.label.journal import LabelJournal
from comfyui_ace.training.label.labeller import Labeller
from comfyui_ace.training.label.labelling import label_dataset
from comfyui_ace.training.label.settings import LabelSettings
from dataset_page_talk import Talk, talk
from label_models import Looking, scene_pair
from pair_factory import pair

NAME = "夜 1.5"


@pytest.fixture
def dataset(tmp_path, no_sync) -> Dataset:
    made = Dataset.create(tmp_path / "datasets", NAME)
    for seed in range(4):
        assert made.append(scene_pair(seed, "red", "blue", ("left", "right", "top", "bottom")[seed])).stored
    settings = LabelSettings(forms=("imperative", "short"), identical=0, limit=3)
    label_dataset(made, Labeller(Looking(), settings), settings)
    return made


@pytest.fixture
def no_sync(monkeypatch):
    monkeypatch.setattr("os.fsync", lambda handle: None)


def seen(item) -> dict:
    return {"id": item["id"], "version": item["version"]}


def test_labels_are_told_and_decided(dataset):
    async def work(page: Talk):
        state = await page.get(f"/{NAME}")
        assert (state["kept"], state["proposed"]) == (4, 3)
        items = await page.items(show="proposed", order="oldest")
        assert [item["id"] for item in items] == [row.id for row in list(dataset.rows())[:3]]
        label = (await page.get(f"/{NAME}/pairs/{items[0]['id']}"))["label"]
        assert items[0]["proposed"] == label["words"]["texts"][0] != items[0]["instruction"]
        assert "proposed" not in (await page.items())[0], "it is told where texts wait, and nowhere else"
        found = await page.items(show="proposed", text=label["words"]["texts"][1])
        assert items[0]["id"] in [item["id"] for item in found], "the texts that are shown are looked at"
        assert (
            await page.items(show="proposed", text="no such words") == [] == await page.items(text=items[0]["proposed"])
        )
        assert label["waits"] and [text["form"] for text in label["texts"]] == ["imperative", "short"]
        assert label["checks"]["exchange"] == "passed" and label["model"] == "eyes"

        words = {
            "texts": ["  {image} by  hand ", "", "{image} again"],
            "source_caption": "one",
            "target_caption": "two",
        }
        done = await page.post("/label", {"pair": seen(items[0]), "action": "accept", "words": words})
        row = dataset.row(items[0]["id"])
        assert row.all_instructions == ("{image} by hand", "{image} again") and row.target_caption == "two"
        assert done["pair"]["instruction"] == "{image} by hand" and done["before"]["texts"] == ["{image} trigger"]
        assert (await page.get(f"/{NAME}/pairs/{row.id}"))["label"]["state"] == "edited"

        done2 = await page.post("/label", {"pair": seen(items[1]), "action": "reject"})
        assert done2["before"] is None and done2["pair"]["version"] == items[1]["version"]
        other = await page.get(f"/{NAME}")
        assert other["proposed"] == 1 and other["version"] != state["version"]

        await page.post("/label", {"pair": seen(done["pair"]), "action": "reopen", "words": done["before"]})
        await page.post("/label", {"pair": seen(done2["pair"]), "action": "reopen"})
        assert dataset.row(row.id).all_instructions == ("{image} trigger",)
        assert (await page.get(f"/{NAME}"))["proposed"] == 3

    talk(dataset, work)


def test_what_is_accepted_keeps_what_the_row_has_and_is_in_one_language(tmp_path, no_sync):
    made = Dataset.create(tmp_path / "datasets", NAME)
    words = {"phrasings": ("{image} as I say",), "target_caption": "my result"}
    kept = [made.append(scene_pair(0, **words)), made.append(pair(50, **words))]
    settings = LabelSettings(languages=("en", "zh"), forms=("imperative", "short"), identical=0)
    label_dataset(made, Labeller(Looking(), settings), settings)
    labels = LabelJournal(made.folder)

    async def work(page: Talk):
        for one, captions in zip(kept, ((None, None), ("", "my result")), strict=True):
            item = await page.get(f"/{NAME}/pairs/{one.id}")
            label, proposed = item["label"], labels[one.id].label
            assert label["words"]["texts"] == [*proposed.words("en"), "{image} as I say"]
            assert label["others"] == list(proposed.words("zh")) and label["others"]
            source, target = captions
            assert label["words"]["source_caption"] == (proposed.source_caption if source is None else source)
            assert label["words"]["target_caption"] == (proposed.target_caption if target is None else target)
            await page.post("/label", {"pair": seen(item), "action": "accept", "words": label["words"]})
            row = made.row(one.id)
            assert row.all_instructions == (*proposed.words("en"), "{image} as I say") and row.target_caption
            assert (await page.get(f"/{NAME}/pairs/{one.id}"))["label"]["state"] == "accepted by person"

    talk(made, work)


def test_what_cannot_be_is_refused_in_words(dataset):
    async def work(page: Talk):
        items = await page.items(order="oldest")
        words = {"texts": ["{image} new"]}
        stale = {"id": items[0]["id"], "version": "0" * 64}
        answer = await page.post("/label", {"pair": stale, "action": "accept", "words": words}, 409)
        assert answer["code"] == "stale"
        for body, status, code in (
            ({"pair": seen(items[0]), "action": "accept"}, 400, "bad_request"),
            ({"pair": seen(items[0]), "action": "accept", "words": {"texts": [" "]}}, 422, "refused"),
            ({"pair": seen(items[0]), "action": "accept", "words": {"texts": ["{image4} new"]}}, 422, "refused"),
            ({"pair": seen(items[3]), "action": "reject"}, 422, "refused"),
            ({"pair": {"id": "nobody", "version": ""}, "action": "reject"}, 404, "unknown_pair"),
            ({"pair": seen(items[0]), "action": "burn"}, 400, "bad_request"),
        ):
            answer = await page.post("/label", body, status)
            assert answer["code"] == code, body
        assert all(row.instruction == "{image} trigger" for row in dataset.rows())
        assert sum(state.waits for _, state in LabelJournal(dataset.folder).items()) == 3

    talk(dataset, work)
