"""What the model will see, drawn before anything is loaded or sampled."""

from __future__ import annotations

from comfy_api.latest import io, ui

from ..ace.preview.canvas_overview import canvas_overview
from ..ace.preview.contact_sheet import draw_contact_sheet, to_tensor
from ..ace.preview.overview import overview
from .condition import as_context
from .encode import context_input
from .host.node import Node
from .host.types import schema
from .plus.task import is_preview, preview_options, preview_settings
from .resolution import resolution_input, to_resolution, token_budget


class PreviewNode(Node):
    """What is to be done -> a contact sheet."""

    @classmethod
    def define_schema(cls):
        return schema(
            node_id="ACEPreview",
            display_name="ACE Edit: Preview",
            description="Shows what ACE will see: every picture in order with its indicator, size, tokens and mask, the "
            "instruction of every round, and warnings in words; or the canvas that ACE++ will see. Needs no model, so "
            "look here before the first run.",
            search_aliases=["contact sheet", "what the model sees", "debug", "inspect", "token budget"],
            inputs=[
                context_input(),
                resolution_input(*preview_options()),
                io.Model.Input(
                    "model",
                    optional=True,
                    tooltip="Only asked for the size it was trained at. Without it, “as the model” means the 512 px model.",
                ),
            ],
            outputs=[
                io.Image.Output(display_name="sheet", tooltip="The picture shown here, to save or share."),
                io.String.Output(display_name="summary", tooltip="The same in words."),
            ],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, context, resolution=None, model=None) -> io.NodeOutput:
        if is_preview(resolution):
            settings, size = preview_settings(resolution)
            seen = canvas_overview(as_context(context), settings, size)
        else:
            seen = overview(as_context(context), to_resolution(resolution, model), token_budget(resolution, model))
        sheet = to_tensor(draw_contact_sheet(seen))
        return io.NodeOutput(sheet, seen.summary(), ui=ui.PreviewImage(sheet, cls=cls))
