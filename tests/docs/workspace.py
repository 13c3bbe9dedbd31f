"""A folder in which the manual's commands and examples find what they speak of."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import torch
from comfyui_ace.ace.bundles.bundle import SHIPPED_BUNDLES, find_bundle
from comfyui_ace.ace.model.editnet import EditNet, EditNetConfig
from comfyui_ace.ace.weights.checkpoint import load_model
from comfyui_ace.ace.weights.containers import read_container
from comfyui_ace.ace.weights.editnet import write_editnet
from comfyui_ace.training.dataset.intake.checks import CheckSettings
from comfyui_ace.training.dataset.store import Dataset, DatasetSettings, Pair
from PIL import Image
from repository import ROOT
from safetensors.torch import save_file

PUBLISHED = "ACE-0.6B-512px"  # under this name lies the small bundle
_PHOTO = ROOT / "commands" / "data" / "cat.jpg"
_SIDE = 64


def make_workspace(folder: Path) -> None:
    """Pictures, a model, LoRAs, an EditNet, datasets and a configuration, by the names that the manual uses."""
    _make_pictures(folder)
    bundle = folder / "models" / "ace" / PUBLISHED
    shutil.copytree(SHIPPED_BUNDLES / "ace-tiny", bundle)
    weights = find_bundle(bundle).dit
    # Files are known by what is in them: a .pth may hold safetensors.
    weights = weights.rename(weights.with_name("ace_0.6b_512px.pth"))
    for name in ("ace_0.6b_512px.pth", "my_own.safetensors"):
        shutil.copyfile(weights, folder / name)
    for name in ("old-print", "blueprint"):
        _write_lora(weights, folder / f"{name}.safetensors")
    _write_editnet(weights, folder / "night.safetensors")
    for name in ("blueprint", "my-pairs"):
        _write_dataset(folder / "datasets", name)
    make_configuration(folder)
    custom_nodes = folder / "ComfyUI" / "custom_nodes"
    custom_nodes.mkdir(parents=True)
    (custom_nodes / "ace-edit").symlink_to(ROOT, target_is_directory=True)


def make_configuration(folder: Path) -> None:
    shutil.copyfile(ROOT / "training" / "configs" / "distil-lora.toml", folder / "my-edit.toml")


def _make_pictures(folder: Path) -> None:
    photo = Image.open(_PHOTO).convert("RGB")
    for number, name in enumerate(("photo.jpg", "room.jpg", "vase.png")):
        photo.crop((60 * number, 0, 60 * number + 192, 128)).resize((96, 64)).save(folder / name)
    Image.linear_gradient("L").resize((96, 64)).point(lambda level: 255 * (level > 128)).save(folder / "table.png")
    for place in ("before", "after"):
        (folder / "my-pictures" / place).mkdir(parents=True)
    for number in range(6):
        before = _square(photo, number)
        before.save(folder / "my-pictures" / "before" / f"{number}.png")
        before.point(lambda level: 255 - level).save(folder / "my-pictures" / "after" / f"{number}.png")


def _square(photo: Image.Image, number: int) -> Image.Image:
    return photo.crop((45 * number, 10 * number, 45 * number + 150, 10 * number + 150)).resize((_SIDE, _SIDE))


def _write_dataset(root: Path, name: str) -> None:
    """Four pairs, one of them held out."""
    checks = CheckSettings(near_duplicate=False)
    dataset = Dataset.create(root, name, checks=checks, settings=DatasetSettings(validation_fraction=0.25))
    photo = Image.open(_PHOTO).convert("RGB")
    for number in range(4):
        before = np.asarray(_square(photo, number))
        assert dataset.append(Pair(source=before, target=255 - before, instruction="{image} as a blueprint")).stored
    dataset.split(0.25)


def _write_editnet(weights: Path, path: Path) -> None:
    """A copy of one block without effect."""
    model, config = load_model(weights), EditNetConfig((0,))
    write_editnet(path, EditNet.copy_of(model, config).state_dict(), model.config, config, {})


def _write_lora(weights: Path, path: Path) -> None:
    """A LoRA of rank 1 that changes little."""
    generator = torch.Generator().manual_seed(0)
    rows, columns = read_container(weights).tensors["blocks.0.attn.q.weight"].shape
    factors = {"lora_A": (1, columns), "lora_B": (rows, 1)}
    prefix = "diffusion_model.blocks.0.attn.q"
    tensors = {
        f"{prefix}.{name}.weight": 0.01 * torch.randn(size, generator=generator) for name, size in factors.items()
    }
    save_file(tensors, path, {"trigger": "{image} as a blueprint"})
