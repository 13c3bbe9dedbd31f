"""A small KL-VAE in Stable Diffusion's layout that trains on a CPU.

The layout (fixed by what hosts and diffusers can open) has two habits that hurt a small network trained on small crops:

* Group norm with 32 groups takes the mean and the contrast out of every group of one or two channels, so that colours get
  lost and depend on the size of the crop. Here the norms train with an epsilon of 1 instead of 1e-6, which makes them
  nearly linear for ordinary values. :func:`export` writes the same function for an epsilon of 1e-6: everything that feeds
  a norm is a thousandth as large.
* It has residual blocks at the full resolution, which take most of the time and bring least. They rest at first: they are
  left out while training and count as zero.

At the start the network passes the mean colour of every 8×8 pixels through and enlarges it smoothly; it learns the rest.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from ...ace.vae import SCALING_FACTOR

# Multiples of the first, for LDM's configuration, and of 64: a norm's 32 groups of one channel each would take every mean
# colour away.
WIDTHS = (64, 64, 64, 128)
_SOFT_EPSILON, _HARD_EPSILON = 1.0, 1e-6
_SCALE = (_HARD_EPSILON / _SOFT_EPSILON) ** 0.5
_COLOURS = 6  # channels that carry the three mean colours at the start, each with both signs
# Luma and two differences, orthogonal rows; gains bring each to about the same spread on photographs.
_BASIS = ((0.577, 0.577, 0.577), (0.707, 0.0, -0.707), (-0.408, 0.816, -0.408))
_GAINS = (1.0, 3.0, 4.0)
_QUIET = 0.4  # how large they are inside, so that the norms hardly bend them
_FIRST_LOG_VARIANCE = -5.0


def make_vae(seed: int = 0, widths: tuple[int, ...] = WIDTHS) -> Any:
    """A ``diffusers.AutoencoderKL`` ready for training, with soft norms; only :func:`export` makes it a usual one."""
    from diffusers import AutoencoderKL

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        vae = AutoencoderKL(
            block_out_channels=widths,
            down_block_types=("DownEncoderBlock2D",) * len(widths),
            up_block_types=("UpDecoderBlock2D",) * len(widths),
            layers_per_block=1,
            latent_channels=4,
            scaling_factor=SCALING_FACTOR,
        )
    for norm in _norms(vae):
        norm.eps = _SOFT_EPSILON
    with torch.no_grad():
        _pass_colours_through(vae)
    return vae


def _norms(vae: Any) -> Iterator[torch.nn.GroupNorm]:
    return (module for module in vae.modules() if isinstance(module, torch.nn.GroupNorm))


def _blocks(vae: Any) -> Iterator[Any]:
    return (module for module in vae.modules() if hasattr(module, "conv2"))


def full_resolution_blocks(vae: Any) -> list[Any]:
    """The residual blocks that cost most."""
    return [*vae.encoder.down_blocks[0].resnets, *vae.decoder.up_blocks[-1].resnets]


def disable_block(block: Any) -> None:
    """Leaves a residual block out; it must not change the number of channels."""
    if block.conv_shortcut is not None:
        raise ValueError("a residual block that changes the number of channels cannot be left out")
    torch.nn.init.zeros_(block.conv2.weight)
    torch.nn.init.zeros_(block.conv2.bias)
    block.requires_grad_(False)
    block.forward = _same


def enable_block(block: Any) -> None:
    """Puts a block that was left out back, to learn."""
    block.requires_grad_(True)
    del block.forward


def _same(hidden: torch.Tensor, *_arguments: Any, **_options: Any) -> torch.Tensor:
    return hidden


def _pass_colours_through(vae: Any) -> None:
    """Sets the first channels of every layer to carry the mean colours; the others keep their random weights."""
    for block in _blocks(vae):
        torch.nn.init.zeros_(block.conv2.weight)
        torch.nn.init.zeros_(block.conv2.bias)
        if block.conv_shortcut is not None:
            _set_rows(block.conv_shortcut, torch.eye(_COLOURS, block.conv_shortcut.in_channels), torch.ones(1, 1))
    for half in (vae.encoder, vae.decoder):
        torch.nn.init.zeros_(half.mid_block.attentions[0].to_out[0].weight)
        torch.nn.init.zeros_(half.mid_block.attentions[0].to_out[0].bias)
    basis = torch.tensor(_BASIS) * torch.tensor(_GAINS)[:, None]
    signs = torch.tensor([1.0, -1.0])

    _set_rows(vae.encoder.conv_in, torch.einsum("ij,s->isj", _QUIET * basis, signs).reshape(_COLOURS, 3), _delta())
    for stage in vae.encoder.down_blocks[:-1]:
        average = torch.zeros(3, 3)
        average[:2, :2] = 0.25  # the layout pads at the right and below only
        convolution = stage.downsamplers[0].conv
        _set_rows(convolution, torch.eye(_COLOURS, convolution.in_channels), average)
    # SiLU(x) - SiLU(-x) = x: pairs of channels pass the nonlinearity unharmed.
    read = torch.zeros(3, vae.encoder.conv_out.in_channels)
    for colour in range(3):
        read[colour, 2 * colour : 2 * colour + 2] = signs / _QUIET
    _set_rows(vae.encoder.conv_out, read, _delta())
    vae.encoder.conv_out.weight[4:] *= 0.1
    vae.encoder.conv_out.bias[4:] = _FIRST_LOG_VARIANCE
    for convolution in (vae.quant_conv, vae.post_quant_conv):
        convolution.weight.copy_(torch.eye(convolution.in_channels)[..., None, None])
        torch.nn.init.zeros_(convolution.bias)

    write = torch.zeros(_COLOURS, 4)
    for colour in range(3):
        write[2 * colour : 2 * colour + 2, colour] = signs * _QUIET
    _set_rows(vae.decoder.conv_in, write, _delta())
    ramp = torch.tensor([0.25, 0.5, 0.25])
    for stage in vae.decoder.up_blocks[:-1]:
        convolution = stage.upsamplers[0].conv
        _set_rows(convolution, torch.eye(_COLOURS, convolution.in_channels), torch.outer(ramp, ramp))
    inverse = torch.linalg.inv(basis)  # (rgb, colour)
    back = torch.zeros(3, vae.decoder.conv_out.in_channels)
    back[:, :_COLOURS] = torch.einsum("ij,s->ijs", inverse / _QUIET, signs).reshape(3, _COLOURS)
    _set_rows(vae.decoder.conv_out, back, _delta())


def _set_rows(convolution: torch.nn.Conv2d, matrix: torch.Tensor, kernel: torch.Tensor) -> None:
    """First output channels: a matrix over the input channels times one 3×3 kernel."""
    rows = matrix.shape[0]
    convolution.weight[:rows] = matrix[..., None, None] * kernel
    convolution.bias[:rows] = 0.0


def _delta() -> torch.Tensor:
    kernel = torch.zeros(3, 3)
    kernel[1, 1] = 1.0
    return kernel


@torch.no_grad()
def export(vae: Any, latent_mean: torch.Tensor, latent_std: torch.Tensor) -> dict[str, torch.Tensor]:
    """The same function as a usual VAE (norms with an epsilon of 1e-6), its latents centred and scaled.

    Args:
        latent_mean: (4,), of the trained network's latents; they will be zero on average.
        latent_std: (4,), likewise; 0.18215 times each channel of the new latents will have 1.

    Returns:
        state dict under diffusers' names, float32.
    """
    state = {name: value.detach().clone().float() for name, value in vae.state_dict().items()}
    _scale_streams(state, _SCALE)
    # quant_conv: 8 rows, four means and four logs of variances.
    gain = 1 / (SCALING_FACTOR * latent_std)
    weight, bias = state["quant_conv.weight"], state["quant_conv.bias"]
    weight[:4] *= gain[:, None, None, None]
    bias[:4] = (bias[:4] - latent_mean) * gain
    bias[4:] += 2 * gain.log()
    state["post_quant_conv.bias"] += state["post_quant_conv.weight"][:, :, 0, 0] @ latent_mean
    state["post_quant_conv.weight"] /= gain[:, None, None]
    return state


@torch.no_grad()
def soften(vae: Any) -> None:
    """Turns a VAE that :func:`export` has written into one with soft norms again, the same function, to train on."""
    state = vae.state_dict()
    _scale_streams(state, 1 / _SCALE)
    vae.load_state_dict(state)
    for norm in _norms(vae):
        norm.eps = _SOFT_EPSILON


@torch.no_grad()
def export_again(vae: Any) -> dict[str, torch.Tensor]:
    """:func:`export` of a softened VAE, whose latents are centred and scaled already."""
    return export(vae, torch.zeros(4), torch.full((4,), 1 / SCALING_FACTOR))


def _scale_streams(state: dict[str, torch.Tensor], scale: float) -> None:
    for name in state:
        if _feeds_a_norm(name):
            linear = name.split(".")[-2] in _LINEAR_IN_STREAM and name.endswith(".weight")
            state[name] *= 1.0 if linear else scale


# These read the residual stream, which is scaled already: only their biases are to be scaled.
_LINEAR_IN_STREAM = ("conv_shortcut", "conv")


def _feeds_a_norm(name: str) -> bool:
    """Whether a parameter writes what some norm reads: the residual stream, or the inside of a block before norm2."""
    layer = name.split(".")[-2]
    return not ("norm" in layer or "quant" in name or layer in ("conv_out", "to_q", "to_k", "to_v"))
