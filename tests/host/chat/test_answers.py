"""What a turn's graph gives in a host, without a page: answers that are kept, and the same pictures from opened graphs."""

from __future__ import annotations

import numpy as np
import pytest
from comfyui_ace.nodes.chat.conversation.graph import branch_graph, turn_graph
from comfyui_ace.nodes.chat.conversation.images import add_pixels, input_name, read_marks, read_pixels
from comfyui_ace.nodes.chat.conversation.tree import Ask, Extension, Picture
from conversations import SETTINGS, Talk
from host.chat.chat_page import SIZE, chats_of
from host.harness.edits import photo

pytestmark = pytest.mark.timeout(1800)


def run_turn(comfy, talk: Talk, words: str, picture: Picture, parent: str | None, **more) -> str:
    """Asks, runs the turn's prompt as the page puts it into the queue, and returns the turn's id."""
    ask = Ask(parts=(0, words), pictures=(picture,), **{"seed": 5, "depth": 4, **more})
    made = []

    def work(chat):
        chat, turn = chat.with_turn(ask, parent, SETTINGS)
        made.append(turn)
        return chat

    talk.chat = talk.chats.change(talk.chat.id, work)
    comfy.run(turn_graph(talk.chat, made[0], keep=True).in_queue(), timeout=900)
    talk.chat = talk.chats.read(talk.chat.id)
    return made[0].id


def shown(comfy, graph) -> list[np.ndarray]:
    """The pictures that the Chat Answers of a graph show, in order."""
    result = comfy.run(graph.prompt(), timeout=1200)
    ids = [key for key, node in graph.prompt().items() if node["class_type"] == "ACEChatAnswer"]
    return [np.asarray(result.images[key][0].convert("RGB")) for key in ids]


def test_turns_keep_their_answers_and_opened_graphs_give_the_same(comfy):
    talk = Talk(chats_of(comfy))
    file = add_pixels(talk.folder, np.asarray(photo(SIZE)))["file"]
    left = np.zeros((SIZE[1], SIZE[0]), np.uint8)
    left[:, :40] = 255
    first = run_turn(comfy, talk, " make it gray", Picture(file=file), None)
    answer = talk.chat.turn(first).answer
    assert (answer.width, answer.height) == SIZE and (comfy.base_dir / "input" / input_name(file)).is_file()

    marked = talk.mask(answer.file, mask=left)
    second = run_turn(comfy, talk, " make it sepia", marked, first)
    before, after = (read_pixels(talk.folder, one) for one in (answer.file, talk.chat.turn(second).answer.file))
    outside = read_marks(talk.folder, marked.mask) == 0
    assert np.array_equal(before[outside], after[outside]) and not np.array_equal(before, after)

    blank = talk.mask(talk.chat.turn(second).answer.file, "blank", mask=left)
    third = run_turn(comfy, talk, " fill the hole", blank, second, depth=1)
    wide = Extension(right=16)
    last = run_turn(comfy, talk, " go on", Picture(file=talk.chat.turn(third).answer.file), third, extend=wide)
    path = talk.chat.path(last)
    kept = [read_pixels(talk.folder, turn.answer.file) for turn in path]
    assert kept[-1].shape[1] == SIZE[0] + 16
    for turn, pixels in zip(path, kept, strict=True):
        (alone,) = shown(comfy, turn_graph(talk.chat, turn))
        assert np.array_equal(alone, pixels), f"turn {turn.number} alone"
    for number, (found, pixels) in enumerate(
        zip(shown(comfy, branch_graph(talk.chat, path[-1])), kept, strict=True), 1
    ):
        assert np.array_equal(found, pixels), f"turn {number} of the branch"


def test_an_answer_to_a_deleted_conversation_is_no_error(comfy):
    talk = Talk(chats_of(comfy))
    file = add_pixels(talk.folder, np.asarray(photo(SIZE, turn=45)))["file"]
    turn = talk.ask(0, " make it gray", pictures=[file])
    prompt = turn_graph(talk.chat, turn, keep=True).in_queue()
    (loaded,) = [node["inputs"]["image"] for node in prompt.values() if node["class_type"] == "LoadImage"]
    assert not (comfy.base_dir / "input" / loaded).exists()
    # Without a sampler between them, it is only about what is kept.
    image = next(key for key, node in prompt.items() if node["class_type"] == "LoadImage")
    answer = next(key for key, node in prompt.items() if node["class_type"] == "ACEChatAnswer")
    short = {
        image: prompt[image],
        answer: {**prompt[answer], "inputs": {**prompt[answer]["inputs"], "image": [image, 0]}},
    }
    comfy.run(short)
    assert talk.chats.read(talk.chat.id).turn(turn.id).answer.file == file, "the same pixels are the same file"
    talk.chats.delete(talk.chat.id)
    comfy.run({**short, answer: {**short[answer], "inputs": {**short[answer]["inputs"], "turn": "0" * 32}}})
