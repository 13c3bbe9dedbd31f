"""The routes of ACE Chat in a server of their own, without a host: what is kept, told and refused."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from chat_house import NOBODY, Client, House, answer, run
from chat_server import Reply, chat_server, openai_reply
from comfyui_ace.ace.pictures.files.mask_reading import THRESHOLD
from comfyui_ace.nodes.chat.conversation.images import (
    input_name,
    menu_name,
    provide,
    read_marks,
    read_pixels,
)
from comfyui_ace.nodes.chat.dependencies import PromptState
from comfyui_ace.training.dataset.store import Dataset
from conversations import HEIGHT, SETTINGS, WIDTH, Talk, half_mask, pixels, png
from PIL import Image
from yarl import URL


@pytest.fixture
def house(tmp_path) -> House:
    return House(tmp_path)


def test_a_conversation_from_its_beginning_to_its_end(house):
    async def work(page: Client):
        settings = SETTINGS.model_dump(mode="json")
        chat = await page.post("", {"settings": settings})
        one = f"/{chat['id']}"
        file = (await page.send(f"{one}/pictures", png(pixels(1))))["file"]
        ask = {"parts": [0, " at night"], "pictures": [{"file": file}], "seed": 3, "depth": 4}
        first = await page.post(f"{one}/turns", {"ask": ask, "parent": None})
        assert first["prompt_id"] == first["chat"]["turns"][0]["prompt"] and first["workflow"]["nodes"]
        assert (house.root / "input" / input_name(file)).is_file(), "Load Image would not find it"
        assert first["chat"]["turns"][0]["state"] == "gone"
        house.queue[first["prompt_id"]] = PromptState("running")
        assert (await page.get(one))["turns"][0]["state"] == "running"
        assert (await page.post(f"{one}/turns/{first['turn']}/again", status=422))["code"] == "refused"
        result = answer(house, first, 2)
        house.queue[first["prompt_id"]] = PromptState("gone", seconds=2.5)
        turn = (await page.get(one))["turns"][0]
        assert (turn["state"], turn["answer"]["seconds"], turn["answer"]["file"]) == ("done", 2.5, result)
        house.queue.clear()
        assert (await page.get(one))["turns"][0]["answer"]["seconds"] == 2.5, (
            "it is kept when the queue has forgotten it"
        )
        retried = await page.post(f"{one}/turns/{first['turn']}/retry")
        assert retried["chat"]["turns"][1]["parent"] is None and retried["chat"]["head"] == retried["turn"]
        assert retried["chat"]["turns"][1]["seed"] != 3 and retried["chat"]["turns"][1]["parts"] == [0, " at night"]
        again = await page.post(f"{one}/turns/{retried['turn']}/again")
        assert again["prompt_id"] != retried["prompt_id"] and len(again["chat"]["turns"]) == 2
        assert (await page.post(f"{one}/edit", {"head": first["turn"], "title": " My   cat "}))["title"] == "My cat"
        assert (await page.post(f"{one}/edit", {"beginning": True}))["head"] is None
        before = (await page.post(f"{one}/edit", {"settings": {"steps": 7}}))["settings"]
        after = (await page.post(f"{one}/edit", {"settings": {"cfg": 3.5}}))["settings"]  # of another window
        assert before["steps"] == 7 and after == before | {"cfg": 3.5}
        for wrong in ({"steps": 0}, {"bundle": None}, {"colour": "red"}):
            assert (await page.post(f"{one}/edit", {"settings": wrong}, 400))["error"]
        assert (await page.get(one))["settings"] == after
        assert [chat["title"] for chat in (await page.get("", text="CAT night"))["chats"]] == ["My cat"]
        await page.post(f"{one}/delete")
        assert (await page.get(one, 404))["code"] == "unknown"
        assert len((await page.post(f"{one}/restore"))["turns"]) == 2
        assert set(house.told) == {chat["id"]}

    run(house, work)


def test_why_a_turn_has_no_answer_outlives_the_queue(house):
    async def work(page: Client):
        chat = await page.post("", {"settings": SETTINGS.model_dump(mode="json")})
        one = f"/{chat['id']}"
        told = await page.post(f"{one}/turns", {"ask": {"parts": ["a cat"], "depth": 2}})
        assert told["chat"]["settings"]["depth"] == 2, "the next turn begins with the same depth"
        house.queue[told["prompt_id"]] = PromptState("failed", "out of memory" + "!" * 5000)
        assert (await page.get(one))["turns"][0]["state"] == "failed"
        house.queue.clear()
        turn = (await page.get(one))["turns"][0]
        assert turn["state"] == "failed" and turn["message"].startswith("out of memory!")
        again = await page.post(f"{one}/turns/{told['turn']}/again")
        assert (again["chat"]["turns"][0]["state"], again["chat"]["turns"][0]["message"]) == ("gone", "")
        house.queue[again["prompt_id"]] = PromptState("stopped")
        assert (await page.get(one))["turns"][0]["state"] == "stopped"
        house.queue.clear()
        assert (await page.get(one))["turns"][0]["state"] == "stopped"
        answer(house, told, 2)
        turn = (await page.get(one))["turns"][0]
        assert (turn["state"], turn["message"]) == ("done", "")

    run(house, work)


def test_masks_are_of_their_picture(house):
    talk = Talk(house.chats)
    file = talk.upload(1)

    async def work(page: Client):
        place = f"/{talk.chat.id}/pictures/{file}"
        masked = (await page.send(f"{place}/mask", half_mask()))["file"]
        data = np.asarray(Image.open(io.BytesIO(await page.get(f"/{talk.chat.id}/pictures/{masked}"))))
        assert np.array_equal(data[..., :3], pixels(1)) and np.array_equal(
            255 - data[..., 3], read_marks(talk.folder, masked)
        )
        assert (data[:, : WIDTH // 2, 3] == 0).all() and (data[:, WIDTH // 2 :, 3] == 255).all()
        nothing = png(np.zeros((HEIGHT, WIDTH), np.uint8))
        assert (await page.send(f"{place}/mask", nothing))["file"] is None
        dim = png(np.full((HEIGHT, WIDTH), THRESHOLD, np.uint8))
        assert (await page.send(f"{place}/mask", dim))["file"] is None, "as everywhere"
        small = png(np.full((8, 8), 255, np.uint8))
        assert "8x8" in (await page.send(f"{place}/mask", small, 422))["error"]
        jpeg = await page.get(f"/{talk.chat.id}/pictures/{masked}", small="1")
        assert Image.open(io.BytesIO(jpeg)).format == "JPEG"
        assert (await page.post(f"{place}/input"))["name"] == f"ace-chat-{file}"

    run(house, work)


def test_what_the_hosts_editor_saved_is_the_same_picture_with_a_mask_or_another(house):
    talk = Talk(house.chats)
    file = talk.upload(1)
    alpha = np.full((HEIGHT, WIDTH), 255, np.uint8)
    alpha[:10], alpha[10] = 0, 200

    async def work(page: Client):
        place = f"/{talk.chat.id}/pictures/{file}/edited"
        for forgotten in (True, False):
            saved = np.dstack([pixels(1), alpha])
            saved[10] //= 2  # half transparent, so the canvas rounds
            saved[10, :, 3] = 200
            if forgotten:
                saved[:10, :, :3] = 0
            made = await page.send(place, png(saved))
            assert made["picture"] == file, "only a mask was painted"
            marks = read_marks(talk.folder, made["mask"])
            assert (marks[:10] == 255).all() and (marks[10:] == 0).all()
            assert np.array_equal(read_pixels(talk.folder, made["mask"]), pixels(1))
        assert await page.send(place, png(pixels(1))) == {"picture": file, "mask": None}
        painted = np.dstack([pixels(1), alpha])
        painted[:5, :, :3] = (255, 0, 0)
        made = await page.send(place, png(painted))
        assert made["picture"] != file and (read_pixels(talk.folder, made["picture"])[:5] == (255, 0, 0)).all()
        turned = await page.send(place, png(np.rot90(np.dstack([pixels(1), alpha]))))
        assert read_pixels(talk.folder, turned["picture"]).shape == (WIDTH, HEIGHT, 3)
        assert read_marks(talk.folder, turned["mask"]).shape == (WIDTH, HEIGHT)
        assert (await page.send(place, b"GIF89a", 422))["code"] == "picture"

    run(house, work)


def test_pictures_of_a_workflow_are_provided_before_it_is_opened(house):
    talk = Talk(house.chats)
    file = talk.upload(1)

    async def work(page: Client):
        names = [menu_name(file), "ace-chat-../../x.png", "photo.png", menu_name(f"{NOBODY}.png")]
        assert (await page.post("/provide", {"names": names}))["copied"] == [menu_name(file)]
        assert (await page.post("/provide", {"names": names}))["copied"] == [], "it is there already"
        assert [path.name for path in (house.root / "input").rglob("*.png")] == [menu_name(file)]
        assert (await page.post("/provide", {"names": "all"}, 400))["code"] == "bad_request"

    run(house, work)


@pytest.mark.parametrize(
    "path",
    [
        "/..%2f..%2fsecret",
        f"/{NOBODY}",
        "/{CHAT}",
        "/{chat}/pictures/..%2fchat.json",
        "/{chat}/pictures/chat.json",
        "/{chat}/pictures/%2e%2e%2fchat.json",
        "/{chat}/pictures/..%2f..%2f{other}%2fpictures%2f{file}",
        f"/{{chat}}/pictures/{NOBODY}.png",
        f"/{{chat}}/turns/{NOBODY}/workflow",
        "/{chat}/turns/..%2f{turn}/workflow",
        "/..%2fchats%2f{chat}",
        "/.deleted",
    ],
)
def test_hostile_addresses_lead_nowhere(house, path):
    talk, other = Talk(house.chats), Talk(house.chats)
    turn = talk.ask("x")
    names = {"chat": talk.chat.id, "other": other.chat.id, "file": other.upload(1), "turn": turn.id}

    async def work(page: Client):
        one = f"/ace/chats/{talk.chat.id}"
        assert (await page.client.get(one)).status == 200, "what is asked for below does exist"
        assert (await page.client.get(f"{one}/turns/{turn.id}/workflow")).status == 200
        assert (await page.client.get(f"/ace/chats/{other.chat.id}/pictures/{names['file']}")).status == 200
        hostile = path.format(**names, CHAT=talk.chat.id.upper())
        reply = await page.client.get(URL(f"/ace/chats{hostile}", encoded=True))
        assert reply.status == 404

    run(house, work)


def test_the_list_says_in_which_conversations_a_turn_is_under_way(house):
    async def work(page: Client):
        chats = [await page.post("", {"settings": SETTINGS.model_dump(mode="json")}) for _ in range(2)]
        told = await page.post(f"/{chats[0]['id']}/turns", {"ask": {"parts": ["a cat"]}})

        async def busy() -> set[str]:
            listed = (await page.get(""))["chats"]
            assert len(listed) == 2 and all("open" not in one for one in listed)
            return {one["id"] for one in listed if one["busy"]}

        assert await busy() == set(), "nobody has put it into the queue yet"
        for state in ("waiting", "running"):
            house.queue[told["prompt_id"]] = PromptState(state)
            assert await busy() == {chats[0]["id"]}
        answer(house, told, 1)
        assert await busy() == set()

    run(house, work)


def test_a_turn_waits_for_the_one_before_and_an_old_sheet_has_its_own_settings(house):
    async def work(page: Client):
        chat = await page.post("", {"settings": SETTINGS.model_dump(mode="json")})
        one = f"/{chat['id']}"
        ask = {"parts": ["a cat"]}
        first = await page.post(f"{one}/turns", {"ask": ask})
        for state in ("waiting", "running"):
            house.queue[first["prompt_id"]] = PromptState(state)
            refused = await page.post(f"{one}/turns", {"ask": ask, "parent": first["turn"]}, 422)
            assert refused["code"] == "refused" and "Turn 1 has no answer yet" in refused["error"]
        assert (await page.post(f"{one}/turns", {"ask": ask}))["chat"]["turns"][1]["parent"] is None
        house.queue[first["prompt_id"]] = PromptState("failed", "no")
        assert len((await page.post(f"{one}/turns", {"ask": ask, "parent": first["turn"]}))["chat"]["turns"]) == 3

        file = (await page.send(f"{one}/pictures", png(pixels(1))))["file"]
        ask = {"parts": [0, " at night"], "pictures": [{"file": file}]}
        exact = {"size": "exact size", "width": 48, "height": 32}
        await page.post(f"{one}/edit", {"settings": exact})
        sent = await page.post(f"{one}/turns", {"ask": ask})
        await page.post(f"{one}/edit", {"settings": {"width": 512}})
        widths = {}
        for turn in (sent["turn"], None):
            prompt = (await page.post(f"{one}/sheet", {"ask": ask, "turn": turn}))["prompt"]
            (preview,) = [node["inputs"] for node in prompt.values() if node["class_type"] == "ACEPreview"]
            widths[turn] = preview["resolution.width"]
        assert widths == {sent["turn"]: 48, None: 512}
        assert (await page.post(f"{one}/sheet", {"ask": ask, "turn": NOBODY}, 404))["code"] == "unknown"

    run(house, work)


def test_strangers_and_nonsense_are_refused(house):
    talk = Talk(house.chats)

    async def work(page: Client):
        one = f"/{talk.chat.id}"
        for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
            assert (await page.send(f"{one}/delete", b"{}", 400, kind))["code"] == "bad_request"
            assert (await page.send(f"{one}/pictures", png(pixels(1)), 422, kind))["code"] == "refused"
        assert (await page.send(f"{one}/pictures", b"GIF89a<script>", 422))["code"] == "picture"
        assert (await page.send(f"{one}/pictures", b"<svg onload=alert(1)>", 422, "image/svg+xml"))["code"] == "picture"
        for body in ({"ask": {"parts": ["x"], "seed": "7"}}, {"ask": {"parts": [3]}}, {"ask": {}, "more": 1}, [], "x"):
            status = 200 if body == {"ask": {"parts": ["x"], "seed": "7"}} else 400
            await page.post(f"{one}/turns", body, status)
        ask = {"parts": [0], "pictures": [{"file": f"{NOBODY}.png"}]}
        assert (await page.post(f"{one}/turns", {"ask": ask}, 404))["code"] == "unknown"
        assert (await page.post(f"{one}/turns", {"ask": {"parts": ["x"]}, "parent": NOBODY}, 404))["code"] == "unknown"
        assert (await page.post(f"{one}/turns/{NOBODY}/dataset", {"name": "x"}, 404))["code"] == "unknown"
        words = "<img src=x onerror=alert(1)> ../../etc/passwd {image3} \u202e" + "ä" * 9_900
        told = await page.post(f"{one}/turns", {"ask": {"parts": [words]}})
        assert told["chat"]["turns"][-1]["parts"] == [words], "what somebody wrote is kept as it is"
        assert "{image3}" not in told["chat"]["turns"][-1]["instruction"]
        assert talk.chats.read(talk.chat.id).title == "x"

    run(house, work)


def test_a_branch_becomes_pairs_with_history(house):
    talk = Talk(house.chats)
    turns = talk.chain(2)
    masked = talk.mask(turns[-1].answer.file)
    last = talk.ask(0, " half", pictures=[masked, talk.upload(5)], parent=turns[-1].id, depth=1, answer=30)
    wide = talk.ask(0, " wider", pictures=[last.answer.file], parent=last.id, extend={"left": 16}, depth=0, answer=31)

    async def work(page: Client):
        sent = await page.post(f"/{talk.chat.id}/turns/{last.id}/dataset", {"name": "from a chat"})
        assert sent == {"stored": 3, "known": 0, "rejected": []}
        again = await page.post(f"/{talk.chat.id}/turns/{last.id}/dataset", {"name": "from a chat"})
        assert again == {"stored": 0, "known": 3, "rejected": []}
        bad = await page.post(f"/{talk.chat.id}/turns/{last.id}/dataset", {"name": "../x"}, 422)
        assert bad["code"] == "refused"
        refused = await page.post(f"/{talk.chat.id}/turns/{wide.id}/dataset", {"name": "from a chat"})
        assert refused["rejected"][0][0] == wide.number, "a made-up answer of the wrong size must not pass"

    run(house, work)
    dataset = Dataset(house.root / "datasets" / "from a chat")
    one, two, three = dataset.rows()
    assert (one.history, two.history, three.history) == ((), (one.id,), (two.id,))
    pair = dataset.load(three)
    assert np.array_equal(pair.target, pixels(30)) and np.array_equal(
        pair.masks[0], read_marks(talk.folder, masked.mask)
    )
    assert pair.instruction == "{image} half" and len(pair.images) == 2 and pair.seed == 7


def test_a_conversation_is_exported_as_files_that_anybody_reads(house):
    talk = Talk(house.chats)
    talk.chain(2)
    talk.ask("<b>*bold*</b> /../ a cat", answer=9)

    async def work(page: Client):
        folders = [Path((await page.post(f"/{talk.chat.id}/export"))["folder"]) for _ in range(2)]
        assert folders[0].parent == house.root / "output" / "ACE Chat" and folders[1].name == f"{folders[0].name}-2"
        names = sorted(path.name for path in folders[0].glob("*.png"))
        assert names == ["001 round-0.png", "002 round-1.png", "003 b-bold-b-a-cat.png"]
        text = (folders[0] / "conversation.md").read_text()
        assert "\\<b\\>\\*bold" in text and "<b>" not in text and "after 1 · seed 7" in text
        assert json.loads((folders[0] / "workflow.json").read_text())["nodes"]
        assert json.loads((folders[0] / "chat.json").read_text())["id"] == talk.chat.id

    run(house, work)


def test_pictures_that_a_prompt_names_are_copied_and_nothing_else(house):
    talk = Talk(house.chats)
    file = talk.upload(1)
    names = [input_name(file), input_name(file), "ace-chat/../../secret.png", "photo.png", input_name(f"{NOBODY}.png")]
    assert provide(names, house.root / "user", house.root / "input") == [input_name(file)]
    assert [path.name for path in (house.root / "input").rglob("*.png")] == [file]


def test_suggestions_follow_what_is_typed(house):
    async def titles(page: Client, **query):
        return [one["title"] for one in (await page.get("/suggestions", **query))["suggestions"]]

    async def work(page: Client):
        assert "Add an object" in await titles(page, text="add a dog", pictures="1")
        assert "Add an object in the mask" not in await titles(page, text="add object", pictures="1")
        assert "Add an object in the mask" in await titles(page, text="add object", pictures="1", masked="true")
        assert "移除物体" in await titles(page, text="移除", pictures="1", language="zh")
        first = (await page.get("/suggestions", text="移除", pictures="1", language="zh"))["suggestions"][0]
        assert 0 in first["parts"] and not any("除" in part for part in first["parts"] if isinstance(part, str))
        assert await titles(page, text="", pictures="1") == [] and await titles(page, text="xyzzy", pictures="1") == []
        assert (await page.get("/suggestions", 400, text="x", language="de"))["code"] == "bad_request"

    run(house, work)


def test_words_are_rewritten_by_the_server_that_was_typed_and_pictures_stay(house):
    said = {"value": "Place {image1} on the table of {image}.", "whole": None}

    def script(asked):
        if asked.body is None:
            return Reply({}, status=404)
        return openai_reply(said["whole"] or json.dumps({"instruction": said["value"]}))

    async def work(page: Client):
        with chat_server(script) as (address, _):
            body = {"address": address, "model": "any", "parts": ["pls ", 1, " on table of ", 0], "pictures": 2}
            better = await page.post("/rewrite", body)
            assert better["parts"] == ["Place ", 1, " on the table of ", 0, "."]
            said["value"] = "Place it on the table of {image}."
            mixed = await page.post("/rewrite", body, 422)
            assert mixed["code"] == "refused" and "mixed up" in mixed["error"]
            said["whole"] = '<think>On which table?</think>\n"Put {image1} onto the table of {image}."'  # and no JSON
            assert (await page.post("/rewrite", body))["parts"] == ["Put ", 1, " onto the table of ", 0, "."]
            said["whole"] = "Put {image1} where the sign of {image} says “OPEN”"
            assert (await page.post("/rewrite", body))["parts"][-1] == " says “OPEN”"
            for useless in (
                'Here it is: {"text": "Put {image1} into {image}."}',
                "Sure!\n\nHere it is.",
                '{"instruction": "Put {image1} on',
                "<html>Not found {image} {image1}</html>",
            ):
                said["whole"] = useless
                assert "not with an instruction" in (await page.post("/rewrite", body, 422))["error"]
        gone = await page.post("/rewrite", {**body, "address": "http://127.0.0.1:9"}, 502)
        assert gone["code"] == "model"
        assert (await page.post("/rewrite", {**body, "address": "file:///etc/passwd"}, 502))["code"] == "model"

    run(house, work)
