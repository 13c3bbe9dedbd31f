"""From the ``widgets_values`` of the UI format to named inputs, by a node's schema.

The browser builds a node's widgets from the schema and stores their values in that order, with further values for
controls that it adds itself. The same order is walked here. The types that the browser has widgets for are known up to a
point: what the schema and the file say of others decides, and where they leave it open the node is refused.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..errors import EXPORT_ADVICE, WorkflowError
from .dynamic_prompts import process_dynamic_prompt

# Types that have a widget, and how many further values the browser stores behind it.
_WIDGET_TYPES = {
    **dict.fromkeys(("INT", "FLOAT", "BOOLEAN", "STRING", "COMBO", "MARKDOWN", "COLOR", "TEXTAREA", "GALLERIA"), 0),
    **dict.fromkeys(("CHART", "IMAGECOMPARE", "COMFY_DYNAMICCOMBO_V3", "BOUNDING_BOXES", "COLORS", "COMPOSITOR"), 0),
    **dict.fromkeys(("CURVE", "RANGE", "PAINTER", "VIDEO_EDIT"), 0),
    "BOUNDING_BOX": 4,  # x, y, width and height, each with a field of its own
}
_LIVE_WIDGETS = {"WEBCAM", "AUDIO_RECORD", "LOAD_3D", "LOAD_3D_ANIMATION"}
_DYNAMIC_SOCKETS = {"COMFY_AUTOGROW_V3", "COMFY_DYNAMICCOMBO_V3", "COMFY_DYNAMICSLOT_V3"}
_SEEDS = ("seed", "noise_seed")
# What only shows something, or is a button or a control: it stands in files, but means nothing to the server.
_DISPLAYS = {"control_after_generate", "control_filter_list", "upload", "videopreview", "audioUI", "preview"}
_BOX = {"x": 0, "y": 0, "width": 512, "height": 512}
# What a widget starts with where the schema has no default.
_BLANK = {"INT": 0, "FLOAT": 0, "BOOLEAN": False, "STRING": "", "MARKDOWN": "", "TEXTAREA": "", "PAINTER": ""}
_BLANK |= {"BOUNDING_BOX": _BOX, "BOUNDING_BOXES": [], "COLORS": [], "COLOR": "#000000"}
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
    def widget_type(self) -> str:
        """The type that decides on the widget."""
        return str(self.options.get("widgetType") or self.type)

    @property
    def is_widget(self) -> bool:
        """Whether the browser is known to make a widget of it (and a socket beside it)."""
        known = self.widget_type in _WIDGET_TYPES or self.widget_type in _LIVE_WIDGETS
        return known and not self.options.get("forceInput")

    @property
    def may_be_widget(self) -> bool:
        """Whether the schema speaks of a widget, of a type that is not known here."""
        if self.is_widget or self.options.get("forceInput") or self.type in _DYNAMIC_SOCKETS:
            return False
        return "socketless" in self.options or self.options.get("default") is not None

    @property
    def followers(self) -> int:
        """How many further values the browser stores behind this one."""
        control = self.options.get("control_after_generate")
        if self.type == "INT":
            return int(bool(self.name in _SEEDS if control is None else control))
        if self.type == "COMBO" and control:
            return 1 if self.options.get("multi_select") else 2
        if self.type == "FLOAT":
            return int(bool(control))
        return _WIDGET_TYPES.get(self.widget_type, 0)


@dataclass(frozen=True)
class Widgets:
    """The widgets of a node.

    Attributes:
        values: by input, as the file has them.
        controls: what happens to a value after each run ("fixed", "randomize", …), by input.
        specs: what the schema says of them, by input.
        extra: values of widgets that only the browser knows, by name, or "#3" where the file has no name for them.
    """

    values: dict[str, Any] = field(default_factory=dict)
    controls: dict[str, str] = field(default_factory=dict)
    specs: dict[str, InputSpec] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)


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


def read_widgets(
    specs: Sequence[InputSpec],
    stored: Any,
    named: Mapping[str, Any] | None = None,
    sockets: Mapping[str, bool] | None = None,
) -> Widgets:
    """The widgets of a node as the browser restores them.

    Args:
        specs: all inputs of the node.
        stored: ``widgets_values``, a list, or an object by name as some packs write it; what is missing has its default.
        named: ``widgets_values_named``, which front ends of 2026 store beside the list.
        sockets: by input that the file lists, whether it belongs to a widget.

    Raises:
        WorkflowError: a value does not fit its widget, or the two lists differ, so that the order here is not the
            browser's; or it is not certain which inputs have a widget.
    """
    result = Widgets()
    if isinstance(stored, Mapping):
        for spec in specs:
            if spec.is_widget or spec.name in stored:
                _set(result, spec, stored.get(spec.name, _MISSING))
        result.extra.update(_unknown(stored, result))
        return result
    values = _without_forced(specs, list(stored or []))
    reader = iter(values)
    _walk(result, _with_widget(specs, values, named or {}, sockets or {}), reader)
    rest = list(reader)
    if named is not None:
        _compare(result, named)
        result.extra.update(_unknown(named, result))
    else:
        result.extra.update({f"#{index}": value for index, value in enumerate(rest) if not _is_empty(value)})
    return result


def _with_widget(
    specs: Sequence[InputSpec], stored: Sequence[Any], named: Collection[str], sockets: Mapping[str, bool]
) -> list[InputSpec]:
    """The inputs that have a widget, by the schema and by what the file shows of types that are not known here."""
    doubtful: list[InputSpec] = []
    widgets: list[InputSpec] = []
    for spec in specs:
        forced = bool(spec.options.get("forceInput")) or spec.type in _DYNAMIC_SOCKETS
        if spec.is_widget or (not forced and (sockets.get(spec.name) or spec.name in named)):
            widgets.append(spec)
        elif spec.may_be_widget and spec.name not in sockets:
            doubtful.append(spec)
            widgets.append(spec)
    if not doubtful:
        return widgets
    sure = [spec for spec in widgets if spec not in doubtful]
    if len(stored) == sum(1 + spec.followers for spec in widgets):
        return widgets
    if len(stored) == sum(1 + spec.followers for spec in sure):
        return sure
    raise WorkflowError(
        f"{doubtful[0].name} has the type {doubtful[0].type}, which is not known here, and the file does not show whether "
        f"the browser has a widget for it. {EXPORT_ADVICE}"
    )


def _unknown(stored: Mapping[str, Any], known: Widgets) -> dict[str, Any]:
    """Values under names that the schema does not have, but for those that only show or control something."""
    found: dict[str, Any] = {}
    followers = 0  # fields and controls stand behind the widget they belong to, under any name
    for name, value in stored.items():
        if name in known.values:
            followers = known.specs[name].followers
        elif followers:
            followers -= 1
        elif name not in _DISPLAYS and not str(name).startswith("$$") and not _is_empty(value):
            found[str(name)] = value
    return found


def _is_empty(value: Any) -> bool:
    """Buttons and displays store nothing, or nothing that could be an input."""
    return value is None or value in ("", [], {})


def _compare(result: Widgets, named: Mapping[str, Any]) -> None:
    """Where the file knows other widgets than the server, values by place must be those by name."""
    if [name for name in named if name in result.values] == list(result.values):
        return
    for name, value in result.values.items():
        if named.get(name) is not None and value is not None and named[name] != value:
            raise WorkflowError(
                f"{name} is {value!r:.60} by its place and {named[name]!r:.60} by its name, so the widgets of this node "
                f"have changed since the file was saved. {EXPORT_ADVICE}"
            )


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
        _set(result, spec, next(values, _MISSING))
        further = [next(values, _MISSING) for _ in range(spec.followers)]
        if further and spec.type in ("INT", "FLOAT", "COMBO") and isinstance(further[0], (str, bool)):
            # Very old files say true and false.
            result.controls[spec.name] = {True: "randomize", False: "fixed"}.get(further[0], further[0])
        if spec.type == "COMFY_DYNAMICCOMBO_V3":
            inner = _chosen(spec, result.values.get(spec.name))
            _walk(result, [spec for spec in inner if spec.is_widget or spec.may_be_widget], values)


def _chosen(spec: InputSpec, value: Any) -> list[InputSpec]:
    """The inputs that a dynamic combo adds for its value, under dotted names."""
    for option in spec.options.get("options") or []:
        if option.get("key") == value:
            inner = input_specs({"input": option.get("inputs") or {}})
            return [InputSpec(f"{spec.name}.{i.name}", i.type, i.options, i.choices) for i in inner]
    return []


def _set(result: Widgets, spec: InputSpec, value: Any) -> None:
    if spec.widget_type in _LIVE_WIDGETS:
        raise WorkflowError(
            f"{spec.name} is filled by the browser when it queues (type {spec.type}), so the file alone is not "
            f"enough. Replace the node, or {EXPORT_ADVICE[0].lower()}{EXPORT_ADVICE[1:]}"
        )
    if spec.type == "COMBO" and value is None:
        value = spec.choices[0] if spec.choices else None
    if value is _MISSING:
        value = _default(spec)
        if value is _MISSING:
            return
    elif not _plausible(spec, value):
        raise WorkflowError(
            f"{spec.name} is {spec.type}, but the file has {value!r:.60} in its place, so this pack stores its "
            f"widgets in an order of its own. {EXPORT_ADVICE}"
        )
    result.values[spec.name] = value
    result.specs[spec.name] = spec


def _default(spec: InputSpec) -> Any:
    default = spec.options.get("default")
    if spec.type == "COMBO":
        return default or (spec.choices[0] if spec.choices else _MISSING)
    if spec.type == "COMFY_DYNAMICCOMBO_V3":
        options = spec.options.get("options") or []
        return options[0].get("key") if options else _MISSING
    return _BLANK.get(spec.widget_type, _MISSING) if default is None else default


def _plausible(spec: InputSpec, value: Any) -> bool:
    """Whether a value can belong to a widget. Combos may hold names of files that are not on this server."""
    if value is None:
        return True
    kind = spec.widget_type
    if kind in ("INT", "FLOAT"):
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if kind == "BOOLEAN":
        return isinstance(value, bool) or value in (0, 1)
    if kind in ("STRING", "TEXTAREA", "MARKDOWN"):
        return isinstance(value, (str, int, float)) and not isinstance(value, bool)
    if kind == "COMBO":
        return value in spec.choices or not isinstance(value, bool)
    return True


def sent_value(spec: InputSpec | None, value: Any) -> Any:
    """A widget's value as it stands in a prompt: dynamic prompts settled, lists wrapped so that they are no links."""
    if spec is not None and spec.options.get("dynamicPrompts") is True and isinstance(value, str):
        value = process_dynamic_prompt(value)
    if isinstance(value, list):
        is_curve = spec is not None and spec.widget_type == "CURVE"
        return {"__type__": "CURVE", "__value__": value} if is_curve else {"__value__": value}
    return value
