"""What the nodes that ask a model about a dataset's pairs have in common: Judge and Label."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import comfy.model_management
from comfy_api.latest import io

from ..host.messages import Messages

if TYPE_CHECKING:
    from ...training.vision_language.backend import Backend

MODEL_TOOLTIP = "As that server names it. May be empty if the server has just one."
_REASONS = 3  # shown on the node


def model_inputs(sent: str, pairs: str) -> list[io.Input]:
    """Which model is asked, and about how many pairs.

    Args:
        sent: what the server gets, as a sentence begins.
        pairs: tooltip of the number of pairs.
    """
    return [
        io.String.Input(
            "server",
            default="",
            tooltip="Address of a server with a model that sees pictures, such as http://localhost:11434 (Ollama) or "
            f"http://localhost:1234/v1 (LM Studio). {sent} are sent there and nowhere else. Empty: no server. A key is read "
            "from the environment variable ACE_JUDGE_KEY.",
        ),
        io.String.Input("model", default="", tooltip=MODEL_TOOLTIP),
        io.Int.Input("pairs", default=0, min=0, max=1_000_000_000, tooltip=pairs),
    ]


def clip_input(does: str) -> io.Input:
    """A model of ComfyUI's own; ``does`` says what it does instead of a server."""
    return io.Clip.Input(
        "clip",
        optional=True,
        tooltip=f"A model that sees pictures and writes, such as Qwen3-VL from Load CLIP: it {does} instead of a server, and "
        "no picture leaves this computer. Needs a ComfyUI with the node Generate Text.",
    )


def connected_model(clip) -> Backend:
    """The model at ``clip``, after it has proved that it sees. Raises ModelError: it does not."""
    from ...training.vision_language.probe import probe
    from .text_generation import HostTextModel

    backend = HostTextModel(clip)
    probe(backend)
    return backend


def asking(bar) -> dict:
    """How a run about many pairs tells of its progress, and hears of ComfyUI's interrupt."""
    return {
        "progress": lambda done, total, _result: bar.update_absolute(done, max(1, total)),
        "should_stop": comfy.model_management.processing_interrupted,
    }


def tell_failures(failed: Mapping[str, str], notify: Messages) -> None:
    """Says of the first pairs that could not be worked on, by id, why."""
    for pair, reason in list(failed.items())[:_REASONS]:
        notify(f"{pair}: {reason}")
