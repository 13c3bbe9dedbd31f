"""The pack's node schemas, written down, and what about a change would break workflows that people have saved.

Record them anew after a change on purpose (needs a ComfyUI, see comfy_server.py)::

    cd tests && python -m host.harness.node_schemas
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

RECORD = Path(__file__).resolve().parents[2] / "nodes" / "schemas.json"
HOW_TO_RECORD = "if the change is meant, record the schemas anew: cd tests && python -m host.harness.node_schemas"
DYNAMIC_COMBO, AUTOGROW = "COMFY_DYNAMICCOMBO_V3", "COMFY_AUTOGROW_V3"
_WIDGETS = {"INT", "FLOAT", "STRING", "BOOLEAN", "COMBO", DYNAMIC_COMBO}
# Combos that list files: their options are those of the machine.
_FROM_DISK = {
    "bundle",
    "model_name",
    "text_encoder_name",
    "editnet_name",
    "dataset",
    "folder",
    "masks",
    "second_folder",
}
_FROM_DISK |= {"dataset_name", "config"}

Schema = dict[str, Any]


def read_schemas(object_info: dict[str, Any]) -> dict[str, Schema]:
    """What matters for saved workflows in a server's /object_info, for our nodes."""
    return {
        name: {
            "inputs": _read_inputs(info["input"]),
            "outputs": [list(pair) for pair in zip(info["output"], info["output_name"], strict=True)],
        }
        for name, info in sorted(object_info.items())
        if name.startswith("ACE")
    }


def _read_inputs(sections: dict[str, dict[str, list]]) -> list[Schema]:
    """In the order of the front end: required ones, then optional ones."""
    return [
        _read_input(name, spec, optional=section == "optional")
        for section in ("required", "optional")
        for name, spec in (sections.get(section) or {}).items()
    ]


def _read_input(name: str, spec: list, optional: bool) -> Schema:
    kind, details = spec[0], spec[1] if len(spec) > 1 else {}
    entry: Schema = {"name": name, "type": kind, "optional": optional}
    if kind in _WIDGETS and not details.get("forceInput"):
        entry["widget"] = True
    for bound in ("min", "max"):
        if bound in details:
            entry[bound] = details[bound]
    if details.get("control_after_generate"):
        entry["control_after_generate"] = True  # adds a widget behind this one
    if kind == "COMBO" and name not in _FROM_DISK:
        entry["options"] = details["options"]
    if kind == DYNAMIC_COMBO:
        entry["options"] = {option["key"]: _read_inputs(option["inputs"]) for option in details["options"]}
    if kind == AUTOGROW:
        template = details["template"]
        entry["template"] = {
            "inputs": _read_inputs(template["input"]),
            **{key: template[key] for key in ("prefix", "names", "max") if key in template},
        }
    return entry


def breaking_changes(recorded: dict[str, Schema], current: dict[str, Schema]) -> list[str]:
    """Sentences on every change that a saved workflow would suffer from."""
    found = []
    for name, before in recorded.items():
        if name not in current:
            found.append(f"{name}: the node is gone")
            continue
        found += [f"{name}: {what}" for what in _compare_inputs(before["inputs"], current[name]["inputs"])]
        outputs = current[name]["outputs"]
        if outputs[: len(before["outputs"])] != before["outputs"]:
            found.append(f"{name}: outputs were {before['outputs']} and are {outputs}; they may only be appended")
    return found


def _compare_inputs(before: list[Schema], after: list[Schema], frozen: bool = False) -> Iterator[str]:
    """``frozen`` forbids further widgets: more of them would move those behind."""
    names = {entry["name"]: entry for entry in after}
    widgets_before = [entry["name"] for entry in before if entry.get("widget")]
    widgets_after = [entry["name"] for entry in after if entry.get("widget")]
    if widgets_after[: len(widgets_before)] != widgets_before or (frozen and widgets_after != widgets_before):
        allowed = "stay as they are, since others come after them" if frozen else "only be appended"
        yield f"widgets were {widgets_before} and are {widgets_after}; they must {allowed}"
    for entry in before:
        name = entry["name"]
        if name not in names:
            yield f"input {name} is gone"
            continue
        is_last = bool(widgets_before) and name == widgets_before[-1] and len(widgets_after) == len(widgets_before)
        yield from (f"input {name}: {what}" for what in _compare_input(entry, names[name], frozen or not is_last))
    old = {entry["name"] for entry in before}
    for entry in after:
        if entry["name"] not in old and not entry["optional"]:
            yield f"input {entry['name']} is new and required; saved prompts do not have it"


def _compare_input(before: Schema, after: Schema, frozen: bool) -> Iterator[str]:
    for key in ("type", "widget", "control_after_generate"):
        if before.get(key) != after.get(key):
            yield f"{key} was {before.get(key)} and is {after.get(key)}"
    if before["optional"] and not after["optional"]:
        yield "is required now"
    for bound, wider in (("min", min), ("max", max)):
        if bound in before and bound in after and wider(before[bound], after[bound]) != after[bound]:
            yield f"{bound} was {before[bound]} and is {after[bound]}; saved values may lie outside"
    gone = [option for option in before.get("options", ()) if option not in after.get("options", ())]
    if gone:
        yield f"options {gone} are gone"
    if before["type"] == DYNAMIC_COMBO:
        for option in before["options"].keys() - gone:
            changes = _compare_inputs(before["options"][option], after["options"][option], frozen)
            yield from (f"option {option}: {what}" for what in changes)
    if "template" in before and "template" in after:
        yield from _compare_templates(before["template"], after["template"])


def _compare_templates(before: Schema, after: Schema) -> Iterator[str]:
    same = {key: value for key, value in before.items() if key != "max"}
    if same != {key: value for key, value in after.items() if key != "max"} or after.get("max", 0) < before.get(
        "max", 0
    ):
        yield f"growing sockets were {before} and are {after}"


def load_record() -> dict[str, Schema]:
    return json.loads(RECORD.read_text(encoding="utf-8"))


def _record() -> None:
    from host.harness.comfy_server import ComfyServer

    with ComfyServer() as server:
        current = read_schemas(server.object_info())
    for change in breaking_changes(load_record(), current) if RECORD.exists() else ():
        print(f"breaks saved workflows: {change}", file=sys.stderr)
    RECORD.parent.mkdir(exist_ok=True)
    RECORD.write_text(json.dumps(current, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"{len(current)} nodes recorded in {RECORD}")


if __name__ == "__main__":
    _record()
