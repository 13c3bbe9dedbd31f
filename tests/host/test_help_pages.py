"""Help pages and locales in the real front end, and the English locale, which is what the schemas say.

After a change of names or tooltips write the English locale anew (needs a ComfyUI, see comfy_server.py)::

    cd tests && python -m host.test_help_pages
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from host.comfy_server import PACK_ROOT, ComfyServer
from host.node_schemas import AUTOGROW, DYNAMIC_COMBO

ENGLISH = PACK_ROOT / "locales" / "en" / "nodeDefs.json"
HOW_TO_WRITE = "if the change is meant: cd tests && python -m host.test_help_pages; then translate it in locales/zh"
NODE = "ACESampler"  # it has a menu with fields of its own

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
