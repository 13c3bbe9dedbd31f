"""CLIP, VAE and what is to be done -> CONDITIONING and an empty latent."""

from __future__ import annotations

import comfy.model_management
import torch
from comfy_api.latest import io

from ..ace.encode import EncodedContext, encode, noise_shape
from ..ace.model.conditioning import Conditioning
from ..ace.notices import Notify
from ..ace.vae import SCALING_FACTOR
from .condition import as_context
from .host.messages import Messages
from .host.model import (
    INDICATORS,
    REFERENCE_MASKS,
    REFERENCES,
    TARGET_MASK,
    TEXT_LENGTHS,
)
from .host.node import Node
from .host.text_encoder import HostTextEncoder
from .host.types import (
    AceContext,
    AceFit,
    AceUnit,
    schema,
)
from .host.vae import HostVAE
from .resolution import resolution_input, to_resolution


def context_input() -> io.MultiType.Input:
    """The socket for a context or a single unit."""
    return io.MultiType.Input(
        "context",
        types=[AceContext, AceUnit],
        tooltip="What is to be done: a Condition Unit, or a Long-Context Condition with earlier rounds.",
    )


def negative_input() -> io.String.Input:
    """The widget for the negative prompt."""
    return io.String.Input(
        "negative",
        multiline=True,
        default="",
        placeholder="what to avoid (may stay empty)",
        tooltip="What you do not want to see in the result. Counts only where cfg is not 1.",
    )


def batch_size_input() -> io.Int.Input:
    """The widget for the number of variants."""
    return io.Int.Input(
        "batch_size", default=1, min=1, max=64, tooltip="Variants made at once, each from its own noise."
    )


def fit_output() -> AceFit.Output:
    """The output that Paste Back reads."""
    return AceFit.Output(display_name="fit", tooltip="How the edited picture was cropped and scaled, for Paste Back.")


def to_host_conditioning(conditioning: Conditioning) -> list:
    """Conditioning -> CONDITIONING as core's nodes and samplers handle it.

    The text of all frames lies in one tensor (B, L, Y); the dictionary's keys are listed in ``nodes/host/model.py``.
    """
    values = {
        TEXT_LENGTHS: tuple(text.shape[1] for text in conditioning.context),
        INDICATORS: conditioning.indicator_embeddings[None],
    }
    if conditioning.references:
        values[REFERENCES] = [latent / SCALING_FACTOR for latent in conditioning.references]
    if any(mask is not None for mask in conditioning.reference_masks):
        values[REFERENCE_MASKS] = [
            latent.new_ones(1, 1, *latent.shape[-2:]) if mask is None else mask
            for latent, mask in zip(conditioning.references, conditioning.reference_masks, strict=True)
        ]
    if conditioning.target_mask is not None:
        values[TARGET_MASK] = conditioning.target_mask
    return [[torch.cat(conditioning.context, dim=1), values]]


def encode_context(clip, vae, context, resolution, negative, model, notify: Notify) -> EncodedContext:
    """The one call behind the nodes Encode and Sampler.

    Args:
        clip: the host's CLIP.
        vae: the host's VAE.
        context: LongContext or ConditionUnit.
        resolution: the value of the resolution widget.
        negative: the negative prompt.
        model: MODEL to ask for its trained size, or None.
        notify: told about whatever is changed or dropped.

    Raises:
        ValueError: a wrong part or a context that the model cannot take.
    """
    return encode(
        as_context(context),
        HostTextEncoder(clip),
        HostVAE(vae),
        resolution=to_resolution(resolution, model),
        negative_prompt=negative,
        notify=notify,
    )


def empty_latent(encoded: EncodedContext, batch_size: int) -> dict:
    """LATENT of zeros (B, 4, h, w) of the target's size, from which the host's samplers start with noise alone."""
    shape = noise_shape(encoded, batch_size)
    return {"samples": torch.zeros(shape, device=comfy.model_management.intermediate_device())}


class EncodeNode(Node):
    """For KSampler and everything else that takes CONDITIONING."""

    @classmethod
    def define_schema(cls):
        return schema(
            node_id="ACEEncode",
            display_name="ACE Edit: Encode",
            description="Turns instruction and pictures into conditioning for KSampler and other core samplers. Use "
            "“ACE Edit: Guidance Rescale” on the model, sampler ddim or euler and scheduler simple to get what ACE's own "
            "sampler gives.",
            search_aliases=["conditioning", "CLIPTextEncode", "LCU"],
            inputs=[
                io.Clip.Input("clip", tooltip="T5 v1.1 XXL, from Load Bundle or Load Text Encoder."),
                io.Vae.Input("vae", tooltip="A VAE of Stable Diffusion 1.x."),
                context_input(),
                negative_input(),
                resolution_input(),
                batch_size_input(),
                io.Model.Input(
                    "model",
                    optional=True,
                    tooltip="Only asked for the size it was trained at, when resolution is “as the model”.",
                ),
            ],
            outputs=[
                io.Conditioning.Output(display_name="positive", tooltip="For a sampler's positive input."),
                io.Conditioning.Output(display_name="negative", tooltip="Same pictures, negative text."),
                io.Latent.Output(display_name="latent", tooltip="Empty, of the size the result will have."),
                fit_output(),
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(cls, *, clip, vae, context, negative, batch_size, resolution=None, model=None) -> io.NodeOutput:
        notify = Messages(cls.hidden.unique_id)
        encoded = encode_context(clip, vae, context, resolution, negative, model, notify)
        return io.NodeOutput(
            to_host_conditioning(encoded.positive),
            to_host_conditioning(encoded.negative),
            empty_latent(encoded, batch_size),
            encoded.target_fit,
        )
