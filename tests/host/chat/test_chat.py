"""ACE Chat in ComfyUI's own front end, with ace-tiny at two steps."""

from __future__ import annotations

import io
import json
import re

import numpy as np
import pytest
from chat_server import Reply, chat_server, openai_reply
from comfyui_ace.nodes.chat.conversation.images import read_marks, read_pixels
from comfyui_ace.training.dataset.store import Dataset
from host.chat.chat_page import ChatPage, save_photo, until
from PIL import Image

pytestmark = pytest.mark.timeout(1800)  # a conversation of ten rounds takes long on a busy machine
# The first node of the graph, wherever the front end's canvas goes on under the sidebar.
_BEGINS_BESIDE_THE_CHAT = """() => {
    const { ds, canvas } = app.canvas, { right } = document.querySelector(".ace-chat").getBoundingClientRect();
    const left = Math.min(...app.graph.nodes.map(({ pos }) => pos[0]));
    return canvas.getBoundingClientRect().left + (left + ds.offset[0]) * ds.scale > right }"""


@pytest.fixture
def chat(open_page, comfy) -> ChatPage:
    return ChatPage(open_page(comfy))


def paint_left_half(page: ChatPage) -> None:
    """Marks with the keyboard alone: the brush as large as it gets, from the middle to the left edge."""
    page.page.wait_for_selector(".ace-chat-board:focus")
    for key in [*["]"] * 12, *["Shift+ArrowLeft"] * 8, " "]:
        page.page.keyboard.press(key)
    page.comfy.screenshot("chat-mask")
    page.page.keyboard.press("Enter")
    page.page.wait_for_selector(".ace-chat-board", state="detached")
    page.page.wait_for_selector(".ace-chat-composer .ace-chat-thumb i")


def outside_is_kept(page: ChatPage, turn) -> None:
    """Not one pixel outside the mask is another, and something inside is."""
    folder = page.chats.folder(page.chat.id)
    before, after = (read_pixels(folder, file) for file in (turn.pictures[0].file, turn.answer.file))
    marked = read_marks(folder, turn.pictures[0].mask) > 0
    assert 0.1 < marked.mean() < 0.9
    assert np.array_equal(before[~marked], after[~marked]) and not np.array_equal(before, after)


def run_opened(page: ChatPage) -> np.ndarray:
    """Runs the workflow on the canvas; the picture that its last Chat Answer shows."""
    result = page.comfy.queue(timeout=600)
    answers = [node["id"] for node in page.workflow()["nodes"] if node["type"] == "ACEChatAnswer"]
    return np.asarray(result.images[str(max(answers))][0])


def compare_last(page: ChatPage) -> None:
    """Looks at the last answer beside what was edited."""
    page.act("Compare")
    page.page.wait_for_selector(".ace-chat-dialog .ace-pictures .ace-after")
    page.page.wait_for_function("() => document.querySelector('.ace-chat-dialog .ace-after').naturalWidth")
    edge = "() => document.querySelector('.ace-chat-dialog .ace-edge').style.left"
    for key, place in ((".", "55%"), (",", "50%"), ("x", "0%"), ("x", "100%"), (",", "95%")):
        page.page.keyboard.press(key)
        assert page.page.evaluate(edge) == place
    page.comfy.screenshot("chat-compare")
    names = page.page.locator(".ace-chat-dialog select.ace-chat-with option").all_inner_texts()
    assert names and all(re.fullmatch(r"Answer #\d+|Picture \d+", name) for name in names)
    box = page.page.locator(".ace-chat-dialog .ace-pictures").bounding_box()
    page.page.mouse.move(box["x"] + 0.8 * box["width"], box["y"] + 0.5 * box["height"])
    page.page.mouse.down()
    page.page.mouse.move(box["x"] + 0.25 * box["width"], box["y"] + 0.5 * box["height"])
    page.page.mouse.up()
    assert abs(float(page.page.evaluate(edge).rstrip("%")) - 25) < 1
    assert "inset(0" in page.page.evaluate("() => document.querySelector('.ace-chat-dialog .ace-layer').style.clipPath")
    return_to_turns(page)


def return_to_turns(page: ChatPage) -> None:
    page.page.keyboard.press("Escape")
    page.page.wait_for_selector(".ace-chat-dialog", state="detached")


def extend_last(page: ChatPage, before):
    """Extends the last answer to the left; what was there stays, and lies on itself where both are compared."""
    page.page.get_by_role("button", name="Extend", exact=True).click()
    left = page.page.locator(".ace-chat-extend input").first
    for typed, taken in (("-5", "0"), ("99999", "8192"), ("32", "32")):
        left.fill(typed)
        left.blur()
        assert left.input_value() == taken
    turn = page.send("continue the picture")
    old, new = (read_pixels(page.chats.folder(page.chat.id), f) for f in (before.answer.file, turn.answer.file))
    assert new.shape[1] == old.shape[1] + 32 and np.array_equal(new[:, 40:], old[:, 8:])
    page.act("Compare")
    page.page.get_by_text(f"{old.shape[1]} × {old.shape[0]} → {new.shape[1]} × {new.shape[0]}").wait_for()
    boxes = [page.page.locator(f".ace-chat-dialog .ace-{one}").bounding_box() for one in ("before", "after")]
    scale = boxes[1]["width"] / new.shape[1]
    assert abs(boxes[0]["x"] - boxes[1]["x"] - 32 * scale) < 1 and abs(boxes[0]["width"] - old.shape[1] * scale) < 1
    return_to_turns(page)
    return turn


def test_ten_rounds_with_branches_masks_and_two_pictures(chat, comfy, tmp_path):
    page = chat
    page.upload(save_photo(tmp_path))
    page.use()
    turns = [page.send("make it gray")]
    page.comfy.screenshot("chat-first-turn")
    for words in ("blur it", "mirror it"):
        turns.append(page.send(words))
    assert [[one.id for one in page.chat.rounds(turn)] for turn in turns[1:]] == [
        [turns[0].id],
        [one.id for one in turns[:2]],
    ]

    page.page.locator(".ace-chat-composer").get_by_role("button", name="Mask", exact=True).click()
    paint_left_half(page)
    turns.append(page.send("make it sepia"))
    outside_is_kept(page, turns[-1])

    page.upload(save_photo(tmp_path, 90))
    page.write("mix ")
    page.page.keyboard.type("@image1")
    page.page.wait_for_timeout(600)  # longer than the pause after which phrasings are looked for
    page.page.wait_for_selector(".ace-chat-option[aria-selected=true]")
    page.comfy.screenshot("chat-picker")
    page.page.keyboard.press("Enter")
    turns.append(page.send("with {image3} of this"))
    assert turns[-1].parts[:3:2] == ("mix ", turns[-1].parts[2]) and turns[-1].parts[1] == 1
    assert turns[-1].instruction == "{image} mix {image1} with image3 of this" and len(turns[-1].pictures) == 2

    before = len(page.chat.turns)
    page.act("Retry")
    turns.append(page.answered(before))
    one, other = turns[-2:]
    assert (one.parent, one.parts, one.pictures) == (
        other.parent,
        other.parts,
        other.pictures,
    ) and one.seed != other.seed
    assert page.shown()[-1] == other.id and one.id not in page.shown()
    page.page.get_by_role("button", name="Show the one before (←)").last.click()
    page.page.wait_for_function(
        "id => document.querySelector('.ace-chat-turn:last-child').dataset.turn === id", arg=one.id
    )

    page.field.press("Escape")
    for _ in range(2):
        page.page.keyboard.press("u")
    page.page.wait_for_function("() => document.querySelectorAll('.ace-chat-turn').length === 3")
    turns.append(page.send("invert it"))
    assert turns[-1].parent == turns[2].id, "after two steps back a new branch begins"
    for words in ("posterize it", "make it warm"):
        turns.append(page.send(words))
    turns.append(extend_last(page, turns[-1]))
    assert len(page.chat.turns) == 10 and all(turn.answer.seconds for turn in page.chat.turns[:-1])
    page.comfy.screenshot("chat-ten-rounds")

    compare_last(page)
    assert page.errors() == [] and page.comfy.foreign_requests == [] and page.comfy.alerts() == []


@pytest.mark.parametrize("branch", [False, True], ids=["turn", "branch"])
def test_the_opened_workflow_gives_the_same_picture(chat, tmp_path, branch):
    page = chat
    page.upload(save_photo(tmp_path))
    page.use()
    page.send("make it gray")
    page.page.locator(".ace-chat-composer").get_by_role("button", name="Mask", exact=True).click()
    paint_left_half(page)
    page.send("mirror it")
    turn = page.send("make it sepia")
    assert len(page.chat.rounds(turn)) == 2
    page.act("Open the whole branch as workflow" if branch else "Open as workflow")
    page.page.wait_for_function("() => app.graph.nodes.some(node => node.type === 'ACEChatAnswer')")
    page.page.wait_for_function(_BEGINS_BESIDE_THE_CHAT)
    page.comfy.settle()
    page.comfy.screenshot(f"chat-workflow-{'branch' if branch else 'turn'}")
    assert (page.comfy.red_nodes(), page.comfy.missing_node_types()) == ([], [])
    found = run_opened(page)
    assert np.array_equal(found, read_pixels(page.chats.folder(page.chat.id), turn.answer.file))
    assert page.errors() == []


def test_the_workflow_in_an_answers_file_opens_whole(open_page, comfy, tmp_path, nodes_2):
    page = ChatPage(open_page(comfy, nodes_2=nodes_2))
    page.upload(save_photo(tmp_path))
    page.use()
    page.page.locator(".ace-chat-composer").get_by_role("button", name="Mask", exact=True).click()
    paint_left_half(page)
    turn = page.send("make it gray")
    for copy in (comfy.base_dir / "input").glob("ace-chat*/*"):
        copy.unlink()  # an artist may clean up
    page.page.evaluate(
        """async address => {
            const blob = await (await fetch(address)).blob();
            await app.handleFile(new File([blob], "answer.png", { type: "image/png" }));
        }""",
        f"/ace/chats/{page.chat.id}/pictures/{turn.answer.file}",
    )
    page.page.wait_for_function("() => app.graph.nodes.some(node => node.type === 'ACEChatAnswer')")
    page.comfy.settle()
    page.page.wait_for_function(
        "() => app.graph.nodes.filter(node => node.type === 'LoadImage').every(node => node.imgs?.[0]?.naturalWidth === 96)"
    )
    page.comfy.screenshot(f"chat-answer-opened-{'nodes-2' if nodes_2 else 'canvas'}")
    assert (page.comfy.red_nodes(), page.comfy.missing_node_types(), page.comfy.error_texts()) == ([], [], [])
    assert np.array_equal(run_opened(page), read_pixels(page.chats.folder(page.chat.id), turn.answer.file))
    assert page.errors() == []


def test_a_branch_goes_to_a_dataset_and_an_answer_onto_the_canvas(chat, comfy, tmp_path):
    page = chat
    page.upload(save_photo(tmp_path))
    page.use()
    page.send("make it gray")
    turn = page.send("invert it")
    page.act("Send to dataset")
    page.page.locator(".ace-chat-dataset input").fill("from the chat")
    page.page.keyboard.press("Enter")
    page.page.wait_for_function(
        "() => document.querySelector('.ace-chat > .ace-note').innerText.includes('2 pairs stored in “from the chat”')"
    )
    page.page.wait_for_timeout(200)
    assert page.page.locator(".ace-chat-more[open]").count() == 0, "Enter went on to what had the focus next"
    one, two = Dataset(comfy.base_dir / "output" / "datasets" / "from the chat").rows()
    assert two.history == (one.id,) and two.instruction == "{image} invert it"

    nodes = page.page.evaluate("() => app.graph.nodes.length")
    shot = page.page.locator(".ace-chat-turn").last.locator(".ace-chat-answer img")
    shot.drag_to(page.page.locator("#graph-canvas"), target_position={"x": 900, "y": 600})
    page.page.wait_for_function("count => app.graph.nodes.length === count + 1", arg=nodes)
    name = page.page.evaluate("() => app.graph.nodes.at(-1).widgets.find(widget => widget.name === 'image').value")
    assert name == f"ace-chat-{turn.answer.file}" and (comfy.base_dir / "input" / name).is_file()
    assert page.errors() == []


def test_what_is_sent_is_shown(chat, tmp_path):
    page = chat
    page.upload(save_photo(tmp_path))
    page.use()
    page.send("make it gray")
    assert "sends 1 earlier round" in page.page.locator(".ace-chat-depth").inner_text()
    page.write("blur it")
    page.page.get_by_role("button", name="What is sent", exact=True).click()
    page.page.wait_for_selector(".ace-chat-dialog .ace-chat-sheet")
    page.page.wait_for_function("() => document.querySelector('.ace-chat-sheet').naturalWidth > 300")
    page.comfy.screenshot("chat-sheet")
    page.page.keyboard.press("Escape")
    depth = page.page.locator(".ace-chat-history input")
    depth.focus()
    page.page.keyboard.press("Home")
    assert "sends no earlier round" in page.page.locator(".ace-chat-depth").inner_text()
    page.field.focus()
    turn = page.send()
    assert turn.depth == 0 and page.chat.rounds(turn) == [] and page.chat.settings.depth == 0
    assert page.errors() == []


def test_phrasings_appear_while_typing(chat, tmp_path):
    page = chat
    page.upload(save_photo(tmp_path))
    page.write("add a ")
    page.page.wait_for_selector(".ace-chat-suggested")
    page.page.keyboard.press("ArrowDown")
    page.page.keyboard.press("Enter")
    page.page.wait_for_selector(".ace-chat-field .ace-chat-chip")
    assert page.page.evaluate("() => document.getSelection().toString()").startswith("[")
    page.page.keyboard.type("red hat")
    assert "red hat" in page.field.inner_text() and "[" not in page.field.inner_text().split("red hat")[0]
    assert page.chat.turns == () and page.errors() == []


def test_better_words_are_seen_before_they_are_used(chat, tmp_path):
    page = chat

    def answer(asked):
        if asked.path == "/v1/models":
            return Reply({"data": [{"id": "wordsmith"}]})
        if asked.body is None:
            return Reply({}, status=404)
        return openai_reply(json.dumps({"instruction": "Place {image1} on the left of {image}."}))

    page.upload(save_photo(tmp_path))
    page.upload(save_photo(tmp_path, 90))
    for number, words in ((1, "onto left of "), (0, "pls")):
        page.page.locator(".ace-chat-composer .ace-chat-thumb").nth(number).click()
        page.page.keyboard.type(words)
    before = page.field.inner_text()
    with chat_server(answer) as (address, asked):
        page.page.get_by_role("button", name="Reword", exact=True).click()
        page.page.keyboard.press("Enter")
        page.page.get_by_text("Type the address of your language model").wait_for()
        page.page.locator(".ace-chat-rewording input").first.fill(address)
        page.page.keyboard.press("Enter")
        page.page.get_by_text("Place {image1} on the left of {image}.").wait_for(timeout=60_000)
        assert page.field.inner_text() == before, "nothing is changed before it was seen"
        page.comfy.screenshot("chat-reworded")
        page.page.get_by_role("button", name="Use these words", exact=True).click()
    assert "{image1} onto left of" in json.dumps(asked[-1].body)
    labels = page.page.locator(".ace-chat-field .ace-chat-chip b").all_inner_texts()
    assert labels == ["image1", "image"] and page.field.inner_text().startswith("Place")
    assert page.chat.turns == () and page.errors() == []


def test_settings_can_be_chosen_before_there_is_a_conversation(chat):
    page = chat
    count = len(list(page.chats))
    page.page.locator(".ace-chat .pi-cog").click()
    page.page.locator(".ace-chat-settings select").first.wait_for()
    # Bundles of other tests are there, too.
    page.page.locator(".ace-chat-settings select").nth(1).select_option("ace-tiny")
    for label, value in (("Steps", "3"), ("CFG", "1")):
        page.page.get_by_label(label, exact=True).last.fill(value)
        page.page.keyboard.press("Tab")
    page.page.keyboard.press("Escape")
    page.page.wait_for_selector(".ace-chat-settings", state="hidden")
    assert len(list(page.chats)) == count, "a conversation of nothing was left behind"
    page.write("a red circle")
    page.page.keyboard.press("Enter")
    page.page.wait_for_function("() => localStorage.getItem('ACEEdit.Chat')")
    page.answered(0)
    assert (page.chat.settings.steps, page.chat.settings.cfg) == (3, 1.0) and len(list(page.chats)) == count + 1
    assert page.errors() == []


def test_hostile_words_stay_words(chat):
    page = chat
    page.use()
    words = "<img src=x onerror=window.hit=1> </script><script>window.hit=1</script> ../../etc/passwd {image9} %00 "
    page.field.click()
    page.page.evaluate("text => document.execCommand('insertText', false, text)", words + "ä" * (10_000 - len(words)))
    turn = page.send()
    assert turn.parts == (words + "ä" * (10_000 - len(words)),) and "{image9}" not in turn.instruction
    page.page.locator(".ace-chat-title").click()
    page.page.keyboard.insert_text("<b onclick=window.hit=1>title</b> \u202e/../x")
    page.page.keyboard.press("Enter")
    until(lambda: page.chat.title.startswith("<b ") and page.pump(), "the title was not kept")
    page.page.locator(".ace-chat .pi-list").click()
    page.page.locator(".ace-chat-entry").first.wait_for()
    page.comfy.screenshot("chat-hostile")
    assert page.page.evaluate("() => window.hit") is None
    assert page.page.locator(".ace-chat b[onclick], .ace-chat script, .ace-chat-words img").count() == 0
    page.page.locator(".ace-chat-entry").first.locator(".pi-download").click()
    page.page.wait_for_function("() => document.querySelector('.ace-chat > .ace-note').innerText.includes('ACE Chat')")
    assert page.errors() == []


def test_the_page_speaks_chinese(open_page, comfy):
    page = ChatPage(open_page(comfy, locale="zh-CN"))
    page.write("移除")
    assert "发送" in page.page.locator(".ace-chat-composer").inner_text()
    page.comfy.screenshot("chat-chinese")
    assert page.errors() == []


def test_strange_origins_are_refused(comfy):
    for path, kind, data in (
        ("/api/ace/chats", "application/json", b"{}"),
        ("/ace/chats/rewrite", "text/plain", b"{}"),
    ):
        reply = comfy.fetch(path, "POST", data=data, headers={"Content-Type": kind, "Origin": "http://evil.example"})
        assert reply.status == 403
    picture = io.BytesIO()
    Image.new("RGB", (8, 8)).save(picture, "PNG")
    reply = comfy.fetch("/ace/chats/" + "0" * 32 + "/pictures", "POST", data=picture.getvalue())
    assert reply.status in (404, 422)
    assert comfy.fetch("/ace/chats/..%2F..%2Fmodels").status == 404
