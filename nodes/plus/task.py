"""The widgets that say how pictures come onto the canvas of ACE++."""

from __future__ import annotations

from comfy_api.latest import io

from ...ace.plus.canvas import PlusSettings
from ..host.choices import require_choice
from ..host.parameters import parameter_inputs

EDIT, NEW = "edit the picture", "new picture"
_PREVIEW = "ACE++: "


def _size_inputs() -> list[io.Input]:
    size = {"default": 1024, "min": 64, "max": 4096, "step": 16}
    return [
        io.Int.Input("width", tooltip="Width of the new picture.", **size),
        io.Int.Input("height", tooltip="Height of the new picture.", **size),
    ]


def task_input() -> io.DynamicCombo.Input:
    """The widget for what is to be made."""
    return io.DynamicCombo.Input(
        "task",
        options=[io.DynamicCombo.Option(EDIT, []), io.DynamicCombo.Option(NEW, _size_inputs())],
        tooltip="“edit the picture”: what the unit edits, under its mask; a second picture is the reference. “new "
        "picture”: one of this size after the unit's picture, as for portraits and subjects.",
    )


def preview_options() -> list[io.DynamicCombo.Option]:
    """Options by which Preview shows the canvas instead of what ACE sees."""
    return [
        io.DynamicCombo.Option(_PREVIEW + task, [*fields, *parameter_inputs(PlusSettings)])
        for task, fields in ((EDIT, []), (NEW, _size_inputs()))
    ]


def is_preview(choice: dict | None) -> bool:
    """Whether Preview's menu is at one of :func:`preview_options`."""
    return choice is not None and choice["resolution"].startswith(_PREVIEW)


def preview_settings(choice: dict) -> tuple[PlusSettings, tuple[int, int] | None]:
    """The value of one of :func:`preview_options` -> how, and (height, width) of a new picture."""
    task = choice["resolution"].removeprefix(_PREVIEW)
    settings = PlusSettings(choice["repainting_scale"], choice["keep_pixels"], choice["max_seq_len"])
    return settings, new_size({**choice, "task": task})


def new_size(choice: dict | None) -> tuple[int, int] | None:
    """The value of :func:`task_input` -> (height, width) of a new picture; None edits.

    Raises:
        ValueError: a task that this version does not know.
    """
    choice = require_choice(choice, "task")
    return (choice["height"], choice["width"]) if choice["task"] == NEW else None
