"""What the page is answered, one handler an address.

Disk and pictures are worked on in threads: the loop also serves the whole of ComfyUI.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from typing import Any

from aiohttp import web

from ...training.dataset.store import Dataset
from ...training.errors import DatasetError, ImageError, WriteError
from ...training.vision_language.errors import ModelError
from ...training.vision_language.servers import open_backend
from ..pages.errors import DISK, Kinds, answered
from ..pages.requests import BadRequestError, read_body, validated
from .conversation.errors import ChatError, UnknownChatError
from .conversation.export import export_chat
from .conversation.graph import ChatGraph, branch_graph, sheet_graph, turn_graph
from .conversation.images import picture_path
from .conversation.pairs import send_branch
from .conversation.rewriting import rewrite
from .conversation.suggestions import suggest
from .conversation.tree import LONGEST_MESSAGE, Ask, Chat, Settings, Turn, new_seed
from .conversation.wording import plain
from .dependencies import PromptState
from .pictures import Pictures
from .requests import (
    AskRequest,
    CreateRequest,
    DatasetRequest,
    EditRequest,
    EmptyRequest,
    RewriteRequest,
    SeedRequest,
    SheetRequest,
    SuggestRequest,
)

_ERRORS: Kinds = (
    (BadRequestError, 400, "bad_request"),
    (UnknownChatError, 404, "unknown"),
    (ChatError, 422, "refused"),
    (ModelError, 502, "model"),
    (WriteError, 503, DISK),
    (ImageError, 422, "picture"),
    (DatasetError, 422, "refused"),
    (OSError, 503, DISK),
)
_REWRITE_SECONDS = 120.0
_DONE = PromptState("done")


class Page(Pictures):
    """The handlers.

    Args:
        dependencies: what ComfyUI gives.
    """

    async def answer(self, name: str, request: web.Request) -> web.StreamResponse:
        """What the handler of this name answers, or its error as an answer with its words."""
        return await answered(getattr(self, name), _ERRORS)(request)

    # -- conversations ---------------------------------------------------------------------------------------

    async def list(self, request: web.Request) -> web.Response:
        text = request.query.get("text", "")[:1000]

        def work() -> list[dict[str, Any]]:
            found = self.chats(request).list(text)
            busy = self._busy(prompt for chat in found for prompt in chat["open"])
            for chat in found:
                chat["busy"] = not busy.isdisjoint(chat.pop("open"))
            return found

        return web.json_response({"chats": await asyncio.to_thread(work)})

    async def choices(self, request: web.Request) -> web.Response:
        return web.json_response(await asyncio.to_thread(self._dependencies.choices))

    async def create(self, request: web.Request) -> web.Response:
        body: CreateRequest = await read_body(request, CreateRequest)
        chat = await asyncio.to_thread(self.chats(request).create, body.settings, body.title)
        self._dependencies.announce(chat.id)
        return web.json_response(self._told(chat))

    async def read(self, request: web.Request) -> web.Response:
        return web.json_response(await asyncio.to_thread(lambda: self._told(self._noted(request))))

    async def edit(self, request: web.Request) -> web.Response:
        body: EditRequest = await read_body(request, EditRequest)

        def work(chat: Chat) -> Chat:
            changes: dict[str, Any] = {}
            if body.title is not None and body.title.strip():
                changes |= {"title": " ".join(body.title.split()), "named": True}
            if body.settings is not None:
                changes["settings"] = validated(Settings, chat.settings.model_dump() | body.settings)
            if body.head is not None:
                changes["head"] = chat.turn(body.head).id
            elif body.beginning:
                changes["head"] = None
            return chat.changed_by(**changes) if changes.keys() - {"head"} else chat.model_copy(update=changes)

        return web.json_response(self._told(await self._change(request, work)))

    async def delete(self, request: web.Request) -> web.Response:
        await read_body(request, EmptyRequest)
        await asyncio.to_thread(self.chats(request).delete, request.match_info["chat"])
        self._dependencies.announce(request.match_info["chat"])
        return web.json_response({})

    async def restore(self, request: web.Request) -> web.Response:
        await read_body(request, EmptyRequest)
        chat = await asyncio.to_thread(self.chats(request).restore, request.match_info["chat"])
        self._dependencies.announce(chat.id)
        return web.json_response(self._told(chat))

    async def export(self, request: web.Request) -> web.Response:
        await read_body(request, EmptyRequest)

        def work() -> str:
            chats = self.chats(request)
            chat = chats.read(request.match_info["chat"])
            return str(export_chat(chat, chats.folder(chat.id), self._dependencies.exports()))

        return web.json_response({"folder": await asyncio.to_thread(work)})

    # -- turns -----------------------------------------------------------------------------------------------

    async def ask(self, request: web.Request) -> web.Response:
        body: AskRequest = await read_body(request, AskRequest)
        await asyncio.to_thread(self._check_pictures, request, body.ask)

        def work(chat: Chat) -> tuple[Chat, Turn]:
            self._check_parent(chat, body.parent)
            settings = chat.settings.model_copy(update={"depth": body.ask.depth})  # the next turn begins with the same
            return chat.changed_by(settings=settings).with_turn(body.ask, body.parent, settings)

        return await self._queued(request, work)

    async def retry(self, request: web.Request) -> web.Response:
        """The same with another seed, beside it."""
        body: SeedRequest = await read_body(request, SeedRequest)

        def work(chat: Chat) -> tuple[Chat, Turn]:
            turn = chat.turn(request.match_info["turn"])
            seed = new_seed() if body.seed is None else body.seed
            return chat.with_turn(turn.model_copy(update={"seed": seed}), turn.parent, turn.settings)

        return await self._queued(request, work)

    async def again(self, request: web.Request) -> web.Response:
        """The very same turn once more, which has no answer yet."""
        await read_body(request, EmptyRequest)

        def work(chat: Chat) -> tuple[Chat, Turn]:
            turn = chat.turn(request.match_info["turn"])
            if turn.answer is not None:
                raise ChatError("This turn has its answer; retry it with another seed.")
            if self._busy([turn.prompt]):
                raise ChatError("This turn is in the queue.")
            chat = chat.with_changed(turn.id, prompt=str(uuid.uuid4()), ended=None, message="")
            return chat, chat.turn(turn.id)

        return await self._queued(request, work)

    async def sheet(self, request: web.Request) -> web.Response:
        """The prompt that draws what a turn would send."""
        body: SheetRequest = await read_body(request, SheetRequest)

        def work() -> dict[str, Any]:
            self._check_pictures(request, body.ask)
            chat = self.chats(request).read(request.match_info["chat"])
            settings = chat.settings if body.turn is None else chat.turn(body.turn).settings
            draft, turn = chat.with_turn(body.ask, body.parent, settings)
            graph = sheet_graph(draft, turn)
            self._provide_for(graph)
            return {"prompt": graph.in_queue(), "prompt_id": turn.prompt}

        return web.json_response(await asyncio.to_thread(work))

    async def workflow(self, request: web.Request) -> web.Response:
        whole = bool(request.query.get("branch"))

        def work() -> dict[str, Any]:
            chat, turn = self._turn(request)
            graph = branch_graph(chat, turn) if whole else turn_graph(chat, turn)
            self._provide_for(graph)
            return {"workflow": graph.workflow(_note(chat, turn, whole)), "name": _name(chat, turn)}

        return web.json_response(await asyncio.to_thread(work))

    async def dataset(self, request: web.Request) -> web.Response:
        body: DatasetRequest = await read_body(request, DatasetRequest)

        def work() -> dict[str, Any]:
            chat, turn = self._turn(request)
            dataset = Dataset.open_or_create(self._dependencies.datasets(), body.name)
            return asdict(send_branch(chat, turn, self.chats(request).folder(chat.id), dataset))

        return web.json_response(await asyncio.to_thread(work))

    # -- words -----------------------------------------------------------------------------------------------

    async def suggestions(self, request: web.Request) -> web.Response:
        values = {key: value for key, value in request.query.items() if value != ""}
        asked: SuggestRequest = validated(SuggestRequest, values)
        found = await asyncio.to_thread(suggest, asked.text, asked.pictures, asked.masked, asked.language)
        return web.json_response({"suggestions": [asdict(one) for one in found]})

    async def rewrite(self, request: web.Request) -> web.Response:
        """Asks the server whose address was typed, and no other."""
        body: RewriteRequest = await read_body(request, RewriteRequest)

        def work() -> list[str | int]:
            backend = open_backend(body.address, body.model, timeout=_REWRITE_SECONDS)
            return rewrite(backend, body.parts, body.pictures)

        return web.json_response({"parts": await asyncio.to_thread(work)})

    # -- what they share -------------------------------------------------------------------------------------

    def _turn(self, request: web.Request) -> tuple[Chat, Turn]:
        chat = self.chats(request).read(request.match_info["chat"])
        return chat, chat.turn(request.match_info["turn"])

    def _check_pictures(self, request: web.Request, ask: Ask) -> None:
        """Raises UnknownChatError: the conversation has not all pictures that a turn speaks of."""
        folder = self._folder(request)
        for picture in ask.pictures:
            for file in filter(None, (picture.file, picture.mask)):
                picture_path(folder, file)

    def _busy(self, prompts: Iterable[str]) -> set[str]:
        """Those that are in the queue."""
        states = self._dependencies.states(list(prompts))
        return {prompt for prompt, state in states.items() if state.state in ("waiting", "running")}

    def _check_parent(self, chat: Chat, parent: str | None) -> None:
        """Raises ChatError: the turn to go on from has no answer yet, but will have; another would be edited in its place."""
        turn = None if parent is None else chat.turn(parent)
        if turn is None or turn.answer is not None:
            return
        if self._busy([turn.prompt]):
            raise ChatError(f"Turn {turn.number} has no answer yet. Send this when it has.")

    async def _change(self, request: web.Request, work: Callable[[Chat], Chat]) -> Chat:
        chat = await asyncio.to_thread(self.chats(request).change, request.match_info["chat"], work)
        self._dependencies.announce(chat.id)
        return chat

    async def _queued(self, request: web.Request, work: Callable[[Chat], tuple[Chat, Turn]]) -> web.Response:
        """Adds or changes a turn, and answers what the page is to put into the queue."""
        made: list[Turn] = []

        def change(chat: Chat) -> Chat:
            chat, turn = work(chat)
            made[:] = [turn]
            return chat

        chat = await self._change(request, change)
        (turn,) = made
        return web.json_response(await asyncio.to_thread(self._prompt, chat, turn))

    def _prompt(self, chat: Chat, turn: Turn) -> dict[str, Any]:
        graph = turn_graph(chat, turn, keep=True)
        self._provide_for(graph)
        shown = turn_graph(chat, turn).workflow(_note(chat, turn, False))
        return {
            "chat": self._told(chat),
            "turn": turn.id,
            "prompt": graph.in_queue(),
            "prompt_id": turn.prompt,
            "workflow": shown,
        }

    def _provide_for(self, graph: ChatGraph) -> None:
        """Puts the pictures of a graph where Load Image finds them."""
        loaded = [node for node in graph.prompt().values() if node["class_type"] == "LoadImage"]
        self._provide([node["inputs"]["image"] for node in loaded])

    def _noted(self, request: web.Request) -> Chat:
        """The conversation, with what the queue still knows of its turns: how long they took, or why they have no answer."""
        chats = self.chats(request)
        chat = chats.read(request.match_info["chat"])
        open_ = [turn for turn in chat.turns if (turn.answer.seconds if turn.answer else turn.ended) is None]
        states = self._dependencies.states([turn.prompt for turn in open_])
        if all(noted(turn, states) is turn for turn in open_):
            return chat
        return chats.change(
            chat.id, lambda chat: chat.model_copy(update={"turns": tuple(noted(turn, states) for turn in chat.turns)})
        )

    def _told(self, chat: Chat) -> dict[str, Any]:
        """A conversation as the page reads it: with what became of turns that have no answer, and what each sent."""
        states = self._dependencies.states([turn.prompt for turn in chat.turns if not turn.answer])
        told = chat.model_dump(mode="json")
        for turn, item in zip(chat.turns, told["turns"], strict=True):
            state = states.get(turn.prompt, _DONE)
            if state.state == "gone" and turn.ended is not None:
                state = PromptState(turn.ended, turn.message)
            item["state"], item["message"] = state.state, state.message
            item["sent"] = [one.number for one in chat.rounds(turn)]
            item["instruction"] = turn.instruction
        return told


def noted(turn: Turn, states: Mapping[str, PromptState]) -> Turn:
    """A turn with what the queue says of its prompt and the turn does not yet; the same one where there is nothing new."""
    state = states.get(turn.prompt)
    if state is None:
        return turn
    if turn.answer is not None:
        if turn.answer.seconds is not None or state.seconds is None:
            return turn
        return turn.model_copy(update={"answer": turn.answer.model_copy(update={"seconds": state.seconds})})
    if turn.ended is not None or state.state not in ("failed", "stopped"):
        return turn
    return turn.model_copy(update={"ended": state.state, "message": state.message[:LONGEST_MESSAGE]})


def _note(chat: Chat, turn: Turn, whole: bool) -> str:
    """Markdown for the note in the graph; what people wrote stands in it as code, where nothing has a meaning."""
    said = turn.instruction.replace("`", "'")[:1500]
    which = f"Turns 1 to {turn.number} of a branch" if whole else f"Turn {turn.number}"
    lines = [
        f"**{which}** of a conversation in ACE Chat.",
        f"```\n{said}\n```",
        "The pictures are copies in the input folder. **Chat Answer** without a conversation stores nothing: it "
        "hands the picture on as a file holds it, so the result is the one of the conversation, bit for bit.",
    ]
    return "\n\n".join(lines)


def _name(chat: Chat, turn: Turn) -> str:
    words = "".join(
        letter if letter.isalnum() or letter in " -_" else " " for letter in chat.title or plain(turn.parts)
    )
    return f"ACE Chat {' '.join(words.split())[:40].strip()} {turn.number}"
