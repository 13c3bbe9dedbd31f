"""Conversations for tests: pictures, turns and their answers, without a host."""

from __future__ import annotations

import io
import time
from typing import Any

import numpy as np
from comfyui_ace.nodes.chat.conversation.images import add_mask, add_picture, add_pixels
from comfyui_ace.nodes.chat.conversation.store import Chats
from comfyui_ace.nodes.chat.conversation.tree import Answer, Ask, Chat, Picture, Settings, Turn
from PIL import Image

SETTINGS = Settings(bundle="ace-tiny", steps=2, cfg=1.0)
HEIGHT, WIDTH = 48, 64


def pixels(seed: int) -> np.ndarray:
    """(48, 64, 3) uint8, another for each seed."""
    blocks = np.random.default_rng(seed).integers(0, 256, (3, 4, 3), dtype=np.uint8)
    return np.kron(blocks, np.ones((16, 16, 1), np.uint8))


def png(array: np.ndarray) -> bytes:
    """The file of an array."""
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, format="PNG")
    return buffer.getvalue()


def half_mask() -> bytes:
    """White on the left half."""
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[:, : WIDTH // 2] = 255
    return png(mask)


class Talk:
    """A conversation as somebody has it, with answers made up."""

    def __init__(self, chats: Chats):
        self.chats = chats
        self.chat: Chat = chats.create(SETTINGS)
        self.folder = chats.folder(self.chat.id)

    def upload(self, seed: int) -> str:
        return add_picture(self.folder, png(pixels(seed)))["file"]

    def mask(self, file: str, fill: str = "keep", mask: np.ndarray | None = None) -> Picture:
        data = half_mask() if mask is None else png(mask)
        return Picture(file=file, mask=add_mask(self.folder, file, data)["file"], fill=fill)

    def ask(
        self, *parts: Any, pictures: Any = (), parent: str | None = None, answer: int | None = None, **more: Any
    ) -> Turn:
        """A turn; ``answer`` is the seed of a picture that comes of it."""
        pictures = tuple(Picture(file=one) if isinstance(one, str) else one for one in pictures)
        ask = Ask(parts=parts, pictures=pictures, **{"seed": 7, "depth": 4, **more})
        made: list[Turn] = []

        def work(chat: Chat) -> Chat:
            chat, turn = chat.with_turn(ask, parent, chat.settings)
            if answer is not None:
                stored = Answer(**add_pixels(self.folder, pixels(answer)), finished=time.time())
                chat = chat.with_changed(turn.id, answer=stored)
            made[:] = [chat.turn(turn.id)]
            return chat

        self.chat = self.chats.change(self.chat.id, work)
        return made[0]

    def chain(self, count: int, **more: Any) -> list[Turn]:
        """Rounds, each on the answer of the one before."""
        turns: list[Turn] = []
        for number in range(count):
            file = turns[-1].answer.file if turns else self.upload(1000)
            parent = turns[-1].id if turns else None
            turns.append(self.ask(0, f" round {number}", pictures=[file], parent=parent, answer=number, **more))
        return turns
