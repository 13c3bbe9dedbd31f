"""A pack with one loader: a small random FLUX of either layout, which no file of a real size is needed for."""

from comfy_api.latest import ComfyExtension, io

from .small_flux import CHANNELS, small_clip, small_flux, small_vae


class ProbeFlux(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="ProbeFlux",
            category="probe",
            inputs=[io.Combo.Input("kind", options=list(CHANNELS))],
            outputs=[io.Model.Output(), io.Clip.Output(), io.Vae.Output()],
        )

    @classmethod
    def execute(cls, kind):
        return io.NodeOutput(small_flux(CHANNELS[kind]), small_clip(), small_vae())


class FluxExtension(ComfyExtension):
    async def get_node_list(self):
        return [ProbeFlux]


async def comfy_entrypoint():
    return FluxExtension()
