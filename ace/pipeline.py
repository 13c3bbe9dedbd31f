"""The standalone pipeline: a bundle's model, text encoder and VAE; a long context in, pictures out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from .bundles.bundle import Bundle
from .detail import keep_source_detail
from .devices import half_precision
from .encode import encode, noise_shape
from .lcu.units import LongContext
from .model.editnet import ModelWithEditNet
from .model.sampler import StepCallback, check_finite, check_settings, draw_noise, sample
from .model.transformer import ACEModel
from .notices import Notify, silent
from .pictures.fit import Fit
from .pictures.keep_detail import KeepDetail
from .pictures.resolution import Resolution
from .text import T5TextEncoder, TextEncoder
from .vae import DiffusersVAE, ImageVAE
from .weights.checkpoint import load_model
from .weights.editnet import EditNetFile, build_editnet
from .weights.lora import Lora, merge_lora
from .weights.presets import BundleDefaults


@dataclass(frozen=True, eq=False)
class Result:
    """Pictures made by :class:`ACEPipeline`.

    Attributes:
        images: (B, H, W, 3) float32, 0 … 1, in the size the model worked at; with detail kept, at the scale of the edited
            picture, the part of it that ``fit`` keeps.
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
        model: the transformer, with EditNets where they were asked for.
        text_encoder: T5.
        vae: of Stable Diffusion 1.x.
        defaults: size, steps and guidance the model was published with.
    """

    model: ACEModel | ModelWithEditNet
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
            dtype: of the transformer; the text encoder runs in bfloat16 on an accelerator that has it, and the VAE in
                float32.

        Raises:
            ValueError: a part cannot be read.
        """
        return cls(
            load_model(bundle.dit, dtype=dtype, device=device).requires_grad_(False),
            T5TextEncoder.load(
                bundle.text_encoder,
                bundle.tokenizer,
                dtype=half_precision(device),
                device=device,
            ),
            DiffusersVAE.load(bundle.vae, device=device),
            bundle.defaults,
        )

    def with_loras(self, loras: Sequence[tuple[Lora, float]], *, notify: Notify = silent) -> ACEPipeline:
        """See :meth:`with_adapters`."""
        return self.with_adapters(loras, notify=notify)

    def with_adapters(
        self,
        loras: Sequence[tuple[Lora, float]] = (),
        editnets: Sequence[tuple[EditNetFile, float]] = (),
        *,
        notify: Notify = silent,
    ) -> ACEPipeline:
        """Merges LoRAs into the model, which is changed in place, and sets EditNets beside it.

        Args:
            loras: each with its strength; 1 is as trained.
            editnets: likewise.
            notify: told if a file recommends something.

        Returns:
            The pipeline with the steps and the guidance that a LoRA or an EditNet recommends as its defaults, if it is the
            only one and at full strength; how several do together nobody has measured.

        Raises:
            LoraError, EditNetError, ValueError: see :func:`ace.weights.lora.merge_lora` and
                :func:`ace.weights.editnet.build_editnet`.
        """
        model = self.model
        branches = [
            (build_editnet(file, model.config, dtype=model.dtype, device=model.device), strength)
            for file, strength in editnets
        ]
        plain = model
        while isinstance(plain, ModelWithEditNet):  # of an earlier call
            plain = plain.base
        for lora, strength in loras:
            merge_lora(plain, lora, strength)
        for branch, strength in branches:
            model = ModelWithEditNet(model, branch, strength).eval()
        result, given = replace(self, model=model), [*loras, *editnets]
        found = given[0][0].sampling if len(given) == 1 and given[0][1] == 1 else None
        if found is None:
            return result
        notify(f"{given[0][0].path.name} recommends to sample {found}; so it is done where nothing else is asked for")
        defaults = replace(
            self.defaults,
            steps=found.steps,
            guidance_scale=found.guidance_scale,
            guidance_rescale=found.guidance_rescale,
        )
        return replace(result, defaults=defaults)

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
        keep_detail: KeepDetail | None = None,
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
            keep_detail: gives back what the VAE took of the edited picture, at that picture's own scale.
            callback: called after each step; raising in it cancels.
            notify: told about whatever is changed or dropped.

        Raises:
            ValueError: a wrong setting, or a context that the model cannot take; the message says what to do.
            NotFiniteError: the result is no picture, such as after an overflow of float16.
        """
        defaults = self.defaults
        guidance_scale = defaults.guidance_scale if guidance_scale is None else guidance_scale
        guidance_rescale = defaults.guidance_rescale if guidance_rescale is None else guidance_rescale
        check_settings(guidance_scale, guidance_rescale)  # before the text encoder takes its time
        resolution = resolution or Resolution.published(defaults.max_tokens)
        encoded = encode(
            context, self.text_encoder, self.vae, resolution=resolution, negative_prompt=negative_prompt, notify=notify
        )
        shape = noise_shape(encoded, batch_size if isinstance(seed, int) else len(seed))
        latents = sample(
            self.model,
            draw_noise(shape, seed),
            encoded.positive,
            encoded.negative,
            steps=defaults.steps if steps is None else steps,
            guidance_scale=guidance_scale,
            guidance_rescale=guidance_rescale,
            callback=callback,
        )
        images = self.vae.decode(latents)
        check_finite(images, "the decoded picture")
        if keep_detail is not None:
            images = keep_source_detail(images, encoded, self.vae, keep_detail, own_scale=True, notify=notify)
        return Result(images, latents, encoded.target_fit)
