"""What a distillation is told, and the numbers it trains with."""

from __future__ import annotations

from dataclasses import astuple, replace

from comfyui_ace.ace.bundles.bundle import SHIPPED_BUNDLES, find_bundle
from comfyui_ace.ace.weights.presets import DistillationDefaults
from comfyui_ace.training.distil_config import DEFAULT_CONFIG, DistilSettings, make_train_config


def test_what_the_bundle_recommends_holds_where_nothing_else_is_said(tmp_path):
    """Before it come a configuration of one's own and every single setting."""
    bundle = SHIPPED_BUNDLES / "ace-tiny"
    recommended = find_bundle(bundle).defaults.distillation
    free = DistilSettings([tmp_path / "pairs"], bundle, tmp_path / "run", "ink", device="cpu")

    def numbers(given: DistilSettings) -> tuple:
        config = make_train_config(given)
        return config.lora.rank, config.optimizer.learning_rate, config.steps, config.batch_size

    assert numbers(free) == astuple(recommended)
    assert numbers(replace(free, rank=3, steps=7)) == (3, recommended.learning_rate, 7, recommended.batch_size)
    assert numbers(replace(free, config=DEFAULT_CONFIG)) == astuple(DistillationDefaults())
