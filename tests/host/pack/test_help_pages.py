"""Help pages and locales in the real front end, and the English locale, which is what the schemas say.

After a change of names or tooltips write the English locale anew (needs a ComfyUI, see comfy_server.py)::

    cd tests && python -m host.pack.test_help_pages
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from host.harness.browser import ComfyPage
from host.harness.comfy_server import PACK_ROOT, ComfyServer
from host.harness.node_schemas import AUTOGROW, DYNAMIC_COMBO

ENGLISH = PACK_ROOT / "locales" / "en" / "nodeDefs.json"
HOW_TO_WRITE = (
    "if the change is meant: cd tests && python -m host.pack.test_help_pages; then translate it in locales/zh"
)
NODE = "ACESampler"  # it has a menu with fields of its own
HEADINGS = {"en": "Mistake to avoid", "zh": "常见错误"}

# What Vue I18n would take for syntax; {image1} for a value to be filled in.
_SYNTAX = re.compile(r"\{image\d*\}|[{}|@]")

Inputs = dict[str, dict[str, list]]


def english_locale(object_info: dict[str, Any]) -> dict[str, Any]:
    """``nodeDefs.json`` for our nodes as a server's /object_info describes them."""
    return {name: _node(info) for name, info in sorted(object_info.items()) if name.startswith("ACE")}


def escape(text: str) -> str:
    """Text as a message of Vue I18n that reads like it."""
    return _SYNTAX.sub(lambda found: f"{{'{found[0]}'}}", text)


def _node(info: dict[str, Any]) -> dict[str, Any]:
    tooltips: dict[str, list[tuple[str, str]]] = {}
    names: dict[str, str] = {}
    for key, name, option, tooltip in _fields(info["input"]):
        names[key] = name
        tooltips.setdefault(key, []).append((option, tooltip))
    return {
        "display_name": info["display_name"],
        "description": escape(info["description"]),
        "inputs": {key: {"name": name, "tooltip": escape(_join(tooltips[key]))} for key, name in names.items()},
        "outputs": {
            str(k): {"name": name, "tooltip": escape(tooltip)}
            for k, (name, tooltip) in enumerate(zip(info["output_name"], info["output_tooltips"], strict=True))
        },
    }


def _fields(inputs: Inputs, prefix: str = "", option: str = "") -> Iterator[tuple[str, str, str, str]]:
    """(key in the locale, name, option of the menu it comes with, tooltip) of every socket and widget."""
    for section in ("required", "optional"):
        for name, (kind, details) in (inputs.get(section) or {}).items():
            yield prefix + name, name, option, details["tooltip"]
            if kind == DYNAMIC_COMBO:
                for choice in details["options"]:
                    yield from _fields(choice["inputs"], f"{prefix}{name}_", choice["key"])
            if kind == AUTOGROW:
                template = details["template"]
                ((_, (_, socket)),) = (pair for part in template["input"].values() for pair in part.items())
                for k in range(template["max"]):
                    grown = f"{template['prefix']}{k}"
                    yield f"{prefix}{name}_{grown}", grown, option, socket["tooltip"]


def _join(found: list[tuple[str, str]]) -> str:
    """One tooltip for a field that several options of a menu have: the commonest first, the others by option."""
    options: dict[str, list[str]] = {}
    for option, tooltip in found:
        options.setdefault(tooltip, []).append(option.rpartition(" / ")[2])
    first, *others = sorted(options, key=lambda tooltip: -len(options[tooltip]))
    return "\n".join([first, *(f"{', '.join(options[tooltip])}: {tooltip}" for tooltip in others)])


def test_help_is_served_and_shown_in_both_languages(comfy, open_page):
    described = comfy.object_info()
    served = comfy.fetch("/i18n").json()
    assert english_locale(described) == read_english(), HOW_TO_WRITE
    for node in english_locale(described):
        assert served["en"]["nodeDefs"][node] == read_english()[node]
        assert served["zh"]["nodeDefs"][node]["display_name"] != served["en"]["nodeDefs"][node]["display_name"]
        for file in (f"{node}.md", f"{node}/zh.md", f"images/{node}.png"):
            assert comfy.fetch(f"/extensions/ace-edit/docs/{file}").status == 200, file

    for locale, language in (("en-US", "en"), ("zh-CN", "zh")):
        page = open_page(comfy, locale=locale)
        translated = served[language]["nodeDefs"][NODE]
        assert place_node(page) == {
            "title": translated["display_name"],
            "resolution": translated["inputs"]["resolution"]["name"],
            "resolution.width": translated["inputs"]["resolution_width"]["name"],
        }
        assert hover(page, "resolution.width") == translated["inputs"]["resolution_width"]["tooltip"]
        page.page.get_by_test_id("info-button").click()
        help_ = page.page.locator(".node-help-content")
        help_.locator("table").first.wait_for()
        assert HEADINGS[language] in help_.locator("h2").all_inner_texts()
        picture = help_.locator("img")
        picture.scroll_into_view_if_needed()
        page.page.wait_for_function("img => img.complete", arg=picture.element_handle())
        assert picture.evaluate("img => img.naturalWidth") > 300
        page.screenshot(f"help-{language}")
        # The front end first asks for docs/NODE/en.md; English lies where every other language falls back to.
        assert [error for error in page.errors if not error.url.endswith("/en.md")] == []


def read_english() -> dict[str, Any]:
    return json.loads(ENGLISH.read_text(encoding="utf-8"))


def place_node(page: ComfyPage) -> dict[str, str]:
    """Puts the node alone on the canvas with its menu at "exact size", selects it, and returns what it is called."""
    shown = page.page.evaluate(
        """type => {
            app.graph.clear();
            const node = LiteGraph.createNode(type);
            app.graph.add(node);
            node.widgets.find(widget => widget.name === "resolution").value = "exact size";
            app.canvas.ds.scale = 1;
            app.canvas.ds.offset = [700, 300];
            app.canvas.selectNode(node);
            const labels = node.widgets.filter(widget => widget.name.startsWith("resolution"));
            return {title: node.title, ...Object.fromEntries(labels.map(widget => [widget.name, widget.label]))};
        }""",
        NODE,
    )
    page.settle()
    shown.pop("resolution.height")
    return shown


def hover(page: ComfyPage, widget: str) -> str:
    """The tooltip of a widget of the only node."""
    x, y = page.page.evaluate(
        """name => {
            const [node] = app.graph.nodes, corner = app.canvas.canvas.getBoundingClientRect();
            const widget = node.widgets.find(widget => widget.name === name);
            const [x, y] = app.canvas.ds.convertOffsetToCanvas([node.pos[0] + 60, node.pos[1] + widget.y + 10]);
            return [corner.left + x, corner.top + y];
        }""",
        widget,
    )
    page.page.mouse.move(x - 3, y)
    page.page.mouse.move(x, y)
    tooltip = page.page.locator(".node-tooltip")
    tooltip.wait_for()
    return tooltip.inner_text()


def _write() -> None:
    with ComfyServer() as server:
        locale = english_locale(server.object_info())
    ENGLISH.write_text(json.dumps(locale, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"{len(locale)} nodes written to {ENGLISH}")


if __name__ == "__main__":
    _write()
