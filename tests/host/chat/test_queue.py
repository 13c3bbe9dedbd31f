"""ACE Chat and ComfyUI's queue: turns of another window, a queue that somebody clears, a reload in the middle of a turn."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from comfyui_ace.nodes.chat.conversation.images import add_pixels
from comfyui_ace.nodes.chat.conversation.tree import Answer
from host.chat.chat_page import UNENDING, ChatPage, save_photo, until
from host.harness.comfy_server import ComfyServer

pytestmark = pytest.mark.timeout(1800)

_SAMPLES = "() => document.querySelector('.ace-chat-run progress')?.value > 1"
_NOT_RUN = "This turn did not run"


@pytest.fixture
def page(open_page, comfy, tmp_path) -> Iterator[ChatPage]:
    page = ChatPage(open_page(comfy))
    page.upload(save_photo(tmp_path))
    page.use()
    yield page
    comfy.fetch("/queue", "POST", json={"clear": True})  # a failed test may leave a turn that never ends
    comfy.interrupt()


def begin(page: ChatPage, words: str) -> None:
    page.write(words)
    page.page.keyboard.press("Enter")


def write_beside_a_turn_without_end(page: ChatPage, photo: Path) -> None:
    page.use(steps=UNENDING)
    begin(page, "blur it")
    page.page.wait_for_function(_SAMPLES)
    page.field.press("Escape")
    page.page.keyboard.press("u")  # after the turn that runs, nothing can be said of it yet
    page.upload(photo)
    page.write("again")


def open_beside(open_page, page: ChatPage) -> ChatPage:
    """The same conversation in a second window."""
    other = ChatPage(open_page(page.comfy.server), new=False)
    other.open(page.chat.id)
    return other


def waiting(comfy: ComfyServer) -> int:
    """Prompts in the server's queue beside the one that runs."""
    return len(comfy.fetch("/queue").json()["queue_pending"])


def stop(page: ChatPage) -> None:
    page.page.get_by_role("button", name="Stop", exact=True).click()


def test_a_turn_of_another_window_is_followed_and_a_cleared_queue_is_seen_by_all(page, open_page, comfy):
    page.use(steps=UNENDING)
    begin(page, "blur it")
    page.page.wait_for_function(_SAMPLES)
    other = open_beside(open_page, page)
    other.page.get_by_text("being made").wait_for()
    other.write("invert it")
    other.page.get_by_text("#1 is not there yet").wait_for()
    other.page.keyboard.press("Enter")  # which would be beside what it is about
    other.page.keyboard.press("Escape")
    other.page.keyboard.press("u")
    other.page.get_by_role("button", name="Stop #1", exact=True).wait_for()
    other.page.locator(".ace-chat-send").click()
    until(lambda: len(page.chat.turns) == 2 and page.pump(), "the second window made no turn")
    second = page.chat.turns[1]
    for window in (page, other):
        window.page.get_by_text("/2").last.wait_for()
    if page.page.locator(f"[data-turn='{second.id}']").count() == 0:
        page.page.get_by_role("button", name="Show the one after (→)").last.click()
    page.page.get_by_text("waiting in the queue").wait_for()
    until(lambda: waiting(comfy), "it is not in the queue")
    assert page.page.get_by_text(_NOT_RUN).count() == 0
    comfy.fetch("/queue", "POST", json={"clear": True})  # as ComfyUI's own panel does
    for window in (page, other):
        window.page.get_by_text(_NOT_RUN).wait_for()
    page.page.get_by_role("button", name="Stop #1", exact=True).click()
    for window in (page, other):
        window.page.locator(".ace-chat-stop").wait_for(state="hidden")
    comfy.fetch("/history", "POST", json={"clear": True})
    page.page.reload()
    page.page.wait_for_function("() => window.app?.vueAppReady")
    if not page.page.locator(".ace-chat").count():
        page.page.keyboard.press("Shift+C")
    page.page.get_by_text(_NOT_RUN).wait_for()
    page.page.get_by_role("button", name="Show the one before (←)").last.click()
    page.page.get_by_text("Stopped.").wait_for()
    assert page.errors() == [] and other.errors() == []


def test_a_reload_in_the_middle_of_a_turn_goes_on_with_its_preview(page, open_page):
    page.use(steps=UNENDING)
    begin(page, "blur it")
    page.page.wait_for_function(_SAMPLES)
    page.page.reload()
    page.page.wait_for_function("() => window.app?.vueAppReady")
    if not page.page.locator(".ace-chat").count():
        page.page.keyboard.press("Shift+C")
    page.page.wait_for_function(_SAMPLES)
    page.page.wait_for_selector(".ace-chat-preview:not([hidden])")
    stop(page)
    page.page.get_by_text("Stopped.").wait_for()
    assert page.errors() == []


def test_what_the_server_said_before_a_turn_was_stopped_does_not_bring_it_back(page, comfy):
    page.use(steps=UNENDING)
    begin(page, "blur it")
    page.page.wait_for_function(_SAMPLES)
    late = [comfy.fetch(f"/ace/chats/{page.chat.id}")]
    assert late[0].json()["turns"][0]["state"] == "running"

    def hold(route) -> None:
        """The page hears that the turn has ended, and asks again, before the first answer comes."""
        if not late:
            route.continue_()
            return
        time.sleep(1.5)
        route.fulfill(body=late.pop().body, content_type="application/json")

    page.page.route(f"**/ace/chats/{page.chat.id}", hold)
    stop(page)
    page.page.get_by_text("Stopped.").wait_for()
    assert not late and page.errors() == []


def test_a_sheet_that_is_taken_out_of_the_queue_says_so(page, comfy, tmp_path):
    write_beside_a_turn_without_end(page, save_photo(tmp_path, 90))
    page.page.get_by_role("button", name="What is sent", exact=True).click()
    page.page.locator(".ace-chat-dialog").get_by_text("waiting in the queue").wait_for()
    until(lambda: waiting(comfy), "it is not in the queue")  # the page says so from the click on
    comfy.fetch("/queue", "POST", json={"clear": True})
    page.page.locator(".ace-chat-dialog").get_by_text(_NOT_RUN).wait_for()
    page.page.keyboard.press("Escape")
    page.page.get_by_role("button", name="Forward one turn (Shift+U)", exact=True).click()
    stop(page)
    page.page.get_by_text("Stopped.").wait_for()
    assert page.errors() == []


@pytest.mark.parametrize(("button", "place"), [("What is sent", ".ace-chat-dialog"), ("Send", ".ace-chat-turn")])
def test_a_queue_may_be_cleared_before_the_page_hears_that_a_prompt_is_in_it(page, comfy, tmp_path, button, place):
    write_beside_a_turn_without_end(page, save_photo(tmp_path, 90))
    held = []
    page.page.route("**/api/prompt", lambda route: held.append((route, route.fetch())))
    page.page.get_by_role("button", name=button, exact=True).click()
    page.page.locator(place).get_by_text("waiting in the queue").wait_for()
    until(lambda: page.pump() and held, "the prompt was not sent")
    assert waiting(comfy) == 1
    comfy.fetch("/queue", "POST", json={"clear": True})
    page.page.wait_for_timeout(1500)  # the page has heard that the queue is another, and asked about it
    route, answer = held.pop()
    route.fulfill(response=answer)
    page.page.locator(place).get_by_text(_NOT_RUN).wait_for()
    assert page.errors() == []


def test_what_is_written_while_a_turn_runs_waits_and_keeps_its_pictures(page):
    first = page.send("make it gray")
    page.use(steps=UNENDING)
    begin(page, "blur it")
    page.page.wait_for_function(_SAMPLES)
    page.write("now @image in red")
    page.page.get_by_text("#2 is not there yet").wait_for()
    page.comfy.screenshot("chat-not-yet")
    page.page.keyboard.press("Enter")
    parts = ["now ", 0, " in red"]
    assert page.draft()["parts"] == parts and page.chosen() == [first.answer.file]
    # The turn's own answer comes, as the node stores it.
    turn = page.chat.turns[1]
    stored = Answer(**add_pixels(page.chats.folder(page.chat.id), np.full((64, 96, 3), 99, np.uint8)), finished=1.0)
    page.chats.change(page.chat.id, lambda chat: chat.with_changed(turn.id, answer=stored))
    stop(page)
    page.page.wait_for_selector(f"[data-turn='{turn.id}'] .ace-chat-answer")
    page.page.get_by_text("#2 is not there yet").wait_for(state="hidden")
    assert page.draft()["parts"] == parts and page.chosen() == [first.answer.file], "what is named stays"
    page.use()
    third = page.send()
    assert third.parent == turn.id and third.pictures[0].file == first.answer.file
    page.write("and on")
    assert page.chosen() == [third.answer.file]

    page.use(steps=UNENDING)
    page.page.keyboard.press("Enter")
    until(lambda: len(page.chat.turns) == 4 and page.pump(), "it was not sent")
    page.page.wait_for_function(_SAMPLES)
    page.field.press("Escape")
    page.page.keyboard.press("u")
    page.page.keyboard.press("r")
    until(lambda: len(page.chat.turns) == 5 and page.pump(), "it was not sent")
    page.page.get_by_text("waiting in the queue").wait_for()
    stop(page)  # that which is looked at, not that which runs
    page.page.get_by_text(_NOT_RUN).wait_for()
    page.page.get_by_role("button", name="Stop #4", exact=True).click()
    page.page.locator(".ace-chat-stop").wait_for(state="hidden")
    assert [turn.answer is None for turn in page.chat.turns] == [False, False, False, True, True]
    assert page.errors() == []


def test_each_window_keeps_its_own_conversation_and_what_was_written_in_it(page, open_page):
    mine = page.chat.id
    page.write("half a sentence")
    page.page.locator(".ace-chat-seed").fill("77")
    page.page.locator(".ace-chat .pi-plus").click()
    page.write("words before there is a conversation")
    page.page.evaluate("() => localStorage.setItem('ACEEdit.Chat', 'f'.repeat(32))")  # another window opened another
    page.page.reload()
    page.page.wait_for_function("() => window.app?.vueAppReady")
    if not page.page.locator(".ace-chat").count():
        page.page.keyboard.press("Shift+C")
    page.page.get_by_text("words before there is a conversation").wait_for()
    page.page.locator(".ace-chat .pi-list").click()
    page.page.locator(f"[data-chat='{mine}'] .ace-chat-open").click()
    page.page.get_by_text("half a sentence").wait_for()
    assert page.page.locator(".ace-chat-seed").input_value() == "77"
    other = open_beside(open_page, page)
    other.page.locator(".ace-chat .pi-list").click()
    other.page.locator(f"[data-chat='{mine}'] .pi-trash").click()
    page.page.locator(".ace-chat > .ace-note").get_by_text("is deleted").wait_for()
    page.page.locator(".ace-chat > .ace-note").get_by_role("button", name="Undo", exact=True).click()
    page.page.get_by_text("half a sentence").wait_for()
    assert page.chat.id == mine
    # The window has asked for the conversation that it was told about, and the browser logs that it is not there.
    assert all("404" in error and error.count(f"/ace/chats/{mine}'") == 1 for error in page.errors())


def test_the_list_shows_where_a_turn_is_under_way(page, comfy):
    page.use(steps=UNENDING)
    begin(page, "blur it")
    page.page.wait_for_function(_SAMPLES)
    busy = page.chat.id
    page.page.locator(".ace-chat .pi-plus").click()  # another conversation meanwhile
    page.page.locator(".ace-chat .pi-list").click()
    row = page.page.locator(f"[data-chat='{busy}']")
    row.get_by_role("img", name="A turn is under way").wait_for()
    page.comfy.screenshot("chat-list-busy")
    comfy.interrupt()
    row.get_by_role("img", name="A turn is under way").wait_for(state="hidden")
    assert row.locator(".ace-chat-open").is_visible() and page.errors() == []


def test_two_windows_choose_different_settings_and_both_stay(page, open_page):
    other = open_beside(open_page, page)
    for window in (page, other):
        window.page.locator(".ace-chat .pi-cog").click()
        window.page.wait_for_selector(".ace-chat-settings select")
    for window, label, value in ((page, "Steps", "7"), (other, "CFG", "3.5")):
        window.page.get_by_label(label, exact=True).last.fill(value)
        window.page.keyboard.press("Tab")

    def both() -> bool:
        settings = page.chat.settings
        return (settings.steps, settings.cfg) == (7, 3.5) and page.pump() and other.pump()

    until(both, "a choice was lost")
    assert page.errors() == [] and other.errors() == []


def test_two_presses_of_enter_are_one_turn(page):
    page.write("make it gray")
    page.page.evaluate(
        """() => {
            const field = document.querySelector(".ace-chat-field");
            for (let press = 0; press < 3; press++) {
                field.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", bubbles: true, cancelable: true }));
            }
        }"""
    )
    page.answered(0)
    assert len(page.chat.turns) == 1 and page.errors() == []
