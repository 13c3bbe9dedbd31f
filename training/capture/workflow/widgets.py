"""From the positional ``widgets_values`` of the UI format to named inputs, by a node's schema.

The browser builds a node's widgets from the schema and stores their values in that order, with further values for
controls that it adds itself. The same order is walked here.
"""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import WorkflowError

_WIDGET_TYPES = {
    *("INT", "FLOAT", "BOOLEAN", "STRING", "COMBO", "MARKDOWN", "COLOR", "TEXTAREA", "GALLERIA", "CHART"),
    *("IMAGECOMPARE", "COMFY_DYNAMICCOMBO_V3"),
}
_LIVE_WIDGETS = {"WEBCAM", "AUDIO_RECORD", "LOAD_3D", "LOAD_3D_ANIMATION"}
_DYNAMIC_SOCKETS = {"COMFY_AUTOGROW_V3", "COMFY_DYNAMICCOMBO_V3", "COMFY_DYNAMICSLOT_V3"}
_SEEDS = ("seed", "noise_seed")
_MISSING = object()


@dataclass(frozen=True)
class InputSpec:
    """One input of a node's schema.

    Attributes:
        name: of the input.
        type: "IMAGE", "INT", "COMBO" …
        options: as the schema has them.
        choices: what a combo offers, None for other types.
    """

    name: str
    type: str
    options: Mapping[str, Any]
    choices: tuple[Any, ...] | None = None

    @property
    def is_widget(self) -> bool:
        """Whether the browser makes a widget of it (and a socket beside it)."""
        kind = str(self.options.get("widgetType") or self.type)
        return (kind in _WIDGET_TYPES or kind in _LIVE_WIDGETS) and not self.options.get("forceInput")

    @property
    def controls(self) -> int:
        """How many further values the browser stores behind this one."""
        control = self.options.get("control_after_generate")
        if self.type == "INT":
            return int(bool(self.name in _SEEDS if control is None else control))
        if self.type == "COMBO" and control:
            return 1 if self.options.get("multi_select") else 2
        return int(bool(self.type == "FLOAT" and control))


@dataclass(frozen=True)
class Widgets:
    """The widgets of a node.

    Attributes:
        values: by input.
        controls: what happens to a value after each run ("fixed", "randomize", …), by input.
    """

    values: dict[str, Any]
    controls: dict[str, str]


def input_specs(schema: Mapping[str, Any]) -> list[InputSpec]:
    """The inputs of a node in the order of the browser's slots: required, then optional."""
    sections = schema.get("input") or {}
    order = schema.get("input_order") or {}
    specs: list[InputSpec] = []
    for section in ("required", "optional"):
        declared = sections.get(section) or {}
        names = [name for name in order.get(section) or [] if name in declared]
        names += [name for name in declared if name not in names]
        specs += [parse_spec(name, declared[name]) for name in names]
    return specs


def parse_spec(name: str, declared: Sequence[Any]) -> InputSpec:
    """An entry of /object_info: [type or list of choices, options]."""
    kind = declared[0] if declared else "UNKNOWN"
    options = declared[1] if len(declared) > 1 and isinstance(declared[1], Mapping) else {}
    if isinstance(kind, list):
        return InputSpec(name, "COMBO", options, tuple(kind))
    if kind == "COMBO":
        return InputSpec(name, "COMBO", options, tuple(options.get("options") or ()))
    return InputSpec(name, str(kind), options)


def has_dynamic_sockets(specs: Sequence[InputSpec]) -> bool:
    """Whether sockets come and go with use."""
    return any(spec.type in _DYNAMIC_SOCKETS for spec in specs)


def read_widgets(specs: Sequence[InputSpec], stored: Any) -> Widgets:
    """The widgets of a node as the browser restores them.

    Args:
        stored: ``widgets_values``, a list, or an object by name as some packs write it; what is missing has its default.

    Raises:
        WorkflowError: a value does not fit its widget, so that the order here is not the browser's.
    """
    result = Widgets({}, {})
    if isinstance(stored, Mapping):
        for spec in specs:
            if spec.is_widget:
                _set(result, spec, stored.get(spec.name, _MISSING))
        return result
    values = iter(_without_forced(specs, list(stored or [])))
    _walk(result, specs, values)
    return result


def _without_forced(specs: Sequence[InputSpec], stored: list[Any]) -> list[Any]:
    """Old files hold a value also for inputs that are sockets only (``forceInput``)."""
    slots = [spec for spec in specs if spec.is_widget or spec.options.get("forceInput")]
    if not any(spec.options.get("forceInput") for spec in slots):
        return stored
    paired = [bool(spec.options.get("control_after_generate") or spec.name in _SEEDS) for spec in slots]
    if len(slots) + sum(paired) != len(stored):
        return stored
    dropped = {index for index, spec in enumerate(slots) if spec.options.get("forceInput")}
    return [value for index, value in enumerate(stored) if index not in dropped]


def _walk(result: Widgets, specs: Sequence[InputSpec], values: Iterator[Any]) -> None:
    for spec in specs:
        if not spec.is_widget:
            continue
        _set(result, spec, next(values, _MISSING))
        extra = [next(values, _MISSING) for _ in range(spec.controls)]
        if extra and isinstance(extra[0], (str, bool)):
            # Very old files say true and false.
            result.controls[spec.name] = {True: "randomize", False: "fixed"}.get(extra[0], extra[0])
        if spec.type == "COMFY_DYNAMICCOMBO_V3":
            _walk(result, _chosen(spec, result.values[spec.name]), values)


def _chosen(spec: InputSpec, value: Any) -> list[InputSpec]:
    """The inputs that a dynamic combo adds for its value, under dotted names."""
    for option in spec.options.get("options") or []:
        if option.get("key") == value:
            inner = input_specs({"input": option.get("inputs") or {}})
            return [InputSpec(f"{spec.name}.{i.name}", i.type, i.options, i.choices) for i in inner]
    return []


def _set(result: Widgets, spec: InputSpec, value: Any) -> None:
    if spec.type in _LIVE_WIDGETS:
        raise WorkflowError(
            f"{spec.name} is filled by the browser when it queues (type {spec.type}), so the file alone is not "
            "enough. Replace the node, or export the workflow with File → Export (API)."
        )
    if value is _MISSING:
        value = _default(spec)
        if value is _MISSING:
            return
    elif not _plausible(spec, value):
        raise WorkflowError(
            f"{spec.name} is {spec.type}, but the file has {value!r:.60} in its place, so this pack stores its "
            "widgets in an order of its own. Export the workflow with File → Export (API)."
        )
    if spec.options.get("dynamicPrompts") is True and isinstance(value, str):
        value = process_dynamic_prompt(value)
    result.values[spec.name] = {"__value__": value} if isinstance(value, list) else value


def _default(spec: InputSpec) -> Any:
    default = spec.options.get("default")
    if spec.type == "COMBO":
        return default or (spec.choices[0] if spec.choices else _MISSING)
    if spec.type == "COMFY_DYNAMICCOMBO_V3":
        options = spec.options.get("options") or []
        return options[0].get("key") if options else _MISSING
    blank = {"INT": 0, "FLOAT": 0, "BOOLEAN": False, "STRING": "", "MARKDOWN": "", "TEXTAREA": ""}
    return blank.get(spec.type, _MISSING) if default is None else default


def _plausible(spec: InputSpec, value: Any) -> bool:
    """Whether a value can belong to a widget. Combos may hold names of files that are not on this server."""
    if value is None:
        return True
    if spec.type in ("INT", "FLOAT"):
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if spec.type == "BOOLEAN":
        return isinstance(value, bool) or value in (0, 1)
    if spec.type in ("STRING", "TEXTAREA", "MARKDOWN"):
        return isinstance(value, (str, int, float)) and not isinstance(value, bool)
    if spec.type == "COMBO":
        return value in spec.choices or not isinstance(value, bool)
    return True


def process_dynamic_prompt(text: str) -> str:
    """Text of a widget with dynamic prompts: comments removed, one of {a|b} chosen.

    The browser chooses at random at every run. Here the text itself decides, so that a graph stays the same graph.
    """
    rng = random.Random(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest())
    return _choose(text, rng)


def _choose(text: str, rng: random.Random) -> str:
    text = re.sub(r"/\*[\s\S]*?\*/|//.*", "", text)
    result, position = [], 0
    while position < len(text):
        character = text[position]
        if character == "\\":
            result.append(text[position : position + 2])
            position += 2
        elif character == "{":
            options, position = _alternatives(text, position + 1)
            result.append(_choose(rng.choice(options), rng))
        else:
            result.append(character)
            position += 1
    return re.sub(r"\\([{}|])", r"\1", "".join(result))


def _alternatives(text: str, position: int) -> tuple[list[str], int]:
    """The alternatives that begin at ``position``, behind an opening brace, and the position behind its closing one."""
    options, depth, begin = [], 0, position
    while position < len(text):
        character = text[position]
        if character == "\\":
            position += 1
        elif character == "{":
            depth += 1
        elif character == "}" and not depth:
            break
        elif character == "}":
            depth -= 1
        elif character == "|" and not depth:
            options.append(text[begin:position])
            begin = position + 1
        position += 1
    options.append(text[begin:position])
    return options, position + 1
