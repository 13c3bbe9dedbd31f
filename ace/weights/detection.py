"""Detects what a file is when it is no ACE model, so that an error can say so and where the file belongs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class FileKind:
    """What a file looks like.

    Attributes:
        name: a noun phrase with its article, for the end of "it looks like …".
        advice: a sentence that says what to do.
    """

    name: str
    advice: str


_GET_ACE = "The ACE weights are ace_0.6b_512px.pth or ace_0.6b_1024px.pth from scepter-studio on Hugging Face."
_ASK_AGAIN = (
    "The server answered with a page instead of the file: log in or accept the terms there, and download again."
)

# Beginnings of files that get saved under the names of weights, in the order they are tried.
_BYTES: tuple[tuple[re.Pattern[bytes], FileKind], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE | re.DOTALL), FileKind(name, advice))
    for pattern, name, advice in (
        (
            rb"version https://git-lfs\.github\.com/spec/",
            "a Git LFS pointer, not the weights",
            "The repository was cloned without its large files: run `git lfs pull` in it, or download the file itself.",
        ),
        (rb"\s*(<!doctype html|<html|<head|<\?xml)", "an HTML page", _ASK_AGAIN),
        (rb'\s*\{\s*"error', "an error message from a download server", _ASK_AGAIN),
        (
            rb'\s*\{.*"weight_map"',
            "the index of a model that is split into several files",
            "Choose a file in one piece: " + _GET_ACE,
        ),
        (rb"\s*[{\[]", "a JSON text", "It may be a configuration or a workflow; choose the weight file. " + _GET_ACE),
        (
            rb"GGUF",
            "a GGUF file",
            "GGUF is not read here; use the .safetensors or .pth file of the model, stored in fp8 to save memory.",
        ),
        (rb"\x89PNG|\xff\xd8\xff|RIFF....WEBP|GIF8", "an image", "Choose the weight file instead. " + _GET_ACE),
        (rb"\x1f\x8b|7z\xbc\xaf|Rar!|\xfd7zXZ|\x28\xb5\x2f\xfd", "a packed archive", "Unpack it first."),
        (rb"\x89HDF", "an HDF5 (Keras) file", _GET_ACE),
        (rb"\x93NUMPY", "a NumPy array", _GET_ACE),
        (rb"[\t\n\r\x20-\x7e]{16}", "a text file", "Choose the weight file instead. " + _GET_ACE),
    )
)


@dataclass(frozen=True)
class _Rule:
    """Every pattern must match at the start of some name, or after a dot in it."""

    found: FileKind
    patterns: tuple[str, ...]

    def matches(self, names: str) -> bool:
        return all(re.search(rf"(?:^|\.)(?:{pattern})", names, re.MULTILINE) for pattern in self.patterns)


def _rule(name: str, advice: str, *patterns: str) -> _Rule:
    return _Rule(FileKind(name, advice), patterns)


_OTHER_MODEL = (
    "ACE Edit runs only ACE models; load this one with ComfyUI's own Load Diffusion Model or Load Checkpoint. "
    + _GET_ACE
)
_ACE_STEP = "ACE-Step shares only its name with ACE; load it with ComfyUI's Load Checkpoint. " + _GET_ACE
_VAE = "It belongs in models/vae and into a VAE loader; ACE uses the VAE of Stable Diffusion 1.x. "
_TEXT = "It belongs in models/text_encoders and into a text encoder loader. "
_LORA = (
    "A LoRA holds only changes to a model: load the ACE model first, then apply the LoRA with a LoRA loader node "
    "(LoraLoaderModelOnly), provided that it was trained for ACE."
)
_CONTROL = "It is an add-on to another model; ACE takes control images as condition images and needs no such file."

_EDITNET = (
    "An EditNet steers a model: load the ACE model first, then apply the file with “ACE Edit: Load EditNet”, or with "
    "--editnet on the command line."
)
EDITNET_PREFIX = "editnet."
"""What all names in an EditNet's file begin with."""

# Adapters come first: their names contain the names of the model they were made for.
_ADAPTERS: tuple[_Rule, ...] = (
    _rule("an EditNet for ACE", _EDITNET, r"editnet\.blocks\.\d"),
    _rule(
        "a LoRA for FLUX (ACE++ publishes such LoRAs too)",
        "ACE and ACE++ are different models; apply it to FLUX with a LoRA loader node.",
        r"(.*[._])?(double_blocks|single_blocks|single_transformer_blocks)[._]",
        r"(.*[._])?lora(_[AB]|_up|_down)?[._]",
    ),
    _rule(
        "a LoRA",
        _LORA,
        r"lora_(unet|te\d?|transformer)_|(.*[._])?lora(_[AB]|_up|_down|_mid|_linear_layer|_magnitude)?\.",
    ),
    _rule(
        "a LoHa or LoKr adapter (a kind of LoRA)", _LORA, r"(.*\.)?(hada_w1_a|lokr_w1|oft_blocks|oft_diag|dora_scale)"
    ),
    _rule("a LoRA made of full differences", _LORA, r"(.*\.)?diff(_b)?$"),
    _rule("a ControlNet", _CONTROL, r"control_model\.|controlnet_(cond_embedding|blocks|down_blocks)|input_hint_block"),
    _rule("an IP-Adapter", _CONTROL, r"ip_adapter\.|image_proj(_model)?\."),
    _rule("a textual inversion embedding", _CONTROL, r"string_to_param|emb_params$|clip_[lg]$"),
)

_MODELS: tuple[_Rule, ...] = (
    _rule("ACE-Step, a music model", _ACE_STEP, r"genre_embedder|speaker_embedder|lyric_(encoder|embs|proj|embedder)"),
    _rule("ACE-Step, a music model", _ACE_STEP, r"layers\.0\.cross_attn_norm\.", r"layers\.0\.scale_shift_table"),
    _rule("HunyuanVideo", _OTHER_MODEL, r"double_blocks\.0\.", r"txt_in\.individual_token_refiner"),
    _rule("Chroma (FLUX-like)", _OTHER_MODEL, r"double_blocks\.0\.", r"distilled_guidance_layer"),
    _rule("FLUX", _OTHER_MODEL, r"double_blocks\.0\.", r"single_blocks\.0\."),
    _rule(
        "FLUX or a relative of it in the diffusers layout",
        _OTHER_MODEL,
        r"single_transformer_blocks\.0\.",
        r"transformer_blocks\.0\.",
    ),
    _rule("Stable Diffusion 3", _OTHER_MODEL, r"joint_blocks\.0\."),
    _rule("Qwen-Image", _OTHER_MODEL, r"transformer_blocks\.0\.img_mod\."),
    _rule(
        "Stable Diffusion 3 in the diffusers layout",
        _OTHER_MODEL,
        r"transformer_blocks\.0\.attn\.add_q_proj",
        r"pos_embed\.proj",
    ),
    _rule("Stable Diffusion (a UNet)", _OTHER_MODEL, r"input_blocks\.0\.0\.", r"middle_block\.1\.transformer_blocks\."),
    _rule("Stable Diffusion in the diffusers layout (a UNet)", _OTHER_MODEL, r"down_blocks\.0\.", r"time_embedding\."),
    _rule("Wan, a video model", _OTHER_MODEL, r"blocks\.0\.self_attn\.", r"patch_embedding\."),
    _rule("LTX-Video", _OTHER_MODEL, r"adaln_single\.", r"patchify_proj\."),
    _rule("Lumina or Z-Image", _OTHER_MODEL, r"noise_refiner\.0\.", r"cap_embedder\."),
    _rule("HunyuanDiT", _OTHER_MODEL, r"mlp_t5\.0\."),
    _rule(
        "a PixArt model in the diffusers layout",
        "An ACE model can be initialised from PixArt-α, but from the original file (for example "
        "PixArt-XL-2-512x512.pth from PixArt-alpha/PixArt-alpha), not from this layout.",
        r"adaln_single\.linear\.",
        r"transformer_blocks\.0\.attn1\.",
    ),
    _rule("DiT (class-conditional)", _OTHER_MODEL, r"y_embedder\.embedding_table", r"blocks\.0\.attn\.qkv"),
    _rule("a diffusion transformer of another kind in the diffusers layout", _OTHER_MODEL, r"transformer_blocks\.0\."),
)

_PARTS: tuple[_Rule, ...] = (
    _rule("a VAE in the diffusers layout", _VAE, r"decoder\.up_blocks\.0\.resnets\."),
    _rule("a VAE", _VAE, r"decoder\.(up\.0\.block\.0|mid\.block_1)\."),
    _rule("a VAE of a video model", _VAE, r"decoder\.(middle|upsamples)\.0\.residual\."),
    _rule("a tiny autoencoder for previews (TAESD)", _VAE, r"(taesd_)?(decoder|encoder)(\.layers)?\.\d+\.conv\.\d"),
    _rule("a T5 text encoder", _TEXT + "ACE uses T5 v1.1 XXL.", r"encoder\.block\.0\.layer\.0\.SelfAttention\."),
    _rule("a T5 text encoder (GGUF names)", _TEXT, r"enc\.blk\.0\.attn_q"),
    _rule(
        "a CLIP text encoder",
        _TEXT + "ACE reads T5 v1.1 XXL, not CLIP.",
        r"token_embedding\.",
        r"(encoder\.layers|resblocks)\.0\.",
    ),
    _rule("a CLIP vision model", "ACE does not use one.", r"embeddings\.class_embedding", r"encoder\.layers\.0\."),
    _rule("a language model", _TEXT + "ACE reads T5 v1.1 XXL.", r"layers\.0\.self_attn\.q_proj"),
    _rule(
        "an upscaling model", "It belongs in models/upscale_models.", r"body\.0\.rdb1\.|RDB1\.|conv_first\.|sub\.0\.RDB"
    ),
    _rule("the state of an optimizer", "Choose the file with the model's weights.", r"(.*\.)?exp_avg(_sq)?$"),
)


def detect_from_bytes(head: bytes) -> FileKind | None:
    """What the first bytes of a file that holds no tensors say, or None."""
    return next((found for pattern, found in _BYTES if pattern.match(head)), None)


def detect_from_tensors(shapes: Mapping[str, Sequence[int]]) -> FileKind | None:
    """What the names and shapes of a file's tensors look like if they are not ACE's, or None if they are unknown.

    Args:
        shapes: name -> shape, with or without prefixes such as ``model.diffusion_model.``.
    """
    found = _first(_ADAPTERS, shapes) or _first(_MODELS, shapes) or _first(_PARTS, shapes)
    if found is None:
        return None
    if found.name == "FLUX" and _width(shapes, "img_in.weight") == ACE_PLUS_CHANNELS:
        return FileKind("ACE++ (built on FLUX)", "ACE++ is another model than ACE: " + found.advice)
    if found.name.startswith("Stable Diffusion"):
        return FileKind(_stable_diffusion(found.name, shapes), found.advice)
    return found


def is_editnet(names: Iterable[str]) -> bool:
    """Whether a file with tensors of these names is a control branch for ACE."""
    return any(name.startswith(EDITNET_PREFIX) for name in names)


# ACE++'s fully fine-tuned FLUX takes 448 channels (64 noise and 384 conditions); FLUX's own variants take 64, 128, 384.
ACE_PLUS_CHANNELS = 448


def _first(rules: Iterable[_Rule], shapes: Iterable[str]) -> FileKind | None:
    names = "\n".join(shapes)
    return next((rule.found for rule in rules if rule.matches(names)), None)


def _width(shapes: Mapping[str, Sequence[int]], suffix: str) -> int | None:
    """Input width of the first matrix whose name ends so."""
    return next((shape[1] for name, shape in shapes.items() if name.endswith(suffix) and len(shape) > 1), None)


def _stable_diffusion(name: str, shapes: Mapping[str, Sequence[int]]) -> str:
    """Names the generation of a UNet by the width of the text that it reads."""
    generation = {768: "1.x", 1024: "2.x", 2048: "XL", 1280: "XL Refiner"}.get(_width(shapes, "attn2.to_k.weight") or 0)
    return name.replace("Stable Diffusion", f"Stable Diffusion {generation}") if generation else name
