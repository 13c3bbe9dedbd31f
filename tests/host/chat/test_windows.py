"""ACE Chat when windows come and go: closed and opened, two at once, the server killed, very long conversations."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from comfyui_ace.nodes.chat.conversation.tree import Chat
from host.chat.chat_page import UNENDING, ChatPage, make_long, save_photo, until
from host.conftest import PROBE_PACK
from host.harness.comfy_server import PACK_ROOT, ComfyServer

TURNS = 200

pytestmark = pytest.mark.timeout(1800)  # servers start twice


def test_closed_and_opened_five_times_it_is_one_page(open_page, comfy, tmp_path):
    page = ChatPage(open_page(comfy))
    page.upload(save_photo(tmp_path))
    page.use()
    page.write("half a sentence")
    for _ in range(5):
        page.page.keyboard.press("Escape")
        page.page.keyboard.press("Shift+C")
        page.page.wait_for_selector(".ace-chat", state="detached")
        page.page.keyboard.press("Shift+D")
        page.page.wait_for_selector(".ace-head")
        page.page.keyboard.press("Shift+C")
        page.page.wait_for_selector(".ace-chat .ace-chat-field:focus")
    assert page.page.locator(".ace-chat").count() == 1
    assert page.field.inner_text().strip() == "half a sentence"
    page.comfy.rest()
    asked: list[str] = []
    page.page.on("request", lambda request: asked.append(request.url))
    title = {"title": "from elsewhere"}
    assert comfy.fetch(f"/ace/chats/{page.chat.id}/edit", "POST", json=title).status == 200
    page.page.wait_for_function("() => document.querySelector('.ace-chat-title').innerText === 'from elsewhere'")
    page.comfy.rest()
    assert sum(url.endswith(f"/ace/chats/{page.chat.id}") for url in asked) == 1, "something listens more than once"
    page.page.reload()
    page.page.wait_for_function("() => window.app?.vueAppReady")
    if not page.page.locator(".ace-chat").count():
        page.page.keyboard.press("Shift+C")
    page.page.wait_for_selector(".ace-chat-composer .ace-chat-held")
    assert page.field.inner_text().strip() == "half a sentence", "a reload loses nothing"
    assert page.errors() == []


def test_two_windows_see_the_same_conversation_and_lose_nothing(open_page, comfy, tmp_path):
    one = ChatPage(open_page(comfy))
    one.upload(save_photo(tmp_path))
    one.use()
    first = one.send("make it gray")
    two = ChatPage(open_page(comfy), new=False)
    two.page.evaluate("id => localStorage.setItem('ACEEdit.Chat', id)", one.chat.id)
    two.page.locator(".ace-chat .pi-list").click()
    two.page.locator(f"[data-chat='{one.chat.id}'] .ace-chat-open").click()
    two.page.wait_for_selector(f"[data-turn='{first.id}'] .ace-chat-answer")
    one.write("blur it")
    two.write("invert it")
    one.page.keyboard.press("Enter")
    two.page.keyboard.press("Enter")
    until(lambda: len(one.chat.turns) == 3 and one.pump() and two.pump(), "a turn was lost")
    until(lambda: all(turn.answer for turn in one.chat.turns) and one.pump() and two.pump(), "an answer was lost")
    assert {turn.parent for turn in one.chat.turns[1:]} == {first.id}
    for page in (one, two):
        page.page.get_by_text("/2").last.wait_for()
        assert page.errors() == []


def kill(server: ComfyServer) -> None:
    """The server is gone from one moment to the next, its files stay."""
    os.killpg(server._process.pid, signal.SIGKILL)
    server._process.wait()
    watchdog, server._watchdog = server._watchdog, None
    watchdog.kill()
    watchdog.wait()
    watchdog.stdin.close()


def test_a_killed_server_loses_nothing(start_comfy, open_page, tmp_path):
    server = start_comfy(packs={"ace-edit": PACK_ROOT, "probe": PROBE_PACK})
    page = ChatPage(open_page(server))
    page.upload(save_photo(tmp_path))
    page.use()
    first = page.send("make it gray")
    until(lambda: page.chat.turns[0].answer.seconds is not None and page.pump(), "how long it took was not noted")
    first = page.chat.turns[0]
    page.use(steps=UNENDING)
    page.write("blur it")
    page.page.keyboard.press("Enter")
    page.page.wait_for_function("() => document.querySelector('.ace-chat-run progress')?.value > 1")
    page.page.wait_for_selector(".ace-chat-preview:not([hidden])")
    # Of turns that fill the page for the first time, the one that is made is seen whole.
    page.page.wait_for_function(
        "() => { const thread = document.querySelector('.ace-chat-thread');"
        "return thread.scrollTop > 0 && thread.scrollHeight - thread.scrollTop - thread.clientHeight < 8 }"
    )
    page.comfy.screenshot("chat-running")
    kill(server)
    server._spawn()
    server._wait_until_ready()
    page.page.get_by_text("This turn did not run").wait_for()
    page.comfy.screenshot("chat-server-killed")
    chat = page.chat
    assert chat.turn(first.id).answer == first.answer and len(chat.turns) == 2 and chat.turns[1].answer is None
    changed = [chat.turns[0], chat.turns[1].model_copy(update={"settings": first.settings})]
    page.chats.change(chat.id, lambda chat: chat.changed_by(turns=tuple(changed)))
    page.page.get_by_role("button", name="Run again", exact=True).click()
    until(lambda: page.chat.turns[1].answer is not None and page.pump(), "the turn did not run again")
    assert page.chat.turns[1].seed == chat.turns[1].seed and len(page.chat.turns) == 2

    again = f"[data-turn='{page.chat.turns[1].id}'] .ace-chat-answer img"
    page.page.wait_for_selector(again)  # before, nothing goes on from it

    page.use(steps=UNENDING)
    page.write("never mind")
    page.page.keyboard.press("Enter")
    # Of this turn: the one before may still show its own, and a turn that waits is not stopped but taken out of the queue.
    until(lambda: len(page.chat.turns) == 3 and page.pump(), "no turn was made")
    page.page.wait_for_function(
        "id => document.querySelector(`[data-turn='${id}'] .ace-chat-run progress`)?.value > 1",
        arg=page.chat.turns[2].id,
    )
    page.page.get_by_role("button", name="Stop", exact=True).click()
    page.page.get_by_text("Stopped.").wait_for()
    assert page.chat.turns[2].answer is None


@pytest.fixture(scope="module")
def long(comfy) -> Chat:
    return make_long(comfy, TURNS)


def test_two_hundred_turns_are_drawn_once_and_fetched_as_they_are_seen(open_page, comfy, long):
    comfy_page = open_page(comfy)
    small: list[str] = []
    comfy_page.page.on("request", lambda request: small.append(request.url) if "small=1" in request.url else None)
    page = ChatPage(comfy_page)
    page.page.locator(".ace-chat .pi-list").click()
    page.page.locator(f"[data-chat='{long.id}'] .ace-chat-open").click()
    page.page.wait_for_function("count => document.querySelectorAll('.ace-chat-turn').length === count", arg=TURNS)
    page.page.wait_for_function(
        "() => document.querySelector('.ace-chat-turn:last-child .ace-chat-answer img')?.naturalWidth"
    )
    page.comfy.rest()
    assert len(set(small)) < TURNS // 2, "pictures far out of sight are fetched"
    page.page.evaluate("() => document.querySelectorAll('.ace-chat-turn *').forEach(one => { one.drawnOnce = true })")
    new = "() => [...document.querySelectorAll('.ace-chat-turn *')].filter(one => !one.drawnOnce).length"
    page.write("typing draws no turn anew")
    title = {"title": "longer"}
    assert comfy.fetch(f"/ace/chats/{long.id}/edit", "POST", json=title).status == 200
    page.page.wait_for_function("() => document.querySelector('.ace-chat-title').innerText === 'longer'")
    assert page.page.evaluate(new) == 0
    page.page.keyboard.press("Escape")
    for key in ("ArrowUp", "ArrowUp", "ArrowUp", "ArrowDown"):
        page.page.keyboard.press(key)
    assert page.page.evaluate("() => document.activeElement.dataset.turn") == long.turns[-3].id
    assert page.page.evaluate(new) == 0
    page.comfy.screenshot("chat-long")
    assert page.errors() == []


def test_styles_stay_with_the_pages():
    """A selector that begins with anything else could change the host's own elements."""
    import re

    web = Path(PACK_ROOT, "web")
    for file in web.rglob("*.css"):
        text = re.sub(r"/\*.*?\*/", "", file.read_text(encoding="utf-8"), flags=re.DOTALL)
        for selectors in re.findall(r"([^{}]+)\{", text):
            for selector in selectors.split(","):
                assert selector.strip().startswith(".ace-"), f"{file.name}: {selector.strip()}"
