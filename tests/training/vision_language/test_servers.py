"""The wire: what is sent to each kind of server, how formats are stepped down, what is never contacted."""

from __future__ import annotations

import json
import socket

import pytest
from chat_server import Reply, chat_server, name_colours, ollama_reply, openai_reply
from comfyui_ace.training.vision_language.errors import ModelError, ProbeFailed, RequestRefused, ServerUnreachable
from comfyui_ace.training.vision_language.http import call, check_address
from comfyui_ace.training.vision_language.ollama import OllamaBackend
from comfyui_ace.training.vision_language.openai import OpenAIBackend
from comfyui_ace.training.vision_language.probe import probe
from comfyui_ace.training.vision_language.request import LabelledImage, Request
from comfyui_ace.training.vision_language.response_format import FormatMemory
from comfyui_ace.training.vision_language.servers import open_backend
from PIL import Image

SCHEMA = {"type": "object", "properties": {"mark": {"type": "integer"}}, "required": ["mark"]}


def question(**changes) -> Request:
    pictures = (Image.new("RGB", (64, 48), "red"), Image.new("RGB", (64, 48), "blue"))
    parts = (LabelledImage("Image 1", pictures[0]), LabelledImage("Image 2", pictures[1]), "Which is better?")
    return Request(**{"parts": parts, "schema": SCHEMA, **changes})


def test_openai_gets_each_picture_behind_its_label_as_a_jpeg():
    with chat_server(lambda _: openai_reply('{"mark": 3}')) as (address, asked):
        answer = OpenAIBackend(address, "m", key="secret").ask(question(system="You judge.", seed=7))
    (one,) = asked
    assert one.path == "/v1/chat/completions" and one.headers["Authorization"] == "Bearer secret"
    system, user = one.body["messages"]
    assert system == {"role": "system", "content": "You judge."}
    kinds = [part["type"] for part in user["content"]]
    assert kinds == ["text", "image_url", "text", "image_url", "text", "text"]
    assert [user["content"][place]["text"] for place in (0, 2, 4)] == ["Image 1:", "Image 2:", "Which is better?"]
    assert user["content"][1]["image_url"]["url"].startswith("data:image/jpeg;base64,")
    assert [picture.size for picture in one.pictures()] == [(64, 48)] * 2
    assert json.dumps(SCHEMA) in user["content"][5]["text"]
    assert one.body["response_format"]["json_schema"]["schema"] == SCHEMA
    assert (one.body["temperature"], one.body["seed"], one.body["max_tokens"], one.body["stream"]) == (
        0,
        7,
        1024,
        False,
    )
    assert answer.json() == {"mark": 3} and answer.usage.prompt_tokens == 100 and answer.format == "json_schema"


def test_ollama_gets_pictures_beside_their_labels_and_a_longer_context():
    with chat_server(lambda _: ollama_reply('{"mark": 3}')) as (address, asked):
        answer = OllamaBackend(f"{address}/v1", "m").ask(question())
    (one,) = asked
    assert one.path == "/api/chat" and one.body["format"] == SCHEMA and "think" not in one.body
    assert [message["content"] for message in one.body["messages"][:3]] == ["Image 1:", "Image 2:", "Which is better?"]
    assert [len(message.get("images", ())) for message in one.body["messages"]] == [1, 1, 0, 0]
    assert one.body["options"] == {"temperature": 0.0, "num_ctx": 8192, "num_predict": 1024}
    assert answer.json() == {"mark": 3} and answer.usage.completion_tokens == 10


def test_pictures_are_bounded_and_none_is_too_small_to_be_seen():
    large = LabelledImage("a", Image.new("RGBA", (4000, 1000), (0, 0, 0, 0)))
    assert large.fitted().size == (1024, 256) and large.fitted().getpixel((5, 5)) == (255, 255, 255)
    assert LabelledImage("b", Image.new("L", (8, 100))).fitted().size == (28, 100)


def test_formats_are_stepped_down_and_what_works_is_remembered(tmp_path):
    """A server that knows neither kind of JSON is asked in plain words, and from then on at once."""

    def answer(one):
        kind = one.body.get("response_format", {}).get("type")
        return Reply({"error": {"message": "unsupported"}}, 400) if kind else openai_reply('Fine. {"mark": 3}')

    memory = FormatMemory(tmp_path / "servers.json")
    with chat_server(answer) as (address, asked):
        backend = OpenAIBackend(address, "m", memory=memory)
        assert backend.ask(question()).format == "none"
        assert [one.body.get("response_format", {}).get("type") for one in asked] == [
            "json_schema",
            "json_object",
            None,
        ]
        OpenAIBackend(address, "m", memory=FormatMemory(memory.path)).ask(question())
        assert len(asked) == 4
        OpenAIBackend(address, "other", memory=FormatMemory(memory.path)).ask(question())
        assert len(asked) == 7, "another model may know more"


def test_an_empty_answer_under_a_schema_steps_down_too():
    """llama.cpp with a thinking model, vLLM with endless white space."""

    def answer(one):
        strict = one.body.get("response_format", {}).get("type") == "json_schema"
        return openai_reply(" \n" * 50, finish_reason="length") if strict else openai_reply('{"mark": 4}')

    with chat_server(answer) as (address, _):
        assert OpenAIBackend(address, "m").ask(question()).json() == {"mark": 4}


def test_a_wrong_key_does_not_step_down():
    with chat_server(lambda _: Reply({"error": "no"}, 401)) as (address, asked):
        with pytest.raises(RequestRefused, match="ACE_JUDGE_KEY"):
            OpenAIBackend(address, "m").ask(question())
        assert len(asked) == 1


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (Reply({"error": {"message": "the request exceeds the available context size"}}, 400), "longer context"),
        (Reply({"error": "model does not support images"}, 400), "sees pictures.*8192"),
        (Reply({"detail": "no such model"}, 404), "name right"),
        (Reply(raw=b"<html>gateway</html>", status=500), "gateway"),
        (Reply({"error": {"message": "loading"}}, 200), "no answer but.*loading"),
        (Reply(raw=b"data: {}"), "not JSON"),
        (Reply({"choices": []}), "no answer"),
    ],
)
def test_refusals_say_what_to_do(reply, words):
    with chat_server(lambda _: reply) as (address, _), pytest.raises(RequestRefused, match=words):
        OpenAIBackend(address, "m").ask(question(schema=None))


def test_a_busy_server_is_asked_again():
    replies = iter([Reply({"error": "busy"}, 503, headers={"Retry-After": "0"}), openai_reply("yes")])
    with chat_server(lambda _: next(replies)) as (address, asked):
        assert call(f"{address}/x", {}, wait=0.01)["choices"] and len(asked) == 2


def test_no_redirection_is_followed():
    """Pictures go where the user said, not where that server points."""
    with chat_server(lambda _: openai_reply("stolen")) as (elsewhere, stolen):
        reply = Reply(raw=b"", status=307, headers={"Location": f"{elsewhere}/v1/chat/completions"})
        with chat_server(lambda _: reply) as (address, _), pytest.raises(RequestRefused, match="points to"):
            OpenAIBackend(address, "m").ask(question(schema=None))
    assert not stolen


def test_no_proxy_is_used(monkeypatch):
    with chat_server(lambda _: openai_reply("stolen")) as (proxy, through):
        monkeypatch.setenv("http_proxy", proxy)
        monkeypatch.setenv("HTTP_PROXY", proxy)
        monkeypatch.delenv("no_proxy", raising=False)
        with chat_server(lambda _: openai_reply("mine")) as (address, _):
            assert OpenAIBackend(address, "m").ask(question(schema=None)).text == "mine"
    assert not through


def test_nobody_there_is_said_plainly():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    with pytest.raises(ServerUnreachable, match="Is the server running"):
        call(f"http://127.0.0.1:{port}/v1/models", attempts=1)


@pytest.mark.parametrize("address", ["", "ftp://here", "http://", "http://me:secret@host/v1", "http://host/v1?key=1"])
def test_what_is_no_address_is_refused(address):
    with pytest.raises(ModelError):
        check_address(address)


def test_addresses_may_be_typed_carelessly():
    assert check_address(" localhost:1234/v1/ ") == "http://localhost:1234/v1"
    assert OpenAIBackend("https://host", "m").address == "https://host/v1"


@pytest.mark.parametrize("kind", ["ollama", "openai"])
def test_the_kind_of_server_and_its_only_model_are_found(kind, tmp_path, monkeypatch):
    monkeypatch.setenv("ACE_SERVER_MEMORY", str(tmp_path / "servers.json"))

    def answer(one):
        known = {"/api/version": {"version": "0.32"}, "/api/tags": {"models": [{"name": "eyes:8b"}]}}
        known = known if kind == "ollama" else {"/v1/models": {"data": [{"id": "eyes:8b"}]}}
        return Reply(known[one.path]) if one.path in known else Reply({"error": "?"}, 404)

    with chat_server(answer) as (address, _):
        backend = open_backend(address)
    assert backend.model == "eyes:8b" and isinstance(backend, OllamaBackend if kind == "ollama" else OpenAIBackend)


def test_several_models_must_be_named(monkeypatch, tmp_path):
    monkeypatch.setenv("ACE_SERVER_MEMORY", str(tmp_path / "servers.json"))
    listed = Reply({"data": [{"id": "a"}, {"id": "b"}]})
    with chat_server(lambda _: listed) as (address, _), pytest.raises(ModelError, match="offers a, b"):
        open_backend(address, kind="openai")


def test_the_probe_passes_who_sees_both_pictures_in_order():
    with chat_server(lambda one: openai_reply(name_colours(one))) as (address, asked):
        probe(OpenAIBackend(address, "m"))
    assert len(asked) == 3


@pytest.mark.parametrize(
    ("said", "mistake"),
    [
        ('{"first": "blue", "second": "red"}', "wrong order"),
        ('{"first": "red", "second": "red"}', "saw only one"),
        ('{"first": "green", "second": "blue"}', "does not see them"),
        ("I cannot see images.", "no answer that can be read"),
    ],
)
def test_the_probe_says_what_a_model_mistakes(said, mistake):
    with chat_server(lambda _: openai_reply(said)) as (address, _), pytest.raises(ProbeFailed, match=mistake):
        probe(OpenAIBackend(address, "m"))


def test_the_probe_finds_a_model_that_always_says_the_same():
    said = openai_reply('{"first": "red", "second": "blue"}')
    with chat_server(lambda _: said) as (address, _), pytest.raises(ProbeFailed, match="yellow and then a green"):
        probe(OpenAIBackend(address, "m"))
