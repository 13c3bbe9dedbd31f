"""The VAE's decoder goes on, and the encoder does not."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

pytest.importorskip("diffusers")
pytest.importorskip("skimage")
pytest.importorskip("sklearn")

import comfyui_ace
from comfyui_ace.ace.bundles.bundle import find_bundle
from comfyui_ace.ace.vae import DiffusersVAE
from comfyui_ace.ace.weights.vae_names import to_ldm_names
from comfyui_ace.training.tiny.decoder import DecoderTrainer, PicturePool
from comfyui_ace.training.tiny.vae_model import export_again
from comfyui_ace.training.tiny.world.pictures import Pictures

BUNDLE = find_bundle(Path(comfyui_ace.__file__).parent / "bundles" / "ace-tiny")
CPU = torch.device("cpu")
SIDE = 64


@pytest.fixture(scope="module")
def vae():
    return DiffusersVAE.load(BUNDLE.vae)


@pytest.fixture(scope="module")
def pictures():
    some = Pictures("train", size=(SIDE, SIDE), seed=3)
    return torch.stack([(some[number] * 255).round().to(torch.uint8) for number in range(6)])


@pytest.fixture
def pool(vae, pictures):
    pool = PicturePool(vae, CPU, size=(SIDE, SIDE), most=4)
    pool.add(pictures)
    return pool


def saved(trainer, folder):
    """The trained VAE, through a file as it lies in a bundle."""
    path = folder / "vae.bin"
    torch.save(to_ldm_names(export_again(trainer.averaged())), path)
    return DiffusersVAE.load(path)


def test_the_pool_keeps_the_latest_of_its_size(vae, pictures, pool):
    assert len(pool) == 4
    pool.add(torch.zeros(2, 32, SIDE, 3, dtype=torch.uint8))
    assert len(pool) == 4
    latents, shown = pool.choose(torch.Generator().manual_seed(0), 8)
    known = [(picture.permute(2, 0, 1).float() / 127.5 - 1) for picture in pictures[2:]]
    for latent, picture in zip(latents, shown, strict=True):
        assert any(torch.equal(picture, one) for one in known)
        torch.testing.assert_close(latent, vae.encode((picture.permute(1, 2, 0)[None] + 1) / 2)[0], atol=1e-3, rtol=0)


def test_before_the_first_step_it_is_the_same_vae(vae, pictures, tmp_path):
    again = saved(DecoderTrainer(vae.model, CPU), tmp_path)
    image = pictures.float() / 255
    torch.testing.assert_close(again.encode(image), vae.encode(image), atol=2e-3, rtol=0)
    torch.testing.assert_close(again.decode(vae.encode(image)), vae.decode(vae.encode(image)), atol=5e-3, rtol=0)


def test_the_decoder_learns_and_latents_stay(vae, pictures, pool, tmp_path):
    before = {name: tensor.clone() for name, tensor in vae.model.state_dict().items()}
    trainer = DecoderTrainer(vae.model, CPU, seed=1)
    for step in range(12):
        assert torch.isfinite(trainer.train_step(pool, 2, step / 40))
    assert all(torch.equal(tensor, before[name]) for name, tensor in vae.model.state_dict().items())
    after = saved(trainer, tmp_path)
    image = pictures.float() / 255
    torch.testing.assert_close(after.encode(image), vae.encode(image), atol=2e-3, rtol=0)
    change = (after.decode(vae.encode(image)) - vae.decode(vae.encode(image))).abs().mean().item()
    assert 1e-3 < change < 0.1


def test_the_same_seed_is_the_same_training(vae, pool):
    losses = [
        [trainer.train_step(pool, 2, 0.0).item() for _ in range(3)]
        for trainer in (DecoderTrainer(vae.model, CPU, seed=5), DecoderTrainer(vae.model, CPU, seed=5))
    ]
    assert losses[0] == losses[1]
