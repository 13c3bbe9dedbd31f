"""Load Dataset and Browse Dataset in a real ComfyUI."""

from __future__ import annotations

import numpy as np
import pytest
from comfyui_ace.training.dataset.store import Dataset, Pair
from host.harness.comfy_server import Graph
from host.harness.edits import shown

NAME = "to-browse"


@pytest.fixture(scope="module")
def pairs(comfy) -> list[Pair]:
    """What is in the dataset, in order: fifteen pairs, the third with a mask and a reference, the last from text alone."""
    dataset = Dataset.create(comfy.base_dir / "output" / "datasets", NAME)
    rng = np.random.default_rng(0)

    def noise() -> np.ndarray:
        return rng.integers(0, 256, (24, 32, 3), dtype=np.uint8)

    stored = []
    for number in range(15):
        more = {"masks": [np.tri(24, 32, dtype=np.uint8) * 255], "references": [noise()]} if number == 2 else {}
        source = None if number == 14 else noise()
        result = dataset.append(Pair(target=noise(), source=source, instruction=f"picture {number}", **more))
        stored.append(dataset.load(result.id))
    return stored


def load(g: Graph, **widgets):
    return g.node("ACELoadDataset", **{"dataset": NAME, "split": "all", "pictures": 0, "first": 0, **widgets})


def browse(g: Graph, dataset, **widgets):
    return g.node("ACEBrowseDataset", dataset=dataset, **{"number": 0, "pair_id": "", "split": "all", **widgets})


def close(image, pixels: np.ndarray) -> bool:
    return np.abs(np.asarray(image.convert("RGB")).astype(int) - pixels).max() <= 1  # the host truncates


def test_load_hands_out_a_folder_and_lists(comfy, pairs):
    g = Graph()
    loaded = load(g, pictures=3, first=1)
    folder, count = (g.node("PreviewAny", source=loaded[k]) for k in (0, 4))
    sources, results = (g.node("PreviewImage", images=loaded[k]) for k in (1, 2))
    words = g.node("PreviewAny", source=loaded[3])
    run = comfy.run(g)
    assert shown(run, folder) == str(comfy.base_dir / "output" / "datasets" / NAME)
    assert shown(run, count) == "15"
    assert [all(map(close, run.images[sources.id], [p.source for p in pairs[1:4]]))] == [True]
    assert [all(map(close, run.images[results.id], [p.target for p in pairs[1:4]]))] == [True]
    assert run.outputs[words.id]["text"] == ["picture 1", "picture 2", "picture 3"]


def test_without_pictures_only_what_needs_them_does_not_run(comfy, pairs):
    g = Graph()
    loaded = load(g)
    g.node("PreviewImage", images=loaded[1])
    run = comfy.run(g, check=False)
    assert "set pictures above 0" in str([event.data for event in run.events if event.type == "execution_error"])


def test_splits_are_counted_apart(comfy, pairs):
    g = Graph()
    counts = [g.node("PreviewAny", source=load(g, split=split)[4]) for split in ("train", "validation")]
    run = comfy.run(g)
    train, validation = (int(shown(run, count)) for count in counts)
    splits = [pair.split for pair in pairs]
    assert (train, validation) == (splits.count("train"), splits.count("validation"))


def test_browse_takes_a_pair_by_number_and_by_id(comfy, pairs):
    g = Graph()
    dataset = load(g)
    by_number = browse(g, dataset, number=15 + 2)  # begins anew behind the end
    by_id = browse(g, dataset, number=0, pair_id=pairs[2].id)
    seen = [
        [g.node("PreviewImage", images=node[k]) for k in (0, 2, 4)]
        + [g.node("MaskPreview", mask=node[1]), g.node("PreviewAny", source=node[3])]
        for node in (by_number, by_id)
    ]
    run = comfy.run(g)
    pair = pairs[2]
    for source, result, reference, mask, words in seen:
        assert close(run.images[source.id][0], pair.source) and close(run.images[result.id][0], pair.target)
        assert close(run.images[reference.id][0], pair.references[0])
        assert close(run.images[mask.id][0], np.repeat(pair.masks[0][:, :, None], 3, axis=2))
        assert shown(run, words) == "picture 2"
    (first,), (second,) = run.images[by_number.id], run.images[by_id.id]
    assert first.size == second.size and np.array_equal(np.asarray(first), np.asarray(second))


def test_browse_shows_the_page_of_the_pair(comfy, pairs):
    """Twelve on the first page, three on the second; the chosen pair is framed."""
    g = Graph()
    dataset = load(g)
    pages = [browse(g, dataset, number=number) for number in (0, 11, 12)]
    run = comfy.run(g)
    first, eleventh, second = (run.images[page.id][0] for page in pages)
    assert first.size == eleventh.size and second.height < first.height
    assert not np.array_equal(np.asarray(first), np.asarray(eleventh))  # the frame has moved
    orange = (np.asarray(second) == (230, 150, 40)).all(axis=2)
    assert orange[:, : second.width // 3].any() and not orange[:, second.width // 3 :].any()


def test_a_new_pair_is_seen_without_a_restart(comfy, pairs):
    g = Graph()
    count = g.node("PreviewAny", source=load(g)[4])
    before = int(shown(comfy.run(g), count))
    dataset = Dataset(comfy.base_dir / "output" / "datasets" / NAME)
    rng = np.random.default_rng(99)
    images = [rng.integers(0, 256, (24, 32, 3), dtype=np.uint8) for _ in range(2)]
    assert dataset.append(Pair(target=images[0], source=images[1], instruction="one more")).stored
    assert int(shown(comfy.run(g), count)) == before + 1


MISTAKES = {
    "no such dataset": (lambda g: load(g, dataset="../input"), "Value not in list"),
    "no such pair": (lambda g: browse(g, load(g), pair_id="nobody"), "has no pair 'nobody'"),
    "nothing to unlock": (
        lambda g: g.node("PreviewImage", images=browse(g, load(g), number=14)),
        "made from text alone",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_explained(comfy, pairs, mistake):
    make, sentence = MISTAKES[mistake]
    g = Graph()
    made = make(g)
    if made is not None:
        g.node("PreviewAny", source=made[0] if mistake == "no such dataset" else "")
    assert sentence in said(comfy, g)


def said(comfy, g: Graph) -> str:
    """All errors that a run brings, also those of outputs that were passed over."""
    from host.harness.comfy_server import PromptFailedError

    try:
        run = comfy.run(g, check=False)
    except PromptFailedError as failure:
        return str(failure)
    return str(run.error) + str([event.data for event in run.events if event.type == "execution_error"])
