"""A small pack that gives the harness something to watch: progress, previews, messages, failures, slow work."""

import time
from pathlib import Path

import comfy.model_management
import comfy.model_patcher
import comfy.ops
import comfy.utils
import folder_paths
import torch
from comfy_api.latest import ComfyExtension, io
from PIL import Image
from server import PromptServer

# Whoever runs so many steps goes on at the one below until it is interrupted, however fast the machine is.
UNENDING = 1000
_HELD_AT = 20


def _hold_unending_runs():
    update = comfy.utils.ProgressBar.update_absolute

    def update_absolute(bar, value, total=None, preview=None):
        update(bar, value, total, preview)
        while bar.total == UNENDING and bar.current == _HELD_AT:
            time.sleep(0.1)
            comfy.model_management.throw_exception_if_processing_interrupted()
            update(bar, value, total, preview)

    comfy.utils.ProgressBar.update_absolute = update_absolute


_hold_unending_runs()


class ProbeSteps(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="ProbeSteps",
            category="probe",
            inputs=[
                io.Image.Input("image"),
                io.Int.Input("steps", default=3, min=1, max=1000),
                io.Float.Input("seconds", default=0.0, min=0.0, max=60.0),
            ],
            outputs=[io.Image.Output()],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(cls, image, steps, seconds):
        bar = comfy.utils.ProgressBar(steps)
        for step in range(steps):
            time.sleep(seconds)
            bar.update_absolute(step + 1, steps, ("JPEG", Image.new("RGB", (32, 16), (step % 256, 0, 0)), 512))
        PromptServer.instance.send_progress_text(f"{steps} steps, ünï", cls.hidden.unique_id)
        return io.NodeOutput(image)


class ProbeGate(io.ComfyNode):
    """Holds a prompt until its gate is open, or takes one of the gate's tickets. See ``Gate`` in capture_graphs.py."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="ProbeGate",
            category="probe",
            inputs=[io.Image.Input("image"), io.String.Input("gate")],
            outputs=[io.Image.Output()],
        )

    @classmethod
    def execute(cls, image, gate):
        folder = Path(folder_paths.base_path, "gates", gate)
        waiting = folder / "waiting"
        waiting.touch()
        try:
            while not (folder / "open").exists():
                if ticket := next(folder.glob("ticket*"), None):
                    ticket.unlink()
                    break
                comfy.model_management.throw_exception_if_processing_interrupted()
                time.sleep(0.02)
        finally:
            waiting.unlink()
        return io.NodeOutput(image)


class ProbeFail(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="ProbeFail",
            category="probe",
            inputs=[io.Image.Input("image"), io.String.Input("message", default="no")],
            outputs=[io.Image.Output()],
        )

    @classmethod
    def execute(cls, image, message):
        raise ValueError(message)


class ProbeNoise(io.ComfyNode):
    """Never the same twice, so a cached output shows."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="ProbeNoise",
            category="probe",
            inputs=[io.Int.Input("size", default=32, min=1, max=2048)],
            outputs=[io.Image.Output()],
        )

    @classmethod
    def execute(cls, size):
        return io.NodeOutput(torch.rand(1, size, size, 3))


class ProbeLoad(io.ComfyNode):
    """Loads a model of a few small layers as a sampler would and says whether it stayed off the device."""

    @classmethod
    def define_schema(cls):
        return io.Schema(node_id="ProbeLoad", category="probe", inputs=[], outputs=[io.Boolean.Output()])

    @classmethod
    def execute(cls):
        layers = torch.nn.Sequential(*(comfy.ops.disable_weight_init.Linear(8, 8) for _ in range(3)))
        device = comfy.model_management.get_torch_device()
        patcher = comfy.model_patcher.ModelPatcher(layers, load_device=device, offload_device=torch.device("cpu"))
        comfy.model_management.load_models_gpu([patcher])
        return io.NodeOutput(patcher.model.model_lowvram)


class ProbeMoody(io.ComfyNode):
    """Fails as the red of a picture's first pixel says: 1 = out of memory, once a picture; 2 = always."""

    _seen: set[bytes] = set()  # noqa: RUF012

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="ProbeMoody",
            category="probe",
            inputs=[io.Image.Input("image")],
            outputs=[io.Image.Output()],
        )

    @classmethod
    def execute(cls, image):
        red, picture = round(float(image[0, 0, 0, 0]) * 255), image.numpy().tobytes()
        if red == 1 and picture not in cls._seen:
            cls._seen.add(picture)
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        if red == 2:
            raise ValueError("I do not like this picture")
        return io.NodeOutput(image)


class ProbeList(io.ComfyNode):
    """Three pictures as a list."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="ProbeList",
            category="probe",
            inputs=[io.Image.Input(f"image{k}") for k in range(3)],
            outputs=[io.Image.Output(is_output_list=True)],
        )

    @classmethod
    def execute(cls, image0, image1, image2):
        return io.NodeOutput([image0, image1, image2])


class ProbeTexts(io.ComfyNode):
    """The lines of a text as a list."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="ProbeTexts",
            category="probe",
            inputs=[io.String.Input("texts", multiline=True)],
            outputs=[io.String.Output(is_output_list=True)],
        )

    @classmethod
    def execute(cls, texts):
        return io.NodeOutput(texts.splitlines())


class StandInForDepth(io.ComfyNode):
    """The node of comfyui_controlnet_aux that a shipped workflow wires in, with its sockets but no model behind."""

    @classmethod
    def define_schema(cls):
        sizes = [f"depth_anything_v2_vit{size}.pth" for size in "glbs"]
        return io.Schema(
            node_id="DepthAnythingV2Preprocessor",
            display_name="Depth Anything V2 - Relative",
            category="ControlNet Preprocessors/Normal and Depth Estimators",
            inputs=[
                io.Image.Input("image"),
                io.Combo.Input("ckpt_name", options=sizes, default=sizes[1], optional=True),
                io.Int.Input("resolution", default=512, min=64, max=16384, step=64, optional=True),
            ],
            outputs=[io.Image.Output()],
        )

    @classmethod
    def execute(cls, image, ckpt_name, resolution):
        scale = resolution / min(image.shape[1:3])
        size = [round(side * scale / 64) * 64 for side in image.shape[1:3]]
        gray = image.mean(dim=-1, keepdim=True).movedim(-1, 1)
        depth = torch.nn.functional.interpolate(gray, size, mode="area").movedim(1, -1)
        return io.NodeOutput(depth.expand(-1, -1, -1, 3).contiguous())


class ProbeExtension(ComfyExtension):
    async def get_node_list(self):
        return [
            ProbeSteps,
            ProbeGate,
            ProbeFail,
            ProbeNoise,
            ProbeLoad,
            ProbeMoody,
            ProbeList,
            ProbeTexts,
            StandInForDepth,
        ]


async def comfy_entrypoint():
    return ProbeExtension()
