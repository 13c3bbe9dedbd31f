"""`comfyui-ace capture` on a real server: what it runs, what it keeps, and that a pair is what the workflow saw."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from comfyui_ace.training.dataset.provenance.provenance import load_graph
from host.harness.capture_runs import CaptureFolder
from host.harness.comfy_server import Graph
from PIL import Image


@pytest.fixture
def folder(tmp_path) -> CaptureFolder:
    return CaptureFolder(tmp_path)


def _inverted(**saving) -> Graph:
    graph = Graph()
    inverted = graph.node("ImageInvert", image=graph.node("LoadImage", image="any.png"))
    graph.node("SaveImage", images=inverted, filename_prefix="capture", **saving)
    return graph


def _pairs(folder: CaptureFolder) -> dict[str, list]:
    """Pairs by the stem of their input."""
    found: dict[str, list] = {}
    for row in folder.dataset.rows():
        found.setdefault(row.id.split("-")[0], []).append(folder.dataset.load(row))
    return found


def _exact_inverse(source: np.ndarray) -> np.ndarray:
    # The host computes in float32 and truncates when it saves.
    return np.clip(255.0 * (1.0 - source.astype(np.float32) / 255.0), 0, 255).astype(np.uint8)


def test_pictures_of_all_kinds_are_captured_as_the_workflow_saw_them(folder, comfy):
    photo = folder.picture("photo1.png", 1)
    rng = np.random.default_rng(2)
    smooth = Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)).resize((64, 48), Image.Resampling.BICUBIC)
    exif = Image.Exif()
    exif[0x0112] = 6
    folder.write("photo2.jpg", smooth, exif=exif)
    folder.write("photo10.png", Image.fromarray(rng.integers(0, 65536, (24, 32), dtype=np.uint16)))
    clear = np.dstack([photo[::-1], rng.integers(0, 256, (24, 32), dtype=np.uint8)])
    folder.write("clear.png", Image.fromarray(clear))
    folder.write("palette.gif", smooth.convert("P"))
    (folder.inputs / "notes.txt").write_text("no picture")
    (folder.inputs / ".hidden.png").write_bytes(b"thumbs of another program")
    one_by_one = ("--in-flight", "1")  # of two that run at once either may end first
    result = folder.run(_inverted(), "--tag", "test", *one_by_one, servers=[comfy.url])
    assert result.code == 0, result.errors

    order = [event["input"] for event in result.events_of("finished")]
    assert order == ["clear.png", "palette.gif", "photo1.png", "photo2.jpg", "photo10.png"]
    pairs = _pairs(folder)
    assert set(pairs) == {"photo1", "photo2", "photo10", "clear", "palette"}
    for (pair,) in pairs.values():
        np.testing.assert_array_equal(pair.target, _exact_inverse(pair.source))
        assert pair.instruction == "{image} captured" and pair.tags == ("test",) and pair.masks == (None,)
    np.testing.assert_array_equal(pairs["photo1"][0].source, photo)
    np.testing.assert_array_equal(pairs["clear"][0].source, photo[::-1])  # Load Image drops alpha
    assert pairs["photo2"][0].source.shape == (64, 48, 3)  # upright
    folder.check()


def test_masks_and_further_pictures_are_bound_by_stem(folder, comfy):
    """Two pictures and a mask: the second is pasted into the first where the mask is white."""
    graph = Graph()
    back = graph.node("LoadImage", image="back.png")
    front = graph.node("LoadImage", image="front.png")
    mask = graph.node("LoadImageMask", image="mask.png", channel="red")
    pasted = graph.node(
        "ImageCompositeMasked", destination=back, source=front, x=0, y=0, resize_source=False, mask=mask
    )
    graph.node("PreviewImage", images=pasted)
    backs, fronts, masks = {}, {}, {}
    for number in range(3):
        name = f"photo{number}.png"
        backs[name] = folder.picture(name, number)
        fronts[name] = folder.picture(f"photo{number}.bmp", 10 + number, folder="fronts")
        masks[name] = np.zeros((24, 32), np.uint8)
        masks[name][4 : 10 + number, 3:20] = 255
        folder.write(name, Image.fromarray(masks[name]), folder="masks")
    folder.picture("lonely.png", 50)
    folder.picture("extra.png", 51, folder="fronts")
    folders = ("--inputs-1", folder.base / "fronts", "--masks", folder.base / "masks")
    undecided = folder.run(graph, *folders, servers=[comfy.url])
    assert undecided.code == 2
    assert "1. node 1: LoadImage (back.png)\n  2. node 2: LoadImage (front.png)" in undecided.errors
    assert "--source NODE" in undecided.errors and not (folder.base / "datasets").exists()

    arguments = (*folders, "--source", "1", "--source", "2", "--check", "mask=off")
    result = folder.run(graph, *arguments, servers=[comfy.url])
    assert result.code == 1  # because of the inputs that have no partner
    assert {event["input"] for event in result.events_of("unusable")} == {"lonely.png", "extra.png"}
    pairs = _pairs(folder)
    assert set(pairs) == {"photo0", "photo1", "photo2"}
    for stem, (pair,) in pairs.items():
        name = f"{stem}.png"
        np.testing.assert_array_equal(pair.source, backs[name])
        np.testing.assert_array_equal(pair.references[0], fronts[name])
        np.testing.assert_array_equal(pair.masks[0], masks[name])
        expected = np.where(masks[name][:, :, None] > 0, fronts[name], backs[name])
        np.testing.assert_allclose(pair.target.astype(int), expected.astype(int), atol=1)  # the host truncates
        assert pair.instruction == "{image} {image1} captured"
    folder.check()


def test_the_transparency_of_a_picture_is_its_mask_where_the_workflow_uses_it(folder, comfy):
    graph = Graph()
    photo = graph.node("LoadImage", image="any.png")
    inverted = graph.node("ImageInvert", image=photo)
    pasted = graph.node(
        "ImageCompositeMasked", destination=photo, source=inverted, x=0, y=0, resize_source=False, mask=photo[1]
    )
    graph.node("SaveImage", images=pasted, filename_prefix="x")
    pixels = np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8)
    alpha = np.full((24, 32), 255, np.uint8)
    alpha[:, :16] = 0
    folder.write("hole.png", Image.fromarray(np.dstack([pixels, alpha])))
    result = folder.run(graph, servers=[comfy.url])
    assert result.code == 0, result.errors
    ((pair,),) = _pairs(folder).values()
    np.testing.assert_array_equal(pair.source, pixels)
    np.testing.assert_array_equal(pair.masks[0], 255 - alpha)
    np.testing.assert_array_equal(pair.target[:, :16], _exact_inverse(pixels)[:, :16])

    # The same workflow with mask files, into the alpha channel of what is sent.
    (folder.base / "more").mkdir()
    other = CaptureFolder(folder.base / "more")
    plain = other.picture("photo.png", 5)
    other.write("photo.png", Image.fromarray(alpha), folder="masks")
    result = other.run(graph, "--masks", other.base / "masks", servers=[comfy.url])
    assert result.code == 0, result.errors
    ((pair,),) = _pairs(other).values()
    np.testing.assert_array_equal(pair.source, plain)
    np.testing.assert_array_equal(pair.masks[0], alpha)
    np.testing.assert_array_equal(pair.target[:, 16:], _exact_inverse(plain)[:, 16:])


def test_markers_say_what_the_pair_is(folder, comfy):
    """A source marked behind a resize is kept as the marker saw it; servers never see a marker."""
    graph = Graph()
    photo = graph.node("LoadImage", image="any.png")
    style = graph.node("LoadImage", image="style.png")
    small = graph.node("ImageScale", image=photo, upscale_method="area", width=16, height=12, crop="disabled")
    mask = graph.node("SolidMask", value=1.0, width=16, height=12)
    source = graph.node("ACECaptureSource", image=small, mask=mask, index=0)
    reference = graph.node("ACECaptureSource", image=style, index=1)
    blend = graph.node("ImageBlend", image1=source, image2=reference, blend_factor=0.5, blend_mode="normal")
    result = graph.node(
        "ACECaptureResult", image=blend, instruction="{image} in the style of {image1}", dataset="unused", tags="a, b"
    )
    graph.node("SaveImage", images=result, filename_prefix="x")
    style_pixels = np.random.default_rng(7).integers(0, 256, (12, 16, 3), dtype=np.uint8)
    comfy.upload_image(Image.fromarray(style_pixels), "style.png")
    for number in range(3):
        folder.picture(f"photo{number}.png", number)
    run = folder.run(graph, "--check", "no_op=off", servers=[comfy.url])
    assert run.code == 0, run.errors
    pairs = _pairs(folder)
    assert len(pairs) == 3
    for (pair,) in pairs.values():
        assert pair.source.shape == (12, 16, 3)
        np.testing.assert_array_equal(pair.references[0], style_pixels)
        np.testing.assert_allclose(pair.target, (pair.source.astype(int) + style_pixels) / 2, atol=1)
        assert pair.masks[0].min() == 255
        assert pair.instruction == "{image} in the style of {image1}" and pair.tags == ("a", "b")
    folder.check()


def test_seeds_and_provenance(folder, comfy):
    """Several seeds a source, drawn from the source; the graph is stored once, without secrets and without what varies."""
    graph = Graph()
    photo = graph.node("LoadImage", image="any.png")
    noisy = graph.node("ImageAddNoise", image=photo, seed=5, strength=0.5)
    graph.node("SaveImage", images=noisy, filename_prefix="x")
    graph.set(noisy, api_key="sk-proj-abcdefghijklmnop1234567890")
    for number in range(2):
        folder.picture(f"photo{number}.png", number)
    (folder.inputs / "copy.png").write_bytes((folder.inputs / "photo1.png").read_bytes())
    result = folder.run(graph, "--seeds", "3", servers=[comfy.url])
    assert result.code == 0, result.errors
    rows = list(folder.dataset.rows())
    assert len(rows) == 6 and len({row.seed for row in rows}) == 6
    assert sum("the same content" in event["reason"] for event in result.events_of("skipped")) == 3
    assert len({row.workflow for row in rows}) == 1
    stored = load_graph(folder.dataset.folder, rows[0].workflow)
    text = json.dumps(stored)
    assert "sk-proj" not in text and "photo" not in text and stored["2"]["inputs"]["seed"] == "[varies]"
    info = json.loads(next((folder.dataset.folder / "workflows").glob("*.info.json")).read_text())
    assert info["host"]["comfyui"] and info["host"]["nodes"]["ImageAddNoise"]

    splits: dict[str, set] = {}
    for row in rows:
        splits.setdefault(row.source_hash, set()).add(row.split)
    assert all(len(sides) == 1 for sides in splits.values())
    more = folder.run(graph, "--seeds", "4", servers=[comfy.url])
    assert more.code == 0 and more.summary["stored"] == 2  # only the fourth of each is new
    fixed = folder.run(graph, "--first-seed", "100", "--seeds", "2", servers=[comfy.url])
    assert fixed.summary["stored"] == 4 and {100, 101} <= {row.seed for row in folder.dataset.rows()}
    folder.check()


def test_a_batch_makes_a_pair_of_each_picture(folder, comfy):
    graph = Graph()
    photo = graph.node("LoadImage", image="any.png")
    inverted = graph.node("ImageInvert", image=photo)
    blurred = graph.node("ImageBlur", image=photo, blur_radius=3, sigma=2.0)
    graph.node("PreviewImage", images=graph.node("ImageBatch", image1=inverted, image2=blurred))
    folder.picture("photo.png", 1)
    result = folder.run(graph, servers=[comfy.url])
    assert result.code == 0 and result.summary["stored"] == 2
    first, second = (folder.dataset.load(row) for row in folder.dataset.rows())
    np.testing.assert_array_equal(first.target, _exact_inverse(first.source))
    assert not np.array_equal(first.target, second.target)
    folder.check()


def test_the_teachers_time_is_that_of_the_run_alone(folder, comfy):
    """Not that in the queue; divided among the pairs of a prompt; none where a part of the edit was cached."""
    graph = Graph()
    slow = graph.node("ProbeSteps", image=graph.node("LoadImage", image="any.png"), steps=1, seconds=0.4)
    noisy = graph.node("ImageAddNoise", image=slow, seed=5, strength=0.5)
    graph.node("SaveImage", images=graph.node("RepeatImageBatch", image=noisy, amount=2), filename_prefix="x")
    for number in range(3):
        folder.picture(f"photo{number}.png", number)
    begun = time.monotonic()
    assert folder.run(graph, "--in-flight", "3", servers=[comfy.url]).code == 0
    took = time.monotonic() - begun
    times = [row.teacher_seconds for row in folder.dataset.rows()]  # the two pairs of a prompt are equal: one is kept
    assert len(times) == 3 and all(seconds is not None and 2 * seconds >= 0.4 for seconds in times)
    assert 2 * sum(times) <= took
    more = ("--seeds", "3", "--in-flight", "1", "--check", "near_duplicate=off")
    again = folder.run(graph, *more, servers=[comfy.url])
    assert again.code == 0, again.errors
    _, *fresh = [row.teacher_seconds for row in folder.dataset.rows()][3:]
    assert fresh[::2] == [None] * 3  # the slow node need not run again for another seed of the same picture
    assert fresh[1] >= 0.2 and fresh[3] >= 0.2


def test_what_fails_a_check_goes_to_the_side_list(folder, comfy):
    graph = Graph()
    photo = graph.node("LoadImage", image="any.png")
    graph.node("SaveImage", images=photo, filename_prefix="x")
    folder.picture("photo.png", 1)
    result = folder.run(graph, servers=[comfy.url])
    assert result.code == 0  # the capture worked; the pair is worth nothing
    assert result.summary["rejected"] == 1 and result.summary["stored"] == 0
    assert "equals its source" in result.events_of("finished")[0]["reasons"][0]
    assert [entry.findings[0]["check"] for entry in folder.dataset.rejected()] == ["no_op"]


def test_dry_run_touches_nothing(folder, comfy):
    for number in range(3):
        folder.picture(f"photo{number}.png", number)
    (folder.inputs / "photo9.png").write_bytes(b"broken")
    before = _server_state(comfy)
    result = folder.run(_inverted(), "--dry-run", servers=[comfy.url])
    assert result.code == 0
    assert [event["input"] for event in result.events_of("job")] == ["photo0.png", "photo1.png", "photo2.png"]
    assert result.events_of("job")[0]["files"] == [str(folder.inputs / "photo0.png")]
    assert [event["input"] for event in result.events_of("unusable")] == ["photo9.png"]
    assert _server_state(comfy) == before and not (folder.base / "datasets").exists()
    assert folder.run(_inverted(), servers=[comfy.url]).summary["stored"] == 3
    after = folder.run(_inverted(), "--dry-run", servers=[comfy.url])
    assert {event["state"] for event in after.events_of("job")} == {"done"}
    offline = folder.run(_inverted(), "--dry-run", servers=["http://127.0.0.1:9"])
    assert offline.code == 0  # a prompt needs no server to be looked at


def _server_state(comfy) -> tuple:
    files = sorted(str(path) for name in ("input", "output", "temp") for path in (comfy.base_dir / name).rglob("*"))
    return files, sorted(comfy.history())


def test_the_servers_folders_are_not_littered(folder, comfy):
    """Uploads lie in a folder of their own, once for each content; results are not saved among the artist's."""
    folder.picture("photo.png", 1)
    (folder.inputs / "same.png").write_bytes((folder.inputs / "photo.png").read_bytes())
    saved = set((comfy.base_dir / "output").rglob("*"))
    uploads = comfy.base_dir / "input" / "ace-capture"
    before = set(uploads.glob("*"))
    assert folder.run(_inverted(), servers=[comfy.url]).code == 0
    assert len(set(uploads.glob("*")) - before) <= 1
    assert set((comfy.base_dir / "output").rglob("*")) == saved
    assert folder.run(_inverted(), "--instruction", "again", servers=[comfy.url]).summary["stored"] == 1
    assert len(set(uploads.glob("*")) - before) <= 1


@pytest.mark.parametrize("name", ["../evil", "a/b", "..", "nul", ".hidden", "a\\b", ""])
def test_hostile_dataset_names_are_refused(folder, comfy, name):
    folder.picture("photo.png", 1)
    before = sorted(str(path) for path in folder.base.rglob("*"))
    result = folder.run(_inverted(), "--dataset", name, servers=[comfy.url])
    assert result.code == 1 and "name" in result.errors
    assert sorted(str(path) for path in folder.base.rglob("*") if path.name != "workflow.json") == before


def test_the_graph_is_refused_where_the_server_lacks_a_node_or_a_model(folder, comfy):
    folder.picture("photo.png", 1)
    graph = Graph()
    graph.node("SaveImage", images=graph.node("NoSuchNode", image=graph.node("LoadImage", image="x.png")))
    result = folder.run(graph, servers=[comfy.url])
    assert result.code == 1 and "NoSuchNode" in result.errors and "pack" in result.errors

    graph = Graph()
    model = graph.node("UpscaleModelLoader", model_name="not-here.safetensors")
    bigger = graph.node("ImageUpscaleWithModel", upscale_model=model, image=graph.node("LoadImage", image="x.png"))
    graph.node("SaveImage", images=bigger, filename_prefix="x")
    result = folder.run(graph, servers=[comfy.url])
    assert result.code == 1 and "not-here.safetensors" in result.errors and "No server can run" in result.errors


def test_a_terminal_is_asked_with_a_numbered_list(folder, comfy):
    """The whole command, on a terminal: an answer is taken, nonsense is asked again."""
    folder.picture("photo.png", 1)
    graph = _inverted()
    blurred = graph.node("ImageBlur", image=["1", 0], blur_radius=3, sigma=2.0)
    graph.node("SaveImage", images=blurred, filename_prefix="second")
    arguments = [part for part in folder.arguments(graph, servers=[comfy.url]) if part != "--json"]
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "comfyui_ace.cli", *arguments],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        close_fds=True,
    ) as process:
        os.close(theirs)
        said = _read_until(ours, "Number")
        assert "Which node shows the result?" in said and "1. node 3: SaveImage" in said and "2. node 5" in said
        os.write(ours, b"7\n")
        _read_until(ours, "Number")
        os.write(ours, b"2\n")
        rest = _read_until(ours, "failed.")
    assert process.returncode == 0, rest
    assert "1 stored" in rest
    ((pair,),) = _pairs(folder).values()
    assert not np.array_equal(pair.target, _exact_inverse(pair.source))  # the blurred one


def _read_until(terminal: int, words: str) -> str:
    said = ""
    while words not in said:
        try:
            said += os.read(terminal, 4096).decode("utf-8", "replace")
        except OSError:  # the other end is closed
            break
    assert words in said, said
    return said


def test_bad_usage(folder, comfy, tmp_path):
    folder.picture("photo.png", 1)
    wrong = folder.run(_inverted(), "--check", "colour=off", servers=[comfy.url])
    assert wrong.code == 2 and "colour" in wrong.errors and "near_duplicate_bits" in wrong.errors
    gap = folder.run(_inverted(), "--inputs-2", tmp_path, servers=[comfy.url])
    assert gap.code == 2 and "--inputs-1" in gap.errors
    none = folder.run(_inverted(), "--seeds", "3", servers=[comfy.url])
    assert none.code == 1 and "--seed NODE.INPUT" in none.errors
    empty = tmp_path / "empty"
    empty.mkdir()
    nothing = folder.run(_inverted(), "--inputs", empty, servers=[comfy.url])
    assert nothing.code == 1 and "holds no pictures" in nothing.errors
    folder.inputs = Path("/no/such/folder")
    missing = folder.run(_inverted(), servers=[comfy.url])
    assert missing.code == 1 and "cannot be read" in missing.errors
