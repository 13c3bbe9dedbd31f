"""A dataset to judge."""

from __future__ import annotations

import pytest
from comfyui_ace.training.dataset.store import Dataset
from judging import PAIRS
from pair_factory import pair


@pytest.fixture
def dataset(tmp_path, no_sync):
    made = Dataset.create(tmp_path, "pairs")
    for seed in range(PAIRS):
        made.append(pair(seed, tags=("invert",) if seed % 2 else ("negative",)))
    return made
