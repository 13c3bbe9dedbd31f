"""Pictures come into a turn of ACE Chat by every way there is, and chips follow them wherever they go."""

from __future__ import annotations

import base64

import pytest
from host.chat.chat_page import ChatPage, save_photo

pytestmark = pytest.mark.timeout(1800)

_GIVE = """async ([kind, selector, data]) => {
    const bytes = Uint8Array.from(atob(data), letter => letter.charCodeAt(0));
    const transfer = new DataTransfer();
    transfer.items.add(new File([bytes], "<b>..\\\\x.png", { type: "image/png" }));
    const init = { bubbles: true, cancelable: true };
    const event = kind === "paste"
        ? new ClipboardEvent(kind, { ...init, clipboardData: transfer })
        : new DragEvent(kind, { ...init, dataTransfer: transfer });
    document.querySelector(selector).dispatchEvent(event);
}"""


@pytest.fixture
def page(open_page, comfy) -> ChatPage:
    return ChatPage(open_page(comfy))


def held(page: ChatPage, count: int) -> list[str]:
    """Addresses of the pictures above the text, once there are as many."""
    page.page.wait_for_function(
        "count => document.querySelectorAll('.ace-chat-composer .ace-chat-held').length === count", arg=count
    )
    return page.page.evaluate(
        "() => [...document.querySelectorAll('.ace-chat-composer .ace-chat-held img')].map(image => image.src)"
    )


def give(page: ChatPage, kind: str, selector: str, path) -> None:
    page.page.evaluate(_GIVE, [kind, selector, base64.b64encode(path.read_bytes()).decode()])


def test_dropped_pasted_and_chosen_pictures_are_named_by_what_they_are(page, tmp_path):
    nodes = page.page.evaluate("() => app.graph.nodes.length")
    outline = "() => getComputedStyle(document.querySelector('.ace-chat')).outlineStyle"
    page.page.locator(".ace-chat .pi-list").click()
    for kind, seen in (("dragover", "dashed"), ("dragleave", "none"), ("dragover", "dashed")):
        give(page, kind, ".ace-chat-overview", save_photo(tmp_path))
        assert page.page.evaluate(outline) == seen
    give(page, "drop", ".ace-chat-overview", save_photo(tmp_path))
    assert page.page.locator(".ace-chat-overview").is_hidden(), "nobody sees where it went"
    assert page.page.evaluate(outline) == "none"
    held(page, 1)
    page.field.click()
    give(page, "paste", ".ace-chat-field", save_photo(tmp_path, 90))
    held(page, 2)
    page.upload(save_photo(tmp_path, 180))
    first, second, third = held(page, 3)
    page.page.locator(".ace-chat-composer .ace-chat-thumb").nth(2).click()
    assert page.page.locator(".ace-chat-field .ace-chat-chip b").inner_text() == "image2"

    page.page.locator(".ace-chat-composer .ace-chat-thumb").nth(2).focus()
    for _ in range(3):  # once more than there are places
        page.page.keyboard.press("ArrowLeft")
    assert held(page, 3) == [third, first, second]
    assert page.page.locator(".ace-chat-field .ace-chat-chip b").inner_text() == "image", "the chip follows its picture"
    page.page.locator(".ace-chat-composer .ace-chat-cross").nth(1).click()
    assert held(page, 2) == [third, second] and page.page.locator(".ace-chat-field .ace-chat-chip").count() == 1
    page.use()
    turn = page.send("make it gray")
    assert [f"{picture.file}?small=1" for picture in turn.pictures] == [
        one.rsplit("/", 1)[-1] for one in (third, second)
    ]

    page.page.locator(".ace-chat-turn .ace-chat-said .ace-chat-thumb").nth(1).click()
    page.page.get_by_role("button", name="Use this picture", exact=True).click()
    assert held(page, 2)[1] == second, "a click on any picture of the conversation takes it"
    assert page.page.evaluate("() => app.graph.nodes.length") == nodes, "nothing of this is for the canvas"
    assert page.page.locator(".ace-chat b b").count() == 0 and page.errors() == []


def test_a_picture_is_extended_to_a_shape(page, tmp_path):
    page.upload(save_photo(tmp_path))
    page.page.get_by_role("button", name="Extend", exact=True).click()
    page.page.locator(".ace-chat-ratio").select_option("1:1")
    page.page.wait_for_function("() => document.querySelectorAll('.ace-chat-extend input')[1].value === '16'")
    values = page.page.evaluate(
        "() => [...document.querySelectorAll('.ace-chat-extend input')].map(input => input.value)"
    )
    assert values == ["0", "16", "0", "16", "0"]
    page.use()
    turn = page.send("continue the picture")
    assert (turn.answer.width, turn.answer.height) == (96, 96) and page.errors() == []


def test_what_is_no_seed_is_not_sent(page):
    page.use()
    page.page.locator(".ace-chat-seed").fill("12 apples")
    page.write("a cat")
    page.page.keyboard.press("Enter")
    page.page.get_by_text("A seed is a whole number").wait_for()
    assert page.field.inner_text() == "a cat"
    page.page.locator(".ace-chat-seed").fill("12")
    page.field.focus()
    assert page.send().seed == 12 and page.errors() == []
