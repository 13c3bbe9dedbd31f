"""All of ACE Chat can be read, in the host's dark and light colours."""

from __future__ import annotations

import pytest
from host.chat.chat_page import ChatPage, save_photo
from host.harness.contrast import WEAK_TEXTS

pytestmark = pytest.mark.timeout(900)


def weak_texts(page: ChatPage, palette: str, what: str, place: str = ".ace-chat") -> list[str]:
    page.comfy.screenshot(f"chat-{what}-{palette}")
    return page.page.evaluate(WEAK_TEXTS, place)


def weak_in_dialogs(page: ChatPage, palette: str) -> list[str]:
    """What is hard to read in the dialogs about the last turn."""
    place, weak = ".ace-chat-dialog", []
    page.act("Mask")
    page.page.wait_for_selector(".ace-chat-board:focus")
    page.page.keyboard.press(" ")
    page.page.keyboard.press("Escape")
    page.page.get_by_text("What is to become of the marks?").wait_for()
    weak += weak_texts(page, palette, "mask", place)
    page.page.get_by_role("button", name="Throw them away", exact=True).click()
    page.page.wait_for_selector(place, state="detached")
    for act, ready in (("Compare", ".ace-after"), ("What was sent", ".ace-chat-sheet"), ("Send to dataset", "input")):
        page.act(act)
        page.page.locator(f"{place} {ready}").wait_for()
        weak += weak_texts(page, palette, act.split()[-1].lower(), place)
        page.page.keyboard.press("Escape")
        page.page.wait_for_selector(place, state="detached")
        assert page.has_focus(".ace-chat-turn"), "it is where it was before"
    return weak


@pytest.mark.parametrize("palette", ["dark", "light"])
def test_all_of_it_can_be_read_in_the_hosts_colours(open_page, comfy, setting, tmp_path, palette):
    setting("Comfy.ColorPalette", palette)
    page = ChatPage(open_page(comfy, nodes_2=palette == "light"))
    page.upload(save_photo(tmp_path))
    page.use()
    page.send("make it gray")
    page.write("add a ")
    page.page.wait_for_selector(".ace-chat-suggested")
    weak = weak_texts(page, palette, "suggested")
    page.page.get_by_role("button", name="Reword", exact=True).click()
    page.page.locator(".ace-chat-suggested").first.wait_for(state="hidden")
    page.page.locator(".ace-chat-turn").last.locator("summary").click()
    weak += weak_texts(page, palette, "page")
    page.page.get_by_role("button", name="Reword", exact=True).click()
    weak += weak_in_dialogs(page, palette)
    page.page.get_by_role("button", name="Extend", exact=True).click()
    page.act("Edit")
    page.page.get_by_role("button", name="Extend", exact=True).click()
    weak += weak_texts(page, palette, "extend")
    page.page.get_by_role("button", name="Cancel", exact=True).click()
    page.page.get_by_role("button", name="Extend", exact=True).click()
    page.page.locator(".ace-chat-turn").last.focus()
    page.page.keyboard.press("u")
    failed = {"status": 400, "content_type": "application/json", "body": '{"error": {"message": "no such node"}}'}
    page.page.route("**/api/prompt", lambda route: route.fulfill(**failed))
    page.field.focus()
    page.page.keyboard.press("Enter")
    page.page.get_by_text("This turn failed: no such node").wait_for()
    page.page.unroute("**/api/prompt")
    weak += weak_texts(page, palette, "failed")
    page.page.locator(".ace-chat .pi-cog").click()
    page.page.wait_for_selector(".ace-chat-settings select")
    weak += weak_texts(page, palette, "settings")
    page.page.locator(".ace-chat .pi-list").click()
    page.page.locator(".ace-chat-entry").first.wait_for()
    weak += weak_texts(page, palette, "list")
    assert weak == []
