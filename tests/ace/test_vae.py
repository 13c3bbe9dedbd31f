"""The published VAE layout through diffusers."""

from __future__ import annotations

import pytest
import torch
from comfyui_ace.ace.vae import SCALING_FACTOR, DiffusersVAE, round_for_8_bit
from comfyui_ace.ace.weights.containers import read_container
from comfyui_ace.ace.weights.vae_names import to_ldm_names


@pytest.fixture(scope="module")
def vae(bundle):
    return DiffusersVAE.load(bundle.vae)


def test_the_published_file_has_ldm_names(bundle):
    names = read_container(bundle.vae).tensors
    assert {"encoder.down.0.block.0.conv1.weight", "decoder.up.3.block.0.conv1.weight", "quant_conv.weight"} <= set(
        names
    )
    assert names["encoder.mid.attn_1.q.weight"].ndim == 4
    assert not any("resnets" in name or "to_q" in name for name in names)


def test_names_survive_the_round_trip_through_diffusers(vae, bundle):
    stored, again = read_container(bundle.vae).tensors, to_ldm_names(vae.model.state_dict())
    assert stored.keys() == again.keys()
    assert all(torch.equal(stored[name], again[name]) for name in stored)


def test_shapes_and_scale(vae):
    image = torch.rand(2, 32, 48, 3)
    latent = vae.encode(image)
    assert latent.shape == (2, 4, 4, 6)
    pixels = image.movedim(-1, 1) * 2 - 1
    mode = vae.model.encode(pixels).latent_dist.mode()
    assert torch.allclose(latent, mode * SCALING_FACTOR)
    assert torch.equal(latent, vae.encode(image))
    decoded = vae.decode(latent)
    assert decoded.shape == image.shape and decoded.min() >= 0 and decoded.max() <= 1


def test_a_generator_draws_from_the_posterior(vae):
    image = torch.rand(1, 16, 16, 3)
    drawn = [DiffusersVAE(vae.model, torch.Generator().manual_seed(k)).encode(image) for k in (1, 1, 2)]
    assert torch.equal(drawn[0], drawn[1]) and not torch.equal(drawn[0], drawn[2])


def test_a_diffusers_folder_opens_too(vae, tmp_path):
    vae.model.save_pretrained(tmp_path / "vae")
    image = torch.rand(1, 16, 16, 3)
    assert torch.allclose(DiffusersVAE.load(tmp_path / "vae").encode(image), vae.encode(image))


def test_other_files_are_refused(bundle, tmp_path):
    with pytest.raises(ValueError, match="published layout"):
        DiffusersVAE.load(bundle.dit)
    wide = {name: tensor.clone() for name, tensor in read_container(bundle.vae).tensors.items()}
    wide["post_quant_conv.weight"] = torch.zeros(16, 16, 1, 1)
    torch.save(wide, tmp_path / "flux.pt")
    with pytest.raises(ValueError, match="16 channels"):
        DiffusersVAE.load(tmp_path / "flux.pt")


def test_half_a_grey_level_makes_savers_round():
    levels = torch.arange(256) / 255
    assert torch.equal((round_for_8_bit(levels) * 255).to(torch.uint8), torch.arange(256).to(torch.uint8))
    assert round_for_8_bit(torch.tensor([-1.0, 2.0])).tolist() == [0.0, 1.0]


def test_blocks_that_add_nothing_are_left_out_and_give_the_same(vae, bundle, tmp_path):
    tensors = dict(read_container(bundle.vae).tensors)
    idle = "encoder.down.0.block.0.conv2"
    for part in ("weight", "bias"):
        tensors[f"{idle}.{part}"] = torch.zeros_like(tensors[f"{idle}.{part}"])
    torch.save(tensors, tmp_path / "vae.bin")
    opened = DiffusersVAE.load(tmp_path / "vae.bin")
    block = opened.model.encoder.down_blocks[0].resnets[0]
    hidden = torch.randn(1, block.conv1.in_channels, 8, 8)
    assert block(hidden, None) is hidden
    whole = type(block).forward(block, hidden, None)
    assert torch.equal(whole, hidden)
    assert (
        opened.model.encoder.down_blocks[1].resnets[0](hidden.new_ones(1, block.conv1.out_channels, 8, 8), None).shape
    )
