"""Widgets made from ``Parameters``, which carry their own bounds and help."""

from __future__ import annotations

from dataclasses import fields

from comfy_api.latest import io

from ...ace.pictures.parameters import Parameters


def parameter_inputs(parameters: type[Parameters]) -> list[io.Input]:
    """A widget for each parameter, in their order."""
    widgets = []
    for field in fields(parameters):
        help_, bounds = field.metadata["help"], field.metadata
        if isinstance(field.default, bool):
            widgets.append(io.Boolean.Input(field.name, default=field.default, tooltip=help_))
            continue
        number = io.Int if isinstance(field.default, int) else io.Float
        widgets.append(
            number.Input(
                field.name,
                default=field.default,
                min=bounds["min"],
                max=bounds["max"],
                step=bounds["step"],
                tooltip=help_,
            )
        )
    return widgets
