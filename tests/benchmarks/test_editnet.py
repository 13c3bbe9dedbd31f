"""The comparison of EditNet with LoRA compares what it says."""

from __future__ import annotations

from comfyui_ace.ace.bundles.bundle import SHIPPED_BUNDLES, find_bundle
from comfyui_ace.ace.weights.checkpoint import load_model
from comfyui_ace.benchmarks.training.adapters import Task
from comfyui_ace.benchmarks.training.editnet import LARGE_LORA, SWITCHES, make_arms
from comfyui_ace.training.distil_config import make_train_config
from comfyui_ace.training.trainer.base_model import prepare_for_training
from comfyui_ace.training.trainer.learning.optimizer import trainable_parameters


def test_arms_are_what_they_are_called(tmp_path):
    arms = make_arms(every=2, learning_rate=1e-3)
    task, numbers = Task(tmp_path, [tmp_path], 2, 2, arms), {}
    for arm in arms:
        config = make_train_config(task.settings(arm, 1, "run"))
        model = load_model(find_bundle(SHIPPED_BUNDLES / "ace-tiny").dit)
        student = prepare_for_training(model, config, gradient_checkpointing=False)
        numbers[arm] = sum(parameter.numel() for parameter in trainable_parameters(student))
        if arm in SWITCHES:
            assert (config.method, config.optimizer.learning_rate) == ("editnet", 1e-3)
            assert SWITCHES[arm].items() <= config.editnet.model_dump().items()
        else:
            assert (config.method, config.optimizer.learning_rate) == ("lora", 4e-3)
    assert abs(numbers[LARGE_LORA] / numbers["EditNet"] - 1) < 0.01
    assert numbers["EditNet, no text update"] < numbers["EditNet"] == numbers["EditNet, no interaction"]
