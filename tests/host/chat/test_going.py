"""Going about in a conversation of ACE Chat: back and forth, editing an earlier turn, and the keyboard all the way."""

from __future__ import annotations

import pytest
from comfyui_ace.nodes.chat.conversation.tree import Chat
from host.chat.chat_page import ChatPage, make_long, save_photo

pytestmark = pytest.mark.timeout(900)

_TURNS = "count => document.querySelectorAll('.ace-chat-turn').length === count"


def shows(page: ChatPage, count: int) -> None:
    """Waits until as many turns are shown; keys still go to the page then."""
    page.page.wait_for_function(_TURNS, arg=count)
    assert page.has_focus()


def mark_first(page: ChatPage) -> None:
    """A dot in the middle, in the mask editor that is open."""
    page.page.wait_for_selector(".ace-chat-board:focus")
    page.page.keyboard.press(" ")
    page.page.keyboard.press("Enter")
    page.page.wait_for_selector(".ace-chat-board", state="detached")
    page.page.wait_for_selector(".ace-chat-composer .ace-chat-thumb i")


def edit_and_cancel(page: ChatPage, chat: Chat, files: list[str]) -> None:
    """The first turn, that keys are about; nobody goes anywhere."""
    keys = page.page.keyboard
    keys.press("e")
    page.page.get_by_text("You are editing #1").wait_for()
    page.comfy.screenshot("chat-edit")
    assert page.field.inner_text().startswith("step 0") and page.chosen() == []
    assert page.page.locator(".ace-chat-turn.ace-chat-again").get_attribute("data-turn") == chat.turns[0].id
    shows(page, 10)
    assert page.chat.head == chat.head, "it is not sent yet"
    keys.press("Escape")
    keys.press("Escape")
    page.page.get_by_text("You are editing #1").wait_for(state="hidden")
    assert page.field.inner_text() == "half a sentence" and page.chosen() == [files[-1]]


def what_was_put_there_follows(page: ChatPage, files: list[str]) -> None:
    """Of the pictures above the text, the one to go on from, with what the text says of it."""
    keys = page.page.keyboard
    page.page.locator(".ace-chat-turn").last.focus()
    keys.press("m")
    mark_first(page)
    page.write(" of @image and more")
    page.page.wait_for_selector(".ace-chat-field .ace-chat-chip")
    assert page.chosen() == [files[-1]]
    keys.press("Escape")
    keys.press("u")
    shows(page, 9)
    assert page.chosen() == [files[-2]] and page.page.locator(".ace-chat-composer .ace-chat-thumb i").count() == 0
    assert files[-2] in page.page.locator(".ace-chat-field .ace-chat-chip img").get_attribute("src")
    keys.press("Shift+U")
    shows(page, 10)
    assert page.chosen() == [files[-1]] and page.page.locator(".ace-chat-composer .ace-chat-thumb i").count() == 1


def test_later_turns_stay_in_reach_and_an_edit_moves_nothing_until_it_is_sent(open_page, comfy):
    chat = make_long(comfy, 10)
    files = [turn.answer.file for turn in chat.turns]
    page = ChatPage(open_page(comfy))
    keys = page.page.keyboard
    page.open(chat.id)
    assert page.has_focus(".ace-chat-field")
    page.write("half a sentence")
    keys.press("Escape")
    for _ in range(9):
        keys.press("ArrowUp")
    edit_and_cancel(page, chat, files)

    page.field.press("Escape")
    page.page.locator(f"[data-turn='{chat.turns[0].id}']").focus()
    keys.press("Enter")
    shows(page, 1)
    assert page.has_focus(".ace-chat-field") and page.field.inner_text() == "half a sentence"
    page.page.get_by_text("9 later turns").wait_for()
    page.comfy.screenshot("chat-later-turns")
    keys.press("Escape")
    keys.press("Shift+U")
    shows(page, 2)
    assert page.has_focus(".ace-chat-turn")
    keys.press("u")
    keys.press("u")
    page.page.get_by_text("10 later turns").click()
    shows(page, 10)
    page.page.get_by_role("button", name="Back one turn (U)").focus()
    for _ in range(10):
        keys.press("Enter")
    shows(page, 0)
    page.page.get_by_role("button", name="Forward one turn (Shift+U)").click()
    shows(page, 1)
    page.page.get_by_text("9 later turns").click()

    what_was_put_there_follows(page, files)

    page.use()
    page.page.locator(f"[data-turn='{chat.turns[0].id}']").get_by_role("button", name="Edit", exact=True).click()
    page.page.get_by_role("button", name="Cancel", exact=True).click()
    assert "half a sentence of" in page.field.inner_text()
    page.page.locator(f"[data-turn='{chat.turns[0].id}']").get_by_role("button", name="Edit", exact=True).click()
    turn = page.send(" in red")
    assert turn.parent is None and turn.parts[0].endswith("instruction in red")
    assert "half a sentence of" in page.field.inner_text(), "it waited until the edit was sent"
    assert len(page.shown()) == 1 and page.errors() == []


def test_all_of_it_by_keys_alone(open_page, comfy, tmp_path):
    """A picture comes by the clipboard; from there on nothing is clicked."""
    page = ChatPage(open_page(comfy), new=False)
    keys = page.page.keyboard
    page.page.wait_for_selector(".ace-chat-field:focus")
    keys.press("Escape")
    keys.press("n")
    page.page.wait_for_selector(".ace-chat-field:focus")
    page.use()
    page.page.wait_for_selector(".ace-chat-field:focus")
    page.page.locator(".ace-chat-composer input[type=file]").set_input_files(save_photo(tmp_path))
    page.page.wait_for_selector(".ace-chat-composer .ace-chat-held")
    keys.type("make it gray")
    keys.press("Enter")
    first = page.answered(0)
    keys.type("blur @image please")
    keys.press("Enter")
    second = page.answered(1)
    assert second.parts == ("blur ", 0, " please") and second.parent == first.id

    keys.press("Escape")
    assert page.has_focus(f"[data-turn='{second.id}']")
    keys.press("r")
    third = page.answered(2)
    assert third.parent == first.id and page.has_focus(f"[data-turn='{third.id}']")
    keys.press("ArrowLeft")
    page.page.wait_for_selector(f"[data-turn='{second.id}']:focus")
    keys.press("ArrowRight")
    page.page.wait_for_selector(f"[data-turn='{third.id}']:focus")
    keys.press("c")
    page.page.wait_for_selector(".ace-chat-dialog .ace-pictures .ace-after")
    keys.press(".")
    keys.press("Escape")
    page.page.wait_for_selector(f"[data-turn='{third.id}']:focus")
    keys.press("u")
    page.page.wait_for_selector(f"[data-turn='{first.id}']:focus")
    keys.press("e")
    page.page.wait_for_selector(".ace-chat-field:focus")
    keys.press("ControlOrMeta+End")
    keys.type(" and blue")
    keys.press("Enter")
    fourth = page.answered(3)
    assert fourth.parent is None and fourth.instruction == f"{first.instruction} and blue"

    nodes = page.page.evaluate("() => app.graph.nodes.length")
    keys.press("Escape")
    keys.press("p")
    page.page.wait_for_function("count => app.graph.nodes.length === count + 1", arg=nodes)
    value = "() => app.graph.nodes.at(-1).widgets.find(widget => widget.name === 'image').value"
    assert page.page.evaluate(value) == f"ace-chat-{fourth.answer.file}"
    assert page.has_focus(f"[data-turn='{fourth.id}']")
    keys.press("w")
    page.page.wait_for_function("() => app.graph.nodes.some(node => node.type === 'ACEChatAnswer')")
    assert page.errors() == [] and len(page.chat.turns) == 4


def test_the_keyboard_stays_near_what_it_was_about(open_page, comfy, tmp_path):
    page = ChatPage(open_page(comfy))
    keys = page.page.keyboard
    for angle in (0, 90, 180):
        page.upload(save_photo(tmp_path, angle))
    first, second, third = page.chosen()
    nodes = page.page.evaluate("() => app.graph.nodes.length")
    shots = page.page.locator(".ace-chat-composer .ace-chat-thumb")
    shots.nth(2).locator("img").drag_to(shots.nth(0))
    assert page.chosen() == [third, first, second], "by mouse, too"
    assert not page.page.locator(".ace-chat-drop").count(), "it is dropped, and still awaited"
    shots.nth(0).hover()
    page.page.mouse.down()
    page.page.mouse.move(300, 600, steps=4)
    page.page.mouse.move(25, 700, steps=4)  # the bar of icons
    page.page.mouse.up()
    page.comfy.rest()
    assert page.page.evaluate("() => app.graph.nodes.length") == nodes, "it was not dropped on the canvas"
    assert not page.page.locator(".ace-chat-drop").count()
    for left in (2, 1):
        page.page.locator(".ace-chat-composer .ace-chat-cross").first.focus()
        keys.press("Enter")
        assert len(page.chosen()) == left and page.has_focus(".ace-chat-composer .ace-chat-cross")
    keys.press("Enter")
    assert page.chosen() == [] and page.has_focus(".ace-chat-field")

    page.page.locator(".ace-chat-title").focus()
    keys.press("Enter")
    keys.type("one name")
    keys.press("Enter")
    page.page.get_by_text("one name").wait_for()
    page.page.wait_for_timeout(100)
    assert page.has_focus("button.ace-chat-title"), "the same Enter began anew"
    for title in ("middle", "last"):
        page.chats.create(page.chat.settings, title)
    page.page.locator(".ace-chat .pi-list").click()
    page.page.locator(".ace-chat-entry").nth(2).wait_for()
    doomed = page.page.locator(".ace-chat-entry").nth(1)
    gone = doomed.get_attribute("data-chat")
    doomed.locator(".pi-trash").focus()
    keys.press("Enter")
    page.page.locator(f"[data-chat='{gone}']").wait_for(state="detached")
    assert page.has_focus(".ace-chat-entry .pi-trash") and page.errors() == []
