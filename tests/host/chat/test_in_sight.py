"""What an artist looks for in ACE Chat is in sight: buttons, words, and what has become of a picture."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from host.chat.chat_page import REFUSED, UNENDING, ChatPage, make_long, save_photo, until

pytestmark = pytest.mark.timeout(900)

_IN_SIGHT = """() => {
    const thread = document.querySelector(".ace-chat-thread").getBoundingClientRect();
    const buttons = [...document.querySelectorAll(".ace-chat-more[open] button")];
    return buttons.length > 4 && buttons.every(one => one.getBoundingClientRect().bottom <= thread.bottom + 1) }"""

# An expression: pixels of the thread below what is seen.
_BELOW = """(({ scrollTop, scrollHeight, clientHeight }) => scrollHeight - scrollTop - clientHeight)(
    document.querySelector(".ace-chat-thread"))"""


@pytest.fixture
def page(open_page, comfy) -> Iterator[ChatPage]:
    yield ChatPage(open_page(comfy))
    comfy.interrupt()  # a failed test may leave a turn that never ends


def test_buttons_of_the_last_turn_and_the_words_of_its_sheet(page, comfy):
    chat = make_long(comfy, 6).id
    page.open(chat)
    page.page.locator(".ace-chat .pi-list").click()
    marked = page.page.locator(".ace-chat-entry", has=page.page.locator("[aria-current=true]"))
    marked.wait_for()
    assert marked.get_attribute("data-chat") == chat, "the list does not say which conversation is open"
    page.page.locator(".ace-chat .pi-list").click()
    last = page.page.locator(".ace-chat-turn").last
    last.locator("summary").click()
    page.page.wait_for_function(_IN_SIGHT)
    page.comfy.screenshot("chat-more")
    last.get_by_role("button", name="Compare", exact=True).click()  # which moves when the others fold away
    page.page.wait_for_selector(".ace-chat-dialog .ace-after")
    page.page.keyboard.press("Escape")
    page.page.wait_for_selector(".ace-chat-more[open]", state="detached")
    # What is written takes its room from the thread.
    page.page.locator(".ace-chat-thread").evaluate("thread => { thread.scrollTop = thread.scrollHeight }")
    height = page.page.locator(".ace-chat-thread").bounding_box()["height"]
    page.field.click()
    for _ in range(6):
        page.page.keyboard.press("Shift+Enter")
    page.page.wait_for_function(
        "height => document.querySelector('.ace-chat-thread').clientHeight < height - 20", arg=height
    )
    page.page.wait_for_function(f"() => ({_BELOW}) < 8")

    page.act("What was sent")
    sheet = page.page.locator(".ace-chat-dialog img.ace-chat-sheet")
    sheet.wait_for(timeout=300_000)
    page.page.wait_for_function("() => document.querySelector('img.ace-chat-sheet')?.naturalWidth > 0")
    natural, shown = sheet.evaluate("image => [image.naturalWidth, image.clientWidth]")
    assert shown == natural, "its words are too small to be read"
    page.comfy.screenshot("chat-long-sheet")
    page.page.keyboard.press("Escape")
    assert page.errors() == []


def test_what_somebody_is_about_to_press_stays_while_news_come(page, comfy):
    other = make_long(comfy, 1).id
    chat = make_long(comfy, 2)
    page.open(chat.id)
    last = page.page.locator(".ace-chat-turn").last
    last.locator("summary").click()
    folded = last.locator(".ace-chat-more").element_handle()
    picture = last.locator(".ace-chat-answer").element_handle()
    retry = last.get_by_role("button", name="Retry", exact=True)
    place = retry.bounding_box()["x"]
    timed = chat.turns[-1].model_copy(update={"answer": chat.turns[-1].answer.model_copy(update={"seconds": 12.5})})
    page.chats.change(chat.id, lambda chat: chat.changed_by(turns=(*chat.turns[:-1], timed)))
    # A second turn in its place, of somebody else's; pages are told.
    assert comfy.fetch(f"/ace/chats/{chat.id}/turns/{timed.id}/retry", "POST", json={"seed": 5}).status == 200
    last.get_by_text("1/2").wait_for()
    last.get_by_text("12.5 s").wait_for()
    assert retry.bounding_box()["x"] == place, "what is pressed again and again has moved"
    assert folded.evaluate("one => one.isConnected && one.open"), "what was open has gone"
    assert picture.evaluate("one => one.isConnected"), "the picture was drawn anew"
    assert page.has_focus(".ace-chat-more")
    page.act("Open the whole branch as workflow")
    page.page.wait_for_function("() => app.graph.nodes.length > 3")

    page.page.locator(".ace-chat .pi-list").click()
    row = page.page.locator(f"[data-chat='{other}']").element_handle()
    page.page.locator(f"[data-chat='{other}'] .pi-pencil").focus()
    comfy.fetch(f"/ace/chats/{chat.id}/edit", "POST", json={"title": "Named elsewhere"})
    page.page.locator(".ace-chat-entry", has_text="Named elsewhere").wait_for()
    assert row.evaluate("one => one.isConnected"), "a row of which nothing is new was drawn anew"
    assert page.has_focus(f"[data-chat='{other}']")
    # A name is typed in the list, whatever news come meanwhile.
    page.page.keyboard.press("Enter")
    page.page.keyboard.type("My bi")
    comfy.fetch(f"/ace/chats/{other}/edit", "POST", json={"settings": {"steps": 3}})
    comfy.fetch(f"/ace/chats/{chat.id}/edit", "POST", json={"title": "Named again"})
    page.page.locator(".ace-chat-entry", has_text="Named again").wait_for()
    page.page.keyboard.type("rds")
    page.comfy.screenshot("chat-named-in-the-list")
    page.page.keyboard.press("Enter")
    page.page.locator(f"[data-chat='{other}']", has_text="My birds").wait_for()
    assert page.chats.read(other).title == "My birds" and page.chat.id == chat.id
    assert page.has_focus(f"[data-chat='{other}'] .ace-chat-open")
    assert page.errors() == []


def test_the_last_turn_stays_in_view_while_it_runs(page, comfy):
    page.open(make_long(comfy, 5).id)
    page.use(steps=UNENDING)
    page.write("blur it")
    page.page.keyboard.press("Enter")
    page.page.wait_for_function("() => document.querySelector('.ace-chat-run progress')?.value > 1")
    page.page.wait_for_function(f"() => ({_BELOW}) < 8")
    comfy.interrupt()
    page.page.get_by_text("Stopped.").wait_for()
    page.page.wait_for_function(f"() => ({_BELOW}) < 8")
    assert page.errors() == []


def test_an_earlier_turn_that_is_edited_stays_in_view(page, comfy):
    page.open(make_long(comfy, 2).id)
    height = 1000
    while not 60 < page.page.evaluate(_BELOW + " + document.querySelector('.ace-chat-thread').scrollTop") < 140:
        height -= 40  # until a little of the first turn is out of view
        page.page.set_viewport_size({"width": 1600, "height": height})
    page.field.press("Escape")
    page.page.keyboard.press("ArrowUp")
    page.page.keyboard.press("e")
    page.page.get_by_text("You are editing #1").wait_for()
    frames = "async () => { for (let n = 0; n < 5; n++) await new Promise(requestAnimationFrame) }"
    page.page.evaluate(frames)
    top, thread = (
        page.page.locator(place).first.bounding_box()["y"] for place in (".ace-chat-turn", ".ace-chat-thread")
    )
    assert top >= thread, "what is edited is out of view"
    # What was said before somebody goes on is over then.
    page.page.locator(".ace-chat .pi-list").click()
    page.page.locator(".ace-chat-entry .pi-download").first.click()
    page.page.locator(".ace-chat > .ace-note:visible").wait_for()
    page.page.locator(".ace-chat .pi-list").click()
    page.use()
    page.page.get_by_role("button", name="Cancel", exact=True).click()
    page.send("and on")
    page.page.locator(".ace-chat > .ace-note").wait_for(state="hidden")
    assert page.errors() == []


def test_a_picture_that_is_slow_or_does_not_come_is_spoken_of(page, tmp_path):
    held = []
    page.page.route("**/ace/chats/*/pictures", lambda route: held.append(route))
    note = page.page.locator(".ace-chat-composer > .ace-note[role=status]")
    page.use()
    photos = [save_photo(tmp_path), save_photo(tmp_path, 90)]
    page.page.locator(".ace-chat-composer input[type=file]").set_input_files(photos)
    page.page.get_by_text("A picture is on its way.").wait_for()  # though nothing is written
    page.comfy.screenshot("chat-slow-picture")
    until(lambda: page.pump() and held, "it was not sent")
    held.pop().fulfill(**REFUSED)
    until(lambda: page.pump() and held, "the other one was not sent")
    held.pop().continue_()
    page.page.wait_for_function("() => document.querySelectorAll('.ace-chat-composer .ace-chat-held').length === 1")
    until(lambda: page.notice() == f"{photos[0].name}: The disk is full." and page.pump(), "it is not said which")
    assert note.is_hidden()
    assert [error for error in page.errors() if "503" not in error] == []


def test_a_message_about_a_lost_picture_goes_when_the_next_one_comes(page, tmp_path):
    page.use()
    page.page.route("**/ace/chats/*/pictures", lambda route: route.abort())
    page.page.locator(".ace-chat-composer input[type=file]").set_input_files(save_photo(tmp_path))
    page.page.locator(".ace-chat > .ace-note", has_text="does not answer").wait_for()
    page.page.unroute("**/ace/chats/*/pictures")
    page.upload(save_photo(tmp_path))
    page.page.locator(".ace-chat > .ace-note").wait_for(state="hidden")


def test_an_emptied_field_and_a_first_picture_say_what_can_be_done(page):
    page.use(cfg=2.0)
    words = page.field.evaluate("field => getComputedStyle(field, '::before').content")
    assert words not in ("none", "normal")
    page.write("a red circle")
    assert page.field.evaluate("field => getComputedStyle(field, '::before').content") == "none"
    page.page.keyboard.press("ControlOrMeta+a")
    page.page.keyboard.press("Backspace")
    assert page.field.evaluate("field => getComputedStyle(field, '::before').content") == words
    page.page.keyboard.type("a red circle on a blue background")
    assert page.field.inner_text() == "a red circle on a blue background"
    page.page.keyboard.press("ControlOrMeta+z")
    page.page.keyboard.press("ControlOrMeta+Shift+z")
    page.send()
    page.act("Compare")
    until(lambda: "no other picture" in page.notice() and page.pump(), "nothing is said")
    joined = page.page.evaluate(
        """async () => { const { together } = await import("/extensions/ace-edit/chat/compose/drafts.js");
            const nothing = { parts: [], pictures: [], extend: null, seed: "", editing: null, before: null };
            const waits = { ...nothing, pictures: [{ file: "a", auto: false }] };
            const typed = (...parts) => ({ ...nothing, parts });
            return [together(waits, typed("blur it")), together(typed("one"), typed("two"))].map(({ parts }) => parts) }"""
    )
    assert joined == [["blur it"], ["one", "\n", "two"]], "the text begins with an empty line"
    assert page.errors() == []
