"""The manual's tables say what the program has: settings, options, formats, keys, checks, nodes, rooms, messages."""

from __future__ import annotations

import argparse
import ast
import json
import re
import typing
from collections.abc import Iterator
from dataclasses import asdict

import pytest
from comfyui_ace.ace.bundles.bundle import SHIPPED_BUNDLES, find_bundle
from comfyui_ace.ace.weights.presets import preset_by_name
from comfyui_ace.cli import build_parser
from comfyui_ace.training.dataset.disk.rows import ROW_KEYS
from comfyui_ace.training.dataset.formats import EXPORTS, IMPORTS
from comfyui_ace.training.dataset.intake.checks import CheckSettings
from comfyui_ace.training.trainer.config import Section, TrainConfig
from docs.manual import page, pages, rows
from pydantic_core import PydanticUndefined
from repository import ROOT, repository_files

TINY = SHIPPED_BUNDLES / "ace-tiny"
_MOST_WORDS = 650  # of the README, code included: two minutes
_CODE = re.compile(r"`([^`]+)`")


def code(cell: str) -> list[str]:
    return _CODE.findall(cell)


def test_the_readme_stays_one_screen():
    assert len(page("README.md").text.split()) <= _MOST_WORDS


def test_templates_are_called_by_their_names():
    known = {path.stem for path in (ROOT / "workflows").rglob("*.json")}
    named = {(one.path.name, name) for one in pages() for name in re.findall(r"\*(\d\d [^*\n]+)\*", one.text)}
    assert len(named) > 4 and {(place, name) for place, name in named if name not in known} == set()


def test_the_numbers_of_a_distillation_are_those_of_the_bundles():
    found = rows(page("docs/distilling.md").sections()["5. Distil"])
    recommended = [asdict(one.distillation) for one in (preset_by_name("ACE-0.6B-512px"), find_bundle(TINY).defaults)]
    for setting, *numbers, _ in found:
        (name,) = code(setting)
        assert [float(number) for number in numbers] == [one.pop(name) for one in recommended], name
    assert recommended == [{}, {}], "not in the table"


# -- settings of the trainer ------------------------------------------------------------------------------------------


def settings(section: type[Section], prefix: str = "") -> Iterator[tuple[str, str, object]]:
    """(heading, setting, default) of everything that can be set."""
    for name, field in section.model_fields.items():
        kinds = [field.annotation, *typing.get_args(field.annotation)]
        inner = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, Section)]
        if inner:
            yield from settings(inner[0], f"{prefix}{name}.")
        else:
            yield f"[{prefix[:-1]}]" if prefix else "The run", name, field.default


def written(default: object) -> str:
    if default is PydanticUndefined:
        return "required"
    if default is None:
        return "–"
    plain = str(default) if not isinstance(default, bool | int | float | str | list | tuple | dict) else default
    return f"`{json.dumps(plain, ensure_ascii=False)}`"


def test_every_setting_of_the_trainer_is_listed():
    sections = page("docs/training.md").sections()
    expected: dict[str, dict[str, str]] = {}
    for heading, name, default in settings(TrainConfig):
        expected.setdefault(heading, {})[name] = written(default)
    listed = {
        heading: {code(name)[0]: default for name, default, _ in rows(sections.get(heading, ""))}
        for heading in expected
    }
    assert {heading: list(names) for heading, names in listed.items()} == {h: list(n) for h, n in expected.items()}
    for heading, names in expected.items():
        for name, default in names.items():
            assert _value(listed[heading][name]) == _value(default), f"{heading} {name}"


def _value(cell: str) -> object:
    return json.loads(code(cell)[0]) if code(cell) else cell


def test_every_configuration_is_listed():
    listed = {code(row[0])[0] for row in rows(page("docs/training.md").sections()["Anything else"])}
    assert listed == {path.name for path in (ROOT / "training" / "configs").glob("*.toml")}


# -- command line -----------------------------------------------------------------------------------------------------

LIKE = {"generate": "edit"}  # whose section also describes this one


def subcommands(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    (action,) = (action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    return action.choices


def options(parser: argparse.ArgumentParser) -> set[str]:
    """The long options that --help shows."""
    shown = [action for action in parser._actions if action.help != argparse.SUPPRESS]
    return {name for action in shown for name in action.option_strings if name.startswith("--")} - {"--help"}


@pytest.mark.parametrize("name", subcommands(build_parser()))
def test_every_option_is_listed(name):
    section = page("docs/command-line.md").sections()[name]
    parser = subcommands(build_parser())[name]
    parsers = subcommands(parser).values() if name in ("dataset", "judge", "label") else [parser]
    wanted = set().union(*map(options, parsers))
    table = rows(section if name not in LIKE else page("docs/command-line.md").sections()[LIKE[name]])
    listed = {option for row in table for option in re.findall(r"--[a-z][a-z0-9-]*", " ".join(code(row[0])))}
    if name in LIKE:
        assert wanted <= listed
        return
    numbered = {option for option in listed if re.search(r"-\d$", option)}
    assert listed - numbered == wanted - {option for option in wanted if re.search(r"-\d$", option)}


def test_every_command_has_a_section():
    names = list(subcommands(build_parser()))
    assert set(names) <= set(page("docs/command-line.md").headings())


# -- datasets ---------------------------------------------------------------------------------------------------------


def test_every_key_of_a_row_is_listed():
    listed = [key for row in rows(page("docs/datasets.md").sections()["The format"]) for key in code(row[0])]
    assert tuple(listed) == ROW_KEYS


def test_every_check_is_listed():
    table = rows(page("docs/datasets.md").sections()["Quality checks"])
    switches = [name for name, field in CheckSettings.model_fields.items() if field.annotation is bool]
    assert [code(row[0])[0] for row in table] == switches
    numbers = {name: field.default for name, field in CheckSettings.model_fields.items() if name not in switches}
    text = " ".join(row[2] for row in table)
    assert {name for row in table for name in code(row[2])} == set(numbers)
    for name, default in numbers.items():
        assert re.search(rf"`{name}` \({default:g}[ )]", text), f"{name} is {default:g}"


@pytest.mark.parametrize(("heading", "formats"), [("Importers", IMPORTS), ("Exporters", EXPORTS)])
def test_every_format_is_listed(heading, formats):
    assert [code(row[0])[0] for row in rows(page("docs/datasets.md").sections()[heading])] == list(formats)


# -- nodes and rooms --------------------------------------------------------------------------------------------------


def test_every_node_is_listed_once():
    named = re.findall(
        r"\*\*(.+?)\*\*", " ".join(row[1] for row in rows(page("docs/nodes.md").sections()["The nodes"]))
    )
    nodes = json.loads((ROOT / "locales" / "en" / "nodeDefs.json").read_text(encoding="utf-8"))
    assert sorted(named) == sorted(node["display_name"].removeprefix("ACE Edit: ") for node in nodes.values())


def test_rooms_are_where_the_page_says():
    listed: dict[str, set[str]] = {}
    for line in page("docs/code.md").sections()["Rooms"].splitlines():
        if head := re.fullmatch(r"\| `(\w+)/` \| \|", line):
            floor = head[1]
        elif line.startswith("| `"):
            listed.setdefault(floor, set()).update(code(line.split("|")[1]))
    assert set(listed) == {"ace", "training", "nodes"}
    for floor, names in listed.items():
        assert [name for name in names if not (ROOT / floor / name).exists()] == []
        rooms = {f"{path.parent.name}/" for path in (ROOT / floor).glob("*/__init__.py")}
        assert rooms - names == set(), f"rooms of {floor} that the page does not name"


def test_files_named_in_the_page_about_the_code_exist():
    names = [name for name in page("docs/code.md").codes() if re.fullmatch(r"[\w/]+\.(?:py|md|json)", name)]
    # "NODE" stands for any; a bare file name is one of its room, which the test above looks at.
    named = [name for name in names if "/" in name and "NODE" not in name]
    assert len(named) > 5 and [name for name in named if not (ROOT / name).exists()] == []


# -- messages ---------------------------------------------------------------------------------------------------------


def test_messages_are_what_the_program_says():
    """Italics in the first column; a gap is whatever the program fills in."""
    cells = [row[0] for text in page("docs/troubleshooting.md").sections().values() for row in rows(text)]
    quoted = [found for cell in cells for found in re.findall(r"(?<!\*)\*([^*]+)\*(?!\*)", cell)]
    said = "\n".join(_texts())
    assert len(quoted) > 6
    assert [message for message in quoted if re.sub(r"\{image\d*\}", "…", message) not in said] == []


def _texts() -> Iterator[str]:
    """Every text of the package, with a gap where it fills something in."""
    for name in repository_files():
        if name.endswith(".py") and name.split("/")[0] in ("ace", "nodes", "training", "commands"):
            for node in ast.walk(ast.parse((ROOT / name).read_text(encoding="utf-8"))):
                if isinstance(node, ast.JoinedStr):
                    yield "".join(part.value if isinstance(part, ast.Constant) else "…" for part in node.values)
                elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                    yield node.value


def test_no_page_speaks_of_another_version():
    """Versions stand in the project file and the changelog alone."""
    version = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE)[1]
    assert f"[{version}]" in page("CHANGELOG.md").text
    for one in pages():
        if one.name != "CHANGELOG.md":
            assert set(re.findall(r"ACE Edit (\d+\.\d+\.\d+)", one.text)) <= {version}, one.name
