"""Conversations on disk: turns, branches, rounds that are sent, words that name no picture, damage."""

from __future__ import annotations

import json
import os
import threading
import time

import pytest
from comfyui_ace.nodes.chat.conversation.errors import ChatError, UnknownChatError
from comfyui_ace.nodes.chat.conversation.store import Chats, find_chat
from comfyui_ace.nodes.chat.conversation.tree import Ask, Settings
from comfyui_ace.nodes.chat.conversation.wording import instruction, parts_of
from conversations import SETTINGS, Talk
from pydantic import ValidationError


@pytest.fixture
def chats(tmp_path) -> Chats:
    return Chats(tmp_path / "default" / "ace" / "chats")


@pytest.fixture
def talk(chats) -> Talk:
    return Talk(chats)


@pytest.mark.parametrize(
    ("parts", "pictures", "expected"),
    [
        (["make it night"], 1, "{image} make it night"),
        ([0, " at night"], 1, "{image} at night"),
        (["put the hat of ", 1, " on ", 0], 2, "put the hat of {image1} on {image}"),
        (["make ", 1, " night"], 2, "{image} make {image1} night"),
        (["a sign that says {image1}"], 0, "a sign that says image1"),
        (["{ima", "ge} by night"], 1, "{image} image by night"),
        (["{{image}} <Image 7>{image12}"], 0, "image Image 7image12"),
        (["{<image>}"], 0, "image"),
        ([], 1, "{image}"),
        ([], 0, ""),
    ],
)
def test_pictures_are_named_by_object_never_by_text(parts, pictures, expected):
    assert instruction(parts, pictures) == expected


def test_a_phrasing_becomes_words_and_pictures():
    assert parts_of("Put {image1} on {image}, {image2}", 2) == ["Put ", 1, " on ", 0, ", "]


def test_turns_that_make_no_sense_are_refused(talk):
    file = talk.upload(1)
    for wrong in (
        {"parts": [1], "pictures": [{"file": file}]},
        {"parts": ["\ud800"]},
        {"parts": ["x" * 20_001]},
        {"parts": ["x" * 19_999, "yy"]},
        {"parts": [], "pictures": [{"file": "../../secret.png"}]},
        {"parts": [], "pictures": [{"file": f"{file}\n"}]},
        {"parts": [], "extend": {"left": 8}},
        {"parts": [], "seed": -1},
        {"parts": [], "seed": 2**53},
        {"parts": [True], "pictures": [{"file": file}, {"file": file}]},
    ):
        with pytest.raises(ValidationError):
            Ask.model_validate(wrong)
    with pytest.raises(ValidationError, match="choose a bundle"):
        Settings(model="a.safetensors", vae="b.safetensors")


def test_branches_know_only_their_own_path(talk, chats):
    first = talk.ask(0, " night", pictures=[talk.upload(1)], answer=10)
    second = talk.ask(0, " snow", pictures=[first.answer.file], parent=first.id, answer=11)
    other = talk.ask(0, " fog", pictures=[first.answer.file], parent=first.id, answer=12)
    third = talk.ask(0, " moon", pictures=[other.answer.file], parent=other.id)
    chat = chats.read(talk.chat.id)
    assert [turn.number for turn in chat.turns] == [1, 2, 3, 4] and chat.head == third.id
    assert [turn.id for turn in chat.path(third.id)] == [first.id, other.id, third.id]
    assert [turn.id for turn in chat.rounds(third)] == [first.id, other.id]
    assert chat.rounds(second) == [first] and chat.title == "night"
    after_failed = talk.ask(0, " again", pictures=[other.answer.file], parent=third.id)
    assert after_failed.parent == other.id, "a turn without an answer is nothing to go on from"


def test_rounds_are_as_many_as_asked_and_as_ace_takes(talk):
    turns = talk.chain(7)
    last = lambda **more: talk.ask(0, parent=turns[-1].id, **more)  # noqa: E731
    file = turns[-1].answer.file
    assert [one.number for one in talk.chat.rounds(last(pictures=[file], depth=3))] == [5, 6, 7]
    assert talk.chat.rounds(last(pictures=[file], depth=0)) == []
    assert [one.number for one in talk.chat.rounds(last(pictures=[file] * 6, depth=9))] == [4, 5, 6, 7]
    words_only = talk.ask("a cat", parent=turns[-1].id, depth=9, answer=50)
    assert talk.chat.rounds(words_only) == []
    after = talk.ask(0, pictures=[words_only.answer.file], parent=words_only.id, depth=2)
    assert [one.number for one in talk.chat.rounds(after)] == [6, 7], "words alone cannot be shown to the model"


def test_search_finds_titles_and_instructions(chats):
    for title, words in (("Katze", "make it NIGHT"), ("", "给它加雪"), ("night train", "fog")):
        chat = chats.create(SETTINGS, title)
        chats.change(chat.id, lambda chat, words=words: chat.with_turn(Ask(parts=(words,)), None, chat.settings)[0])
    titles = lambda text: {one["title"] for one in chats.list(text)}  # noqa: E731
    assert titles("night") == {"Katze", "night train"} and titles("加雪") == {"给它加雪"}
    assert (
        titles("Night katze") == {"Katze"} and titles("") == {"Katze", "给它加雪", "night train"} and not titles("sun")
    )


def test_what_was_deleted_comes_back(talk, chats):
    talk.ask("x", answer=1)
    chats.delete(talk.chat.id)
    assert chats.list() == []
    with pytest.raises(UnknownChatError):
        chats.read(talk.chat.id)
    assert len(chats.restore(talk.chat.id).turns) == 1 and len(chats.list()) == 1
    chats.delete(talk.chat.id)
    old = time.time() - 31 * 24 * 3600
    os.utime(chats.root / ".deleted" / talk.chat.id, (old, old))
    chats.delete(chats.create(SETTINGS).id)
    with pytest.raises(UnknownChatError, match="for good"):
        chats.restore(talk.chat.id)


@pytest.mark.parametrize("name", ["..", "", "x" * 32, "0" * 31, "0" * 32 + "/", "A" * 32, "." * 32])
def test_hostile_ids_lead_nowhere(chats, name, tmp_path):
    for work in (chats.read, chats.delete):
        with pytest.raises(UnknownChatError):
            work(name)
    with pytest.raises(UnknownChatError):
        find_chat(tmp_path, name)


def test_many_at_once_lose_no_turn(talk, chats):
    def add(number: int) -> None:
        chats.change(talk.chat.id, lambda chat: chat.with_turn(Ask(parts=(str(number),)), None, chat.settings)[0])

    threads = [threading.Thread(target=add, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    chat = chats.read(talk.chat.id)
    assert sorted(turn.parts[0] for turn in chat.turns) == sorted(map(str, range(12)))
    assert [turn.number for turn in chat.turns] == list(range(1, 13))


def test_a_change_that_fails_leaves_all_as_it_was(talk, chats, monkeypatch):
    talk.ask("x")
    before = (talk.folder / "chat.json").read_bytes()
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OSError, match="disk is full"):
        talk.ask("y")
    monkeypatch.undo()
    assert (talk.folder / "chat.json").read_bytes() == before
    assert {file.name for file in talk.folder.iterdir()} <= {"chat.json", ".lock", "pictures"}


def test_damage_and_newer_formats_are_said_and_hide_nothing_else(talk, chats):
    other = chats.create(SETTINGS, "whole")
    file = talk.folder / "chat.json"
    written = json.loads(file.read_text())
    for text, said in (
        ("{", "damaged"),
        (json.dumps({**written, "schema_version": 99}), "newer ACE Edit"),
        (json.dumps({**written, "turns": [{}]}), "damaged"),
        (json.dumps({**written, "id": other.id}), "of the conversation"),
        ("[]", "damaged"),
    ):
        file.write_text(text)
        with pytest.raises(ChatError, match=said):
            chats.read(talk.chat.id)
        assert [one["title"] for one in chats.list()] == ["whole"]
