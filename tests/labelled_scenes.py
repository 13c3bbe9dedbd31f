"""Datasets of drawn scenes for the tests of the labeller, labelled, and changed by hand."""

from __future__ import annotations

import json
from pathlib import Path

from comfyui_ace.training.dataset.curation.catalogue import Catalogue
from comfyui_ace.training.dataset.curation.edits import PairEdit, edit_pairs
from comfyui_ace.training.dataset.store import Dataset
from comfyui_ace.training.label.labeller import Labeller
from comfyui_ace.training.label.labelling import label_dataset
from comfyui_ace.training.label.settings import LabelSettings
from label_models import Looking, scene_pair

PAIRS = 8
PLAIN = LabelSettings(forms=("imperative", "short"), identical=0)
COLOURS = ("red", "blue", "green", "yellow")


def filled(folder: Path, count: int = PAIRS) -> Dataset:
    made = Dataset.create(folder, "scenes")
    for seed in range(count):
        before, after = COLOURS[seed % 4], COLOURS[(seed + 1) % 4]
        place = ("left", "right", "top", "bottom")[seed // 4 % 4]
        assert made.append(scene_pair(seed, before, after, place, scores={"x": 1.0}, seed=seed)).stored
    return made


def run(dataset, model=None, settings=PLAIN, **changes):
    return label_dataset(dataset, Labeller(Looking() if model is None else model, settings), settings, **changes)


def edit_by_hand(dataset: Dataset, pair: str, **changes) -> None:
    edit_pairs(Catalogue(dataset.folder), {pair: digest_of(dataset, pair)}, PairEdit(**changes))


def digest_of(dataset: Dataset, pair: str) -> str:
    catalogue = Catalogue(dataset.folder)
    catalogue.refresh()
    return catalogue.entry(pair).digest


def group(dataset: Dataset, groups: dict[str, str]) -> None:
    rows = [json.loads(row.to_json()) for row in dataset.rows()]
    lines = [json.dumps({**row, "group": groups.get(row["id"], "")}) + "\n" for row in rows]
    (dataset.folder / "metadata.jsonl").write_text("".join(lines))
