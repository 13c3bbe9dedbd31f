"""What devices lack: float64 on MPS, bfloat16 on old ones. No such device is here, so the lack is simulated."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from comfyui_ace.ace import devices
from comfyui_ace.ace.lcu.units import ConditionImage, ConditionUnit, LongContext
from comfyui_ace.ace.model.schedule import NoiseSchedule
from comfyui_ace.ace.pictures.keep_detail import KeepDetail, keep_detail
from comfyui_ace.ace.pictures.masks import coverage, prepare_mask
from comfyui_ace.training.trainer import preparation
from comfyui_ace.training.trainer.data import encoding
from comfyui_ace.training.trainer.errors import ConfigError
from comfyui_ace.training.trainer.learning import muon
from torch.utils._python_dispatch import TorchDispatchMode


class NoFloat64(TorchDispatchMode):
    """As MPS does, refuses float64 that is made out of a tensor, or on another device than the CPU."""

    def __torch_dispatch__(self, function, types, arguments=(), options=None):
        result = function(*arguments, **(options or {}))
        inputs = [value for value in arguments if isinstance(value, torch.Tensor)]
        for made in result if isinstance(result, (tuple, list)) else [result]:
            if not isinstance(made, torch.Tensor) or made.dtype != torch.float64:
                continue
            if made.device.type != "cpu" or any(value.dtype != torch.float64 and value.ndim for value in inputs):
                raise TypeError(f"Cannot convert a MPS Tensor to float64 dtype ({function})")
        return result


def test_masks_are_counted_exactly_without_float64():
    mask = torch.ones(2, 4200, 4200)
    mask[1, 7, 7] = 0
    with NoFloat64():
        marked = coverage(mask)
        prepare_mask(mask[:, :64, :64], grow=2, feather=3, notify=lambda _text: None)
    assert marked[0] == 1 and marked[1] < 1 and marked[1] == pytest.approx(1 - 1 / 4200**2, abs=1e-12)
    with pytest.raises(TypeError, match="float64"), NoFloat64():
        mask.mean(dtype=torch.float64)


def test_training_noise_reaches_the_device_in_its_own_type():
    schedule, generator = NoiseSchedule(), torch.Generator().manual_seed(0)
    clean, noise = torch.randn(2, 3, 4, 4, 4, generator=generator)
    times = torch.tensor([0, 500, 999])
    bar = schedule.alphas_cumprod[times].view(-1, 1, 1, 1)
    wanted = bar.sqrt().float() * clean + (1 - bar).sqrt().float() * noise
    assert torch.equal(schedule.add_noise(clean, noise, times), wanted)
    with NoFloat64():
        schedule.add_noise(clean.to("meta"), noise.to("meta"), times.to("meta"))


def test_half_precision_is_what_the_device_computes_in(monkeypatch):
    assert devices.half_precision("cpu") == torch.float32
    assert devices.half_precision("meta") == torch.float32

    def lacks_bfloat16(*size, dtype, device):
        raise TypeError("BFloat16 is not supported on MPS")

    monkeypatch.setattr(devices.torch, "ones", lacks_bfloat16)
    assert devices.half_precision("mps") == torch.float32


def test_an_edit_makes_no_float64_out_of_what_lies_on_the_device(pipeline):
    """Picture, mask, guidance and detail: nothing that MPS would refuse."""
    image = torch.rand(1, 64, 64, 3, generator=torch.Generator().manual_seed(1))
    mask = torch.zeros(1, 64, 64)
    mask[:, 16:40, 16:40] = 1
    context = LongContext(ConditionUnit("{image} at night", [ConditionImage(image, mask, "{image}")]))
    with NoFloat64():
        result = pipeline(context, seed=3, steps=2)
        kept = keep_detail(image, image * 0.9, image * 0.95, mask, settings=KeepDetail())
    assert result.images.dtype == torch.float32 and kept.dtype == torch.float32


def test_a_step_of_muon_is_of_the_type_that_the_device_computes_in(monkeypatch):
    asked = []
    monkeypatch.setattr(muon, "half_precision", lambda device: asked.append(device.type) or torch.float32)
    weight = torch.nn.Parameter(torch.randn(8, 4, generator=torch.Generator().manual_seed(2)))
    weight.grad = torch.randn(8, 4, generator=torch.Generator().manual_seed(3))
    before = weight.detach().clone()
    muon.Muon([weight], lr=0.1).step()
    assert asked == ["cpu"] and not torch.equal(weight, before)


def test_training_in_bfloat16_is_refused_where_the_device_lacks_it(tmp_path, monkeypatch):
    """A Mac before macOS 14: said at the start, with what to write into the configuration."""
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: True)
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda: torch.device("mps"))
    monkeypatch.setattr(preparation, "half_precision", lambda device: torch.float32)
    config = SimpleNamespace(precision="bf16", device="auto")
    with pytest.raises(ConfigError, match=r'\(mps\) cannot compute in bfloat16.*set precision = "fp32"'):
        preparation._check_precision(config)
    preparation._check_precision(SimpleNamespace(precision="fp32", device="auto"))
    preparation._check_precision(SimpleNamespace(precision="bf16", device="cpu"))


def test_texts_of_a_training_are_encoded_in_a_type_that_the_device_has(monkeypatch):
    monkeypatch.setattr(encoding, "half_precision", lambda device: torch.float32)
    assert encoding._text_dtype("mps") == torch.float32
