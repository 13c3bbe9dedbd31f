"""The folder of one conversation::

chat.json    the tree
pictures/    <hash of the pixels>.png
small/       the same as small JPEGs, made when they are first seen
"""

from __future__ import annotations

import json
import threading
from pathlib import Path

from pydantic import ValidationError

from ....ace.files import atomic_write
from .errors import ChatError, UnknownChatError
from .tree import SCHEMA, Chat

FILE, PICTURES, SMALL = "chat.json", "pictures", "small"

_read: dict[Path, tuple[tuple[int, int], Chat]] = {}
_lock = threading.Lock()
_MOST_KEPT = 200


def read_chat(folder: Path) -> Chat:
    """The conversation in a folder; what did not change since is not read again.

    Raises:
        UnknownChatError: there is none.
        ChatError: it cannot be read.
    """
    file = folder / FILE
    try:
        stat = file.stat()
        version = (stat.st_mtime_ns, stat.st_size)
        with _lock:
            kept = _read.get(file)
        if kept is not None and kept[0] == version:
            return kept[1]
        data = json.loads(file.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UnknownChatError("There is no such conversation; it may have been deleted meanwhile.") from error
    except ValueError as error:
        raise ChatError(f"{file} is damaged and cannot be read: {error}. Its pictures are beside it.") from error
    written = data.get("schema_version") if isinstance(data, dict) else None
    if isinstance(written, int) and written > SCHEMA:
        raise ChatError(f"{file} was written by a newer ACE Edit (format {written}, here {SCHEMA}). Update ACE Edit.")
    try:
        chat = Chat.model_validate(data)
    except ValidationError as error:
        raise ChatError(f"{file} is damaged and cannot be read: {error.errors()[0]['msg']}.") from error
    if chat.id != folder.name:
        raise ChatError(f"{file} is of the conversation {chat.id}: put it into a folder of that name.")
    with _lock:
        _read.pop(file, None)
        _read[file] = (version, chat)
        while len(_read) > _MOST_KEPT:
            _read.pop(next(iter(_read)))
    return chat


def write_chat(folder: Path, chat: Chat) -> None:
    """Writes the conversation, whole or not at all. Raises OSError."""
    with atomic_write(folder / FILE) as temporary:
        temporary.write_text(chat.model_dump_json(indent=1), encoding="utf-8", newline="\n")
