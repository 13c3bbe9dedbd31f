"""The host's FLUX: what its CLIP, VAE and MODEL have that ACE++ needs."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from ...ace.plus.layouts import LATENT_CHANNELS
from ...ace.text import clean_text

_LOAD = "load clip_l and a t5xxl file with core's DualCLIPLoader, type flux"


class FluxTextEncoder:
    """CLIP-L and T5 inside a CLIP of the type flux.

    Args:
        clip: the host's CLIP object.

    Raises:
        ValueError: one of the two is not in it.
    """

    def __init__(self, clip) -> None:
        encoders, tokenizers = clip.cond_stage_model, clip.tokenizer
        if not all(hasattr(encoders, name) for name in ("clip_l", "t5xxl")) or hasattr(encoders, "clip_g"):
            raise ValueError(
                f"this CLIP is a {type(encoders).__name__}; ACE++ runs on FLUX Fill, which reads CLIP-L and T5: {_LOAD}"
            )
        self._clip = clip
        self.tokenizer = tokenizers.t5xxl.tokenizer

    def encode(self, text: str, token_ids: Sequence[int]) -> list:
        """CONDITIONING of one text: pooled CLIP-L of the words, and T5 of the given ids."""
        tokens = self._clip.tokenize(clean_text(text), disable_weights=True)
        tokens["t5xxl"] = [[(int(token), 1.0) for token in token_ids]]
        return self._clip.encode_from_tokens_scheduled(tokens)


class FluxVAE:
    """The host's VAE, if it is FLUX's.

    Args:
        vae: the host's VAE object.

    Raises:
        ValueError: it makes other latents.
    """

    def __init__(self, vae) -> None:
        channels = getattr(vae, "latent_channels", None)
        if channels != LATENT_CHANNELS or getattr(vae, "latent_dim", 2) != 2:
            raise ValueError(
                f"this VAE makes latents of {channels} channels; ACE++ runs on FLUX Fill, whose VAE makes "
                f"{LATENT_CHANNELS}: load ae.safetensors with core's Load VAE"
            )
        self._vae = vae

    def encode(self, image: torch.Tensor) -> torch.Tensor:
        """(B, H, W, 3) in 0 … 1 -> (B, 16, H/8, W/8) in the host's scale."""
        return self._vae.encode(image)


def input_channels(model) -> int:
    """Latent channels that a FLUX MODEL takes in, its noise among them.

    Raises:
        ValueError: it is of another family.
    """
    config = getattr(getattr(model.model, "model_config", None), "unet_config", {})
    if config.get("image_model") != "flux":
        raise ValueError(
            f"this MODEL is a {type(model.model).__name__}, not FLUX; ACE++ runs on FLUX.1-Fill-dev: load it with core's "
            "Load Diffusion Model"
        )
    return config["in_channels"]
