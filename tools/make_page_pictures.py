"""Makes the pictures of ``docs/chat.md`` and ``docs/dataset-page.md`` by using both pages in a real ComfyUI.

    COMFYUI_DIR=… .venv/bin/python tools/make_page_pictures.py

Needs a ComfyUI as for the host tests (the newest supported one), Chromium, and about two minutes on two CPU cores.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tools")]

from host.chat.chat_page import ChatPage  # noqa: E402
from host.dataset_page.page_datasets import make_photographs  # noqa: E402
from host.harness.browser import ComfyPage, launch_chromium  # noqa: E402
from host.harness.comfy_server import PACK_ROOT, ComfyServer  # noqa: E402
from make_docs_pictures import write_picture  # noqa: E402

PHOTO = ROOT / "pictures" / "photos" / "cat.jpg"
ASKED = ("make it black and white", "make it look like an old photograph in sepia")
_SIZE = {"width": 1440, "height": 900}
_SIDEBAR = 470  # pixels
_REST = 5000  # ms


def chat(page: ComfyPage) -> None:
    """A conversation of two turns beside the workflow of the second."""
    talk = ChatPage(page)
    talk.upload(PHOTO)
    talk.use(steps=6)
    for words in ASKED:
        talk.send(words)
    gutter = page.page.locator(".p-splitter-gutter").first.bounding_box()
    page.page.mouse.move(gutter["x"] + gutter["width"] / 2, 500)
    page.page.mouse.down()
    page.page.mouse.move(_SIDEBAR, 500, steps=8)
    page.page.mouse.up()
    last = page.page.locator(".ace-chat-turn").last
    last.locator(".ace-chat-more summary").click()
    last.get_by_role("button", name="Open as workflow").click()
    page.page.wait_for_function("() => app.graph._groups.length")
    page.settle()
    page.page.wait_for_timeout(_REST)  # the page goes on placing the workflow until the front end has come to rest
    write_picture(page.page.screenshot(), "chat")


def datasets(page: ComfyPage) -> None:
    """One pair at full size."""
    page.page.keyboard.press("Shift+D")
    page.page.locator(".ace-page select").first.select_option("photographs")
    page.page.wait_for_selector(".ace-cell")
    page.page.locator(".ace-scroll").focus()
    for key in ("Home", "Enter"):
        page.page.keyboard.press(key)
    page.page.wait_for_function("() => document.querySelector('.ace-viewer[open] .ace-after')?.naturalWidth > 400")
    page.settle()
    write_picture(page.page.screenshot(), "dataset-page")


if __name__ == "__main__":
    with launch_chromium() as browser, ComfyServer(packs={"ace-edit": PACK_ROOT}) as server:
        make_photographs(server.base_dir / "output" / "datasets", "photographs")
        for shoot in (chat, datasets):
            page = ComfyPage(browser, server)
            page.page.set_viewport_size(_SIZE)
            shoot(page)
            page.close()
