"""Every node has a help page, a picture and translated names in each language, and they name what the node has."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

PACK = Path(__file__).resolve().parents[2]
DOCS = PACK / "web" / "docs"
LANGUAGES = ("en", "zh")
# What the record of host.node_schemas says of each node.
SCHEMAS: dict[str, dict[str, Any]] = json.loads((Path(__file__).parent / "schemas.json").read_text(encoding="utf-8"))
SECTIONS = {
    "en": ("Inputs", "Outputs", "Typical wiring", "Mistake to avoid", "See also"),
    "zh": ("输入", "输出", "典型接法", "常见错误", "相关节点"),
}
WHERE_FILES_GO = {"en": "Where the files go", "zh": "文件放在哪里"}
LOADERS = ("ACELoadBundle", "ACELoadModel", "ACELoadTextEncoder", "ACELoadEditNet")
MOST_BYTES = 60_000

_HEADING = re.compile(r"^## (.+)$", re.MULTILINE)
_QUOTED = re.compile(r"\{'((?:[^'\\]|\\.)*)'\}")  # Vue I18n's way to say {, }, | and @
_PICTURE = re.compile(r"!\[(.*?)\]\((.*?)\)")
_LINK = re.compile(r"\]\(([^)]*)\)|<(https?:[^>]*)>|(?:src|href)=[\"']?([^\"'\s>]+)")


def page(node: str, language: str) -> Path:
    """Where the front end looks; English is also what other languages fall back to."""
    return DOCS / f"{node}.md" if language == "en" else DOCS / node / f"{language}.md"


def sections(node: str, language: str) -> dict[str, str]:
    """The text under each heading of a page; what comes before the first has the name ""."""
    first, *rest = _HEADING.split(page(node, language).read_text(encoding="utf-8"))
    return {"": first, **dict(zip(rest[::2], rest[1::2], strict=True))}


def named_in_table(text: str) -> set[str]:
    """What stands in backquotes in the first column."""
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("|")]
    return {name for row in rows for name in re.findall(r"`([^`]+)`", row)}


def locale(language: str, file: str = "nodeDefs") -> dict[str, Any]:
    return json.loads((PACK / "locales" / language / f"{file}.json").read_text(encoding="utf-8"))


def fields(inputs: list[dict[str, Any]], prefix: str = "") -> Iterator[tuple[str, str]]:
    """(key in a locale, name) of all sockets and widgets, with those of menus and growing groups."""
    for entry in inputs:
        name, options = entry["name"], entry.get("options")
        yield prefix + name, name
        for option in options.values() if isinstance(options, dict) else ():
            yield from fields(option, f"{prefix}{name}_")
        if template := entry.get("template"):
            for number in range(template["max"]):
                grown = f"{template['prefix']}{number}"
                yield f"{prefix}{name}_{grown}", grown


def grown(inputs: list[dict[str, Any]]) -> set[str]:
    """Names of sockets that a group grows; a page describes the group."""
    groups = [entry for entry in inputs if "template" in entry]
    return {name for key, name in fields(groups) if key != name}


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("node", SCHEMAS)
def test_page_describes_the_node(node, language):
    found, schema = sections(node, language), SCHEMAS[node]
    inputs, outputs, *others = SECTIONS[language]
    wanted = {name for _, name in fields(schema["inputs"])} - grown(schema["inputs"])
    assert named_in_table(found[inputs]) == wanted
    assert named_in_table(found[outputs]) == {name for _, name in schema["outputs"]}
    for heading in others:
        assert len(found[heading].strip()) > 10, heading
    assert len(found[""]) > 60
    assert (WHERE_FILES_GO[language] in found) == (node in LOADERS)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("node", SCHEMAS)
def test_page_shows_the_node_and_links_nowhere_else(node, language):
    text = page(node, language).read_text(encoding="utf-8")
    # The front end resolves pictures against docs/, whatever the language; links in a page would leave ComfyUI.
    assert [target for _, target in _PICTURE.findall(text)] == [f"images/{node}.png"]
    links = ["".join(found) for found in _LINK.findall(text)]
    assert links == [f"images/{node}.png"]
    picture = DOCS / "images" / f"{node}.png"
    assert picture.stat().st_size <= MOST_BYTES
    with Image.open(picture) as image:
        assert image.format == "PNG" and image.width > 300 and image.height > 80
        assert len(image.convert("RGB").getcolors(1 << 24)) > 8, "nothing is drawn on it"


def test_no_page_is_left_over():
    expected = {page(node, language) for node in SCHEMAS for language in LANGUAGES}
    assert set(DOCS.rglob("*.md")) == expected
    assert {path.stem for path in (DOCS / "images").iterdir()} == set(SCHEMAS)


def test_neighbours_are_called_by_their_names():
    """Bold words in the last sections are nodes of the pack."""
    for language in LANGUAGES:
        names = {re.split(r"[:：] ?", entry["display_name"])[1] for entry in locale(language).values()}
        for node in SCHEMAS:
            found = sections(node, language)
            text = "".join(found[heading] for heading in SECTIONS[language][2:])
            assert set(re.findall(r"\*\*(.+?)\*\*", text)) <= names, (node, language)


@pytest.mark.parametrize("language", LANGUAGES)
def test_locale_has_the_keys_of_the_schemas(language):
    translated = locale(language)
    assert sorted(translated) == sorted(SCHEMAS)
    for node, schema in SCHEMAS.items():
        entry = translated[node]
        assert set(entry) == {"display_name", "description", "inputs", "outputs"}
        assert sorted(entry["inputs"]) == sorted(dict(fields(schema["inputs"]))), node
        assert sorted(entry["outputs"]) == [str(k) for k in range(len(schema["outputs"]))], node


@pytest.mark.parametrize("language", LANGUAGES)
def test_nothing_is_left_without_words(language):
    for node, entry in locale(language).items():
        assert entry["display_name"].strip() and entry["description"].strip(), node
        for key, item in (*entry["inputs"].items(), *entry["outputs"].items()):
            assert set(item) == {"name", "tooltip"}, (node, key)
            assert item["name"].strip() and item["tooltip"].strip(), (node, key)


@pytest.mark.parametrize("language", LANGUAGES)
def test_messages_are_read_as_they_are_meant(language):
    """A bare brace would be a value to fill in, a bar a plural, an at sign a reference to another message."""
    for node, entry in locale(language).items():
        for message in texts(entry):
            assert not set("{}|@") & set(_QUOTED.sub("", message)), (node, message)


def texts(entry: Any) -> Iterator[str]:
    if isinstance(entry, str):
        yield entry
    else:
        for key in sorted(entry):
            yield from texts(entry[key])


def test_english_names_are_those_of_the_schemas():
    for node, entry in locale("en").items():
        schema = SCHEMAS[node]
        assert {key: item["name"] for key, item in entry["inputs"].items()} == dict(fields(schema["inputs"]))
        assert [item["name"] for item in entry["outputs"].values()] == [name for _, name in schema["outputs"]]


def test_chinese_is_translated_and_keeps_the_indicators():
    english, chinese = locale("en"), locale("zh")
    for node, entry in english.items():
        for before, after in zip(texts(entry), texts(chinese[node]), strict=True):
            indicators = re.findall(r"\{image\d*\}", _QUOTED.sub(r"\1", before))
            assert re.findall(r"\{image\d*\}", _QUOTED.sub(r"\1", after)) == indicators, (node, after)
            if len(before.split()) > 3:
                assert re.search(r"[\u4e00-\u9fff]", after), (node, after)


def test_categories_are_named_in_every_language():
    keys = [sorted(locale(language, "main")["nodeCategories"]) for language in LANGUAGES]
    assert keys[0] == keys[1]
