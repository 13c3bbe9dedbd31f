"""Nodes that open models."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import comfy.utils
import folder_paths
import torch
from comfy_api.latest import io

from ..ace.bundles.bundle import PUBLISHED_MODELS, BundleError, manual_download_instructions
from ..ace.weights.checkpoint import Checkpoint, read_checkpoint
from ..ace.weights.editnet import read_editnet
from ..ace.weights.presets import BundleDefaults, preset_by_name
from .host import paths
from .host.editnet import with_editnet
from .host.messages import Messages
from .host.model import load_patcher
from .host.node import Node
from .host.text_encoder import load_clip_file, load_clip_folder
from .host.types import schema
from .host.vae import load_vae

_WEIGHT_DTYPES = {
    "default": None,
    "fp8_e4m3fn": torch.float8_e4m3fn,
    "fp8_e5m2": torch.float8_e5m2,
    "bf16": torch.bfloat16,
    "fp16": torch.float16,
    "fp32": torch.float32,
}
_NOTHING_YET = "(none: put ACE models into models/ace)"
_NO_ENCODER_YET = "(none: put a t5xxl file into models/text_encoders)"
_NO_EDITNET_YET = "(none: put an EditNet into models/model_patches)"


def _weight_dtype_input() -> io.Combo.Input:
    return io.Combo.Input(
        "weight_dtype",
        options=list(_WEIGHT_DTYPES),
        tooltip="How the weights are kept in memory. “default” lets ComfyUI decide; fp8 halves the memory of bf16.",
    )


def _defaults(checkpoint: Checkpoint, name: str, messages: Messages) -> BundleDefaults:
    """How a single file is meant to be sampled: from the file, else from its name, else assumed and said so."""
    preset = preset_by_name(Path(name).as_posix())
    if checkpoint.max_tokens is None and preset is None:
        messages(
            "neither the file nor its name says how large pictures were in its training; 512 x 512 is assumed. If that is "
            "wrong, choose another “resolution” in Encode or Sampler, or store it: comfyui-ace convert --max-tokens"
        )
    preset = preset or BundleDefaults()
    return replace(preset, max_tokens=checkpoint.max_tokens or preset.max_tokens)


class LoadModelNode(Node):
    """File in models/ace -> MODEL."""

    @classmethod
    def define_schema(cls):
        return schema(
            node_id="ACELoadModel",
            display_name="ACE Edit: Load Model",
            category="loaders",
            description="Opens an ACE diffusion transformer from models/ace: the published .pth, .safetensors, what "
            "ModelSave writes, or a PixArt-α checkpoint to start a training from.",
            search_aliases=["ACE checkpoint", "load diffusion model", "UNETLoader"],
            inputs=[
                io.Combo.Input(
                    "model_name",
                    options=paths.model_names() or [_NOTHING_YET],
                    tooltip="Files in models/ace and its sub-folders.",
                ),
                _weight_dtype_input(),
            ],
            outputs=[io.Model.Output(tooltip="Works with KSampler, LoRA loaders, ModelSave and ModelMerge.")],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(cls, model_name, weight_dtype) -> io.NodeOutput:
        if model_name == _NOTHING_YET:
            repository = next(iter(PUBLISHED_MODELS.values()))
            folder = paths.model_folders()[0] / next(iter(PUBLISHED_MODELS))
            raise ValueError(f"there is no ACE model yet. {manual_download_instructions(repository, folder)}")
        checkpoint = read_checkpoint(paths.model_path(model_name))
        defaults = _defaults(checkpoint, model_name, Messages(cls.hidden.unique_id))
        return io.NodeOutput(load_patcher(checkpoint, defaults, _WEIGHT_DTYPES[weight_dtype]))


class LoadTextEncoderNode(Node):
    """File in models/text_encoders -> CLIP."""

    @classmethod
    def define_schema(cls):
        return schema(
            node_id="ACELoadTextEncoder",
            display_name="ACE Edit: Load Text Encoder",
            category="loaders",
            description="Opens T5 v1.1 XXL, the text encoder ACE was trained with. Any t5xxl file you have for FLUX or "
            "SD3 is the right one.",
            search_aliases=["T5", "t5xxl", "CLIPLoader"],
            inputs=[
                io.Combo.Input(
                    "text_encoder_name",
                    options=folder_paths.get_filename_list("text_encoders") or [_NO_ENCODER_YET],
                    tooltip="A t5xxl file in models/text_encoders, for example t5xxl_fp8_e4m3fn.safetensors.",
                )
            ],
            outputs=[io.Clip.Output(tooltip="For Encode or Sampler.")],
        )

    @classmethod
    def execute(cls, text_encoder_name) -> io.NodeOutput:
        if text_encoder_name == _NO_ENCODER_YET:
            folder = folder_paths.get_folder_paths("text_encoders")[0]
            raise ValueError(
                "there is no text encoder yet. Put t5xxl_fp16.safetensors or another t5xxl file into "
                f"{folder}, then refresh (R)"
            )
        return io.NodeOutput(load_clip_file(folder_paths.get_full_path_or_raise("text_encoders", text_encoder_name)))


class LoadEditNetNode(Node):
    """MODEL and a file in models/model_patches -> MODEL."""

    @classmethod
    def define_schema(cls):
        return schema(
            node_id="ACELoadEditNet",
            display_name="ACE Edit: Load EditNet (experimental)",
            category="loaders",
            description="Sets an EditNet beside an ACE model: a control branch that was trained for an edit and leaves the "
            "model's own weights as they are. Experimental: it is not shown to be worth more than a LoRA, which is smaller "
            "and costs no time.",
            search_aliases=["OmniEdit", "control branch", "ControlNet", "model patch"],
            is_experimental=True,
            inputs=[
                io.Model.Input("model", tooltip="An ACE model, with LoRAs or other EditNets or without."),
                io.Combo.Input(
                    "editnet_name",
                    options=folder_paths.get_filename_list(paths.EDITNETS) or [_NO_EDITNET_YET],
                    tooltip="A file in models/model_patches that was trained with method editnet. Files of other packs are "
                    "in that folder, too, and do not fit.",
                ),
                io.Float.Input(
                    "strength",
                    default=1.0,
                    min=-10.0,
                    max=10.0,
                    step=0.01,
                    tooltip="1 is as trained. At 0 the model answers alone, bit for bit as without this node.",
                ),
            ],
            outputs=[
                io.Model.Output(tooltip="The model with the branch beside it; the one that came in stays as it is.")
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(cls, model, editnet_name, strength) -> io.NodeOutput:
        if editnet_name == _NO_EDITNET_YET:
            folder = folder_paths.get_folder_paths(paths.EDITNETS)[0]
            raise ValueError(
                f'there is no EditNet yet. Train one with the setting method = "editnet", put it into {folder}, then '
                "refresh (R)"
            )
        file = read_editnet(folder_paths.get_full_path_or_raise(paths.EDITNETS, editnet_name))
        if file.sampling is not None and strength == 1.0:
            Messages(cls.hidden.unique_id)(f"{editnet_name} recommends to sample {file.sampling}")
        return io.NodeOutput(with_editnet(model, file, strength))


class LoadBundleNode(Node):
    """Folder in models/ace -> MODEL, CLIP, VAE."""

    @classmethod
    def define_schema(cls):
        return schema(
            node_id="ACELoadBundle",
            display_name="ACE Edit: Load Bundle",
            category="loaders",
            description="Opens model, text encoder and VAE of one downloaded ACE model at once, and downloads a "
            "published one if you say so.",
            search_aliases=["ACE", "download", "checkpoint", "load all"],
            inputs=[
                io.Combo.Input(
                    "bundle",
                    options=paths.bundle_names(),
                    tooltip="Folders in models/ace that hold a whole model, and the published models.",
                ),
                io.Boolean.Input(
                    "download",
                    default=False,
                    label_on="if missing",
                    label_off="never",
                    tooltip="Only if this is on, a published model that is not on disk is fetched from Hugging Face "
                    "(about 20 GB, most of it the text encoder). Can be interrupted and resumed.",
                ),
                _weight_dtype_input(),
            ],
            outputs=[
                io.Model.Output(tooltip="The diffusion transformer."),
                io.Clip.Output(tooltip="The T5 text encoder."),
                io.Vae.Output(tooltip="The VAE."),
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(cls, bundle, download, weight_dtype) -> io.NodeOutput:
        try:
            found = paths.installed_bundle(bundle)
        except BundleError:
            if not download or bundle not in PUBLISHED_MODELS:
                raise
            found = None  # an interrupted download is resumed
        if found is None:
            found = cls._download(bundle, download)
        if found.defaults.description:
            Messages(cls.hidden.unique_id)(found.defaults.description)
        model = load_patcher(read_checkpoint(found.dit), found.defaults, _WEIGHT_DTYPES[weight_dtype])
        clip = (
            load_clip_folder(found.text_encoder, found.tokenizer)
            if found.text_encoder.is_dir()
            else load_clip_file(str(found.text_encoder))
        )
        return io.NodeOutput(model, clip, load_vae(found.vae))

    @staticmethod
    def _download(name: str, allowed: bool):
        root = paths.model_folders()[0]
        if name not in PUBLISHED_MODELS:
            raise ValueError(f"there is no folder {name} in {root} any more; refresh the page and choose again")
        if not allowed:
            raise ValueError(
                f"{name} is not on this machine. Set “download” to “if missing” to fetch it, or place it by hand: "
                f"{manual_download_instructions(PUBLISHED_MODELS[name], root / name)}"
            )
        from ..ace.bundles.download import download

        bar: list[comfy.utils.ProgressBar] = []

        def progress(done: int, total: int, _file: str) -> None:
            if not bar:
                bar.append(comfy.utils.ProgressBar(total))
            bar[0].update_absolute(done, total)  # also raises when the user cancels

        return download(name, root, progress=progress)
