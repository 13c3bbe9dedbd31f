"""EditNet and the arms of its paper's ablation against LoRA: the same pairs and the same computing time for each.

    .venv/bin/python -m comfyui_ace.benchmarks.training.editnet FOLDER

One LoRA has the rank that suits ace-tiny, the other one as many trained numbers as the EditNet. How it is measured is said
in :mod:`.adapters`; scores are those of :mod:`.distillation`.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from ...ace.bundles.bundle import SHIPPED_BUNDLES, find_bundle
from ...ace.model.editnet import EditNet, EditNetConfig
from ...ace.weights.checkpoint import load_model
from .adapters import add_arguments, compare

LORA, LARGE_LORA = "LoRA, rank 64", "LoRA, as many numbers"
SWITCHES = {
    "EditNet": {},
    "EditNet, no interaction": {"interaction": False},
    "EditNet, no text update": {"text_update": False},
    "EditNet, neither": {"interaction": False, "text_update": False},
}


def equal_rank(every: int) -> int:
    """Rank at which a LoRA of ace-tiny's blocks has as many numbers as an EditNet with a copy of every so many of them."""
    model = load_model(find_bundle(SHIPPED_BUNDLES / "ace-tiny").dit)
    branch = EditNet(model.config, EditNetConfig.every(every, model.config.depth), device="meta")
    matrices = [p for name, p in model.blocks.named_parameters() if p.ndim == 2 and "scale_shift_table" not in name]
    return round(sum(p.numel() for p in branch.parameters()) / sum(sum(p.shape) for p in matrices))


def make_arms(every: int, learning_rate: float) -> Mapping[str, Mapping[str, Any]]:
    """Settings in which the arms differ.

    Args:
        every: a copy of every so many blocks.
        learning_rate: of the EditNets; LoRAs have the one that suits ace-tiny.
    """
    branch = {"method": "editnet", "optimizer": {"learning_rate": learning_rate}}
    arms = {LORA: {}, LARGE_LORA: {"lora": {"rank": equal_rank(every)}}}
    return arms | {name: {**branch, "editnet": {"every": every, **switches}} for name, switches in SWITCHES.items()}


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m comfyui_ace.benchmarks.training.editnet", description=__doc__)
    add_arguments(parser, {LORA: {}, LARGE_LORA: {}, **SWITCHES})
    parser.add_argument("--every", type=int, default=2, help="a copy of every so many blocks")
    parser.add_argument("--learning-rate", type=float, default=1e-3, help="of the EditNets")
    arguments = parser.parse_args()
    compare("EditNet and LoRA in equal time", arguments, make_arms(arguments.every, arguments.learning_rate))


if __name__ == "__main__":
    main()
