"""A condition unit -> CONDITIONING for FLUX Fill with ACE++, and a latent."""

from __future__ import annotations

import comfy.model_management
import node_helpers
import torch
from comfy_api.latest import io

from ...ace.encode import variants
from ...ace.pictures.preprocess import LATENT_PIXELS
from ...ace.plus.canvas import PlusCanvas, PlusSettings, make_canvas
from ...ace.plus.layouts import FULL, LATENT_CHANNELS, LORA, Layout, check_layout, layout_of
from ...ace.plus.prompt import prompt_ids
from ...ace.plus.request import read_request
from ..condition import as_context
from ..encode import batch_size_input, context_input, fit_output, negative_input
from ..host.flux import FluxTextEncoder, FluxVAE, input_channels
from ..host.messages import Messages
from ..host.node import Node
from ..host.parameters import parameter_inputs
from ..host.types import schema
from .task import new_size, task_input

_AS_MODEL = "as the model"
_LAYOUTS = {"LoRA: 16 channels": LORA, "full fine-tune: 32 channels": FULL}


class EncodePlusNode(Node):
    """The same unit as for ACE, for the artist's own FLUX Fill."""

    @classmethod
    def define_schema(cls):
        return schema(
            node_id="ACEEncodePlus",
            display_name="ACE Edit: Encode for ACE++",
            description="Turns a Condition Unit into conditioning for FLUX Fill with ACE++: the reference is laid left of "
            "the picture on one canvas, and what is under the mask is erased as far as you say. Sample with FluxGuidance "
            "50, 28 steps, euler and cfg 1, then cut the picture out with Crop or Paste Back.",
            search_aliases=[
                "ACE plus",
                "FLUX Fill",
                "InpaintModelConditioning",
                "reference",
                "portrait",
                "try on",
                "logo",
            ],
            inputs=[
                io.Clip.Input("clip", tooltip="CLIP-L and T5, from DualCLIPLoader with type flux."),
                io.Vae.Input("vae", tooltip="FLUX's VAE, ae.safetensors."),
                context_input(),
                negative_input(),
                task_input(),
                *parameter_inputs(PlusSettings),
                io.Combo.Input(
                    "layout",
                    options=[_AS_MODEL, *_LAYOUTS],
                    default=_AS_MODEL,
                    tooltip="Which pictures the model is given beside the mask. “as the model” asks the connected MODEL, and "
                    "without one means the LoRAs', which are better than the full fine-tune by its authors' own account.",
                ),
                io.Boolean.Input(
                    "noise_mask",
                    default=False,
                    tooltip="Sampling leaves alone what is outside the mask, the reference too. ACE++ was made to work "
                    "without.",
                ),
                batch_size_input(),
                io.Model.Input(
                    "model",
                    optional=True,
                    tooltip="FLUX.1-Fill-dev or ace_plus_fft. Only asked for its channels, so that a wrong layout is told "
                    "before it is sampled.",
                ),
            ],
            outputs=[
                io.Conditioning.Output(
                    display_name="positive", tooltip="For FluxGuidance, then a sampler's positive input."
                ),
                io.Conditioning.Output(display_name="negative", tooltip="Same canvas, negative text."),
                io.Latent.Output(display_name="latent", tooltip="Of the canvas's size."),
                fit_output(),
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(
        cls,
        *,
        clip,
        vae,
        context,
        negative,
        repainting_scale,
        keep_pixels,
        max_seq_len,
        layout,
        noise_mask,
        batch_size,
        task=None,
        model=None,
    ) -> io.NodeOutput:
        notify = Messages(cls.hidden.unique_id)
        text_encoder, image_vae, chosen = FluxTextEncoder(clip), FluxVAE(vae), to_layout(layout, model)
        request = read_request(as_context(context), new_size(task), notify)
        canvas = make_canvas(request, PlusSettings(repainting_scale, keep_pixels, max_seq_len), notify)
        values = {
            "concat_latent_image": chosen.encode(canvas, image_vae.encode),
            "concat_mask": canvas.mask[:, None],
        }
        texts = {"the instruction": request.instruction, "the negative prompt": negative}
        positive, negative = (
            node_helpers.conditioning_set_values(
                text_encoder.encode(text, prompt_ids(text, text_encoder.tokenizer, notify, name)), values
            )
            for name, text in texts.items()
        )
        latent = canvas_latent(canvas, batch_size, image_vae if noise_mask else None)
        return io.NodeOutput(positive, negative, latent, canvas.fit)


def to_layout(choice: str, model) -> Layout:
    """The widget's value -> layout.

    Args:
        choice: the value.
        model: MODEL to ask for its channels, or None.

    Raises:
        ValueError: a MODEL of another family, or of another layout than is chosen.
    """
    if choice == _AS_MODEL:
        return LORA if model is None else layout_of(input_channels(model))
    if model is not None:
        check_layout(_LAYOUTS[choice], input_channels(model))
    return _LAYOUTS[choice]


def canvas_latent(canvas: PlusCanvas, batch_size: int, vae: FluxVAE | None = None) -> dict:
    """LATENT of the canvas's size, (B, 16, H/8, W/8).

    Args:
        canvas: what is to be sampled.
        batch_size: variants of a canvas.
        vae: encodes the canvas for a latent with a noise mask; None gives an empty one.

    Raises:
        ValueError: several pictures and variants of each.
    """
    batch, height, width = canvas.mask.shape
    count = variants(batch, batch_size)
    if vae is None:
        shape = (count, LATENT_CHANNELS, height // LATENT_PIXELS, width // LATENT_PIXELS)
        return {"samples": torch.zeros(shape, device=comfy.model_management.intermediate_device())}
    samples, mask = vae.encode(canvas.whole), canvas.mask[:, None]
    if batch == 1:
        samples, mask = samples.repeat(count, 1, 1, 1), mask.repeat(count, 1, 1, 1)
    return {"samples": samples, "noise_mask": mask}
