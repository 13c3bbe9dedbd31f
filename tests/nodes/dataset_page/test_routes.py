"""The routes of the page of datasets in a server of their own, without a host."""

import asyncio
import io
import json

import numpy as np
import pytest
from comfyui_ace.training.dataset.store import Dataset
from comfyui_ace.training.judge.ranking import artist_scores, comparisons
from dataset_page_talk import Talk, talk
from pair_factory import half_mask, pair, picture
from PIL import Image


@pytest.fixture
def dataset(tmp_path) -> Dataset:
    made = Dataset.create(tmp_path / "datasets", "夜 1.5")
    for seed in range(5):
        made.append(pair(seed, masks=[half_mask()] if seed == 4 else []))
    made.append(pair(9, target=picture(9), name="same"))  # a rejected one
    return made


def test_what_is_there_is_told(dataset):
    async def work(page: Talk):
        assert await page.get("") == {"datasets": ["夜 1.5"]}
        state = await page.get("/夜 1.5")
        assert (state["kept"], state["rejected"], state["deleted"]) == (5, 1, 0)
        assert state["train"] + state["validation"] == 5
        listed = await page.get("/夜 1.5/list", offset=1, limit=2, order="oldest")
        assert (listed["total"], listed["offset"], listed["version"]) == (5, 1, state["version"])
        assert [item["id"] for item in listed["items"]] == [row.id for row in dataset.rows()][1:3]
        (rejected,) = await page.items(show="rejected")
        assert rejected["checks"] == ["no_op"] and "differ" in rejected["reasons"][0]
        small = await page.get(f"/夜 1.5/rejected/{rejected['number']}/thumbnail")
        assert Image.open(io.BytesIO(small)).format == "JPEG"

    talk(dataset, work)


def test_pictures_come_small_and_whole(dataset):
    async def work(page: Talk):
        item = (await page.items())[0]
        found = await page.get(f"/夜 1.5/pairs/{item['id']}")
        assert found["pictures"] == ["target", "control", "mask"] and found["edits"] == []
        stored = dataset.load(item["id"])
        for name, pixels in (("target", stored.target), ("control", stored.source), ("mask", stored.masks[0])):
            reply = await page.client.get(f"/ace/datasets/夜 1.5/pairs/{item['id']}/pictures/{name}?v=1")
            assert reply.content_type == "image/png" and "immutable" in reply.headers["Cache-Control"]
            assert np.array_equal(np.asarray(Image.open(io.BytesIO(await reply.read()))), pixels)
        small = await page.client.get(f"/ace/datasets/夜 1.5/pairs/{item['id']}/thumbnail")
        assert small.content_type == "image/jpeg" and small.headers["Cache-Control"] == "private, no-cache"
        assert Image.open(io.BytesIO(await small.read())).size == (64, 24)
        await page.get(f"/夜 1.5/pairs/{item['id']}/pictures/control_2", 404)

    talk(dataset, work)


def test_edits_deletions_and_their_undoing(dataset):
    async def work(page: Talk):
        item = (await page.items(order="oldest"))[0]
        told = {"id": item["id"], "version": item["version"]}
        light = await page.post("/edit", {"pairs": [told], "changes": {"weight": 1.5}})
        assert not light["pairs"][0]["edited"], "only other words are an edited pair"
        item = light["pairs"][0]
        told = {"id": item["id"], "version": item["version"]}
        answer = await page.post(
            "/edit", {"pairs": [told], "changes": {"instruction": "{image} at night", "weight": 2}}
        )
        assert answer["before"] == {item["id"]: item["version"]} and answer["along"] == []
        assert answer["pairs"][0]["instruction"] == "{image} at night"
        assert dataset.row(item["id"]).weight == 2
        stale = await page.post("/edit", {"pairs": [told], "changes": {"weight": 3}}, 409)
        assert stale["code"] == "stale" and "elsewhere" in stale["error"]
        (now,) = answer["pairs"]
        assert now["edited"] and (await page.get(f"/夜 1.5/pairs/{now['id']}"))["edits"][0]["before"]["weight"] == 1
        deleted = await page.post("/delete", {"pairs": [{"id": now["id"], "version": now["version"]}]})
        (gone,) = await page.items(show="deleted")
        assert [gone["key"]] == deleted["keys"] and gone["instruction"] == "{image} at night"
        assert (await page.get(f"/夜 1.5/deleted/{gone['key']}"))["pictures"] == ["target", "control"]
        assert await page.get(f"/夜 1.5/deleted/{gone['key']}/thumbnail")
        assert await page.get(f"/夜 1.5/deleted/{gone['key']}/pictures/target")
        lost = await page.post("/edit", {"pairs": [told], "changes": {"weight": 3}}, 404)
        assert lost["code"] == "unknown_pair"
        assert await page.post("/restore", {"keys": deleted["keys"]}) == {"ids": [now["id"]]}
        assert (await page.get("/夜 1.5"))["deleted"] == 0

    talk(dataset, work)


def test_the_better_of_two_is_chosen_until_enough_were(dataset):
    """The pair written later always wins, and that becomes the order which a judge is held against."""
    order = [row.id for row in dataset.rows()]

    async def work(page: Talk):
        told = await page.get("/夜 1.5/comparison")
        assert (told["made"], told["wanted"]) == (0, 10) and told["pairs"][0]["pictures"][:2] == ["target", "control"]
        while told["pairs"] is not None:
            first, second = (shown["id"] for shown in told["pairs"])
            told = await page.post(
                "/comparison", {"first": first, "second": second, "better": max(first, second, key=order.index)}
            )
        assert told["made"] == told["wanted"] == 10, "each with each, since they are few"
        again = await page.post("/comparison", {"first": first, "second": second, "better": None})
        assert again["made"] == 10, "another choice about the same two takes the place of the first"
        assert [one.better for one in comparisons(dataset)].count(None) == 1
        await page.post(
            "/comparison", {"first": second, "second": first, "better": max(first, second, key=order.index)}
        )
        assert (await page.post("/comparison", {"first": order[0], "second": "gone", "better": None}, 422))["error"]
        assert (await page.post("/comparison", {"first": order[0], "second": order[1]}, 400))["code"] == "bad_request"

    talk(dataset, work)
    strength = artist_scores(dataset)
    assert sorted(strength, key=strength.get) == order


def test_strangers_get_nothing(dataset, tmp_path):
    (tmp_path / "secret.png").write_bytes(b"secret")
    (tmp_path / "outside").mkdir()
    (dataset.folder.parent / "link").symlink_to(tmp_path / "outside", target_is_directory=True)
    some = next(dataset.rows())

    async def work(page: Talk):
        for name in ("..%2F..", "%2Fetc", "link", "a%00b", ".hidden", "CON", "none"):
            reply = await page.client.get(f"/ace/datasets/{name}/list".replace("%2F", "%252F"))
            assert reply.status in (400, 404), name
            assert (await page.client.get(f"/ace/datasets/{name}/list")).status in (400, 404), name
        for place in ("pairs/..", "pairs/..%2F..%2Fsecret", f"pairs/{some.id}/pictures/..%2Fmetadata", "rejected/-1"):
            reply = await page.client.get(f"/ace/datasets/夜 1.5/{place}/thumbnail")
            assert reply.status == 404, place
        for query in ({"limit": 10_000}, {"offset": -1}, {"order": "random"}, {"show": "all"}, {"split": "test"}):
            refused = await page.get("/夜 1.5/list", 400, **query)
            assert refused["code"] == "bad_request"

    talk(dataset, work)


def test_a_symbolic_link_is_never_served(dataset, tmp_path):
    (tmp_path / "secret.png").write_bytes(b"secret")
    row = next(dataset.rows())
    place = dataset.folder / row.target_file_name
    place.unlink()
    place.symlink_to(tmp_path / "secret.png")

    async def work(page: Talk):
        for path in ("pictures/target", "thumbnail"):
            refused = await page.get(f"/夜 1.5/pairs/{row.id}/{path}", 422)
            assert "symbolic link" in refused["error"]

    talk(dataset, work)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/edit", {"pairs": [], "changes": {}}),
        ("/edit", {"pairs": [{"id": "x"}], "changes": {}}),
        ("/edit", {"pairs": [{"id": "x", "version": "y"}], "changes": {"seed": 3}}),
        ("/edit", {"pairs": [{"id": "x", "version": "y"}], "changes": {"weight": "7"}}),
        ("/delete", ["x"]),
        ("/restore", {"keys": "abc"}),
        ("/restore", 7),
    ],
)
def test_a_request_that_says_something_else_is_refused(dataset, path, body):
    async def work(page: Talk):
        assert (await page.post(path, body, 400))["code"] == "bad_request"

    talk(dataset, work)


def test_a_form_of_another_page_changes_nothing(dataset):
    row = next(dataset.rows())

    async def work(page: Talk):
        body = json.dumps({"pairs": [{"id": row.id, "version": (await page.items(order="oldest"))[0]["version"]}]})
        for kind in ("text/plain", "application/x-www-form-urlencoded"):
            headers = {"Content-Type": kind}
            reply = await page.client.post("/ace/datasets/夜 1.5/delete", data=body, headers=headers)
            assert reply.status == 400
        assert (await page.get("/夜 1.5"))["kept"] == 5

    talk(dataset, work)


def test_the_list_is_told_while_another_writer_holds_the_dataset(dataset):
    """A long commit must not freeze the page."""
    import filelock

    async def work(page: Talk):
        item = (await page.items())[0]
        with filelock.FileLock(str(dataset.folder / ".lock")):
            waiting = asyncio.ensure_future(page.post("/delete", {"pairs": [{k: item[k] for k in ("id", "version")}]}))
            await asyncio.sleep(0.2)
            assert len(await page.items()) == 5 and not waiting.done()
        assert len((await waiting)["keys"]) == 1

    talk(dataset, work)
