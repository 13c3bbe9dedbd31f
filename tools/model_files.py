"""Models that a workflow may need besides the shipped one: where each file is published, and the folder it goes into."""

from __future__ import annotations

from typing import Any

FLUX_FILL, CLIP_L, T5 = "flux1-fill-dev.safetensors", "clip_l.safetensors", "t5xxl_fp16.safetensors"
FLUX_VAE = "ae.safetensors"
PORTRAIT_LORA, SUBJECT_LORA, LOCAL_LORA = (
    f"comfyui_{name}.safetensors" for name in ("portrait_lora64", "subject_lora16", "local_lora16")
)
SDXL, SDXL_CANNY = "sd_xl_base_1.0.safetensors", "control-lora-canny-rank256.safetensors"
_HUGGING_FACE = "https://huggingface.co"
_FILL = f"{_HUGGING_FACE}/black-forest-labs/FLUX.1-Fill-dev/resolve/main"
_TEXT_ENCODERS = f"{_HUGGING_FACE}/comfyanonymous/flux_text_encoders/resolve/main"
_LORAS = f"{_HUGGING_FACE}/ali-vilab/ACE_Plus/resolve/main"
_STABILITY = f"{_HUGGING_FACE}/stabilityai"
MODELS = {
    FLUX_FILL: (f"{_FILL}/{FLUX_FILL}", "diffusion_models"),
    CLIP_L: (f"{_TEXT_ENCODERS}/{CLIP_L}", "text_encoders"),
    T5: (f"{_TEXT_ENCODERS}/{T5}", "text_encoders"),
    FLUX_VAE: (f"{_FILL}/{FLUX_VAE}", "vae"),
    PORTRAIT_LORA: (f"{_LORAS}/portrait/{PORTRAIT_LORA}", "loras"),
    SUBJECT_LORA: (f"{_LORAS}/subject/{SUBJECT_LORA}", "loras"),
    LOCAL_LORA: (f"{_LORAS}/local_editing/{LOCAL_LORA}", "loras"),
    SDXL: (f"{_STABILITY}/stable-diffusion-xl-base-1.0/resolve/main/{SDXL}", "checkpoints"),
    SDXL_CANNY: (f"{_STABILITY}/control-lora/resolve/main/control-LoRAs-rank256/{SDXL_CANNY}", "controlnet"),
}


def models_of(values: list[Any]) -> list[dict[str, str]]:
    """What a node with these values needs, as the host reads it from a workflow."""
    named = (value for value in values if isinstance(value, str) and value in MODELS)
    return [{"name": name, "url": MODELS[name][0], "directory": MODELS[name][1]} for name in named]
