"""The VAE: pixels <-> latents."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import torch

from .weights.containers import check_finite, read_container

SCALING_FACTOR = 0.18215


class ImageVAE(Protocol):
    """Anything that turns pictures into scaled latents and back.

    Pictures are (B, H, W, 3) float, 0 … 1, H and W multiples of 8; latents (B, 4, H/8, W/8), scaled by 0.18215.
    """

    def encode(self, image: torch.Tensor) -> torch.Tensor:
        """(B, H, W, 3) in 0 … 1 -> (B, 4, H/8, W/8), scaled."""
        ...

    def decode(self, latent: torch.Tensor) -> torch.Tensor:
        """(B, 4, h, w) scaled -> (B, 8h, 8w, 3) in 0 … 1."""
        ...


def round_for_8_bit(image: torch.Tensor) -> torch.Tensor:
    """Rounds (B, H, W, C) to the nearest of 256 levels in 0 … 1, so that savers which truncate write that level.

    The published code adds half a level to every decoded picture before it truncates. The levels are the same; but here
    the picture itself, which may go on to a next round, gets no brighter.
    """
    return (image.clamp(0.0, 1.0) * 255.0).round() / 255.0


def read_vae_tensors(path: str | Path) -> dict[str, torch.Tensor]:
    """State dict of a VAE file, or of the VAE in a whole checkpoint, without prefixes.

    Raises:
        CheckpointError: no weight file, or a damaged one.
    """
    state_dict = read_container(path).tensors
    for prefix in ("first_stage_model.", "vae."):
        if any(key.startswith(prefix) for key in state_dict):
            state_dict = {key[len(prefix) :]: value for key, value in state_dict.items() if key.startswith(prefix)}
            break
    check_finite(Path(path), state_dict)
    return state_dict


def _ldm_config(state_dict: dict[str, torch.Tensor]) -> dict[str, Any]:
    """diffusers' AutoencoderKL arguments for a VAE under LDM names."""
    widths = []
    while f"encoder.down.{len(widths)}.block.0.conv1.weight" in state_dict:
        widths.append(state_dict[f"encoder.down.{len(widths)}.block.0.conv1.weight"].shape[0])
    blocks = sum(key.startswith("encoder.down.0.block.") and key.endswith("conv1.weight") for key in state_dict)
    return {
        "in_channels": 3,
        "out_channels": 3,
        "latent_channels": state_dict["post_quant_conv.weight"].shape[0],
        "block_out_channels": tuple(widths),
        "layers_per_block": blocks,
        "norm_num_groups": 32,
        "down_block_types": ("DownEncoderBlock2D",) * len(widths),
        "up_block_types": ("UpDecoderBlock2D",) * len(widths),
        "scaling_factor": SCALING_FACTOR,
    }


def _move(model: Any, device: torch.device | str, dtype: torch.dtype) -> Any:
    # By the base class: diffusers' own `to` warns about modules to keep in float32 where there are none.
    return torch.nn.Module.to(model, device, dtype).eval()


def _skip_idle_blocks(model: Any) -> None:
    """Leaves out residual blocks whose last convolution is zero: they return what they are given.

    ace-tiny's VAE has such blocks at the full resolution, where they would take two thirds of the time.
    """
    for block in model.modules():
        convolution, shortcut = getattr(block, "conv2", None), getattr(block, "conv_shortcut", None)
        if convolution is not None and shortcut is None and not (convolution.weight.any() or convolution.bias.any()):
            block.forward = _same


def _same(hidden: torch.Tensor, *_arguments: Any, **_options: Any) -> torch.Tensor:
    return hidden


class DiffusersVAE:
    """SD 1.x KL-VAE through diffusers, for use without a host.

    Args:
        model: a ``diffusers.AutoencoderKL`` in eval mode.
        generator: draws a sample of the posterior, as training did; None takes its mode, which ComfyUI does too and
            which makes the same picture give the same latent every time.
    """

    def __init__(self, model: Any, generator: torch.Generator | None = None) -> None:
        self.model, self.generator = model, generator

    @classmethod
    def load(
        cls, path: str | Path, *, dtype: torch.dtype = torch.float32, device: torch.device | str = "cpu"
    ) -> DiffusersVAE:
        """Loads the published ``vae.bin`` (LDM names), a ``.safetensors`` under LDM names, or a diffusers folder.

        Args:
            path: the file or folder.
            dtype: of the VAE; pictures and latents are float32 in any case.
            device: of the VAE.

        Raises:
            ValueError: not a VAE that ACE can use.
        """
        from diffusers import AutoencoderKL
        from diffusers.loaders.single_file_utils import convert_ldm_vae_checkpoint

        path = Path(path)
        if path.is_dir():
            model = AutoencoderKL.from_pretrained(str(path), local_files_only=True)
            check_finite(path, model.state_dict())
            return cls(_move(model, device, dtype))
        state_dict = read_vae_tensors(path)
        if "encoder.down.0.block.0.conv1.weight" not in state_dict or "post_quant_conv.weight" not in state_dict:
            raise ValueError(
                f"{path} is not an SD 1.x VAE in the published layout: expected encoder.down.0.block.0.conv1.weight and "
                f"post_quant_conv.weight, found {sorted(state_dict)[:3]} …; use models/vae/vae.bin of a published ACE "
                "model, or a VAE folder saved by diffusers"
            )
        config = _ldm_config(state_dict)
        if config["latent_channels"] != 4:
            raise ValueError(
                f"{path} makes latents of {config['latent_channels']} channels; ACE needs a VAE with 4 (SD 1.x)"
            )
        model = AutoencoderKL(**config)
        model.load_state_dict(convert_ldm_vae_checkpoint(state_dict, model.config))
        _skip_idle_blocks(model)
        return cls(_move(model, device, dtype))

    @torch.no_grad()
    def encode(self, image: torch.Tensor) -> torch.Tensor:
        """(B, H, W, 3) in 0 … 1 -> (B, 4, H/8, W/8), scaled, float32."""
        pixels = image.movedim(-1, 1).to(self.model.device, self.model.dtype) * 2.0 - 1.0  # (B, 3, H, W)
        posterior = self.model.encode(pixels).latent_dist
        latent = posterior.mode() if self.generator is None else posterior.sample(self.generator)
        return latent.float() * SCALING_FACTOR

    @torch.no_grad()
    def decode(self, latent: torch.Tensor) -> torch.Tensor:
        """(B, 4, h, w) scaled -> (B, 8h, 8w, 3) in 0 … 1, float32, rounded for 8 bits."""
        latent = latent.to(self.model.device, self.model.dtype) / SCALING_FACTOR
        pixels = self.model.decode(latent).sample.float()
        return round_for_8_bit((pixels + 1.0) / 2.0).movedim(1, -1)
