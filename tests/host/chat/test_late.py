"""ACE Chat while the server is slow: what somebody does before an answer comes is neither lost nor done twice."""

from __future__ import annotations

import pytest
import torch
from comfyui_ace.nodes.chat.conversation.tree import Settings
from host.chat.chat_page import STEPS, ChatPage, save_photo, until
from host.harness.late import HOLD, Late
from safetensors.torch import save_file

pytestmark = pytest.mark.timeout(1800)


@pytest.fixture
def page(open_page, comfy) -> ChatPage:
    return ChatPage(open_page(comfy))


def make_chat(page: ChatPage, title: str) -> str:
    return page.chats.create(Settings(bundle="ace-tiny", steps=STEPS, cfg=1.0), title).id


def test_nothing_is_sent_before_a_picture_that_is_on_its_way(page, tmp_path):
    page.open(make_chat(page, "patient"))
    late = Late(page.comfy, "/pictures$")
    page.page.locator(".ace-chat-composer input[type=file]").set_input_files(save_photo(tmp_path))
    late.wait()
    page.write("invert it")
    page.page.keyboard.press("Enter")
    page.page.get_by_text("A picture is on its way.").wait_for()
    assert page.page.locator(".ace-chat-send").is_disabled() and not page.chat.turns
    late.come()
    assert len(page.chosen()) == 1 and page.page.locator(".ace-chat-send").is_enabled()
    turn = page.send()
    assert len(turn.pictures) == 1 and turn.parts == ("invert it",)
    assert page.errors() == []


def test_pictures_come_to_the_conversation_that_they_were_chosen_for(page, tmp_path):
    """Also when somebody begins another one before they are there."""
    first = make_chat(page, "of the pictures")
    page.open(first)
    late = Late(page.comfy, "/pictures$")
    page.page.locator(".ace-chat-composer input[type=file]").set_input_files(
        [save_photo(tmp_path), save_photo(tmp_path, 90)]
    )
    late.wait()
    page.page.locator(".ace-chat .pi-plus").click()
    page.write("of another")
    late.come()
    until(
        lambda: page.page.evaluate(
            "id => JSON.parse(sessionStorage.getItem(`ACEEdit.Chat.Draft.${id}`))?.pictures.length === 2", first
        ),
        "the pictures are lost",
    )
    assert page.chosen() == [] and page.field.inner_text() == "of another"
    assert not page.page.evaluate("() => sessionStorage.getItem('ACEEdit.Chat')"), (
        "a conversation that nobody asked for"
    )
    page.open(first)
    assert len(page.chosen()) == 2
    assert page.errors() == []


def test_what_is_typed_before_the_conversation_is_there_stays(page, tmp_path):
    chat = make_chat(page, "slow")
    page.open(chat)
    page.upload(save_photo(tmp_path))
    answer = page.send("invert it").answer.file
    page.page.add_init_script(f"({HOLD})(['/ace/chats/choices$', 'GET'])")
    page.page.reload()
    page.page.wait_for_function("() => window.app?.vueAppReady")
    if not page.page.locator(".ace-chat").count():
        page.page.keyboard.press("Shift+C")
    page.page.wait_for_function("() => window.heldUp() >= 1")
    page.write("blur it")
    page.page.keyboard.press("Enter")
    page.page.get_by_text("The conversation is being opened.").wait_for()
    page.page.evaluate("() => window.letGo()")
    page.page.locator(".ace-chat-turn").wait_for()
    until(lambda: page.chosen() == [answer] and page.pump(), "there is nothing to go on from")
    assert page.field.inner_text() == "blur it" and page.has_focus(".ace-chat-field")
    turn = page.send()
    assert turn.parts == ("blur it",) and turn.parent == page.chat.turns[0].id and len(page.chat.turns) == 2
    assert page.errors() == []


def test_the_last_conversation_that_was_clicked_is_opened(page):
    slow, wanted = make_chat(page, "slow one"), make_chat(page, "wanted")
    page.page.locator(".ace-chat .pi-list").click()
    late = Late(page.comfy, f"/ace/chats/{slow}$", "GET")
    page.page.locator(f"[data-chat='{slow}'] .ace-chat-open").click()
    late.wait()
    page.page.locator(f"[data-chat='{wanted}'] .ace-chat-open").click()
    page.page.wait_for_selector(".ace-chat-overview", state="hidden")
    page.write("for this one")
    late.come()
    assert page.chat.id == wanted and page.field.inner_text() == "for this one"
    assert page.errors() == []


def test_a_double_click_deletes_one_conversation_and_undo_brings_all_back(page):
    chats = [make_chat(page, title) for title in ("zebra A", "zebra B", "zebra C")]
    page.page.locator(".ace-chat .pi-list").click()
    page.page.locator(".ace-chat-overview input").fill("zebra")
    page.page.wait_for_function("() => document.querySelectorAll('.ace-chat-entry').length === 3")
    bins = page.page.locator(".ace-chat-entry .pi-trash")
    bins.first.dblclick()
    page.page.wait_for_function("() => document.querySelectorAll('.ace-chat-entry').length === 2")
    page.comfy.rest()
    assert bins.count() == 2
    late = Late(page.comfy, "/delete$")
    bins.first.evaluate("one => { one.click(); one.click() }")  # the second while the first is on its way
    late.wait()
    page.page.wait_for_timeout(300)
    assert late.count == 1
    late.come()
    page.page.wait_for_function("() => document.querySelectorAll('.ace-chat-entry').length === 1")
    assert "are deleted" in page.notice()
    page.page.locator(".ace-chat > .ace-note button").click()
    page.page.wait_for_function("() => document.querySelectorAll('.ace-chat-entry').length === 3")
    shown = page.page.evaluate("() => [...document.querySelectorAll('.ace-chat-entry')].map(one => one.dataset.chat)")
    assert sorted(shown) == sorted(chats) and page.errors() == []
    until(lambda: page.has_focus(".ace-chat-open") and page.pump(), "the keys are not with what came back")


def test_what_undo_brings_back_has_the_keys_although_the_list_is_read_again_meanwhile(page):
    first, second = (make_chat(page, title) for title in ("okapi A", "okapi B"))
    page.open(first)
    page.page.locator(".ace-chat .pi-list").click()
    page.page.locator(".ace-chat-overview input").fill("okapi")
    page.page.wait_for_function("() => document.querySelectorAll('.ace-chat-entry').length === 2")
    place = page.page.locator(f"[data-chat='{second}']").bounding_box()
    page.page.locator(f"[data-chat='{first}'] .pi-trash").click()
    page.page.get_by_text("is deleted").wait_for()
    page.comfy.rest()
    assert page.page.locator(f"[data-chat='{second}']").bounding_box() == place, "another comes under the pointer"
    late = Late(page.comfy, r"/ace/chats\?", "GET")
    page.page.locator(".ace-chat > .ace-note button").click()
    late.wait()
    page.comfy.rest()  # the list with what was brought back is asked for, and for the server's news
    before = late.count
    assert page.comfy.server.fetch(f"/ace/chats/{second}/edit", "POST", json={"title": "okapi C"}).status == 200
    late.wait(before + 1)
    late.come()
    page.page.wait_for_function("() => document.querySelectorAll('.ace-chat-entry').length === 2")
    page.page.locator(f"[data-chat='{second}'] b", has_text="okapi C").wait_for()
    assert page.has_focus(f"[data-chat='{first}'] .ace-chat-open[aria-current]"), (
        "it is not open again, or has not the keys"
    )
    assert page.chat.id == first

    page.page.locator(f"[data-chat='{second}'] .pi-trash").click()
    page.page.wait_for_function("() => document.querySelectorAll('.ace-chat-entry').length === 1")
    page.page.locator(".ace-chat .pi-list").click()
    page.page.locator(".ace-chat > .ace-note button").click()
    page.page.wait_for_selector(".ace-chat > .ace-note", state="hidden")
    assert {chat["id"] for chat in page.chats.list("okapi")} == {first, second}
    assert page.chat.id == first and page.errors() == [], "nobody asked for another conversation"


def test_whoever_searches_before_undo_is_done_keeps_the_keys(page):
    chat = make_chat(page, "quokka")
    page.page.locator(".ace-chat .pi-list").click()
    page.page.locator(f"[data-chat='{chat}'] .pi-trash").click()
    page.page.get_by_text("is deleted").wait_for()
    page.comfy.rest()
    late = Late(page.comfy, r"/ace/chats\?", "GET")
    page.page.locator(".ace-chat > .ace-note button").click()
    late.wait()
    page.comfy.rest()
    before = late.count
    page.page.keyboard.type("quok")
    late.wait(before + 1)
    late.come()
    page.page.keyboard.type("ka")
    page.page.locator(f"[data-chat='{chat}']").wait_for()
    assert page.page.locator(".ace-chat-overview input").input_value() == "quokka" and page.errors() == []


def test_an_answer_that_comes_while_a_list_is_open_is_what_the_next_turn_goes_on_from(page, comfy, tmp_path):
    """The list closes by itself when nothing more fits."""
    page.open(make_chat(page, "list and answer"))
    page.upload(save_photo(tmp_path))
    late = Late(page.comfy, "/prompt$")
    page.write("invert it")
    page.page.keyboard.press("Enter")
    page.page.locator(".ace-chat-turn").wait_for()
    page.page.keyboard.type("make it")
    page.page.wait_for_selector(".ace-chat-suggested")
    late.come()
    until(lambda: page.chat.turns[0].answer is not None and page.pump(), "the turn got no answer")
    page.page.locator(".ace-chat-answer img").wait_for()
    page.page.keyboard.type(" xqzw vvkj wwqx")
    page.page.locator(".ace-chat-suggested").first.wait_for(state="hidden")
    until(
        lambda: page.chosen() == [page.chat.turns[0].answer.file] and page.pump(), "the picture of before is there", 30
    )
    assert page.errors() == []


def test_phrasings_that_are_looked_for_when_an_answer_comes_are_looked_for_again(page, tmp_path):
    page.open(make_chat(page, "phrasings and answer"))
    page.use(steps=40)  # it answers later than the question is asked
    page.upload(save_photo(tmp_path))
    page.write("invert it")
    page.page.keyboard.press("Enter")
    page.page.locator(".ace-chat-turn").wait_for()
    late = Late(page.comfy, "/suggestions", "GET")
    page.page.keyboard.type("make it")
    late.wait()
    until(lambda: page.chat.turns[0].answer is not None and page.pump(), "the turn got no answer")
    until(lambda: page.chosen() == [page.chat.turns[0].answer.file] and page.pump(), "the new picture did not come")
    late.come()
    page.page.locator(".ace-chat-suggested").first.wait_for()
    assert page.errors() == []


def test_a_phrasing_that_was_reached_by_keys_is_not_taken_away(page):
    page.open(make_chat(page, "phrasings"))
    page.write("make it")
    page.page.wait_for_selector(".ace-chat-suggested")
    late = Late(page.comfy, "/suggestions", "GET")
    page.page.keyboard.type(" b")
    late.wait()
    page.page.keyboard.press("ArrowDown")
    reached = page.page.locator(".ace-chat-option[aria-selected=true]").inner_text()
    late.come()
    assert page.page.locator(".ace-chat-option[aria-selected=true]").inner_text() == reached
    page.page.keyboard.press("Enter")
    page.page.locator(".ace-chat-picker").wait_for(state="hidden")
    assert not page.chat.turns and page.field.inner_text() not in ("", "make it b"), "half a sentence was sent"
    assert page.errors() == []


def test_words_of_an_earlier_question_are_not_offered_for_another(page):
    page.open(make_chat(page, "rewording"))
    page.page.route(
        "**/ace/chats/rewrite",
        lambda route: route.fulfill(json={"parts": [f"better: {route.request.post_data_json['parts'][0]}"]}),
    )
    page.write("first words")
    page.page.get_by_role("button", name="Reword", exact=True).click()
    page.page.locator(".ace-chat-rewording input").first.fill("http://127.0.0.1:1")
    late = Late(page.comfy, "/rewrite$")
    page.page.get_by_role("button", name="Ask", exact=True).click()
    late.wait()
    page.field.click()
    page.page.keyboard.press("ControlOrMeta+a")
    page.page.keyboard.type("other words")
    page.page.get_by_role("button", name="Ask", exact=True).click()
    late.wait(2)
    page.field.click()
    late.come()
    page.page.get_by_text("better: other words").wait_for()
    assert page.has_focus(".ace-chat-field"), "whoever writes would press the button by a space"
    page.page.get_by_role("button", name="Use these words", exact=True).click()
    assert page.field.inner_text() == "better: other words" and page.errors() == []


def test_one_mask_editor_opens_however_often_it_is_asked_for(page, tmp_path):
    page.open(make_chat(page, "masks"))
    page.upload(save_photo(tmp_path))
    pictures = []
    ways = {"hold": pictures.append, "pass": lambda route: route.continue_(), "fail": lambda route: route.abort()}
    way = "hold"
    # Once: between two routes a request might pass.
    page.page.route("**/pictures/*.png", lambda route: ways[way](route))
    button = page.page.get_by_role("button", name="Mask", exact=True)
    button.click()
    button.click()
    until(lambda: page.pump() and pictures, "the picture is not loaded")
    way = "pass"
    for route in pictures:
        route.continue_()
    page.page.locator(".ace-chat-board").wait_for()
    page.comfy.rest()
    assert page.page.locator(".ace-chat-board").count() == 1
    page.page.keyboard.press("Escape")
    page.page.locator(".ace-chat-board").wait_for(state="detached")
    page.upload(save_photo(tmp_path, 90))
    way = "fail"
    page.page.locator(".ace-chat-composer .ace-chat-pen").nth(1).click()
    page.page.get_by_text("The picture cannot be loaded").wait_for()


def test_a_lora_is_added_by_the_click_that_also_leaves_a_field(page, comfy):
    loras = comfy.base_dir / "models" / "loras"
    loras.mkdir(parents=True, exist_ok=True)
    save_file({"one": torch.zeros(1)}, loras / "of settings.safetensors")
    page.open(make_chat(page, "settings"))
    page.page.locator(".ace-chat .pi-cog").click()
    steps = page.page.get_by_label("Steps", exact=True)
    steps.fill("7")
    add = page.page.get_by_role("button", name="Add a LoRA", exact=True)
    assert add.is_enabled()
    box = add.bounding_box()
    page.page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    assert page.page.locator(".ace-chat-lora").count() == 1
    until(lambda: page.chat.settings.steps == 7 and page.pump(), "the steps were not kept")
    assert page.errors() == []
