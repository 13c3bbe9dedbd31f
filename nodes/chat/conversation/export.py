"""A conversation as a folder that anybody can read: pictures in order, a page of text, and the tree itself."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from pathlib import Path

from ....ace.files import rename
from ....training.dataset.disk.names import slug
from .folder import FILE
from .graph import branch_graph
from .images import picture_path
from .tree import Chat, Turn
from .wording import plain

_TEXT = "conversation.md"
_MARKDOWN = str.maketrans({letter: f"\\{letter}" for letter in "\\`*_{}[]<>()#+-.!|"})


def export_chat(chat: Chat, folder: Path, root: Path) -> Path:
    """Writes a conversation to a new folder.

    Args:
        chat: the conversation.
        folder: where it is kept.
        root: where the new folder goes; it is named after the conversation, and never takes the place of another.

    Returns:
        The new folder: answers as ``003 make-it-night.png``, other pictures in ``pictures``, ``conversation.md``,
        ``chat.json`` and, of the branch that is open, ``workflow.json`` for ComfyUI.

    Raises:
        OSError: it cannot be written.
    """
    root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root, prefix=".ace-") as temporary:
        made = Path(temporary, "chat")
        made.mkdir()
        os.chmod(made, 0o777 & ~_umask())
        _fill(chat, folder, made)
        name = slug(chat.title, fallback="chat")
        number = 1
        while True:
            target = root / (name if number == 1 else f"{name}-{number}")
            try:
                if not target.exists():
                    rename(made, target)
                    return target
            except OSError:
                if not target.exists():  # else another export was faster
                    raise
            number += 1


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current


def _fill(chat: Chat, folder: Path, made: Path) -> None:
    names: dict[str, str] = {}
    for turn in chat.turns:
        if turn.answer is not None and turn.answer.file not in names:
            names[turn.answer.file] = f"{turn.number:03d} {slug(plain(turn.parts), fallback='picture')}.png"
    for file in chat.files():
        names.setdefault(file, f"pictures/{file}")
    for file, name in names.items():
        (made / name).parent.mkdir(exist_ok=True)
        shutil.copyfile(picture_path(folder, file), made / name)
    (made / FILE).write_text(chat.model_dump_json(indent=1), encoding="utf-8", newline="\n")
    (made / _TEXT).write_text(_transcript(chat, names), encoding="utf-8", newline="\n")
    head = chat.answered(chat.head)
    if head is not None:
        workflow = branch_graph(chat, chat.turn(head)).workflow(f"**{_escaped(chat.title)}**")
        (made / "workflow.json").write_text(json.dumps(workflow), encoding="utf-8", newline="\n")


def _transcript(chat: Chat, names: dict[str, str]) -> str:
    lines = [f"# {_escaped(chat.title) or 'ACE Chat'}", ""]
    for turn in chat.turns:
        lines += [f"## {turn.number}", "", _escaped(turn.instruction), "", *_facts(chat, turn), ""]
        lines += [f"![{{image{index or ''}}}](<{names[one.file]}>)" for index, one in enumerate(turn.pictures)]
        lines += ["", f"![answer](<{names[turn.answer.file]}>)" if turn.answer else "*no answer*", ""]
    return "\n".join(lines)


def _facts(chat: Chat, turn: Turn) -> list[str]:
    after = f"after {chat.turn(turn.parent).number}" if turn.parent else "a beginning"
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(turn.created))
    return [f"{after} · seed {turn.seed} · {turn.settings.steps} steps · cfg {turn.settings.cfg:g} · {when}"]


def _escaped(text: str) -> str:
    return " ".join(text.translate(_MARKDOWN).split())
