"""The standalone pipeline: a bundle's model, text encoder and VAE; a long context in, pictures out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from .bundles.bundle import Bundle
from .encode import encode, noise_shape
from .lcu.units import LongContext
from .model.sampler import StepCallback, draw_noise, sample
from .model.transformer import ACEModel
from .notices import Notify, silent
from .pictures.fit import Fit
from .pictures.resolution import Resolution
from .text import T5TextEncoder, TextEncoder
from .vae import DiffusersVAE, ImageVAE
from .weights.checkpoint import load_model
from .weights.presets import BundleDefaults


@dataclass(frozen=True, eq=False)
class Result:
    """Pictures made by :class:`ACEPipeline`.

    Attributes:
        images: (B, H, W, 3) float32, 0 … 1, in the size the model worked at.
        latents: (B, 4, H/8, W/8) float32, scaled.
        fit: how the edited picture was cropped and scaled; None for pictures made from text alone.
    """

    images: torch.Tensor
    latents: torch.Tensor
    fit: Fit | None


@dataclass(frozen=True, eq=False)
class ACEPipeline:
    """Model, text encoder and VAE that belong together.

    Attributes:
        model: the transformer.
        text_encoder: T5.
        vae: of Stable Diffusion 1.x.
        defaults: size, steps and guidance the model was published with.
    """

    model: ACEModel
    text_encoder: TextEncoder
    vae: ImageVAE
    defaults: BundleDefaults

    @classmethod
    def load(
        cls, bundle: Bundle, *, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
    ) -> ACEPipeline:
        """Loads all parts of a bundle.

        Args:
            bundle: of :func:`ace.bundles.bundle.find_bundle`.
            device: for all parts.
            dtype: of the transformer; the text encoder runs in bfloat16 on an accelerator and the VAE in float32.

        Raises:
            ValueError: a part cannot be read.
        """
        on_cpu = torch.device(device).type == "cpu"
        return cls(
            load_model(bundle.dit, dtype=dtype, device=device).requires_grad_(False),
            T5TextEncoder.load(
                bundle.text_encoder,
                bundle.tokenizer,
                dtype=torch.float32 if on_cpu else torch.bfloat16,
                device=device,
            ),
            DiffusersVAE.load(bundle.vae, device=device),
            bundle.defaults,
        )

    def __call__(
        self,
        context: LongContext,
        *,
        seed: int | Sequence[int] = 0,
        batch_size: int = 1,
        resolution: Resolution | None = None,
        negative_prompt: str = "",
        steps: int | None = None,
        guidance_scale: float | None = None,
        guidance_rescale: float | None = None,
        callback: StepCallback | None = None,
        notify: Notify = silent,
    ) -> Result:
        """Answers the present round of a long context.

        Args:
            context: images, masks and instructions of all rounds.
            seed: one for the whole batch, or one for each picture.
            batch_size: variants; taken from ``seed`` where that is a sequence.
            resolution: None takes the published rule with the bundle's size.
            negative_prompt: what to avoid; takes the place of the instruction in the unconditional branch.
            steps: of the sampler; None takes the bundle's.
            guidance_scale: strength of classifier-free guidance; None takes the bundle's, 1 switches it off.
            guidance_rescale: 0 … 1, see :func:`ace.model.sampler.apply_guidance`; None takes the bundle's.
            callback: called after each step; raising in it cancels.
            notify: told about whatever is changed or dropped.

        Raises:
            ValueError: a wrong setting, or a context that the model cannot take; the message says what to do.
        """
        defaults = self.defaults
        encoded = encode(
            context,
            self.text_encoder,
            self.vae,
            resolution=resolution or Resolution.published(defaults.max_tokens),
            negative_prompt=negative_prompt,
            notify=notify,
        )
        shape = noise_shape(encoded, batch_size if isinstance(seed, int) else len(seed))
        latents = sample(
            self.model,
            draw_noise(shape, seed),
            encoded.positive,
            encoded.negative,
            steps=defaults.steps if steps is None else steps,
            guidance_scale=defaults.guidance_scale if guidance_scale is None else guidance_scale,
            guidance_rescale=defaults.guidance_rescale if guidance_rescale is None else guidance_rescale,
            callback=callback,
        )
        return Result(self.vae.decode(latents), latents, encoded.target_fit)
