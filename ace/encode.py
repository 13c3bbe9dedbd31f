"""LongContext -> Conditioning: sizes, latents and text of every frame, for both branches of classifier-free guidance."""

from __future__ import annotations

from dataclasses import dataclass

from .lcu.frames import fit_frames
from .lcu.indicators import MAX_IMAGES
from .lcu.units import LongContext, ResolvedContext, resolve
from .model.conditioning import Conditioning
from .notices import Notify, silent
from .pictures.fit import Fit
from .pictures.preprocess import LATENT_PIXELS
from .pictures.resolution import Resolution
from .text import TextEncoder, encode_indicators, encode_text
from .vae import ImageVAE


@dataclass(frozen=True, eq=False)
class EncodedContext:
    """What a sampler needs to answer a long context.

    Attributes:
        positive: the conditional branch of classifier-free guidance.
        negative: the unconditional branch; it shares images, masks and history with the other.
        latent_shape: (B, 4, h, w) of the target.
        target_fit: how the edited image was cropped and scaled, to scale the result back to the image's own size; None
            when a picture is made from text alone.
        resolved: the frames as the model sees them.
    """

    positive: Conditioning
    negative: Conditioning
    latent_shape: tuple[int, int, int, int]
    target_fit: Fit | None
    resolved: ResolvedContext


def encode(
    context: LongContext,
    text_encoder: TextEncoder,
    vae: ImageVAE,
    *,
    resolution: Resolution,
    negative_prompt: str = "",
    notify: Notify = silent,
) -> EncodedContext:
    """Prepares, encodes and orders everything the transformer is given beside noise.

    Args:
        context: images, masks and instructions of all rounds.
        text_encoder: the T5 that the model was trained with.
        vae: the VAE that the model was trained with.
        resolution: decides the size of every image and, without an image to edit, of the result.
        negative_prompt: replaces the last instruction in the negative branch.
        notify: told about whatever is changed or dropped on the way.

    Raises:
        ValueError: see :func:`ace.lcu.units.resolve`.
    """
    resolved = resolve(context, notify)
    fitted = fit_frames(resolved, resolution, notify)
    latents = [vae.encode(each.image()) for each in fitted]
    if resolved.target is None:
        size, target_mask, target_fit = tuple(side // LATENT_PIXELS for side in resolution.canvas), None, None
    else:
        target = fitted[resolved.target]
        size, target_mask, target_fit = tuple(latents[resolved.target].shape[-2:]), target.mask, target.fit
    texts, negative_texts = branch_texts(resolved, negative_prompt)
    embedded = {text: encode_text(text, text_encoder, notify) for text in dict.fromkeys(texts)}
    if negative_prompt not in embedded:
        embedded[negative_prompt] = encode_text(negative_prompt, text_encoder, notify, "the negative prompt")
    positive = Conditioning(
        context=[embedded[text] for text in texts],
        indicator_embeddings=encode_indicators(text_encoder, max(len(fitted) + 1, MAX_IMAGES)),
        target_mask=target_mask,
        references=latents,
        reference_masks=[each.mask for each in fitted],
    )
    negative = positive.replace_context([embedded[text] for text in negative_texts])
    batch = max((latent.shape[0] for latent in latents), default=1)
    return EncodedContext(positive, negative, (batch, 4, *size), target_fit, resolved)


def branch_texts(resolved: ResolvedContext, negative_prompt: str = "") -> tuple[list[str], list[str]]:
    """Texts for both branches of classifier-free guidance.

    Only the last instruction is replaced in the negative branch: earlier images and rounds keep theirs.

    Returns:
        (positive, negative), each N+1 texts: the target's, then one for each frame.
    """
    texts = [resolved.instruction, *(frame.instruction for frame in resolved.frames)]
    negative = [negative_prompt, *texts[1:]]
    if resolved.frames and resolved.frames[-1].round == resolved.rounds - 1:
        negative[-1] = negative_prompt
    return texts, negative


def noise_shape(encoded: EncodedContext, batch_size: int) -> tuple[int, int, int, int]:
    """Shape (B, 4, h, w) of the noise for ``batch_size`` variants of a context.

    Raises:
        ValueError: the context holds a batch of pictures and variants were asked for as well.
    """
    batch, *rest = encoded.latent_shape
    return (variants(batch, batch_size), *rest)


def variants(batch: int, batch_size: int) -> int:
    """How many results there are for a batch of pictures, or for so many variants of one.

    Raises:
        ValueError: both were asked for.
    """
    if batch > 1 and batch_size not in (1, batch):
        raise ValueError(
            f"the condition images are a batch of {batch}, which makes {batch} results; a batch size of {batch_size} "
            "does not fit: set it to 1"
        )
    return max(batch, batch_size)
