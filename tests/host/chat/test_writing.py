"""What is written in ACE Chat, and how it is made, is never lost: undo, names, drafts, failures of the server, settings."""

from __future__ import annotations

from typing import Any

import pytest
from host.chat.chat_page import REFUSED, ChatPage, make_long, save_photo, until

pytestmark = pytest.mark.timeout(900)


def chips(page: ChatPage) -> list[str]:
    """Files of the pictures in the text."""
    found = page.page.locator(".ace-chat-field .ace-chat-chip img").evaluate_all("all => all.map(image => image.src)")
    return [address.split("/pictures/")[1].split("?")[0] for address in found]


def paint(page: ChatPage) -> None:
    """A line across the upper part of the board, by mouse."""
    box = page.page.locator(".ace-chat-board").bounding_box()
    y = box["y"] + 0.2 * box["height"]
    page.page.mouse.move(box["x"] + 0.2 * box["width"], y)
    page.page.mouse.down()
    page.page.mouse.move(box["x"] + 0.8 * box["width"], y, steps=4)
    page.page.mouse.up()


def hold(page: ChatPage, address: str) -> list[Any]:
    """What the page asks of an address from now on, unanswered."""
    held: list[Any] = []
    page.page.route(address, lambda route: held.append(route))
    return held


_PASTE = """text => {
    const clipboardData = new DataTransfer();
    clipboardData.setData("text/plain", text);
    const event = new ClipboardEvent("paste", { bubbles: true, cancelable: true, clipboardData });
    document.querySelector(".ace-chat-field").dispatchEvent(event);
}"""


def test_pictures_are_named_exactly_and_all_can_be_undone(open_page, comfy):
    files = [turn.answer.file for turn in make_long(comfy, 12).turns]
    page = ChatPage(open_page(comfy))
    keys = page.page.keyboard
    page.open(next(iter(page.chats.list("long")))["id"])
    page.page.evaluate("() => { app.graph.add(LiteGraph.createNode('Note')); app.graph.change(); }")
    page.page.locator("#graph-canvas").click(position={"x": 900, "y": 700})
    nodes = page.page.evaluate("() => app.graph.nodes.length")
    page.field.click()
    keys.type("like @a1")
    page.page.wait_for_selector(".ace-chat-option[aria-selected=true]")
    keys.press("Enter")
    keys.type("or @a2, not @a12 and @nobody ")
    assert chips(page) == [files[0], files[1], files[11]] and page.chosen() == [files[11], files[0], files[1]]
    parts = page.draft()["parts"]
    assert parts == ["like ", 1, " or ", 2, ", not ", 0, " and @nobody "]
    keys.press("ControlOrMeta+a")
    keys.press("Backspace")
    assert chips(page) == []
    keys.press("ControlOrMeta+z")
    assert page.draft()["parts"] == parts, "chips that come back are pictures as before"
    keys.press("ControlOrMeta+Shift+z")
    assert page.draft() is None or page.draft()["parts"] == []
    keys.press("ControlOrMeta+z")
    page.page.locator(".ace-chat-composer .ace-chat-cross").nth(1).click()
    assert chips(page) == [files[1], files[11]]
    page.field.focus()
    keys.press("ControlOrMeta+z")
    assert sorted(page.chosen()) == sorted([files[11], files[0], files[1]]) and len(chips(page)) == 3

    for _ in range(2):
        page.page.locator(".ace-chat-composer .ace-chat-cross").last.click()
    page.field.focus()
    keys.press("ControlOrMeta+a")
    keys.type("add a ")
    page.page.wait_for_selector(".ace-chat-suggested")
    keys.press("ArrowDown")
    keys.press("Enter")
    assert "[" in page.field.inner_text()
    keys.press("ControlOrMeta+z")
    assert page.field.inner_text().strip() == "add a", "what was typed is not lost to a phrasing"
    page.page.wait_for_timeout(300)
    assert page.page.evaluate("() => app.graph.nodes.length") == nodes, "the graph took it, too"

    keys.type("hat like @a99")
    page.page.get_by_text("No picture of this conversation is called @a99").wait_for()
    assert page.page.locator(".ace-chat-send").is_disabled()
    for _ in " like @a99":
        keys.press("Backspace")
    page.page.get_by_text("No picture of this conversation").wait_for(state="hidden")
    assert page.page.locator(".ace-chat-send").is_enabled() and page.field.inner_text() == "add a hat"
    page.page.evaluate(_PASTE, " like @a1 and @A12, not me@a2.org")
    assert chips(page) == [files[0], files[11]] and page.draft()["parts"][-1] == ", not me@a2.org"
    keys.type("!")
    assert page.draft()["parts"][-1] == ", not me@a2.org!", "the caret is not where the pasted text ends"
    keys.press("ControlOrMeta+z")
    keys.press("ControlOrMeta+z")
    assert page.draft()["parts"] == ["add a hat like @a1 and @A12, not me@a2.org"]
    assert page.errors() == []


def test_what_was_typed_outlives_failures_other_windows_and_a_reload(open_page, comfy):
    chat = make_long(comfy, 2)
    page = ChatPage(open_page(comfy))
    keys = page.page.keyboard
    page.open(chat.id)
    page.use()
    held = hold(page, f"**/ace/chats/{chat.id}/turns")
    page.write("make it red")
    keys.press("Enter")
    until(lambda: page.pump() and held, "it was not sent")
    keys.type("and then blue")
    page.page.get_by_text("on its way").wait_for()
    held.pop().fulfill(**REFUSED)
    page.page.get_by_text("The disk is full.").wait_for()
    assert page.field.inner_text() == "make it red\nand then blue"
    keys.press("Enter")
    until(lambda: page.pump() and held, "it was not sent")
    keys.type("the next one")
    held.pop().continue_()  # and nothing is unrouted: the browser may drop what is on its way then
    turn = page.answered(2)
    assert turn.parts == ("make it red\nand then blue",) and page.field.inner_text() == "the next one"

    # Another window of this browser writes in the same conversation, and sends.
    page.page.evaluate(
        """chat => {
            const place = `ACEEdit.Chat.Draft.${chat}`;
            localStorage.setItem(place, JSON.stringify({ parts: ["of the other"], pictures: [] }));
        }""",
        chat.id,
    )
    page.write("!")
    page.page.evaluate("chat => localStorage.removeItem(`ACEEdit.Chat.Draft.${chat}`)", chat.id)
    page.page.reload()
    page.page.wait_for_function("() => window.app?.vueAppReady")
    if not page.page.locator(".ace-chat").count():
        keys.press("Shift+C")
    page.page.get_by_text("the next one!").wait_for()
    assert [error for error in page.errors() if "503" not in error] == []


def test_settings_say_what_they_keep(open_page, comfy):
    chat = make_long(comfy, 1)
    page = ChatPage(open_page(comfy))
    page.open(chat.id)
    page.page.locator(".ace-chat .pi-cog").click()
    page.page.get_by_label("Size", exact=True).last.select_option("exact size")

    def choose(label: str, value: str, kept: str) -> None:
        field = page.page.get_by_label(label, exact=True).last
        field.fill(value)
        page.page.keyboard.press("Tab")
        assert field.input_value() == kept

    choose("Width", "1000", "1008")
    choose("Steps", "5000", "1000")
    choose("CFG", "4.55", "4.55")
    choose("Height", "", "512")
    until(lambda: page.chat.settings.cfg == 4.55 and page.pump(), "it was not kept")
    assert (page.chat.settings.width, page.chat.settings.steps, page.chat.settings.height) == (1008, 1000, 512)

    page.page.route(f"**/ace/chats/{chat.id}/edit", lambda route: route.fulfill(**REFUSED))
    choose("Steps", "7", "7")
    page.page.get_by_text("The disk is full.").wait_for()
    page.page.unroute(f"**/ace/chats/{chat.id}/edit")
    assert page.chat.settings.steps == 1000
    field = page.page.get_by_label("CFG", exact=True).last
    field.fill("3")
    page.page.keyboard.press("Tab")
    until(lambda: page.chat.settings.cfg == 3 and page.pump(), "it was not kept")
    assert page.chat.settings.steps == 7, "what failed goes with the next one"

    field.focus()
    comfy.fetch(f"/ace/chats/{chat.id}/edit", "POST", json={"settings": {"negative": "of another window"}})
    until(lambda: page.chat.settings.negative and page.pump(), "it was not kept")
    page.page.wait_for_timeout(300)
    assert page.has_focus(".ace-chat-settings input"), "nobody is disturbed"
    page.page.locator(".ace-chat .pi-cog").focus()
    page.page.wait_for_function(
        "() => document.querySelector('.ace-chat-settings textarea').value === 'of another window'"
    )
    assert [error for error in page.errors() if "503" not in error] == []


def extend_or_mask(page: ChatPage, first: str, second: str) -> None:
    """Of two pictures the second has a mask; the first is extended until the other takes its place."""
    keys = page.page.keyboard
    send = page.page.locator(".ace-chat-send")
    page.page.get_by_role("button", name="Extend", exact=True).click()
    page.field.focus()
    keys.type("wider")
    page.page.get_by_text("Say how far the picture is extended").wait_for()
    assert send.is_disabled()
    page.page.locator(".ace-chat-ratio").select_option("1:1")
    page.page.wait_for_function("() => !document.querySelector('.ace-chat-send').disabled")
    assert page.draft()["extend"]["top"] == 16
    page.page.locator(".ace-chat-composer .ace-chat-thumb").nth(1).focus()
    keys.press("ArrowLeft")
    assert page.chosen() == [second, first] and page.has_focus(".ace-chat-thumb")
    page.page.get_by_text("A picture with a mask cannot be extended").wait_for()
    page.comfy.screenshot("chat-extend-or-mask")
    keys.press("Control+Enter")
    assert send.is_disabled() and page.page.get_by_role("button", name="Mask", exact=True).is_enabled()
    page.page.get_by_role("button", name="Extend", exact=True).click()
    assert send.is_enabled() and page.chat.turns == ()


def test_no_mask_is_lost_and_what_does_not_go_together_is_said(open_page, comfy, tmp_path):
    page = ChatPage(open_page(comfy))
    keys = page.page.keyboard
    page.upload(save_photo(tmp_path))
    page.upload(save_photo(tmp_path, 90))
    first, second = page.chosen()
    nodes = page.page.evaluate("() => { app.graph.add(LiteGraph.createNode('Note')); return app.graph.nodes.length; }")
    marked = """() => {
        const canvas = document.querySelector(".ace-chat-marks");
        const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
        return data.filter((value, at) => at % 4 === 3 && value > 127).length;
    }"""
    page.page.locator(".ace-chat-composer .ace-chat-thumb").nth(1).hover()
    page.page.locator(".ace-chat-composer .ace-chat-pen").nth(1).click()
    page.page.wait_for_selector(".ace-chat-board:focus")
    keys.press(" ")
    one = page.page.evaluate(marked)
    keys.press("Shift+ArrowLeft")
    keys.press(" ")
    two = page.page.evaluate(marked)
    keys.press("i")
    for expected in (two, one, 0, 0):
        keys.press("ControlOrMeta+z")
        assert page.page.evaluate(marked) == expected
    keys.press("ControlOrMeta+Shift+z")
    assert 0 < one == page.page.evaluate(marked) < two
    page.page.wait_for_timeout(200)
    assert page.page.evaluate("() => app.graph.nodes.length") == nodes, "the graph took it, too"
    paint(page)
    assert one < page.page.evaluate(marked)
    keys.press("ControlOrMeta+z")
    assert page.page.evaluate(marked) == one

    keys.press("Escape")
    page.page.get_by_text("What is to become of the marks?").wait_for()
    page.comfy.screenshot("chat-mask-leave")
    keys.press("Escape")
    page.page.wait_for_selector(".ace-chat-board:focus")
    address = f"**/pictures/{second}/mask"
    page.page.route(address, lambda route: route.fulfill(**REFUSED))
    keys.press("Enter")
    page.page.locator(".ace-chat-dialog").get_by_text("The disk is full.").wait_for()
    assert page.page.evaluate(marked) == one
    page.page.unroute(address)
    keys.press("Escape")
    page.page.get_by_role("button", name="Keep them", exact=True).click()
    page.page.wait_for_selector(".ace-chat-board", state="detached")
    assert page.page.locator(".ace-chat-composer .ace-chat-held").nth(1).locator("i").count() == 1
    extend_or_mask(page, first, second)
    assert [error for error in page.errors() if "503" not in error] == []
