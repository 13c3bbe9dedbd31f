"""Conversations in a folder: found, searched, changed one change at a time, thrown away and taken back."""

from __future__ import annotations

import logging
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock

from ....ace.files import rename
from .errors import ChatError, UnknownChatError
from .folder import read_chat, write_chat
from .tree import Chat, Settings, new_chat
from .wording import plain

PLACE = Path("ace", "chats")  # below the folder of a user
_DELETED, _LOCK = ".deleted", ".lock"
_KEPT_DAYS = 30  # what was thrown away
_ID = re.compile(r"[0-9a-f]{32}")
_log = logging.getLogger(__name__)


class Chats:
    """The conversations of one person.

    Args:
        root: their folder, which need not exist yet.
    """

    def __init__(self, root: Path):
        self.root = root

    def folder(self, chat_id: str) -> Path:
        """Of one conversation. Raises UnknownChatError: the id is none."""
        if not _ID.fullmatch(chat_id):
            raise UnknownChatError("There is no such conversation.")
        return self.root / chat_id

    def create(self, settings: Settings, title: str = "") -> Chat:
        """A new conversation. Raises OSError."""
        chat = new_chat(settings, title)
        write_chat(self.folder(chat.id), chat)
        return chat

    def read(self, chat_id: str) -> Chat:
        """One conversation. Raises ChatError."""
        return read_chat(self.folder(chat_id))

    def change(self, chat_id: str, work: Callable[[Chat], Chat]) -> Chat:
        """Changes a conversation as it is on disk now, while nobody else changes it.

        Args:
            chat_id: of it.
            work: from the conversation to the changed one.

        Raises:
            ChatError: there is none, or ``work`` refuses.
            OSError: it cannot be written; the old one is still there.
        """
        folder = self.folder(chat_id)
        read_chat(folder)  # else the lock would make a folder
        with FileLock(folder / _LOCK, timeout=30):
            before = read_chat(folder)
            after = work(before)
            if after is not before:
                write_chat(folder, after)
        return after

    def delete(self, chat_id: str) -> None:
        """Throws a conversation away; it can be taken back for a month. Raises ChatError or OSError."""
        self._empty_bin()
        folder, bin_ = self.folder(chat_id), self.root / _DELETED
        _require_folder(folder)
        bin_.mkdir(exist_ok=True)
        rename(folder, bin_ / chat_id)
        os.utime(bin_ / chat_id)

    def restore(self, chat_id: str) -> Chat:
        """Takes a conversation back. Raises ChatError or OSError."""
        folder = self.folder(chat_id)
        try:
            rename(self.root / _DELETED / chat_id, folder)
        except FileNotFoundError as error:
            raise UnknownChatError("This conversation was deleted for good.") from error
        return read_chat(folder)

    def list(self, text: str = "") -> list[dict[str, Any]]:
        """What a list shows of each conversation that has all these words, those changed last first.

        Args:
            text: words, in the title or in instructions, in any order; upper and lower case are the same.

        Returns:
            "open" are the prompts of which nobody has noted an end yet.
        """
        words = text.casefold().split()
        found = [chat for chat in self if _has(chat, words)]
        return [_summary(chat) for chat in sorted(found, key=lambda chat: chat.changed, reverse=True)]

    def __iter__(self) -> Iterator[Chat]:
        """All conversations that can be read."""
        if not self.root.is_dir():
            return
        for entry in sorted(os.scandir(self.root), key=lambda entry: entry.name):
            if not _ID.fullmatch(entry.name) or not entry.is_dir(follow_symlinks=False):
                continue
            try:
                yield read_chat(Path(entry.path))
            except ChatError as error:
                _log.warning("ACE Edit: %s", error)

    def _empty_bin(self) -> None:
        oldest = time.time() - _KEPT_DAYS * 24 * 3600
        for folder in (self.root / _DELETED).glob("*"):
            if folder.stat().st_mtime < oldest:
                shutil.rmtree(folder, ignore_errors=True)


def _require_folder(folder: Path) -> None:
    """Checks that there is a conversation, be it readable or not. Raises UnknownChatError."""
    if not folder.is_dir():
        raise UnknownChatError("There is no such conversation; it may have been deleted meanwhile.")


def find_chat(users: Path, chat_id: str) -> Chats:
    """The conversations among which one is, whoever's it is: ids are unique, and a node knows no user.

    Args:
        users: ComfyUI's folder with one of each user.
        chat_id: of the one.

    Raises:
        UnknownChatError: nobody has it.
    """
    if _ID.fullmatch(chat_id):
        for folder in users.glob(f"*/{PLACE.as_posix()}/{chat_id}"):
            return Chats(folder.parent)
    raise UnknownChatError("There is no such conversation; it may have been deleted meanwhile.")


def _has(chat: Chat, words: list[str]) -> bool:
    if not words:
        return True
    text = " ".join([chat.title, *(plain(turn.parts) for turn in chat.turns)]).casefold()
    return all(word in text for word in words)


def _summary(chat: Chat) -> dict[str, Any]:
    last = next((turn.answer.file for turn in reversed(chat.turns) if turn.answer), None)
    return {
        "id": chat.id,
        "title": chat.title,
        "changed": chat.changed,
        "turns": len(chat.turns),
        "picture": last,
        "open": [turn.prompt for turn in chat.turns if turn.answer is None and turn.ended is None],
    }
