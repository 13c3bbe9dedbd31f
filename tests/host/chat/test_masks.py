"""Masks in ACE Chat: painted here or in ComfyUI's own editor, nothing outside of them moves."""

from __future__ import annotations

import numpy as np
import pytest
from comfyui_ace.nodes.chat.conversation.images import read_marks, read_pixels
from host.chat.chat_page import ChatPage, save_photo, until

_BOX = """() => {
    const layers = [...document.querySelectorAll(".maskEditor-dialog-root canvas")];
    const { x, y, width, height } = layers.find(canvas => canvas.width === 96).getBoundingClientRect();
    return [x, y, width, height];
}"""

pytestmark = pytest.mark.timeout(1800)


@pytest.fixture
def page(open_page, comfy, nodes_2, tmp_path) -> ChatPage:
    page = ChatPage(open_page(comfy, nodes_2=nodes_2))
    page.upload(save_photo(tmp_path))
    page.use()
    return page


def open_host_editor(page: ChatPage) -> None:
    """A dot is marked in our own editor, and ComfyUI's opened from there."""
    page.page.locator(".ace-chat-composer").get_by_role("button", name="Mask", exact=True).click()
    page.page.wait_for_selector(".ace-chat-board:focus")
    for key in ("Shift+ArrowLeft", "Shift+ArrowLeft", " "):
        page.page.keyboard.press(key)
    page.page.get_by_role("button", name="ComfyUI’s editor", exact=True).click()
    page.page.wait_for_function(
        "() => [...document.querySelectorAll('.maskEditor-dialog-root canvas')].some(canvas => canvas.width === 96)"
    )
    places = []  # the editor fits the picture into its window, and fades in
    until(lambda: places.append(page.page.evaluate(_BOX)) or places[-6:] == places[-1:] * 6, "it does not come to rest")


def paint(page: ChatPage) -> None:
    """A stroke in the right half of ComfyUI's editor."""
    x, y, width, height = page.page.evaluate(_BOX)
    page.page.mouse.move(x + 0.6 * width, y + 0.5 * height)
    page.page.mouse.down()
    for step in range(10):
        page.page.mouse.move(x + (0.6 + 0.03 * step) * width, y + 0.5 * height)
        page.page.wait_for_timeout(30)
    page.page.mouse.up()
    page.page.wait_for_timeout(500)


def test_a_mask_from_the_hosts_editor_arrives_and_nothing_outside_of_it_moves(page):
    open_host_editor(page)
    paint(page)
    page.comfy.screenshot("chat-host-editor")
    page.page.get_by_role("button", name="Save").last.click()
    page.page.wait_for_selector(".ace-chat-board:focus")
    page.page.keyboard.press("Enter")
    page.page.wait_for_selector(".ace-chat-composer .ace-chat-thumb i")
    turn = page.send("make it red")
    folder, picture = page.chats.folder(page.chat.id), turn.pictures[0]
    marked = read_marks(folder, picture.mask) > 0
    assert marked[32, 34:38].all() and marked[32, 60:78].all(), "the marks of both editors"
    assert not marked[:8].any() and not marked[:, 42:46].any(), "nothing else"
    before, after = (read_pixels(folder, file) for file in (picture.file, turn.answer.file))
    assert np.array_equal(before[~marked], after[~marked]) and not np.array_equal(before, after)
    assert page.errors() == []


def test_leaving_the_hosts_editor_loses_no_mark(page):
    open_host_editor(page)
    page.page.get_by_role("button", name="Cancel").last.click()
    page.page.wait_for_selector(".ace-chat-composer .ace-chat-thumb i")
    page.page.locator(".ace-chat-composer").get_by_role("button", name="Mask", exact=True).click()
    page.page.wait_for_selector(".ace-chat-board:focus")
    left, right = page.page.evaluate(
        """() => {
            const { data } = document.querySelector(".ace-chat-marks").getContext("2d").getImageData(0, 0, 96, 64);
            const count = half => data.filter((value, at) => at % 4 === 3 && value && (at >> 2) % 96 >= 48 === half).length;
            return [count(false), count(true)];
        }"""
    )
    assert left > 20 and right == 0
    assert page.chat.turns == () and page.errors() == []
