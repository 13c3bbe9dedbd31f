"""Judge in a real ComfyUI: by the pixels, by a server, with weights and back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from chat_server import Reply, chat_server, marks_by_picture, openai_reply
from comfyui_ace.training.dataset.store import Dataset
from host.harness.comfy_server import Graph
from host.harness.edits import shown
from pair_factory import pair

PAIRS = 12


@pytest.fixture
def dataset(comfy, request) -> Dataset:
    made = Dataset.create(comfy.base_dir / "output" / "datasets", request.node.name.replace("_", "-")[:60])
    for number in range(PAIRS):
        assert made.append(pair(number, tags=("invert",))).stored
    return made


def judged(comfy, dataset, **widgets):
    """Runs Load Dataset, Judge and previews of what it says; returns the report, the page, the count and the run."""
    g = Graph()
    loaded = g.node("ACELoadDataset", dataset=dataset.name, split="all", pictures=0, first=0)
    values = {"server": "", "model": "", "pairs": 0, "edit": "", "weights": "leave as they are"}
    values |= {"share": 0.3, "score": 9.0, "force": False, **widgets}
    node = g.node("ACEJudge", dataset=loaded[0], **values)
    texts = [g.node("PreviewAny", source=node[k]) for k in range(4)]
    run = comfy.run(g, check=False)
    errors = [event.data for event in run.events if event.type == "execution_error"]
    if errors:
        return errors[0]["exception_message"]
    folder, report, page, kept = (shown(run, text) for text in texts)
    assert folder == str(dataset.folder) and run.images[node.id]
    return report, page, int(kept)


def weights(dataset) -> list[float]:
    return [row.weight for row in Dataset(dataset.folder).rows()]


def test_the_pixels_judge_without_a_model(comfy, dataset):
    report, page, kept = judged(comfy, dataset)
    assert (
        f"looked at {PAIRS} pairs and found no fault" in report
        and kept == PAIRS
        and "data:image" in Path(page).read_text()
    )
    assert all(0 <= row.scores["pixels"]["o_score"] <= 10 for row in Dataset(dataset.folder).rows())


def test_a_server_judges_weights_follow_and_come_back(comfy, dataset):
    with chat_server(marks_by_picture) as (address, asked):
        report, page, kept = judged(comfy, dataset, server=address, weights="best share", share=0.5)
        assert "Nothing speaks against eyes" in report and f"{kept} of {PAIRS} pairs" in report
        assert 0 < kept < PAIRS and sorted(set(weights(dataset))) == [0.0, 1.0] and page.endswith("weights.html")
        before = len(asked)
        report, _, again = judged(comfy, dataset, server=address, weights="as at first")
        assert set(weights(dataset)) == {1.0} and again == PAIRS and "first weight again" in report
        assert not any(one.body and "success" in json.dumps(one.body) for one in asked[before:]), "all known by now"


def test_a_blind_model_is_found_out(comfy, dataset):
    def blind(one):
        return openai_reply('{"first": "red", "second": "red"}') if one.body else Reply({"data": [{"id": "mole"}]})

    with chat_server(blind) as (address, _):
        message = judged(comfy, dataset, server=address)
    assert "mole was shown" in message and "saw only one" in message


def test_a_judge_that_says_the_same_of_all_is_refused(comfy, dataset):
    def lazy(one):
        reply = marks_by_picture(one)
        return (
            reply if one.body is None or "first" in json.dumps(one.body["response_format"]) else openai_reply(same(one))
        )

    def same(one):
        names = one.body["response_format"]["json_schema"]["schema"]["required"][1:]
        return json.dumps({"reasoning": "nice", **dict.fromkeys(names, 9)})

    with chat_server(lazy) as (address, _):
        message = judged(comfy, dataset, server=address, weights="at least", score=9.0)
        assert "one and the same answer" in message and set(weights(dataset)) == {1.0}
        assert judged(comfy, dataset, server=address, weights="at least", score=9.0, force=True)[2] == PAIRS


def test_nobody_at_the_address_is_said(comfy, dataset):
    message = judged(comfy, dataset, server="http://127.0.0.1:9")
    assert "Is the server running there" in message
