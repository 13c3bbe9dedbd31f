"""Small FLUXes with random weights out of the host's own classes: networks of the real shape in a few thousand numbers."""

from __future__ import annotations

from typing import ClassVar

import comfy.model_patcher
import comfy.sd
import comfy.supported_models
import comfy.text_encoders.flux
import torch
from comfy.ldm.models.autoencoder import AutoencoderKL

HIDDEN, TEXT, POOLED = 64, 32, 24
CHANNELS = {"FLUX Fill": 96, "ACE++ full fine-tune": 112, "FLUX": 16}


def small_flux(channels: int) -> comfy.model_patcher.ModelPatcher:
    """MODEL of FLUX's network with so many input channels."""
    shape = {"image_model": "flux", "in_channels": channels, "out_channels": 16, "patch_size": 2, "vec_in_dim": POOLED}
    shape |= {"context_in_dim": TEXT, "hidden_size": HIDDEN, "mlp_ratio": 2.0, "num_heads": 2, "axes_dim": [8, 12, 12]}
    shape |= {"depth": 2, "depth_single_blocks": 2, "theta": 10000, "qkv_bias": True, "guidance_embed": True}
    config = comfy.supported_models.FluxInpaint({**shape, "txt_ids_dims": []})
    config.set_inference_dtype(torch.float32, None)
    model = config.get_model({})
    _draw(model.diffusion_model, 0.12)
    cpu = torch.device("cpu")
    patcher = getattr(comfy.model_patcher, "CoreModelPatcher", comfy.model_patcher.ModelPatcher)
    return patcher(model.eval(), load_device=cpu, offload_device=cpu)


def small_clip() -> comfy.sd.CLIP:
    """CLIP of the type flux: a small CLIP-L and a small T5, with their real vocabularies."""

    class Target:
        params: ClassVar[dict] = {}
        clip = comfy.text_encoders.flux.flux_clip()
        tokenizer = comfy.text_encoders.flux.FluxTokenizer

    shapes = {
        "clip_l_model_config": {
            "hidden_size": POOLED,
            "intermediate_size": 48,
            "num_attention_heads": 2,
            "num_hidden_layers": 2,
            "projection_dim": POOLED,
        },
        "t5xxl_model_config": {"d_ff": 48, "d_kv": 16, "d_model": TEXT, "num_heads": 2, "num_layers": 2},
    }
    clip = comfy.sd.CLIP(Target, model_options={**shapes, "dtype": torch.float32})
    _draw(clip.cond_stage_model, 0.3)
    return clip


def small_vae() -> comfy.sd.VAE:
    """VAE of FLUX's sixteen channels and eight pixels."""
    shape = {"double_z": True, "z_channels": 16, "resolution": 256, "in_channels": 3, "out_ch": 3, "ch": 32}
    shape |= {"ch_mult": [1, 1, 1, 1], "num_res_blocks": 1, "attn_resolutions": [], "dropout": 0.0}
    weights = _draw(AutoencoderKL(ddconfig=shape, embed_dim=16), 0.05).state_dict()
    vae = comfy.sd.VAE(sd=weights, config={"params": {"ddconfig": shape, "embed_dim": 16}})
    vae.latent_channels = 16  # a configuration is only meant for Stable Diffusion's four
    return vae


@torch.no_grad()
def _draw(module: torch.nn.Module, spread: float) -> torch.nn.Module:
    """Fills all weights, which the host's layers leave as they found the memory; scales of norms are about 1."""
    generator = torch.Generator().manual_seed(0)
    for name, weight in module.named_parameters():
        noise = torch.randn(weight.shape, generator=generator)
        norm = weight.ndim == 1 and not name.endswith("bias")
        weight.copy_(1 + 0.1 * noise if norm else spread * noise)
    return module
