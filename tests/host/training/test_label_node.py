"""Label in a real ComfyUI: tasks told from the pixels, a server, rows and back."""

from __future__ import annotations

import json

import pytest
from chat_server import chat_server, openai_reply
from comfyui_ace.training.dataset.store import Dataset
from comfyui_ace.training.label.journal import LabelJournal
from host.harness.comfy_server import Graph
from host.harness.edits import shown
from label_models import scene_pair
from label_server import server
from pair_factory import pair

PAIRS = 4


@pytest.fixture
def dataset(comfy, request) -> Dataset:
    made = Dataset.create(comfy.base_dir / "output" / "datasets", f"label-{request.node.name}".replace("_", "-")[:60])
    for seed in range(PAIRS):
        assert made.append(scene_pair(seed, "red", "blue", ("left", "right", "top", "bottom")[seed])).stored
    assert made.append(pair(50)).stored  # an inverted one
    return made


def label(comfy, dataset, **widgets):
    """Runs Load Dataset, Label and previews; returns the report, how many wait, or what went wrong."""
    g = Graph()
    loaded = g.node("ACELoadDataset", dataset=dataset.name, split="all", pictures=0, first=0)
    values = {"server": "", "model": "", "pairs": 0, "language": "English", "rewrites": 0, "rows": "propose only"}
    node = g.node("ACELabel", dataset=loaded[0], **{**values, **widgets})
    texts = [g.node("PreviewAny", source=node[k]) for k in range(3)]
    run = comfy.run(g, check=False)
    errors = [event.data for event in run.events if event.type == "execution_error"]
    if errors:
        return errors[0]["exception_message"]
    folder, report, waiting = (shown(run, text) for text in texts)
    assert folder == str(dataset.folder) and run.images[node.id]
    return report, int(waiting)


def test_without_a_model_only_what_pixels_tell(comfy, dataset):
    report, waiting = label(comfy, dataset)
    assert waiting == 1 and "1 invert" in report and f"{PAIRS} without text" in report


def test_a_server_proposes_rows_follow_and_come_back(comfy, dataset):
    with chat_server(server("openai")) as (address, asked):
        report, waiting = label(comfy, dataset, server=address)
        assert waiting == PAIRS + 1 and f"pictures are sent to {address}" in report
        assert all(row.phrasings == () for row in Dataset(dataset.folder).rows())
        count = len(asked)
        report, waiting = label(comfy, dataset, server=address, rows="write checked texts")
        assert waiting == 0 and f"{PAIRS + 1} pairs have new instructions" in report
        assert not any(one.body and "differences" in json.dumps(one.body) for one in asked[count:]), "all known by now"
    assert all(len(row.all_instructions) == 4 for row in Dataset(dataset.folder).rows())
    report, waiting = label(comfy, dataset, rows="as before")
    assert waiting == PAIRS + 1 and "earlier instructions again" in report
    assert all(row.phrasings == () for row in Dataset(dataset.folder).rows())
    assert len(list(LabelJournal(dataset.folder).items())) == PAIRS + 1


def test_a_blind_model_is_found_out(comfy, dataset):
    def blind(one):
        return openai_reply('{"first": "red", "second": "red"}') if one.body else server("openai")(one)

    with chat_server(blind) as (address, _):
        message = label(comfy, dataset, server=address)
    assert "saw only one" in message and not (dataset.folder / "label" / "labels.jsonl").exists()
