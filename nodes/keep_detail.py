"""What the VAE lost, given back from the source."""

from __future__ import annotations

from functools import partial

from comfy_api.latest import io

from ..ace.pictures.keep_detail import KeepDetail, keep_detail, round_trip_of
from .host.messages import Messages
from .host.node import Node
from .host.parameters import parameter_inputs
from .host.types import AceFit, schema
from .host.vae import round_trip as vae_round_trip


class KeepDetailNode(Node):
    """Source, result and VAE (or the source's round trip) -> IMAGE."""

    @classmethod
    def define_schema(cls):
        return schema(
            node_id="ACEKeepDetail",
            display_name="ACE Edit: Keep Detail",
            description="Gives back what the VAE and the model's size took: grain, fur, skin and small text come from the "
            "source, in the colours and the contrast that the edit gave them. Where the result does not follow the source, "
            "nothing is added. Use it before Paste Back.",
            search_aliases=["sharpen", "detail transfer", "frequency separation", "restore texture", "guided filter"],
            inputs=[
                io.Image.Input("source", tooltip="The picture before the edit, at its own size."),
                io.Image.Input("result", tooltip="What the sampler made of it, as sampled or scaled."),
                *parameter_inputs(KeepDetail),
                io.Vae.Input(
                    "vae",
                    optional=True,
                    tooltip="The VAE that the result was decoded with. It shows what is lost of the source.",
                ),
                io.Image.Input(
                    "round_trip",
                    optional=True,
                    tooltip="In place of the VAE: the source as the model was given it, encoded and decoded.",
                ),
                io.Mask.Input(
                    "mask",
                    optional=True,
                    tooltip="Detail is given back where it is white, and only what is white is judged. Of the source's "
                    "size or the result's.",
                ),
                AceFit.Input(
                    "fit",
                    optional=True,
                    tooltip="From Sampler or Encode: at which size the model saw the source. Connect it whenever the result "
                    "was scaled since.",
                ),
            ],
            outputs=[
                io.Image.Output(
                    display_name="image",
                    tooltip="The source's scale; Paste Back puts it into the source where it marks.",
                )
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(
        cls, source, result, strength, radius, max_gain, color, vae=None, round_trip=None, mask=None, fit=None
    ) -> io.NodeOutput:
        notify = Messages(cls.hidden.unique_id)
        if vae is None and round_trip is None:
            raise ValueError(
                "what is lost of the source is not known: connect the VAE that the result was decoded with or, as "
                "round_trip, the source after encoding and decoding it"
            )
        if round_trip is None:
            round_trip = round_trip_of(source, result, partial(vae_round_trip, vae), fit=fit, notify=notify)
        settings = KeepDetail(strength, radius, max_gain, color)
        return io.NodeOutput(keep_detail(source, result, round_trip, mask, fit=fit, settings=settings, notify=notify))
