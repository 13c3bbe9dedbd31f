"""The Sweep node in a real ComfyUI: one click, and the graph runs over a folder through the host's own queue."""

from __future__ import annotations

import io
import time
from pathlib import Path

import numpy as np
import pytest
from comfyui_ace.training.dataset.store import Dataset
from comfyui_ace.training.dataset.upkeep.verify import verify
from host.harness.capture_graphs import Gate
from host.harness.comfy_server import PACK_ROOT, ComfyServer, Graph
from PIL import Image

WIDGETS = {
    "masks": "none",
    "second_folder": "none",
    "dataset": "",
    "instruction": "",
    "tags": "",
    "seeds": 1,
    "checks": "",
    "action": "start",
    "retry_set_aside": False,
}


@pytest.fixture(scope="module")
def server(start_comfy):
    """A server of its own: a sweep keeps the queue busy for a while."""
    return start_comfy(packs={"ace-edit": PACK_ROOT, "probe": Path(__file__).parents[1] / "harness" / "probe_pack"})


def fill(server: ComfyServer, folder: str, count: int, size: tuple[int, int] = (16, 12)) -> dict[str, np.ndarray]:
    """Pictures of noise in a folder of the input folder; their pixels by stem."""
    place = server.base_dir / "input" / folder
    place.mkdir(parents=True, exist_ok=True)
    made = {}
    for number in range(count):
        pixels = np.random.default_rng(number).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
        Image.fromarray(pixels).save(place / f"photo{number}.png")
        made[f"photo{number}"] = pixels
    return made


def graph(dataset: str, gate: Gate | None = None) -> Graph:
    """Invert, between markers, with a gate that holds the prompts up."""
    g = Graph()
    picture = g.node("ACECaptureSource", image=g.node("LoadImage", image="any.png"), index=0)
    if gate is not None:
        picture = gate.node(g, picture)
    words = {"instruction": "{image} inverted", "dataset": dataset, "tags": "swept", "seed": -1, "checks": ""}
    result = g.node("ACECaptureResult", image=g.node("ImageInvert", image=picture), **words)
    g.node("SaveImage", images=result, filename_prefix="by-hand")
    return g


def folder_of(server: ComfyServer, name: str) -> Path:
    return server.base_dir / "output" / "datasets" / name


def count(server: ComfyServer, name: str) -> int:
    return len(Dataset(folder_of(server, name))) if (folder_of(server, name) / "metadata.jsonl").is_file() else 0


def wait_until(condition, what: str, timeout: float = 60.0) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def idle(server: ComfyServer) -> bool:
    return server.fetch("/prompt").json()["exec_info"]["queue_remaining"] == 0


def ended(server: ComfyServer) -> str:
    """What the sweep said last, once it has ended."""
    wait_until(lambda: not server.fetch("/ace/sweep").json()["running"], "the sweep does not end")
    return server.fetch("/ace/sweep").json()["text"]


def settle(server: ComfyServer, name: str, pairs: int) -> Dataset:
    text = ended(server)
    assert count(server, name) == pairs and idle(server), text
    assert "sweep: done" in text
    result = verify(folder_of(server, name))
    assert result.ok, [str(fault) for fault in result.faults]
    return Dataset(folder_of(server, name))


def test_queueing_once_runs_the_graph_over_the_folder(server):
    sources = fill(server, "holiday", 5)
    g = graph("swept")
    sweep = g.node("ACESweep", folder="holiday", **WIDGETS)
    run = server.run(g)
    assert run.executed == [sweep.id]  # the graph itself does not run, not even with the picture it has
    dataset = settle(server, "swept", 5)
    for row in dataset.rows():
        pair = dataset.load(row)
        np.testing.assert_array_equal(pair.source, sources[row.id.split("-")[0]])
        np.testing.assert_array_equal(
            pair.target, np.clip(255.0 * (1 - pair.source / np.float32(255)), 0, 255).astype("u1")
        )
        assert pair.instruction == "{image} inverted" and pair.tags == ("swept",)
    assert not list((server.base_dir / "output").glob("by-hand*"))


def test_queueing_again_repeats_nothing(server):
    """A picture that is new is added; the others are known."""
    fill(server, "growing", 3)
    g = graph("grown")
    g.node("ACESweep", folder="growing", **WIDGETS)
    server.run(g)
    settle(server, "grown", 3)
    fill(server, "growing", 4)
    mark = server.log_mark()
    server.run(g)
    settle(server, "grown", 4)
    assert server.log_text(mark).count("got prompt") == 2  # the node, and the new picture


@pytest.mark.parametrize("way", ["cancel", "widget", "route"])
def test_a_sweep_is_stopped_and_goes_on(server, way):
    """At once: also what is queued to stop it does not wait behind its prompts."""
    name = f"stopped-{way}"
    fill(server, name, 12)
    with Gate(server, name) as gate:
        g = graph(name, gate)
        sweep = g.node("ACESweep", folder=name, **WIDGETS)
        server.run(g)
        gate.admit(2)
        wait_until(lambda: count(server, name) >= 2, "no pairs came")
        gate.wait_for_prompt()
        if way == "cancel":
            server.interrupt()
        elif way == "route":
            assert server.fetch("/ace/sweep/stop", "POST").json() == {"stopping": True}
        else:
            g.set(sweep, action="stop")
            stopping = server.queue(g)
            state = server.fetch("/ace/sweep").json()
            assert state["stopping"] or not state["running"]  # it may have ended by now
    if way == "widget":
        run = server.wait(stopping)
        assert not any("none is running" in text for _, text in run.texts)
        g.set(sweep, action="start")
    assert "queue again to go on" in ended(server)
    mark = server.log_mark()
    wait_until(lambda: idle(server), "the prompt at work did not end")
    assert server.log_text(mark).count("got prompt") == 0 and 2 <= count(server, name) < 12
    server.run(g)
    settle(server, name, 12)


def test_masks_a_second_folder_and_widgets(server):
    sources, others = fill(server, "backs", 2), fill(server, "fronts", 2, size=(20, 12))
    place = server.base_dir / "input" / "masks"
    place.mkdir()
    mask = np.tri(12, 16, dtype=np.uint8) * 255
    for stem in sources:
        Image.fromarray(mask).save(place / f"{stem}.png")
    g = Graph()
    back, front = g.node("LoadImage", image="a.png"), g.node("LoadImage", image="b.png")
    first = g.node("ACECaptureSource", image=back[0], mask=back[1], index=0)
    second = g.node("ACECaptureSource", image=front[0], index=1)
    pasted = g.node(
        "ImageCompositeMasked", destination=first, source=second, x=0, y=0, resize_source=True, mask=first[1]
    )
    words = {"instruction": "", "dataset": "unused", "tags": "", "seed": -1, "checks": ""}
    g.node("ACECaptureResult", image=pasted, **words)
    widgets = {"masks": "masks", "second_folder": "fronts", "dataset": "two", "instruction": "{image1} in {image}"}
    g.node("ACESweep", folder="backs", **{**WIDGETS, **widgets, "tags": "x, y", "checks": "mask=off"})
    server.run(g)
    dataset = settle(server, "two", 2)
    for row in dataset.rows():
        pair = dataset.load(row)
        stem = row.id.split("-")[0]
        np.testing.assert_array_equal(pair.source, sources[stem])
        np.testing.assert_array_equal(pair.references[0], others[stem])
        np.testing.assert_array_equal(pair.masks[0], mask)
        assert pair.instruction == "{image1} in {image}" and pair.tags == ("x", "y")
    assert not folder_of(server, "unused").exists()


def test_a_dry_run_changes_nothing(server):
    fill(server, "dry", 2)
    g = graph("dry")
    sweep = g.node("ACESweep", folder="dry", **{**WIDGETS, "action": "dry run"})
    mark = server.log_mark()
    server.run(g)
    assert "sweep: 2 of 2 would run" in ended(server)
    g.set(sweep, action="stop")
    server.run(g)
    assert not folder_of(server, "dry").exists() and server.log_text(mark).count("got prompt") == 2


def test_a_second_sweep_waits_for_the_artist(server):
    fill(server, "twice", 8)
    with Gate(server, "twice") as gate:
        g = graph("twice", gate)
        g.node("ACESweep", folder="twice", **WIDGETS)
        server.run(g)
        gate.wait_for_prompt()
        second = server.queue(g)
        gate.admit(2)  # a sweep has two prompts in the queue, so the second sweep comes before a third one
        assert "a sweep is running already" in server.wait(second).error.message
    settle(server, "twice", 8)


def test_folders_outside_the_input_folder_are_refused(server):
    for folder in ("../output", "/etc", "..", "input/../.."):
        g = graph("outside")
        g.node("ACESweep", folder=folder, **WIDGETS)
        assert "Value not in list" in server.run_expect_error(g).message
    assert not folder_of(server, "outside").exists()


def test_the_artist_is_asked_which_loader_is_meant_and_can_say_so(server):
    """Two above one Capture Source: the markers are there, and yet it is not plain."""
    sources = fill(server, "unclear", 2)
    for name in "ab":
        server.upload_image(Image.new("RGB", (16, 12), "white"), f"{name}.png")
    g = Graph()
    first, second = (g.node("LoadImage", image=f"{name}.png") for name in "ab")
    blended = g.node("ImageBlend", image1=first, image2=second, blend_factor=0.5, blend_mode="multiply")
    marked = g.node("ACECaptureSource", image=blended, index=0)
    words = {"instruction": "", "dataset": "unclear", "tags": "", "seed": -1, "checks": ""}
    g.node("ACECaptureResult", image=g.node("ImageInvert", image=marked), **words)
    sweep = g.node("ACESweep", folder="unclear", **WIDGETS)
    text = server.run_expect_error(g).message  # not green: nothing was captured
    assert text == ended(server)
    assert (
        "Which node loads the pictures that node 4 marks?\n- node 1: LoadImage (a.png)\n- node 2: LoadImage (b.png)"
        in text
    )
    assert "Write the number of the node into “loader”" in text and "--" not in text
    assert not folder_of(server, "unclear").exists()
    g.set(sweep, loader="9")
    assert "No node has the number, title or type '9'" in server.run_expect_error(g).message
    g.set(sweep, loader=second.id)
    server.run(g)
    for pair in settle(server, "unclear", 2):
        # A white picture multiplied by the one of the folder, half and half with itself.
        np.testing.assert_allclose(pair.source, (sources[pair.id.split("-")[0]] + 255.0) / 2, atol=1)


def test_the_artist_is_asked_which_result_mask_and_seed_are_meant(server):
    sources = fill(server, "several", 1)
    fill(server, "several-masks", 1)
    server.upload_image(Image.new("RGB", (16, 12), "white"), "a.png")
    g = Graph()
    loaded = g.node("LoadImage", image="a.png")
    masks = [g.node("LoadImageMask", image="a.png", channel="red") for _ in range(2)]
    mask = g.node("MaskComposite", destination=masks[0], source=masks[1], x=0, y=0, operation="multiply")
    marked = g.node("ACECaptureSource", image=loaded, mask=mask, index=0)
    words = {"instruction": "", "tags": "", "seed": -1, "checks": ""}
    g.node("ACECaptureResult", image=g.node("ImageInvert", image=marked), dataset="several-one", **words)
    colour = g.node("EmptyImage", width=16, height=12, batch_size=1, color=0)  # a seed by another name
    tinted = g.node("ImageBlend", image1=marked, image2=colour, blend_factor=0.5, blend_mode="normal")
    other = g.node("ACECaptureResult", image=tinted, dataset="several-two", **words)
    sweep = g.node("ACESweep", folder="several", **{**WIDGETS, "masks": "several-masks"})
    text = server.run_expect_error(g).message
    assert "Which marker's result" in text and "(several-two)" in text and "into “result”" in text
    g.set(sweep, result=other.id)
    text = server.run_expect_error(g).message
    assert "Which node loads the masks of masks?" in text and "into “mask_loader”" in text
    g.set(sweep, mask_loader=masks[1].id, seeds=2)
    assert "Name it with seed_input" in server.run_expect_error(g).message
    g.set(sweep, seed_input=f"{colour.id}.color", checks="mask=off, near_duplicate=off")
    server.run(g)
    first, second = settle(server, "several-two", 2)
    for pair in (first, second):
        np.testing.assert_array_equal(pair.source, sources["photo0"])
    assert first.seed != second.seed and not np.array_equal(first.target, second.target)
    assert not folder_of(server, "several-one").exists()


def test_checks_are_those_of_the_marker_where_the_sweep_has_none(server):
    fill(server, "unchanged", 2)
    g = Graph()
    marked = g.node("ACECaptureSource", image=g.node("LoadImage", image="any.png"), index=0)
    words = {"instruction": "", "dataset": "unchanged", "tags": "", "seed": -1, "checks": "no_op=off"}
    g.node("ACECaptureResult", image=marked, **words)
    sweep = g.node("ACESweep", folder="unchanged", **WIDGETS)
    server.run(g)
    settle(server, "unchanged", 2)
    g.set(sweep, dataset="strict", checks="no_op=on")
    server.run(g)
    assert ended(server).startswith("sweep: done, but all 2 pairs were rejected\n") and count(server, "strict") == 0
    assert server.fetch("/ace/sweep").json()["failed"] is True


def test_without_markers_a_plain_graph_needs_but_a_name(server):
    sources = fill(server, "plain", 2)
    g = Graph()
    inverted = g.node("ImageInvert", image=g.node("LoadImage", image="a.png"))
    g.node("SaveImage", images=inverted, filename_prefix="x")
    sweep = g.node("ACESweep", folder="plain", **WIDGETS)
    assert "The dataset has no name" in server.run_expect_error(g).message
    g.set(sweep, dataset="plain")
    server.run(g)
    dataset = settle(server, "plain", 2)
    assert {pair.source.tobytes() for pair in dataset} == {pixels.tobytes() for pixels in sources.values()}
    assert {row.instruction for row in dataset.rows()} == {"{image} plain"}


def test_what_went_wrong_is_told_and_does_not_count_as_success(server):
    """Only what is not zero is counted, and the last pair can be looked at."""
    fill(server, "partly", 2)
    (server.base_dir / "input" / "partly" / "broken.png").write_bytes(b"no picture")
    g = graph("partly")
    sweep = g.node("ACESweep", folder="(choose a folder)", **WIDGETS)
    assert "choose a folder" in server.run_expect_error(g).message
    g.set(sweep, folder="partly")
    server.run(g)
    text = ended(server)
    assert text.startswith("sweep: done, but 1 of 3 gave no pair\n2 pairs kept, 1 could not be used\n")
    assert "could not be used: broken" in text and "0 " not in text
    state = server.fetch("/ace/sweep").json()
    assert (state["failed"], state["done"], state["total"]) == (True, 3, 3)
    picture = Image.open(io.BytesIO(server.fetch("/ace/sweep/pair").body))
    assert picture.size == (16 + 4 + 16, 12)
    (server.base_dir / "input" / "partly" / "broken.png").unlink()
    server.run(g)
    assert ended(server) == (
        "sweep: done; all 2 were captured earlier, and there is nothing new in the folder\n2 done earlier"
    )
    assert server.fetch("/ace/sweep").json()["failed"] is False


def test_a_single_node_is_run_where_the_artist_asks_for_it(server):
    """The play button of a node sends its id along; the sweep stays out of it."""
    fill(server, "single", 1)
    g = Graph()
    shown = g.node("PreviewImage", images=g.node("EmptyImage", width=8, height=8, batch_size=1, color=0))
    g.node("ACESweep", folder="single", **{**WIDGETS, "dataset": "single"})
    body = {"prompt": g.prompt(), "client_id": server.client_id, "partial_execution_targets": [shown.id]}
    prompt_id = server.fetch("/prompt", "POST", json=body).json()["prompt_id"]
    assert server.wait(prompt_id).executed == ["1", shown.id]
    assert not folder_of(server, "single").exists()
