"""Turns and branches as graphs: what is wired, and where it stands."""

from __future__ import annotations

import itertools

import pytest
from comfyui_ace.nodes.chat.conversation.graph import branch_graph, sheet_graph, turn_graph
from comfyui_ace.nodes.chat.conversation.store import Chats
from comfyui_ace.nodes.chat.conversation.tree import Extension, LoRA, Settings
from conversations import Talk


@pytest.fixture
def talk(tmp_path) -> Talk:
    return Talk(Chats(tmp_path / "default" / "ace" / "chats"))


def of(graph, kind):
    """Inputs of the nodes of a kind, in order."""
    return [node["inputs"] for node in graph.prompt().values() if node["class_type"] == kind]


def test_a_turn_is_wired_as_an_artist_would(talk):
    turns = talk.chain(3)
    ask = talk.ask(0, " moon", pictures=[turns[-1].answer.file], parent=turns[-1].id, depth=2, seed=5)
    g = turn_graph(talk.chat, ask, keep=True)
    assert [unit["instruction"] for unit in of(g, "ACEConditionUnit")] == [
        "{image} round 1",
        "{image} round 2",
        "{image} moon",
    ]
    loaded = [node["image"] for node in of(g, "LoadImage")]
    assert loaded == [f"ace-chat/{turn.pictures[0].file}" for turn in (*turns[1:], ask)]
    first, second, third = of(g, "ACELongContext")
    assert "history" not in first and second["history"] and third["max_rounds"] == 2
    (sampler,) = of(g, "ACESampler")
    assert (sampler["seed"], sampler["steps"], sampler["result_size"], sampler["keep_detail"]) == (
        5,
        2,
        "as the source",
        1.0,
    )
    (answer,) = of(g, "ACEChatAnswer")
    assert (answer["chat"], answer["turn"]) == (talk.chat.id, ask.id)
    assert of(turn_graph(talk.chat, ask), "ACEChatAnswer")[0]["chat"] == ""
    assert min(map(int, g.in_queue())) > 10**9, "ids of the page's own graph are small"
    assert not of(sheet_graph(talk.chat, ask), "ACESampler") and len(of(sheet_graph(talk.chat, ask), "ACEPreview")) == 1


def test_words_alone_make_a_picture(talk):
    g = turn_graph(talk.chat, talk.ask("a red house"))
    assert of(g, "LoadImage") == [] and of(g, "ACELongContext") == []
    (sampler,) = of(g, "ACESampler")
    assert (sampler["result_size"], sampler["keep_detail"]) == ("as sampled", 0.0)


@pytest.mark.parametrize(("fill", "size", "detail"), [("keep", "as the source", 1.0), ("blank", "as sampled", 0.0)])
def test_what_is_outside_a_mask_comes_from_the_picture_itself(talk, fill, size, detail):
    g = turn_graph(talk.chat, talk.ask(0, " snow", pictures=[talk.mask(talk.upload(1), fill)]))
    (sampler,), (pasted,) = of(g, "ACESampler"), of(g, "ACEPasteBack")
    assert (sampler["result_size"], sampler["keep_detail"]) == (size, detail)
    assert len(of(g, "ACEInpaint")) == (fill == "blank") and pasted["mask"] and pasted["fit"]
    kept = of(g, "ACEChatAnswer")[0]["image"][0]
    assert g.prompt()[kept]["class_type"] == "ACEPasteBack"


def test_a_mask_on_a_further_picture_is_shown_to_the_model_and_protects_nothing(talk):
    g = turn_graph(talk.chat, talk.ask(0, " like ", 1, pictures=[talk.upload(1), talk.mask(talk.upload(2))]))
    first, second = of(g, "ACEImage")
    assert "mask" not in first and second["mask"] and of(g, "ACEPasteBack") == []


def test_an_extended_picture_comes_back_whole(talk):
    g = turn_graph(talk.chat, talk.ask(0, pictures=[talk.upload(1)], extend=Extension(left=16, overlap=4)))
    (outpaint,), (pasted,) = of(g, "ACEOutpaint"), of(g, "ACEPasteBack")
    assert outpaint["extend.left"] == 16 and outpaint["overlap"] == 4 and pasted["placement"][1] == 3


def test_own_files_and_loras(talk):
    own = Settings(
        model="m.safetensors", text_encoder="t5.safetensors", vae="v.safetensors", loras=(LoRA(name="l"),) * 2
    )
    talk.chat = talk.chats.change(talk.chat.id, lambda chat: chat.changed_by(settings=own))
    g = turn_graph(talk.chat, talk.ask("x"))
    kinds = ("ACELoadModel", "ACELoadTextEncoder", "VAELoader", "LoraLoaderModelOnly")
    assert [len(of(g, kind)) for kind in kinds] == [1, 1, 1, 2]


def test_rounds_of_a_branch_follow_each_other(talk):
    turns = talk.chain(4, depth=1)
    ask = talk.ask(0, " end", pictures=[turns[-1].answer.file], parent=turns[-1].id, depth=4)
    g = branch_graph(talk.chat, ask)
    assert len(of(g, "LoadImage")) == 1 and len(of(g, "ACESampler")) == 5 and len(of(g, "ACELoadBundle")) == 1
    answers = [key for key, node in g.prompt().items() if node["class_type"] == "ACEChatAnswer"]
    images = of(g, "ACEImage")
    assert [one["image"] for one in images[1:]] == [[key, 0] for key in answers[:-1]]
    # What each sampler is sent, followed back through the contexts.
    prompt = g.prompt()

    def units(link):
        node = prompt[link[0]]
        if node["class_type"] == "ACEConditionUnit":
            return [node["inputs"]["instruction"]]
        earlier = units(node["inputs"]["history"]) if "history" in node["inputs"] else []
        kept = earlier[len(earlier) - node["inputs"]["max_rounds"] :] if node["inputs"]["max_rounds"] else []
        return [*kept, prompt[node["inputs"]["unit"][0]]["inputs"]["instruction"]]

    for sampler, turn in zip(of(g, "ACESampler"), talk.chat.path(ask.id), strict=True):
        sent = [*(one.instruction for one in talk.chat.rounds(turn)), turn.instruction]
        assert units(sampler["context"]) == sent


@pytest.mark.parametrize("whole", [False, True], ids=["turn", "branch"])
def test_the_opened_graph_is_tidy(talk, whole):
    turns = talk.chain(5)
    ask = talk.ask(
        0, " like ", 1, pictures=[talk.mask(turns[-1].answer.file), talk.upload(77)], parent=turns[-1].id, depth=4
    )
    g = branch_graph(talk.chat, ask) if whole else turn_graph(talk.chat, ask)
    workflow = g.workflow("note")
    boxes = [(*node["pos"], *node["size"]) for node in workflow["nodes"]]
    for (x, y, width, height), (x2, y2, width2, height2) in itertools.combinations(boxes, 2):
        apart = x + width <= x2 or x2 + width2 <= x or y + height + 30 <= y2 or y2 + height2 + 30 <= y
        assert apart, "two nodes cover each other"
    position = {node["id"]: node["pos"][0] for node in workflow["nodes"]}
    assert all(position[source] < position[target] for _, source, _, target, _, _ in workflow["links"])
    assert [group["title"] for group in workflow["groups"]][-1] == "6 · like"
    assert len(workflow["groups"]) == (6 if whole else 5)
    for one, two in itertools.pairwise(workflow["groups"]):
        assert one["bounding"][0] + one["bounding"][2] < two["bounding"][0], "frames cover each other"
