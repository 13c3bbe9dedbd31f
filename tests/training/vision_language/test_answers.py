"""JSON out of answers as servers really send them, and answers that are kept."""

from __future__ import annotations

import pytest
from comfyui_ace.training.vision_language.answer import Answer, find_object
from comfyui_ace.training.vision_language.errors import NotRecorded
from comfyui_ace.training.vision_language.recorded import RecordedAnswers
from comfyui_ace.training.vision_language.request import LabelledImage, Request
from PIL import Image


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": 1}', {"a": 1}),
        ('```json\n{"a": 1}\n```', {"a": 1}),
        ('```\n{"a": 1}```\nDone.', {"a": 1}),
        ('<think>{"a": 9}</think>{"a": 1}', {"a": 1}),
        ('so {"a": 9} maybe\n</think>\n\n{"a": 1}', {"a": 1}),
        ('<think>{"a": 1} and so on without an end', None),
        ('<|channel|>analysis<|message|>{"a": 9}<|channel|>final<|message|>{"a": 1}', {"a": 1}),
        ('The schema is {"type": "object"}. My answer: {"a": 1}', {"a": 1}),
        ('{"a": {"b": [1, {"c": 2}]}}', {"a": {"b": [1, {"c": 2}]}}),
        ('{"a": 1', None),
        ("[1, 2]", None),
        ("", None),
        ("{" * 5000, None),
    ],
)
def test_the_object_is_found_or_there_is_none(text, value):
    assert find_object(text) == value


def test_an_answer_among_the_thinking_counts_only_where_the_content_is_empty():
    """Ollama with qwen3-vl leaves the content empty; elsewhere thinking is no answer."""
    assert Answer("", reasoning='{"a": 1}').json() == {"a": 1}
    assert Answer("I would rather not.", reasoning='{"a": 1}').json() is None


class Counting:
    model, address, parallel = "eyes", "http://here", 2

    def __init__(self):
        self.asked = 0

    def ask(self, request):
        self.asked += 1
        return Answer(f"answer {self.asked} … ü", finish_reason="stop")


def question(colour="red", **changes):
    return Request(**{"parts": (LabelledImage("Image 1", Image.new("RGB", (8, 8), colour)), "What?"), **changes})


def test_nothing_is_asked_twice(tmp_path):
    backend = Counting()
    kept = RecordedAnswers(tmp_path / "answers.jsonl", backend)
    first = kept.ask(question())
    again = RecordedAnswers(kept.path, backend).ask(question())
    assert backend.asked == 1 and again.recorded and not first.recorded and again.text == first.text
    assert kept.address == "http://here"


def test_what_cannot_be_read_is_asked_for_anew_and_the_last_answer_counts(tmp_path):
    backend, path = Counting(), tmp_path / "answers.jsonl"
    RecordedAnswers(path, backend).ask(question())
    RecordedAnswers(path, backend).ask(question("blue"))
    strict = RecordedAnswers(path, backend, readable=lambda request, answer: "answer 1" not in answer.text)
    assert strict.ask(question("blue")).text == "answer 2 … ü" and strict.ask(question()).text == "answer 3 … ü"
    assert RecordedAnswers(path, model="eyes").ask(question()).text == "answer 3 … ü" and backend.asked == 3


@pytest.mark.parametrize(
    "changes", [{"seed": 1}, {"temperature": 0.5}, {"system": "x"}, {"schema": {}}, {"max_side": 9}]
)
def test_another_question_is_another_question(changes, tmp_path):
    backend = Counting()
    kept = RecordedAnswers(tmp_path / "answers.jsonl", backend)
    kept.ask(question())
    kept.ask(question(**changes))
    kept.ask(question("blue"))
    assert backend.asked == 3


def test_answers_of_another_model_do_not_count(tmp_path):
    RecordedAnswers(tmp_path / "answers.jsonl", Counting()).ask(question())
    with pytest.raises(NotRecorded, match="other"):
        RecordedAnswers(tmp_path / "answers.jsonl", model="other").ask(question())


def test_a_line_cut_off_by_a_stop_costs_one_answer(tmp_path):
    backend = Counting()
    kept = RecordedAnswers(tmp_path / "answers.jsonl", backend)
    kept.ask(question("red"))
    kept.ask(question("blue"))
    kept.path.write_bytes(kept.path.read_bytes()[:-20])
    after = RecordedAnswers(kept.path, backend)
    assert len(after) == 1
    after.ask(question("blue"))
    assert len(RecordedAnswers(kept.path, backend)) == 2 and backend.asked == 3
