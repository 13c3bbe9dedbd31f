"""The two ways in which ACE++ gets pictures as channels of FLUX's input, told apart by the number of channels.

The published LoRAs keep the input of FLUX.1-Fill-dev: noise, the canvas and the mask. The fully fine-tuned model has more:
noise, what is kept, what is to be changed, and the mask. A mask is 64 channels, its 8 x 8 pixels for each latent pixel.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from .canvas import PlusCanvas

LATENT_CHANNELS = 16
MASK_CHANNELS = 64


@dataclass(frozen=True)
class Layout:
    """What a model's input is made of.

    Attributes:
        name: as artists know it.
        pictures: which pictures of a canvas become channels beside the mask, in their order.
    """

    name: str
    pictures: Callable[[PlusCanvas], tuple[torch.Tensor, ...]]
    count: int

    @property
    def channels(self) -> int:
        """Of the model's input: noise, pictures and mask."""
        return LATENT_CHANNELS * (1 + self.count) + MASK_CHANNELS

    def encode(self, canvas: PlusCanvas, encode: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
        """The pictures' channels beside the mask.

        Args:
            canvas: of sides H and W.
            encode: of the VAE: (B, H, W, 3) in 0 … 1 -> (B, 16, H/8, W/8).

        Returns:
            (B, 16 or 32, H/8, W/8).
        """
        return torch.cat([encode(picture) for picture in self.pictures(canvas)], dim=1)


LORA = Layout("FLUX Fill with a LoRA", lambda canvas: (canvas.image,), 1)
FULL = Layout("the fully fine-tuned model", lambda canvas: (canvas.kept, canvas.changed), 2)


def layout_of(channels: int) -> Layout:
    """The layout of a FLUX model with so many input channels.

    Raises:
        ValueError: it is neither.
    """
    for layout in (LORA, FULL):
        if layout.channels == channels:
            return layout
    raise ValueError(
        f"this FLUX model takes {channels} channels, so it cannot be shown a picture and a mask; ACE++ needs "
        f"FLUX.1-Fill-dev ({LORA.channels} channels), with one of its LoRAs, or ace_plus_fft ({FULL.channels}): load one of "
        "them with core's Load Diffusion Model"
    )


def check_layout(chosen: Layout, channels: int) -> None:
    """Checks that a model of so many input channels takes what is encoded for it.

    Raises:
        ValueError: it is one of the other layout, or of neither.
    """
    found = layout_of(channels)
    if found is not chosen:
        raise ValueError(
            f"the layout is for {chosen.name} ({chosen.channels} channels), but the connected MODEL is {found.name} "
            f"({found.channels} channels): set layout to “as the model”, or load the other model"
        )
