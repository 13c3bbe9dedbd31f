"""ACE as a native ComfyUI MODEL: core samplers, LoRA, merging, saving, previews and low-VRAM modes work on it."""

from __future__ import annotations

import logging
import math
from dataclasses import asdict

import comfy.conds
import comfy.latent_formats
import comfy.model_base
import comfy.model_management
import comfy.model_patcher
import comfy.patcher_extension
import comfy.supported_models_base
import comfy.utils
import torch
from comfy.ldm.modules.attention import optimized_attention, optimized_attention_masked

from ...ace.model.conditioning import Conditioning
from ...ace.model.config import ACEConfig
from ...ace.model.transformer import ACEModel, EmbeddedConditioning
from ...ace.weights.checkpoint import (
    Checkpoint,
    config_tensors,
    to_model_keys,
    to_published_keys,
)
from ...ace.weights.presets import BundleDefaults
from .run_conditioning import CONDEmbeddedLatents, EmbeddedLatents, RunRope

# Keys of a CONDITIONING's dictionary. The text lies in its first element, all frames' tokens one after the other,
# because that is what core's conditioning nodes work on; `reference_latents` is core's own key for edit models.
TEXT_LENGTHS = "ace_text_lengths"  # tuple of int: tokens of each frame, the target's first
INDICATORS = "ace_indicators"  # (1, frames or more, Y)
TARGET_MASK = "ace_target_mask"  # (B or 1, 1, H, W)
REFERENCE_MASKS = "ace_reference_masks"  # list of (B or 1, 1, h, w), one for each of the first references
REFERENCES = "reference_latents"  # list of (B or 1, 4, h, w), not scaled

# Arguments of the transformer alone, prepared once for a run. Where the first is there, the text is already embedded.
_EMBEDDED_INDICATORS = "ace_embedded_indicators"  # (1, frames, D), the target's first
_REFERENCE_TOKENS = "ace_reference_tokens"  # (B or 1, tokens, D)
_ROPE = "ace_rope"  # RunRope

CONTROLS = "ace_controls"
"""Among a MODEL's patches: :class:`ace.model.control.Control` that take part in its forward passes."""


def with_float32_embeddings(operations):
    """The host's operations with an embedding that reads its rows in float32, whatever they are stored in.

    The model reads its modulation tables by index alone; only the host's embedding knows how to cast stored fp8.
    """

    class Embedding(operations.Embedding):
        def forward(self, index: torch.Tensor) -> torch.Tensor:
            return super().forward(index, out_dtype=torch.float32)

    return type("ACEOperations", (operations,), {"Embedding": Embedding})


class HostACEModel(ACEModel):
    """The transformer with the call signature of ComfyUI's diffusion models."""

    dtype = None  # the dtype that the host chose, where the base class asks the weights

    def __init__(self, image_model=None, dtype=None, device=None, operations=None, **config):
        super().__init__(
            ACEConfig(**config), dtype=dtype, device=device, operations=with_float32_embeddings(operations)
        )
        self.dtype = dtype

    def forward(self, x, timesteps, context=None, control=None, transformer_options={}, **kwargs):  # noqa: B006
        wrappers = comfy.patcher_extension.get_all_wrappers(
            comfy.patcher_extension.WrappersMP.DIFFUSION_MODEL, transformer_options
        )
        if wrappers:
            kwargs.pop(_REFERENCE_TOKENS, None)  # they may change the references
        executor = comfy.patcher_extension.WrapperExecutor.new_class_executor(self._forward, self, wrappers)
        return executor.execute(x, timesteps, context, control, transformer_options, **kwargs)

    def _forward(self, x, timesteps, context, control=None, transformer_options={}, **kwargs):  # noqa: B006
        def attention(q, k, v, mask):
            function = optimized_attention if mask is None else optimized_attention_masked
            return function(q, k, v, q.shape[1], mask=mask, skip_reshape=True, transformer_options=transformer_options)

        embedded, rope = self._embedded(context, **kwargs), kwargs.get(_ROPE)
        fits = rope is not None and rope.fits((self.grid(x), *embedded.reference_sizes), x.device)
        prepared = self.arrange(embedded, x, kwargs.get(TARGET_MASK), rope.tables if fits else None)
        controls = transformer_options.get("patches", {}).get(CONTROLS, ())
        return super().forward(x, timesteps, prepared, attention=attention, controls=controls)

    def _embedded(self, context: torch.Tensor, **kwargs) -> EmbeddedConditioning:
        """The arguments of a forward pass as an embedded conditioning; what was not embedded for the run is embedded now."""
        lengths, indicators = kwargs[TEXT_LENGTHS], kwargs.get(_EMBEDDED_INDICATORS)
        references, masks = kwargs.get("ref_latents", ()), kwargs.get(REFERENCE_MASKS, ())
        if indicators is None:
            return self.embed(
                Conditioning(
                    context=context.split(lengths, dim=1),
                    indicator_embeddings=kwargs[INDICATORS][0],
                    references=references,
                    reference_masks=masks,
                )
            )
        tokens = kwargs.get(_REFERENCE_TOKENS)
        if tokens is None:
            tokens = self.embed_references(references, masks, indicators[0])
        sizes = tuple(self.grid(latent) for latent in references)
        return EmbeddedConditioning(context, lengths, indicators[0], tokens, sizes)


def _weights_stay(entry: dict) -> bool:
    """Whether the model has the same weights for a conditioning's entry during all of a run.

    Hooks switch weights, even from step to step; and where gradients are wanted, a run is a training.
    """
    return entry.get("hooks") is None and not torch.is_grad_enabled()


class ACEBase(comfy.model_base.BaseModel):
    """The host's base model around the transformer: turns CONDITIONING into its arguments."""

    def __init__(self, model_config, device=None):
        super().__init__(model_config, device=device, unet_model=HostACEModel)
        self.memory_usage_factor_conds = ("ref_latents",)

    def extra_conds(self, **kwargs):
        """The host's hook: the entries of a CONDITIONING -> arguments of the transformer.

        Raises:
            ValueError: the conditioning was not made for ACE, or was joined or shortened.
        """
        out = super().extra_conds(**kwargs)
        device, text, indicators = kwargs["device"], kwargs.get("cross_attn"), kwargs.get(INDICATORS)
        if text is None or indicators is None:
            raise ValueError(
                "this conditioning was not made for ACE: it lacks the embeddings that tie words like {image} to pictures. "
                "Make it with the node “ACE Edit: Encode” (reference latents can then be added with core's ReferenceLatent)"
            )
        references = kwargs.get(REFERENCES) or []
        text, lengths = self._frame_texts(text, kwargs.get(TEXT_LENGTHS), len(references))
        out["c_crossattn"] = comfy.conds.CONDRegular(text)
        out[TEXT_LENGTHS] = comfy.conds.CONDConstant(lengths)
        latents, masks = [], []
        if references:
            latents = [self.process_latent_in(latent).to(device) for latent in references]
            given = kwargs.get(REFERENCE_MASKS) or []
            masks = [
                (given[k] if k < len(given) else latent.new_ones(1, 1, *latent.shape[-2:])).to(device)
                for k, latent in enumerate(latents)
            ]
            out["ref_latents"] = comfy.conds.CONDList(latents)
            out[REFERENCE_MASKS] = comfy.conds.CONDList(masks)
        mask = self._target_mask(kwargs)
        if mask is not None:
            out[TARGET_MASK] = comfy.conds.CONDNoiseShape(mask.to(device))
        out[_ROPE] = comfy.conds.CONDConstant(self._rope(kwargs["noise"], latents, device))
        one_size = (
            len({len(tensor) for tensor in (*latents, *masks)} - {1}) <= 1
        )  # else the host repeats each to its number
        if _weights_stay(kwargs) and one_size:
            conditioning = Conditioning(text.split(lengths, dim=1), indicators[0], None, latents, masks)
            out.update(self._embedded(conditioning.to(device, self.manual_cast_dtype or self.get_dtype())))
        else:
            out[INDICATORS] = comfy.conds.CONDRegular(indicators.to(device))
        return out

    def _embedded(self, conditioning: Conditioning) -> dict[str, comfy.conds.CONDRegular]:
        """What takes the place of some of a conditioning's entries for the whole of a run."""
        embedded = self.diffusion_model.embed(conditioning)
        entries = {
            "c_crossattn": comfy.conds.CONDRegular(embedded.text),
            _EMBEDDED_INDICATORS: comfy.conds.CONDRegular(embedded.indicators[None]),
        }
        if embedded.reference_tokens is not None:
            entries["ref_latents"] = CONDEmbeddedLatents(conditioning.references, embedded.reference_tokens)
        return entries

    def _rope(self, noise: torch.Tensor, latents: list[torch.Tensor], device: torch.device) -> RunRope:
        sizes = tuple(self.diffusion_model.grid(latent) for latent in (noise, *latents))
        return RunRope(sizes, self.diffusion_model.rope(sizes, device))

    def _apply_model(self, x, t, *args, **kwargs):
        """The host's hook: the last place before the model where lists of latents are still those that came through."""
        references = kwargs.get("ref_latents")
        tokens = references.tokens if isinstance(references, EmbeddedLatents) else None
        if tokens is not None:
            kwargs[_REFERENCE_TOKENS] = tokens.to(x.device)
        return super()._apply_model(x, t, *args, **kwargs)

    def extra_conds_shapes(self, **kwargs):
        """The host's hook: shapes of what takes memory beside the latent."""
        references = kwargs.get(REFERENCES)
        if not references:
            return {}
        return {"ref_latents": [1, self.latent_format.latent_channels, sum(math.prod(r.shape[2:]) for r in references)]}

    @staticmethod
    def _frame_texts(text: torch.Tensor, lengths: tuple[int, ...] | None, references: int):
        """Text of every frame: references that came later, by core's ReferenceLatent, get the target's text."""
        lengths = lengths or (text.shape[1],)
        if sum(lengths) != text.shape[1] or len(lengths) > references + 1:
            raise ValueError(
                f"this conditioning has {text.shape[1]} text tokens for {references} reference images, but was encoded for "
                f"{len(lengths) - 1} images with {lengths} tokens; nodes that join or shorten conditionings, or take "
                "reference latents away, do not work on ACE's: encode the instruction as a whole instead"
            )
        missing = references + 1 - len(lengths)
        if missing:
            target = text[:, : lengths[0]]
            text = torch.cat([text, *[target] * missing], dim=1)
        return text, (*lengths, *[lengths[0]] * missing)

    @staticmethod
    def _target_mask(kwargs) -> torch.Tensor | None:
        """(B or 1, 1, H, W) of the latent's size, from our own key or from a latent noise mask."""
        mask, noise = kwargs.get(TARGET_MASK), kwargs["noise"]
        if mask is None:
            mask = kwargs.get("denoise_mask")
            if mask is None:
                return None
            mask = mask[:, :1].round()
        if mask.shape[-2:] != noise.shape[-2:]:
            mask = torch.nn.functional.interpolate(mask.float(), size=noise.shape[-2:], mode="nearest-exact")
        return mask


class ACEHostConfig(comfy.supported_models_base.BASE):
    """What ComfyUI wants to know about a model family.

    Args:
        config: shape of the model.
        defaults: how it is meant to be sampled.
    """

    unet_config = {}
    unet_extra_config = {}
    latent_format = comfy.latent_formats.SD15
    # ComfyUI calls betas that are linear in time "sqrt_linear".
    sampling_settings = {"beta_schedule": "sqrt_linear", "linear_start": 1e-4, "linear_end": 0.02, "timesteps": 1000}
    memory_usage_factor = 0.5
    supported_inference_dtypes = [torch.bfloat16, torch.float16, torch.float32]

    def __init__(self, config: ACEConfig, defaults: BundleDefaults):
        super().__init__(asdict(config))
        self.ace_config = config
        self.ace_defaults = defaults

    def get_model(self, state_dict, prefix="", device=None):
        """The host's hook: an empty model of this configuration."""
        return ACEBase(self, device=device)

    def process_unet_state_dict(self, state_dict):
        """The host's hook: names in the file -> names of the model."""
        return to_model_keys(state_dict)

    def process_unet_state_dict_for_saving(self, state_dict):
        """The host's hook: names of the model -> names in the file that ModelSave writes."""
        # ModelSave writes no metadata of ours, so head count and trained size travel as tensors.
        published = {**to_published_keys(state_dict), **config_tensors(self.ace_config, self.ace_defaults.max_tokens)}
        return super().process_unet_state_dict_for_saving(published)


def load_patcher(checkpoint: Checkpoint, defaults: BundleDefaults, weight_dtype: torch.dtype | None = None):
    """Checkpoint -> ModelPatcher on the host's devices.

    Args:
        checkpoint: of :func:`ace.weights.checkpoint.read_checkpoint`.
        defaults: how the model is meant to be sampled; kept for nodes that choose sizes and guidance.
        weight_dtype: storage dtype; None lets the host decide.
    """
    management = comfy.model_management
    state_dict = dict(checkpoint.state_dict)
    parameters = comfy.utils.calculate_parameters(state_dict)
    config = ACEHostConfig(checkpoint.config, defaults)
    supported = config.supported_inference_dtypes
    load_device, offload_device = management.get_torch_device(), management.unet_offload_device()
    if weight_dtype is None:
        weight_dtype = management.unet_dtype(
            device=load_device,
            model_params=parameters,
            supported_dtypes=supported,
            weight_dtype=comfy.utils.weight_dtype(state_dict),
        )
    config.set_inference_dtype(weight_dtype, management.unet_manual_cast(weight_dtype, load_device, supported))
    model = config.get_model(state_dict, device=management.unet_inital_load_device(parameters, weight_dtype))
    # Newer hosts load straight into a patcher that pages weights in; `main.py` rebinds the name, so it is read late.
    patcher_class = getattr(comfy.model_patcher, "CoreModelPatcher", comfy.model_patcher.ModelPatcher)
    patcher = patcher_class(model, load_device=load_device, offload_device=offload_device)
    assign = {"assign": True} if getattr(patcher, "is_dynamic", bool)() else {}
    model.load_model_weights(state_dict, "", **assign)
    logging.info("ACE Edit: loaded %s (%s)", checkpoint.path.name, checkpoint.source)
    return patcher


def require_ace(model) -> ACEHostConfig:
    """The ACE configuration behind a MODEL.

    Raises:
        ValueError: the MODEL is of another family.
    """
    config = getattr(model.model, "model_config", None)
    if not isinstance(config, ACEHostConfig):
        raise ValueError(
            f"this MODEL is a {type(model.model).__name__}, not an ACE model; load one with “ACE Edit: Load Model”"
        )
    return config
