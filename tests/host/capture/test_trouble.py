"""The capturing nodes when something is wrong: with the disk, the server, a name, the graph."""

from __future__ import annotations

import json
import shutil
import signal
import time

import pytest
from comfyui_ace.training.dataset.provenance.provenance import load_graph
from comfyui_ace.training.dataset.store import Dataset
from host.harness.capture_graphs import (
    PACKS,
    NoisePictures,
    assert_inverses,
    capture_result,
    capture_source,
    datasets_root,
    run_on,
    wait_for_pairs,
)
from host.harness.comfy_server import Graph


@pytest.fixture(scope="module")
def server(start_comfy):
    return start_comfy(packs=PACKS)


@pytest.fixture(scope="module")
def photos(server) -> NoisePictures:
    return NoisePictures(server)


def _twelve_pairs(dataset: str, size: int = 400) -> Graph:
    """Larger ones, all at once. size: of the pictures, in pixels."""
    g = Graph()
    for number in range(12):
        source = capture_source(g, g.node("ProbeNoise", size=size + number))
        capture_result(g, g.node("ImageInvert", image=source), dataset)
    return g


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_pairs_that_wait_are_written_before_the_server_ends(start_comfy, ending):
    """An interrupt as from the keyboard or a service manager right after the graph, with another one at work."""
    with start_comfy(packs=PACKS) as other:
        slow = Graph()
        empty = slow.node("EmptyImage", width=8, height=8, batch_size=1, color=0)
        slow.node("PreviewImage", images=slow.node("ProbeSteps", image=empty, steps=1, seconds=60.0))
        first, _ = other.queue(_twelve_pairs("ending", size=1000)), other.queue(slow)
        other.wait(first)
        assert len(Dataset(datasets_root(other) / "ending")) < 12, (
            "nothing was left to be written: the test shows nothing"
        )
        other._process.send_signal(ending)
        code = other._process.wait(60)
        wait_for_pairs(other, "ending", 12)
        # A service manager sees what it would have seen without this pack.
        assert code == (-signal.SIGTERM if ending == signal.SIGTERM else 0)


def test_the_last_prompt_stays_in_the_queue_until_its_pairs_are_on_disk(server):
    """Whatever then happens to a server that looks idle, a power cut included."""
    server.run(_twelve_pairs("resting"))
    while any(
        server.fetch("/queue").json().values()
    ):  # the host tells that a prompt has run before it leaves the queue
        time.sleep(0.01)
    assert len(Dataset(datasets_root(server) / "resting")) == 12
    assert server.fetch("/ace/capture").json()["waiting"] == 0


def test_a_deleted_dataset_is_begun_anew(server, photos):
    """Though ComfyUI has the result in its cache and nothing in the graph has changed."""
    name, pixels = photos(31)
    g = Graph()
    capture_result(g, g.node("ImageInvert", image=capture_source(g, g.node("LoadImage", image=name))), "deleted")
    server.run(g)
    shutil.rmtree(wait_for_pairs(server, "deleted", 1).folder)
    server.run(g)
    assert_inverses(wait_for_pairs(server, "deleted", 1), [pixels])


def test_a_failed_write_is_told_and_tried_again(server, photos):
    (first, first_pixels), (second, second_pixels) = photos(32), photos(33)
    g = Graph()
    loaded = g.node("LoadImage", image=first)
    result = capture_result(g, g.node("ImageInvert", image=capture_source(g, loaded)), "broken")
    run_on(g, result)
    server.run(g)
    dataset = wait_for_pairs(server, "broken", 1)
    rows, blocked = dataset.folder / "target", dataset.folder / "blocked"
    rows.rename(blocked)
    rows.write_text("a file where the folder was")  # fails for every user, root among them
    g.set(loaded, image=second)
    run = server.run(g)
    assert any(node == result.id and "NOT KEPT: " in text for node, text in run.texts), run.texts
    error = server.run_expect_error(g)
    assert (error.kind, error.node_id) == ("validation", result.id) and "Cannot write to" in error.message
    assert "queue again" in error.message and server.fetch("/ace/capture").json()["held"] == 1
    rows.unlink()
    blocked.rename(rows)
    server.run(g)
    assert server.fetch("/ace/capture").json() == {"waiting": 0, "held": 0, "lost": 0}
    assert_inverses(wait_for_pairs(server, "broken", 2), [first_pixels, second_pixels])


@pytest.mark.parametrize(
    "name", ["../escape", "/tmp/escape", "a/b", "a\\b", "..", "", "CON", "x\u202ey", "name.", "C:evil", "a\x00b"]
)
def test_names_never_leave_the_folder(server, photos, name):
    photo, _ = photos(1)
    g = Graph()
    result = capture_result(g, g.node("ImageInvert", image=capture_source(g, g.node("LoadImage", image=photo))), name)
    before = sorted(
        path for path in server.base_dir.rglob("*") if path.is_dir() and path.name not in ("temp", "output")
    )
    error = server.run_expect_error(g)
    assert error.node_id == result.id and "dataset name" in error.message
    after = sorted(path for path in server.base_dir.rglob("*") if path.is_dir() and path.name not in ("temp", "output"))
    assert after == before


def test_a_link_out_of_the_folder_is_not_followed(server, photos, tmp_path):
    photo, _ = photos(1)
    datasets_root(server).mkdir(parents=True, exist_ok=True)
    (datasets_root(server) / "linked").symlink_to(tmp_path, target_is_directory=True)
    g = Graph()
    capture_result(g, g.node("ImageInvert", image=capture_source(g, g.node("LoadImage", image=photo))), "linked")
    assert "link to another place" in server.run_expect_error(g).message
    assert list(tmp_path.iterdir()) == []
    (datasets_root(server) / "linked").unlink()


def test_the_graph_is_kept_once_without_secrets(server, photos):
    g = Graph()
    loaded = g.node("LoadImage", image="x")
    source = capture_source(g, loaded)
    noisy = g.node("ImageAddNoise", image=source, seed=0, strength=0.5)
    g.set(noisy, api_key="sk-proj-abcdefghijklmnop1234567890")
    result = capture_result(g, noisy, "graphs", instruction="{image} grainy")
    g.node(
        "PreviewImage", images=g.node("ImageBlur", image=loaded, blur_radius=1, sigma=1.0)
    )  # has no part in the pair
    for seed in (40, 41):
        g.set(loaded, image=photos(seed)[0])
        g.set(noisy, seed=seed)
        server.run(g)
    dataset = wait_for_pairs(server, "graphs", 2)
    rows = list(dataset.rows())
    assert [row.seed for row in rows] == [40, 41] and rows[0].workflow == rows[1].workflow
    graph = load_graph(dataset.folder, rows[0].workflow)
    assert {node["class_type"] for node in graph.values()} == {
        "LoadImage",
        "ImageAddNoise",
        "ACECaptureSource",
        "ACECaptureResult",
    }
    assert "sk-proj" not in json.dumps(graph) and graph[noisy.id]["inputs"]["seed"] == "[varies]"
    assert not any(name.startswith("source_") for name in graph[result.id]["inputs"])
    info = json.loads((dataset.folder / "workflows" / f"{rows[0].workflow}.info.json").read_text())
    assert info["host"]["comfyui"] and info["host"]["nodes"]["ACECaptureResult"] == "custom_nodes.ace-edit"


BLEND = {"blend_factor": 0.5, "blend_mode": "normal"}
MISTAKES = {
    "no source": (lambda g, image: capture_result(g, image, "mistakes"), "no Capture Source"),
    "the first source is muted, the second is not": (
        lambda g, image: capture_result(
            g, g.node("ImageBlend", image1=image, image2=capture_source(g, image, index=1), **BLEND), "mistakes"
        ),
        "no Capture Source has index 0, that is {image}; there is 1",
    ),
    "the same index twice": (
        lambda g, image: capture_result(g, capture_source(g, capture_source(g, image)), "mistakes"),
        "all mark the picture with index 0",
    ),
    "a source behind its result": (
        lambda g, image: capture_source(g, g.node("ImageInvert", image=capture_result(g, image, "mistakes"))),
        "made from this very result",
    ),
    "a picture that is not marked": (
        lambda g, image: capture_result(g, capture_source(g, image), "mistakes", instruction="{image} like {image2}"),
        "names {image2}, but 1 picture(s) are marked",
    ),
    "an unknown check": (
        lambda g, image: capture_result(g, capture_source(g, image), "mistakes", checks="nope=1"),
        "nope",
    ),
    "a check without a value": (
        lambda g, image: capture_result(g, capture_source(g, image), "mistakes", checks="no_op"),
        "NAME=VALUE",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_explained(server, photos, mistake):
    make, sentence = MISTAKES[mistake]
    g = Graph()
    make(g, g.node("LoadImage", image=photos(1)[0]))
    error = server.run_expect_error(g)
    assert sentence in error.message
    assert (error.kind, error.node_type) == ("validation", "ACECaptureResult")  # nothing was computed in vain
    assert not (datasets_root(server) / "mistakes").exists()


def test_mistakes_in_words_that_are_made_while_the_graph_runs_are_explained(server, photos):
    loaded = {"image": photos(1)[0]}
    for name, text, sentence in (
        ("instruction", "{image} like {image2}", "names {image2}, but 1 picture(s) are marked"),
        ("checks", "nope=1", "nope"),
        ("dataset", "../escape", "dataset name"),
    ):
        g = Graph()
        image = capture_source(g, g.node("LoadImage", **loaded))
        words = {"dataset": "mistakes", name: g.node("ProbeTexts", texts=text)}
        capture_result(g, g.node("ImageInvert", image=image), **words)
        error = server.run_expect_error(g)
        assert error.kind == "execution" and sentence in error.message
        assert not (datasets_root(server) / "mistakes").exists()


def test_a_mistake_in_one_prompt_is_not_that_of_the_next(server, photos):
    """Both over one connection, and the nodes have the same numbers."""
    g = Graph()
    loaded = g.node("LoadImage", image=photos(2)[0])
    inverted = g.node("ImageInvert", image=loaded)
    capture_result(g, inverted, "mended")
    assert "no Capture Source" in server.run_expect_error(g).message
    capture_source(g, loaded)
    server.run(g)
    wait_for_pairs(server, "mended", 1)
