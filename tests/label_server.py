"""A server that answers the labeller's questions by looking at the pictures it is sent."""

from __future__ import annotations

import json

from chat_server import Reply, name_colours, ollama_reply, openai_reply
from comfyui_ace.training.vision_language.request import LabelledImage, Request
from label_models import Looking


def as_request(one) -> Request:
    """What a server was asked, as the fake model takes it."""
    schema = one.body.get("format") or one.body["response_format"]["json_schema"]["schema"]
    pictures = one.pictures()
    texts = []
    for message in one.body["messages"]:
        if message["role"] == "user":
            content = message["content"]
            texts += [content] if isinstance(content, str) else [p["text"] for p in content if p["type"] == "text"]
    words = [text for text in texts if not text.startswith(("Image ", "Answer with one JSON"))] or texts[-2:-1]
    question = next((text for text in texts if "Image 1 is a picture" in text or "wrote this down" in text), words[-1])
    parts = (*(LabelledImage("Image", picture) for picture in pictures), question)
    seed = one.body.get("seed") or one.body.get("options", {}).get("seed")
    return Request(parts=parts, schema=schema, seed=seed)


def server(kind: str, wrap=lambda text: text):
    model, reply = Looking(), ollama_reply if kind == "ollama" else openai_reply

    def answer(one) -> Reply:
        if one.body is None:
            listed = {
                "/v1/models": {"data": [{"id": "eyes"}]},
                **(
                    {"/api/version": {"version": "0.30"}, "/api/tags": {"models": [{"name": "eyes"}]}}
                    if kind == "ollama"
                    else {}
                ),
            }
            return Reply(listed[one.path]) if one.path in listed else Reply({"error": "?"}, 404)
        schema = json.dumps(one.body.get("format") or one.body.get("response_format"))
        if '"second"' in schema:
            return reply(name_colours(one))
        return reply(wrap(model.ask(as_request(one)).text))

    return answer
