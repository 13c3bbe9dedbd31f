"""The host's VAE object, and VAE files it would not open by itself."""

from __future__ import annotations

from pathlib import Path

import comfy.sd
import torch

from ...ace.vae import SCALING_FACTOR, read_vae_tensors, round_for_8_bit


class HostVAE:
    """The host's VAE with ACE's scale of latents.

    Args:
        vae: a VAE of the SD 1.x family.

    Raises:
        ValueError: it makes latents that ACE cannot read.
    """

    def __init__(self, vae) -> None:
        channels = getattr(vae, "latent_channels", None)
        if channels != 4 or getattr(vae, "latent_dim", 2) != 2:
            raise ValueError(
                f"this VAE makes latents of {channels} channels; ACE was trained with the VAE of Stable Diffusion 1.x "
                "(4 channels): load models/vae/vae.bin of the ACE model, or vae-ft-mse-840000-ema-pruned.safetensors"
            )
        self._vae = vae

    def encode(self, image: torch.Tensor) -> torch.Tensor:
        """(B, H, W, 3) in 0 … 1 -> (B, 4, H/8, W/8), scaled; the mode of the posterior."""
        return self._vae.encode(image[..., :3]) * SCALING_FACTOR

    def decode(self, latent: torch.Tensor) -> torch.Tensor:
        """(B, 4, h, w) scaled -> (B, 8h, 8w, 3) in 0 … 1."""
        return round_for_8_bit(self._vae.decode(latent / SCALING_FACTOR))


def round_trip(vae, image: torch.Tensor) -> torch.Tensor:
    """(B, H, W, 3) in 0 … 1 through a VAE and back: what any VAE of pictures makes of it.

    Raises:
        ValueError: it is a VAE of videos or sounds.
    """
    if getattr(vae, "latent_dim", 2) != 2:
        raise ValueError("this VAE is not one of pictures; connect the VAE that the result was decoded with")
    return round_for_8_bit(vae.decode(vae.encode(image[..., :3])))


def load_vae(path: Path):
    """A VAE file -> the host's VAE; LDM files of other widths than Stable Diffusion's work too.

    Raises:
        ValueError: the host cannot make a VAE of it.
    """
    state_dict = read_vae_tensors(path)
    vae = comfy.sd.VAE(sd=state_dict, config=_small_config(state_dict))
    vae.throw_exception_if_invalid()
    return vae


def _small_config(state_dict) -> dict | None:
    """Arguments for an LDM autoencoder that is not 128 channels wide, which is all that the host would detect."""
    first = state_dict.get("encoder.conv_in.weight")
    if first is None or first.shape[0] == 128:
        return None
    base = first.shape[0]
    widths = []
    while (weight := state_dict.get(f"encoder.down.{len(widths)}.block.0.conv1.weight")) is not None:
        widths.append(weight.shape[0])
    blocks = sum(key.startswith("encoder.down.0.block.") and key.endswith("conv1.weight") for key in state_dict)
    shape = {
        "double_z": True,
        "z_channels": 4,
        "resolution": 256,
        "in_channels": 3,
        "out_ch": 3,
        "ch": base,
        "ch_mult": [width // base for width in widths],
        "num_res_blocks": blocks,
        "attn_resolutions": [],
        "dropout": 0.0,
    }
    return {"params": {"ddconfig": shape, "embed_dim": 4}}
