"""A disk that is full or read-only under a running ComfyUI: the workflow's own result is never lost, and no pair either."""

from __future__ import annotations

from contextlib import ExitStack

import numpy as np
import pytest
from disks import small_disk
from host.harness.capture_graphs import (
    PACKS,
    Gate,
    NoisePictures,
    assert_inverses,
    capture_result,
    capture_source,
    datasets_root,
    inverse,
    run_on,
    wait_for_pairs,
)
from host.harness.comfy_server import Graph


@pytest.fixture(scope="module")
def server(start_comfy):
    return start_comfy(packs=PACKS)


@pytest.fixture
def disk(server):
    """A disk of its own for the datasets; pictures that the graph saves go to another."""
    with small_disk(datasets_root(server)) as disk:
        yield disk


@pytest.fixture(scope="module")
def photos(server) -> NoisePictures:
    return NoisePictures(server)


class Inverting:
    """A graph that waits at a gate, inverts a picture, keeps the pair, saves the result and goes on for a second."""

    def __init__(self, server, photos, gate: Gate, dataset: str):
        self.server, self.photos, self.gate = server, photos, gate
        self.graph = g = Graph()
        self.loaded = g.node("LoadImage", image="any.png")
        held = gate.node(g, capture_source(g, self.loaded))
        self.kept = capture_result(g, g.node("ImageInvert", image=held), dataset)
        self.saved = g.node("SaveImage", images=self.kept, filename_prefix=dataset)
        run_on(g, self.kept)
        self.pixels: list[np.ndarray] = []

    def queue(self, seed: int) -> tuple[str, np.ndarray]:
        """Queue it for a picture; returns the prompt's id and the picture."""
        name, pixels = self.photos(seed)
        self.graph.set(self.loaded, image=name)
        return self.server.queue(self.graph), pixels

    def run(self, *seeds: int) -> list[str]:
        """Queue it for all pictures at once, see that each result is saved, and return what the marker said last."""
        told, queued = [], [self.queue(seed) for seed in seeds]
        self.gate.admit(len(queued))
        for prompt_id, pixels in queued:
            run = self.server.wait(prompt_id)
            assert run.error is None
            np.testing.assert_allclose(np.asarray(run.images[self.saved.id][0]).astype(int), inverse(pixels), atol=1)
            self.pixels.append(pixels)
            told.append([text for node, text in run.texts if node == self.kept.id][-1])
        return told

    def refused(self, seed: int) -> str:
        """Queue it where it is refused, and return what the marker has against it."""
        name, _ = self.photos(seed)
        self.graph.set(self.loaded, image=name)
        error = self.server.run_expect_error(self.graph)
        assert (error.kind, error.node_id) == ("validation", self.kept.id)  # nothing was computed in vain
        return error.message

    def assert_all_kept(self, dataset: str) -> None:
        stored = wait_for_pairs(self.server, dataset, len(self.pixels))
        assert_inverses(stored, self.pixels)
        assert not list(datasets_root(self.server).rglob("*.part"))
        assert self.server.fetch("/ace/capture").json() == {"waiting": 0, "held": 0, "lost": 0}


@pytest.fixture
def inverting(server, photos):
    """``inverting(dataset)``: the graph; whatever still waits at its gate when the test ends goes on."""
    with ExitStack() as gates:
        yield lambda dataset: Inverting(server, photos, gates.enter_context(Gate(server, dataset)), dataset)


def test_a_full_disk(server, inverting, disk):
    graph = inverting("full")
    graph.run(50)
    wait_for_pairs(server, "full", 1)
    disk.fill()
    (first, second, third) = graph.run(51, 52, 53)  # queued before anybody knew
    assert (
        first.startswith("NOT KEPT: No space left on device\n1 pair of “full” in memory")
        and "The disk is full" in first
    )
    assert "\n2 pairs of" in second and "\n3 pairs of" in third
    message = graph.refused(54)
    assert "3 pairs" in message and "Free some space" in message and "queue again" in message
    assert server.fetch("/ace/capture").json() == {"waiting": 0, "held": 3, "lost": 0}
    wait_for_pairs(server, "full", 1)  # what was there is whole
    disk.empty()
    assert "kept as noise54" in graph.run(54)[0]
    graph.assert_all_kept("full")


def test_a_disk_that_turns_read_only(server, inverting, disk):
    graph = inverting("protected")
    graph.run(60)
    wait_for_pairs(server, "protected", 1)
    prompt_id, pixels = graph.queue(61)
    disk.set_read_only(True)
    graph.gate.admit(1)
    run = server.wait(prompt_id)
    assert run.error is None and graph.saved.id in run.images
    graph.pixels.append(pixels)
    told = [text for node, text in run.texts if node == graph.kept.id][-1]
    assert told.startswith("NOT KEPT: Read-only file system\n1 pair of")
    message = graph.refused(62)
    assert "Read-only file system" in message and "choose another datasets folder" in message
    disk.set_read_only(False)
    graph.run(62)
    graph.assert_all_kept("protected")


def test_a_folder_of_datasets_that_cannot_be_made_is_said_before_anything_is_computed(server, inverting):
    """Needs no mount, and holds for root, too: a file stands where the folder should be."""
    datasets, aside = datasets_root(server), datasets_root(server).with_name("aside")
    if datasets.exists():
        datasets.rename(aside)
    datasets.write_text("a file")
    graph = inverting("nowhere")
    assert "A file is where a folder should be" in graph.refused(70)
    datasets.unlink()
    if aside.exists():
        aside.rename(datasets)
    graph.run(70)
    graph.assert_all_kept("nowhere")


def test_what_an_artist_sees_of_a_disk_that_refuses(server, photos, inverting, open_page):
    graph = inverting("seen")
    graph.gate.open()
    graph.run(80)
    target = wait_for_pairs(server, "seen", 1).folder / "target"
    target.rename(target.with_name("aside"))
    target.write_text("a file where the folder was")
    graph.graph.set(graph.loaded, image=photos(81)[0])
    page = open_page(server)
    page.load_prompt(graph.graph)
    page.queue()  # ends well
    shown = page.page.locator("span, div, p").filter(has_text="1 pair of “seen” in memory", visible=True)
    shown.last.wait_for()
    page.page.evaluate("() => app.canvas.centerOnNode(app.graph.nodes.find(n => n.type === 'ACECaptureResult'))")
    page.screenshot("capture-not-kept")
    ran = page.queue().executed  # nothing but what leads to other ends
    assert graph.saved.id not in ran and graph.kept.id not in ran
    assert [node["type"] for node in page.red_nodes()] == ["ACECaptureResult"]
    words = "\n".join(shown.all_inner_texts())
    assert "Cannot write to" in words and "queue again" in words
    page.screenshot("capture-refused")
    target.unlink()
    target.with_name("aside").rename(target)
    page.queue()
    assert page.red_nodes() == []
    wait_for_pairs(server, "seen", 2)
