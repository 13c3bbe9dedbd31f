"""Guidance rescale for core samplers, and the sampler that does everything in one node."""

from __future__ import annotations

import comfy.sample
import latent_preview
from comfy_api.latest import io

from ..ace.detail import keep_source_detail
from ..ace.model.sampler import apply_guidance, check_finite, check_settings
from ..ace.pictures.fit import Fit
from ..ace.pictures.keep_detail import KeepDetail
from ..ace.pictures.preprocess import undo_fit
from ..ace.vae import SCALING_FACTOR
from ..ace.weights.presets import BundleDefaults
from .encode import (
    batch_size_input,
    context_input,
    empty_latent,
    encode_context,
    fit_output,
    negative_input,
    to_host_conditioning,
)
from .host.messages import Messages
from .host.model import require_ace
from .host.node import Node
from .host.types import schema
from .host.vae import HostVAE
from .resolution import resolution_input

# DDIM without added noise is Euler's method in ComfyUI's variables; "simple" visits the trailing timesteps.
_SAMPLER, _SCHEDULER = "ddim", "simple"
_AS_SAMPLED, _AS_SOURCE = "as sampled", "as the source"


def rescale_input(default: float = 0.5) -> io.Float.Input:
    """The widget for the guidance rescale, and the value that it starts with."""
    return io.Float.Input(
        "guidance_rescale",
        default=default,
        min=0.0,
        max=1.0,
        step=0.05,
        tooltip="0 … 1: how far strong guidance is brought back to a natural contrast. ACE was tuned with 0.5.",
    )


def with_guidance_rescale(model, guidance_rescale: float):
    """A clone of MODEL that guides as ACE's own sampler does, see :func:`ace.model.sampler.apply_guidance`."""

    def guided(args):
        # At a scale of 1 the host skips the unconditional branch and passes zeros for it.
        if args["cond_scale"] == 1.0:
            return args["cond"]
        return apply_guidance(args["cond"], args["uncond"], args["cond_scale"], guidance_rescale)

    model = model.clone()
    model.set_model_sampler_cfg_function(guided)
    return model


class GuidanceRescaleNode(Node):
    """MODEL -> MODEL."""

    @classmethod
    def define_schema(cls):
        return schema(
            node_id="ACEGuidanceRescale",
            display_name="ACE Edit: Guidance Rescale",
            category="model",
            description="Makes core samplers guide the way ACE's sampler does. Core's RescaleCFG works on another "
            "quantity and gives another result.",
            search_aliases=["CFG rescale", "RescaleCFG"],
            inputs=[io.Model.Input("model", tooltip="An ACE model."), rescale_input()],
            outputs=[io.Model.Output(tooltip="For KSampler and other samplers.")],
        )

    @classmethod
    def execute(cls, model, guidance_rescale) -> io.NodeOutput:
        return io.NodeOutput(with_guidance_rescale(model, guidance_rescale))


class SamplerNode(Node):
    """MODEL, CLIP, VAE and what is to be done -> IMAGE, LATENT."""

    @classmethod
    def define_schema(cls):
        start = BundleDefaults()  # of the published models; a page shows those of the bundle that is connected
        return schema(
            node_id="ACESampler",
            display_name="ACE Edit: Sampler",
            description="Edits or makes a picture from an instruction: encoding, sampling and decoding in one node.",
            search_aliases=["edit image", "generate", "KSampler", "instruct"],
            inputs=[
                io.Model.Input("model", tooltip="An ACE model; LoRAs may be applied before."),
                io.Clip.Input("clip", tooltip="T5 v1.1 XXL, from Load Bundle or Load Text Encoder."),
                io.Vae.Input("vae", tooltip="A VAE of Stable Diffusion 1.x."),
                context_input(),
                negative_input(),
                io.Int.Input(
                    "seed",
                    default=0,
                    min=0,
                    max=0xFFFFFFFFFFFFFFFF,
                    control_after_generate=True,
                    tooltip="Same seed, same result, on any device.",
                ),
                io.Int.Input(
                    "steps",
                    default=start.steps,
                    min=1,
                    max=1000,
                    tooltip="Starts with what the bundle recommends: 20 for the 512 px model, 50 for the 1024 px model.",
                ),
                io.Float.Input(
                    "cfg",
                    default=start.guidance_scale,
                    min=0.0,
                    max=30.0,
                    step=0.1,
                    tooltip="Guidance scale: how closely the instruction is followed. Starts with what the bundle "
                    "recommends: 4.5 for the published models. 0 takes what the model at hand recommends. 1 switches "
                    "guidance off, which takes half the time.",
                ),
                rescale_input(start.guidance_rescale),
                resolution_input(),
                batch_size_input(),
                io.Combo.Input(
                    "result_size",
                    options=[_AS_SAMPLED, _AS_SOURCE],
                    default=_AS_SAMPLED,
                    optional=True,
                    tooltip="“as the source” scales the result back to the scale of the edited picture. Where that had to "
                    "be cropped, the result shows the part that was kept; Paste Back puts it into the whole.",
                ),
                io.Float.Input(
                    "keep_detail",
                    default=0.0,
                    min=0.0,
                    max=2.0,
                    step=0.05,
                    optional=True,
                    tooltip="Gives back what the VAE took of the edited picture: grain, fur, small text, as far as the "
                    "result follows it. 1 is all of it, 0 nothing. Most is won with the result_size “as the source”.",
                ),
            ],
            outputs=[
                io.Image.Output(display_name="image", tooltip="The result, in the size chosen by result_size."),
                io.Latent.Output(display_name="latent", tooltip="The result before decoding, in the size of sampling."),
                fit_output(),
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(
        cls,
        *,
        model,
        clip,
        vae,
        context,
        negative,
        seed,
        steps,
        cfg,
        guidance_rescale,
        batch_size,
        resolution=None,
        result_size=_AS_SAMPLED,
        keep_detail=0.0,
    ) -> io.NodeOutput:
        recommended = require_ace(model).ace_defaults
        messages = Messages(cls.hidden.unique_id)
        check_settings(cfg, guidance_rescale)
        encoded = encode_context(clip, vae, context, resolution, negative, model, messages)
        latent = empty_latent(encoded, batch_size)["samples"]
        samples = comfy.sample.sample(
            with_guidance_rescale(model, guidance_rescale),
            comfy.sample.prepare_noise(latent, seed),
            steps,
            cfg or recommended.guidance_scale,
            _SAMPLER,
            _SCHEDULER,
            to_host_conditioning(encoded.positive),
            to_host_conditioning(encoded.negative),
            latent,
            callback=latent_preview.prepare_callback(model, steps),
            seed=seed,
        )
        check_finite(samples, "the result")
        image, fit = HostVAE(vae).decode(samples * SCALING_FACTOR), encoded.target_fit
        check_finite(image, "the result decoded by the VAE")
        own_scale = result_size == _AS_SOURCE and fit is not None
        if keep_detail:
            settings = KeepDetail(strength=keep_detail)
            image = keep_source_detail(image, encoded, HostVAE(vae), settings, own_scale=own_scale, notify=messages)
        elif own_scale:
            image, _ = undo_fit(image, fit)
        if own_scale and fit.crops:
            messages(_describe_crop(fit))
        return io.NodeOutput(image, {"samples": samples}, fit)


def _describe_crop(fit: Fit) -> str:
    return (
        f"the result is {fit.crop.width}x{fit.crop.height}, the part of the {fit.source_width}x{fit.source_height} picture "
        "that the model was given; Paste Back puts it into the whole"
    )
