"""A dataset that is changed by hand."""

import pytest
from comfyui_ace.training.dataset.curation.catalogue import Catalogue
from comfyui_ace.training.dataset.store import Dataset
from pair_factory import pair


@pytest.fixture
def dataset(tmp_path) -> Dataset:
    made = Dataset.create(tmp_path, "pairs")
    for seed in range(4):
        made.append(pair(seed, tags=("even",) if seed % 2 == 0 else (), name=f"photo {seed}"))
    return made


@pytest.fixture
def catalogue(dataset) -> Catalogue:
    opened = Catalogue(dataset.folder)
    opened.refresh()
    return opened
