"""ACE Chat as an artist uses it, and conversations on a server's disk."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from comfyui_ace.nodes.chat.conversation.images import add_pixels
from comfyui_ace.nodes.chat.conversation.store import PLACE, Chats
from comfyui_ace.nodes.chat.conversation.tree import Answer, Ask, Chat, Picture, Settings, Turn
from host.harness.browser import ComfyPage
from host.harness.comfy_server import ComfyServer
from host.harness.edits import photo

SIZE = (96, 64)  # width, height of the pictures; ace-tiny works at 128 pixels
STEPS = 2
UNENDING = 1000  # steps: such a run goes on until it is stopped, see harness/probe_pack
REFUSED = {
    "status": 503,
    "content_type": "application/json",
    "body": json.dumps({"error": "The disk is full.", "code": "disk"}),
}  # an answer of a server that cannot write
_OF_ANSWERS = ".ace-chat-turn:last-child .ace-chat-answer img"


def chats_of(server: ComfyServer) -> Chats:
    """The conversations of the only user."""
    return Chats(server.base_dir / "user" / "default" / PLACE)


def save_photo(folder: Path, turn: int = 0) -> Path:
    """A photograph to upload, another one for each angle."""
    path = folder / f"photo {turn}.png"
    photo(SIZE, turn=turn).save(path)
    return path


def until(condition: Callable[[], Any], what: str, seconds: float = 600.0) -> None:
    """Waits; fails with the reason."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


def make_long(server: ComfyServer, count: int) -> Chat:
    """A conversation of many turns, one after the other, written past the page."""
    chats = chats_of(server)
    chat = chats.create(Settings(bundle="ace-tiny", steps=STEPS, cfg=1.0), "long")
    folder = chats.folder(chat.id)
    stored = []
    for number in range(count):
        pixels = np.full((64, 96, 3), number, np.uint8)
        pixels[8:24, 8:24] = (255 - number, number // 2, 90)
        stored.append(add_pixels(folder, pixels))
    turns: list[Turn] = []
    for number, one in enumerate(stored):
        before = turns[-1] if turns else None
        pictures = (Picture(file=before.answer.file),) if before else ()
        ask = Ask(
            parts=(f"step {number}, a sentence of a usual length for an instruction",), pictures=pictures, depth=4
        )
        answer = Answer(**one, finished=time.time(), seconds=1.0)
        turns.append(
            Turn(
                **{name: getattr(ask, name) for name in Ask.model_fields},
                id=uuid.uuid4().hex,
                parent=before and before.id,
                number=number + 1,
                created=time.time(),
                settings=chat.settings,
                prompt=str(uuid.uuid4()),
                answer=answer,
            )
        )
    return chats.change(chat.id, lambda chat: chat.changed_by(turns=tuple(turns), head=turns[-1].id))


class ChatPage:
    """The sidebar tab in one window."""

    def __init__(self, comfy_page: ComfyPage, *, new: bool = True):
        self.comfy, self.page = comfy_page, comfy_page.page
        self.page.keyboard.press("Shift+C")
        self.page.wait_for_selector(".ace-chat .ace-chat-field")
        self.chats = chats_of(comfy_page.server)
        if new:
            self.page.locator(".ace-chat .pi-plus").click()

    @property
    def field(self):
        return self.page.locator(".ace-chat-field")

    @property
    def chat(self) -> Chat:
        """The conversation that is open, as it is on disk."""
        return self.chats.read(self.page.evaluate("() => localStorage.getItem('ACEEdit.Chat')"))

    @property
    def head(self) -> Turn:
        """The last turn that is shown."""
        return self.chat.turn(self.page.locator(".ace-chat-turn").last.get_attribute("data-turn"))

    def use(self, **settings: Any) -> None:
        """Settings for what follows, of a conversation that is made if there is none."""
        change = {"bundle": "ace-tiny", "steps": STEPS, "cfg": 1.0, **settings}
        if not self.page.evaluate("() => localStorage.getItem('ACEEdit.Chat')"):
            self.open(self.chats.create(Settings(**change)).id)
            return
        reply = self.comfy.server.fetch(f"/ace/chats/{self.chat.id}/edit", "POST", json={"settings": change})
        assert reply.status == 200, reply.body

    def open(self, chat: str) -> None:
        """A conversation, from the list."""
        self.page.locator(".ace-chat .pi-list").click()
        self.page.locator(f"[data-chat='{chat}'] .ace-chat-open").click()
        self.page.wait_for_selector(".ace-chat-overview", state="hidden")

    def upload(self, path: Path) -> None:
        count = self.page.locator(".ace-chat-composer .ace-chat-held").count()
        self.page.locator(".ace-chat-composer input[type=file]").set_input_files(path)
        self.page.wait_for_function(
            "count => document.querySelectorAll('.ace-chat-composer .ace-chat-held').length > count", arg=count
        )
        self.page.wait_for_function(  # a picture that has not come yet cannot be dragged
            "() => [...document.querySelectorAll('.ace-chat-composer .ace-chat-held img')].every(one => one.naturalWidth)"
        )

    def write(self, text: str) -> None:
        self.field.click()
        self.page.keyboard.press("ControlOrMeta+End")
        self.page.keyboard.type(text)

    def send(self, text: str = "") -> Turn:
        """Sends what is written and waits for the answer."""
        before = len(self.chat.turns)
        if text:
            self.write(text)
        self.page.keyboard.press("Enter")
        return self.answered(before)

    def answered(self, before: int) -> Turn:
        """Waits until there is one turn more, with its answer, and both are shown."""
        until(lambda: len(self.chat.turns) > before and self.pump(), "no turn was made")
        until(lambda: self.chat.turns[-1].answer is not None and self.pump(), "the turn got no answer")
        turn = self.chat.turns[-1]
        self.page.wait_for_function(
            "([id, selector]) => document.querySelector(`[data-turn='${id}']`)?.matches(':last-child')"
            " && document.querySelector(selector)?.naturalWidth",
            arg=[turn.id, _OF_ANSWERS],
        )
        return turn

    def pump(self) -> bool:
        """Lets Playwright deliver what the page said."""
        self.page.wait_for_timeout(20)
        return True

    def act(self, title: str) -> None:
        """Clicks a button of the last turn by its words."""
        last = self.page.locator(".ace-chat-turn").last
        if not last.get_by_role("button", name=title, exact=True).is_visible():
            last.locator("summary").click()
        last.get_by_role("button", name=title, exact=True).click()

    def shown(self) -> list[str]:
        """Ids of the turns that are shown."""
        return self.page.evaluate(
            "() => [...document.querySelectorAll('.ace-chat-turn')].map(turn => turn.dataset.turn)"
        )

    def chosen(self) -> list[str]:
        """Files of the pictures above the text."""
        return self.page.evaluate(
            "() => [...document.querySelectorAll('.ace-chat-composer .ace-chat-thumb img')]"
            ".map(image => /[0-9a-f]{32}\\.png/.exec(image.src.split('/pictures/')[1])[0])"
        )

    def has_focus(self, place: str = ".ace-chat") -> bool:
        """Whether keys go there; else they are ComfyUI's."""
        return self.page.evaluate("place => Boolean(document.activeElement.closest(place))", place)

    def draft(self) -> dict[str, Any] | None:
        """What is being written, as this window remembers it."""
        return self.page.evaluate(
            "() => JSON.parse(sessionStorage.getItem(`ACEEdit.Chat.Draft.${sessionStorage.getItem('ACEEdit.Chat')}`))"
        )

    def notice(self) -> str:
        return self.page.locator(".ace-chat > .ace-note").inner_text()

    def errors(self) -> list[str]:
        """What went wrong in our files, or in the answers to what they asked."""
        ours = ("/chat/", "/shared/", "/ace/chats")
        return [
            str(message)
            for message in self.comfy.errors
            if message.level == "pageerror" or any(part in message.url for part in ours)
        ]

    def workflow(self) -> dict[str, Any]:
        """What is open on the canvas."""
        return json.loads(self.page.evaluate("() => JSON.stringify(app.graph.serialize())"))
