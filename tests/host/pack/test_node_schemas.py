"""Shared workflows keep loading: inputs, widgets and outputs of our nodes are only ever appended."""

from __future__ import annotations

import copy

import pytest
from host.harness.node_schemas import HOW_TO_RECORD, breaking_changes, load_record, read_schemas


@pytest.fixture(scope="module")
def current(comfy):
    return read_schemas(comfy.object_info())


def test_no_node_changed_in_a_way_that_breaks_workflows(current):
    assert breaking_changes(load_record(), current) == [], HOW_TO_RECORD


def test_every_node_is_recorded(current):
    assert load_record() == current, HOW_TO_RECORD


def test_every_node_explains_itself(comfy):
    """A description for each node, a tooltip for each input and output, also of those that come and go."""
    silent = []
    for name, info in comfy.object_info().items():
        if not name.startswith("ACE"):
            continue
        if not info["description"] or not info["display_name"].startswith("ACE Edit: "):
            silent.append(name)
        silent += [f"{name} output {k}" for k, tooltip in enumerate(info["output_tooltips"]) if not tooltip]
        silent += [f"{name}.{path}" for path in _inputs_without_tooltip(info["input"])]
    assert silent == []


def _inputs_without_tooltip(sections):
    for section in ("required", "optional"):
        for name, spec in (sections.get(section) or {}).items():
            details = spec[1] if len(spec) > 1 else {}
            if not details.get("tooltip"):
                yield name
            for option in details.get("options", ()):
                if isinstance(option, dict):
                    yield from (f"{name}.{path}" for path in _inputs_without_tooltip(option["inputs"]))
            if "template" in details:
                yield from (f"{name}.{path}" for path in _inputs_without_tooltip(details["template"]["input"]))


def test_prompts_are_never_rewritten(comfy):
    """Dynamic prompts would turn {image1} into image1 before it is sent."""
    for name, info in comfy.object_info().items():
        if name.startswith("ACE"):
            assert "'dynamicPrompts': True" not in str(info["input"]), name


def _input(schemas, node, name):
    return next(entry for entry in schemas[node]["inputs"] if entry["name"] == name)


CHANGES = {
    "a node is removed": (lambda s: s.pop("ACEImage"), "ACEImage: the node is gone"),
    "a widget is inserted": (
        lambda s: s["ACESampler"]["inputs"].insert(0, {"name": "new", "type": "INT", "optional": True, "widget": True}),
        "must only be appended",
    ),
    "an input is removed": (lambda s: s["ACEImage"]["inputs"].pop(0), "input image is gone"),
    "a required input is added": (
        lambda s: s["ACEImage"]["inputs"].append({"name": "new", "type": "IMAGE", "optional": False}),
        "new and required",
    ),
    "an output is inserted": (lambda s: s["ACEImage"]["outputs"].insert(0, ["INT", "new"]), "outputs were"),
    "an output is renamed": (lambda s: s["ACEImage"]["outputs"][0].__setitem__(1, "picture"), "outputs were"),
    "an option is removed": (
        lambda s: _input(s, "ACEInpaint", "way")["options"].pop(),
        "options ['keep: change what is there'] are gone",
    ),
    "a range is narrowed": (lambda s: _input(s, "ACESampler", "steps").update(max=50), "max was 1000 and is 50"),
    "a type is changed": (lambda s: _input(s, "ACEImage", "mask").update(type="IMAGE"), "type was MASK"),
    "a seed loses its control": (
        lambda s: _input(s, "ACESampler", "seed").pop("control_after_generate"),
        "control_after_generate was True",
    ),
    "an option of a menu in the middle gets a widget": (
        lambda s: _input(s, "ACESampler", "resolution")["options"]["megapixels"].append(
            {"name": "new", "type": "INT", "optional": True, "widget": True}
        ),
        "since others come after them",
    ),
    "growing sockets become fewer": (
        lambda s: _input(s, "ACEConditionUnit", "more")["template"].update(max=2),
        "growing sockets were",
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_breaking_changes_are_seen(change):
    before = load_record()
    after = copy.deepcopy(before)
    make, sentence = CHANGES[change]
    make(after)
    found = breaking_changes(before, after)
    assert len(found) >= 1 and any(sentence in each for each in found), found


def test_appending_breaks_nothing():
    before = load_record()
    after = copy.deepcopy(before)
    after["ACENew"] = after["ACEImage"]
    after["ACESampler"]["inputs"].append({"name": "new", "type": "INT", "optional": True, "widget": True})
    after["ACESampler"]["outputs"].append(["INT", "new"])
    _input(after, "ACEInpaint", "way")["options"].insert(0, "another way")
    _input(after, "ACESampler", "resolution")["options"]["another"] = []
    _input(after, "ACESampler", "steps").update(max=2000)
    last_menu = _input(after, "ACEConditionImage", "kind")["options"]
    last_menu["Mosaic"].append({"name": "new", "type": "INT", "optional": True, "widget": True})
    assert breaking_changes(before, after) == []
