"""What the page translates by itself, web/translation/, knows the words that the nodes have, and no others."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCHEMAS = Path(__file__).parent / "schemas.json"
SOURCES = ("ace", "nodes", "training")
# Words that are the same in every language: types of numbers, and the words of pictures.
_SAME = re.compile(r"fp8_\w+|bf16|fp16|fp32|\{image\d?\}|English|中文")


def table(name: str) -> dict[str, str]:
    """The object that a file of the page exports, which is written as JSON."""
    text = (ROOT / "web" / "translation" / name).read_text(encoding="utf-8")
    body = text[text.index("= {") + 2 :].strip().removesuffix(";")
    return json.loads(re.sub(r",\s*}$", "}", body))


def said(node: ast.AST) -> str | None:
    """A text of the sources with {} for each gap; None for what is no text."""
    if isinstance(node, ast.JoinedStr):
        return "".join(part.value if isinstance(part, ast.Constant) else "{}" for part in node.values)
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def texts_of(node: ast.AST) -> Iterator[str]:
    """All texts in a piece of the sources, each one whole."""
    if (text := said(node)) is not None:
        yield text
    else:
        for child in ast.iter_child_nodes(node):
            yield from texts_of(child)


def sentences_of_the_code() -> set[str]:
    """Every text of the sources."""
    nodes = (
        node
        for folder in SOURCES
        for path in (ROOT / folder).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    )
    return {text for node in nodes if (text := said(node)) is not None}


def menus(inputs: list[dict]) -> Iterator[str]:
    """Every option of every menu, also of those that an option brings along."""
    for entry in inputs:
        options = entry.get("options", [])
        yield from options
        for more in options.values() if isinstance(options, dict) else ():
            yield from menus(more)


def test_every_option_of_a_menu_is_translated():
    known = table("options_zh.js")
    options = {option for schema in json.loads(SCHEMAS.read_text()).values() for option in menus(schema["inputs"])}
    words = {word for option in options for word in option.removeprefix("ACE++: ").split(" / ")}
    words = {word for word in words if not _SAME.fullmatch(word)}
    assert len(words) > 80
    assert words - known.keys() == set()


@pytest.mark.parametrize("name", ["sentences_zh.js", "options_zh.js"])
def test_what_is_translated_is_said(name):
    said = sentences_of_the_code()
    said |= {part for text in said for part in text.split(" / ")}
    from comfyui_ace.ace import instructions

    for family, title in instructions.families().items():
        said |= {title, *instructions.subtasks(family).values()}
    assert table(name).keys() - said == set()


def test_every_error_of_a_node_is_translated():
    """Those that are written where they are raised; pages of their own have texts of their own."""
    known, missing = table("sentences_zh.js"), set()
    elsewhere = {"chat", "dataset_page", "pages"}
    files = [path for path in (ROOT / "nodes").rglob("*.py") if not elsewhere & set(path.relative_to(ROOT).parts)]
    for node in (node for path in files for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))):
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
            missing |= {text for argument in node.exc.args if (text := said(argument)) and text not in known}
    assert missing == set()


def test_every_reason_for_which_a_proposed_text_is_dropped_is_translated():
    known, label = table("sentences_zh.js"), ROOT / "training" / "label"
    reasons = set()
    for path in (label / "labeller.py", label / "analysis" / "checks.py", label / "analysis" / "words.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        texts = {text for node in ast.walk(tree) if isinstance(node, ast.Return) for text in texts_of(node)}
        reasons |= {text for text in texts if re.search("[a-z]", text) and " " in text.strip()}
    assert {"it names other pictures", "its {} are {}, not {}", "it is too long"} <= reasons
    assert reasons - known.keys() == set()


def test_a_translation_has_no_other_gaps_than_its_sentence():
    for sentence, translation in table("sentences_zh.js").items():
        gaps = {int(number) for number in re.findall(r"\{#?(\d+)\}", translation)}
        assert translation and gaps <= set(range(sentence.count("{}"))), sentence
