"""Training and export of ace-tiny's VAE."""

import json

import pytest
import torch

pytest.importorskip("diffusers")
pytest.importorskip("skimage")
pytest.importorskip("sklearn")

from comfyui_ace.ace.vae import SCALING_FACTOR, DiffusersVAE
from comfyui_ace.training.tiny import vae as vae_module
from comfyui_ace.training.tiny.vae import Settings, Trainer, batch, export_to, reconstruction_loss, train
from comfyui_ace.training.tiny.vae_model import disable_block, enable_block, full_resolution_blocks, make_vae
from comfyui_ace.training.tiny.vae_pictures import latent_statistics, psnr, reconstruct, render
from comfyui_ace.training.tiny.world.pictures import Pictures

SMALL = Settings(steps=4, batch=2, crop=32, pictures=6, warm_up=1, cool_down=1, learning_rate=1e-3)


@pytest.fixture(scope="module")
def pool():
    return render(Pictures(size=(48, 48)), 6, edited=0.5)


def test_untrained_it_already_brings_colours_back():
    vae = make_vae()
    image = torch.empty(1, 3, 64, 64, dtype=torch.uint8)
    image[:] = torch.tensor([200, 40, 90], dtype=torch.uint8)[:, None, None]
    back = reconstruct(vae, image)[0, :, 16:48, 16:48].mean((1, 2)) * 255
    assert back[0] > back[2] > back[1]
    torch.testing.assert_close(back, torch.tensor([200.0, 40.0, 90.0]), atol=40, rtol=0)


def test_a_few_steps_lower_the_loss(pool):
    trainer = Trainer(Settings(batch=4, crop=32, warm_up=1, learning_rate=1e-3), pool)
    images = batch(pool, trainer.settings, 0)

    def loss():
        with torch.no_grad():
            return reconstruction_loss(trainer.vae.decode(trainer.vae.encode(images).latent_dist.mode()).sample, images)

    before = loss()
    for _ in range(8):
        logged = trainer.train_step()
    assert set(logged) == {"loss", "kl", "posterior_std", "latent_std"}
    assert loss() < 0.9 * before


def test_the_loss_is_nought_for_the_target_and_feels_colour_and_edges():
    target = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    assert reconstruction_loss(target, target) == 0
    checks = (torch.arange(32)[:, None] + torch.arange(32)) % 2 * 0.2 - 0.1
    # The same size of error, once everywhere the same and once from pixel to pixel: means against differences.
    flat, rough = reconstruction_loss(target + 0.1, target), reconstruction_loss(target + checks, target)
    pixels = 0.1 + 2 * 0.1**2
    assert flat.item() == pytest.approx(pixels + 0.1, rel=1e-3)
    assert rough.item() == pytest.approx(pixels + 0.25 * 2 * 0.2, rel=1e-3)


def test_a_step_that_is_not_finite_changes_nothing(pool):
    trainer = Trainer(SMALL, pool)
    with torch.no_grad():
        trainer.vae.decoder.conv_out.bias.fill_(float("nan"))
    before = trainer.vae.encoder.conv_in.weight.clone()
    with pytest.raises(FloatingPointError, match="at step 0"):
        trainer.train_step()
    assert torch.equal(trainer.vae.encoder.conv_in.weight, before)


def test_resting_blocks_cost_nothing_and_wake_without_a_jump(pool):
    vae = make_vae()
    images = batch(pool, SMALL, 0)
    blocks = full_resolution_blocks(vae)
    for block in blocks:
        disable_block(block)
    assert not any(parameter.requires_grad for block in blocks for parameter in block.parameters())
    asleep = vae.decode(vae.encode(images).latent_dist.mode()).sample
    for block in blocks:
        enable_block(block)
    awake = vae.decode(vae.encode(images).latent_dist.mode()).sample
    torch.testing.assert_close(asleep, awake)
    assert all(parameter.requires_grad for block in blocks for parameter in block.parameters())


def test_a_block_that_widens_cannot_be_left_out():
    vae = make_vae(widths=(32, 64))
    with pytest.raises(ValueError, match="cannot be left out"):
        disable_block(vae.encoder.down_blocks[1].resnets[0])


def test_resuming_equals_going_on(tmp_path, pool, monkeypatch):
    monkeypatch.setattr(vae_module, "_pool", lambda _folder, _settings: pool)
    monkeypatch.setattr(vae_module, "HeldOut", _Nothing)
    whole = train(tmp_path / "whole", SMALL)
    train(tmp_path / "parts", Settings(**{**vars(SMALL), "steps": 2, "cool_down": 0}))
    (tmp_path / "parts" / "log.jsonl").open("a").write('{"step": 3, "lost": 1}\n{"torn')
    resumed = train(tmp_path / "parts", SMALL)
    for name, value in whole.average.items():
        assert torch.equal(value, resumed.average[name]), name
    rows = [json.loads(line) for line in (tmp_path / "parts" / "log.jsonl").read_text().splitlines()]
    assert not any("lost" in row for row in rows)
    with pytest.raises(ValueError, match="begun with seed = 0, not 7"):
        train(tmp_path / "parts", Settings(**{**vars(SMALL), "seed": 7}))


class _Nothing:
    """Held-out pictures of which there are none: measuring is tested elsewhere."""

    @classmethod
    def make(cls):
        return cls()

    def measure(self, _vae):
        return {}

    def sheet(self, _vae):
        return torch.zeros(1, 1, 3)


def test_the_exported_file_is_the_same_function_with_unit_latents(tmp_path, pool):
    trainer = Trainer(SMALL, pool)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():  # as if trained: every part matters
        for name, value in trainer.average.items():
            if name.endswith(("conv2.weight", "conv2.bias", "to_out.0.weight", "norm1.bias")):
                value += 0.02 * torch.randn(value.shape, generator=generator)
    trained = trainer.averaged()
    opened = DiffusersVAE.load(export_to(trainer, tmp_path))
    pixels = pool.permute(0, 2, 3, 1).float() / 255
    latent = opened.encode(pixels)
    assert latent.std((0, 2, 3)).tolist() == pytest.approx([1.0] * 4, abs=0.02)
    assert latent.mean((0, 2, 3)).abs().max() < 0.02
    expected = reconstruct(trained, pool)
    torch.testing.assert_close(opened.decode(latent).movedim(-1, 1), expected, atol=0.5 / 255 + 5e-3, rtol=0)
    mean, std = latent_statistics(trained, pool)
    with torch.no_grad():
        own = trained.encode(pool.float() / 127.5 - 1).latent_dist
    torch.testing.assert_close(latent, (own.mean - mean[:, None, None]) / std[:, None, None], atol=0.02, rtol=0)
    with torch.no_grad():
        exported = opened.model.encode(pool.float() / 127.5 - 1).latent_dist
    torch.testing.assert_close(exported.std * SCALING_FACTOR, own.std / std[:, None, None], atol=1e-3, rtol=0.02)


def test_psnr_of_a_known_error():
    target = torch.full((2, 3, 4, 4), 100, dtype=torch.uint8)
    output = target.float() / 255 + torch.tensor([0.1, 0.01])[:, None, None, None]
    assert psnr(output, target).tolist() == pytest.approx([20.0, 40.0], abs=1e-3)
