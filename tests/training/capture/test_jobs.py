"""Inputs, jobs and the journal: what belongs together, what a job is, and what is remembered of it."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from comfyui_ace.training.capture.client import PromptValidationError, parse_url, public_name
from comfyui_ace.training.capture.errors import CaptureError
from comfyui_ace.training.capture.failures import classify_failure, classify_validation_error, safe_message
from comfyui_ace.training.capture.inputs import (
    InputGroup,
    LoadedPicture,
    check_headers,
    encode_mask,
    encode_picture,
    group_by_stem,
    load_group,
    natural_key,
)
from comfyui_ace.training.capture.plan import Job, Plan, job_key, make_plan, seeds_for
from comfyui_ace.training.capture.results import (
    FetchedFiles,
    UnusableResultError,
    edit_seconds,
    make_pairs,
    pair_name,
    picture_refs,
    store_pairs,
    stored_result_numbers,
)
from comfyui_ace.training.capture.role_finder import find_roles
from comfyui_ace.training.capture.roles import RoleChoices
from comfyui_ace.training.capture.workflow.load import load_workflow
from comfyui_ace.training.dataset.store import Dataset
from comfyui_ace.training.errors import ImageError
from host.harness.graph import Graph
from hypothesis import given
from hypothesis import strategies as st
from pair_factory import encoded, picture
from PIL import Image


def _write(path: Path, seed: int = 0, size: tuple[int, int] = (8, 6)) -> np.ndarray:
    path.parent.mkdir(exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return pixels


def _plan(strength: float = 1.0, instruction: str = "go") -> Plan:
    graph = Graph()
    noise = graph.node("ImageAddNoise", image=graph.node("LoadImage", image="any.png"), seed=5, strength=strength)
    graph.node("SaveImage", images=noise)
    workflow = load_workflow(graph.prompt())
    return make_plan(workflow, find_roles(workflow, RoleChoices()), instruction)


# -- inputs ---------------------------------------------------------------------------------------------------------


def test_files_are_bound_by_stem_in_natural_order(tmp_path):
    for name in ("b10.png", "b9.png", "a.png", "lonely.png", "twice.png", "twice.jpg"):
        _write(tmp_path / "in" / name)
    for name in ("b10.bmp", "b9.png", "a.webp", "twice.png", "extra.png"):
        _write(tmp_path / "more" / name)
    for name in ("b10.png", "b9.png", "a.png", "twice.png", "lonely.png"):
        _write(tmp_path / "masks" / name)
    groups, unusable, passed_over = group_by_stem([tmp_path / "in", tmp_path / "more"], {1: tmp_path / "masks"})
    assert passed_over == []
    assert [group.name for group in groups] == ["a", "b9", "b10"]
    assert [path.name for path in groups[0].files] == ["a.png", "a.webp"]
    assert groups[0].masks == (None, tmp_path / "masks" / "a.png")
    reasons = {entry.label: entry.reason for entry in unusable}
    assert set(reasons) == {"lonely.png", "twice.jpg", "extra.png"}
    assert "several files named 'twice'" in reasons["twice.jpg"] and "no file named 'lonely'" in reasons["lonely.png"]


def test_folders_without_pictures(tmp_path):
    with pytest.raises(CaptureError, match="cannot be read"):
        group_by_stem([tmp_path / "missing"], {})
    with pytest.raises(CaptureError, match="holds no pictures"):
        group_by_stem([tmp_path], {})


@given(st.lists(st.text(max_size=8), max_size=6))
def test_any_names_can_be_sorted(names):
    assert len(sorted(names, key=natural_key)) == len(names)


def test_pictures_and_masks_survive_the_way_to_the_server(tmp_path):
    """What core's loaders take out of the sent files is what is stored."""
    pixels = _write(tmp_path / "a.png", 1)
    mask = np.random.default_rng(2).integers(0, 256, (6, 8), dtype=np.uint8)
    picture = LoadedPicture(pixels, mask)
    sent = Image.open(io.BytesIO(encode_picture(picture, with_mask=True)))
    np.testing.assert_array_equal(np.asarray(sent.convert("RGB")), pixels)  # LoadImage's image
    np.testing.assert_array_equal(255 - np.asarray(sent.getchannel("A")), mask)  # LoadImage's mask
    assert Image.open(io.BytesIO(encode_picture(picture, with_mask=False))).mode == "RGB"
    sent = Image.open(io.BytesIO(encode_mask(mask)))
    for channel in "RGB":
        np.testing.assert_array_equal(np.asarray(sent.getchannel(channel)), mask)  # LoadImageMask, by channel
    np.testing.assert_array_equal(255 - np.asarray(sent.getchannel("A")), mask)


def test_a_plain_png_is_sent_as_it_is_and_no_other_file(tmp_path):
    pixels = _write(tmp_path / "plain.png", 1)
    image = Image.fromarray(pixels)
    exif = Image.Exif()
    exif[0x0112] = 3
    image.save(tmp_path / "rotated.png", exif=exif)
    image.convert("RGBA").save(tmp_path / "alpha.png")
    image.quantize(16).save(tmp_path / "palette.png")
    image.save(tmp_path / "photo.jpg")
    Image.fromarray(pixels.astype(np.uint16)[:, :, 0] * 256).save(tmp_path / "deep.png")
    image.save(tmp_path / "moving.png", save_all=True, append_images=[image.rotate(180)])
    for name in ("plain", "rotated", "alpha", "palette", "deep", "moving", "photo"):
        path = tmp_path / (f"{name}.jpg" if name == "photo" else f"{name}.png")
        (picture,) = load_group(InputGroup(name, (path,)), [False])
        sent = encode_picture(picture, with_mask=True)
        assert (sent == path.read_bytes()) == (name == "plain")
        np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(sent))), picture.pixels)


def test_unusable_files_are_told_apart(tmp_path):
    _write(tmp_path / "a.png")
    _write(tmp_path / "m.png", size=(9, 6))
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (tmp_path / "empty.png").touch()
    assert check_headers(InputGroup("a", (tmp_path / "a.png",))) is None
    for name in ("broken.png", "empty.png", "gone.png"):
        group = InputGroup("x", (tmp_path / name,))
        assert name in check_headers(group)
        with pytest.raises(ImageError, match=name):
            load_group(group, [False])
    with pytest.raises(ImageError, match="megapixels"):
        load_group(InputGroup("a", (tmp_path / "a.png",)), [False], max_pixels=47)
    with pytest.raises(ImageError, match="the mask is 9x6, its picture is 8x6"):
        load_group(InputGroup("a", (tmp_path / "a.png",), (tmp_path / "m.png",)), [False])


# -- jobs -----------------------------------------------------------------------------------------------------------


def test_a_job_is_its_graph_its_words_its_inputs_and_its_seed():
    base = job_key(_plan(), ["a"], 1)
    assert base == job_key(_plan(), ["a"], 1)
    others = [
        job_key(_plan(strength=0.5), ["a"], 1),
        job_key(_plan(instruction="other"), ["a"], 1),
        job_key(_plan(), ["b"], 1),
        job_key(_plan(), ["a", ""], 1),
        job_key(_plan(), ["a"], 2),
        job_key(_plan(), ["a"], None),
    ]
    assert len({base, *others}) == 7


def test_the_values_that_vary_have_no_part_in_the_graphs_hash():
    plan = _plan()
    (binding,) = plan.bindings
    prompt = plan.prompt({binding: "ace-capture/x.png [input]"}, 77)
    assert prompt["1"]["inputs"]["image"].startswith("ace-capture/") and prompt["2"]["inputs"]["seed"] == 77
    assert plan.template["2"]["inputs"]["seed"] == 5  # untouched
    changed = Graph()
    noise = changed.node("ImageAddNoise", image=changed.node("LoadImage", image="else.png"), seed=99, strength=1.0)
    changed.node("SaveImage", images=noise)
    workflow = load_workflow(changed.prompt())
    assert make_plan(workflow, find_roles(workflow, RoleChoices()), "go").workflow == plan.workflow


def test_seeds_are_drawn_from_the_input_or_counted_up():
    plan = _plan()
    drawn = seeds_for(plan, ["a"], 4, None)
    assert len(set(drawn)) == 4 and drawn[:2] == seeds_for(plan, ["a"], 2, None)
    assert not set(drawn) & set(seeds_for(plan, ["b"], 4, None)) and all(0 <= seed < 2**48 for seed in drawn)
    assert seeds_for(plan, ["a"], 3, 10) == [10, 11, 12]


# -- results --------------------------------------------------------------------------------------------------------


def _png(seed: int) -> bytes:
    return encoded(picture(seed, 6, 8))


def _job(key: str = "0123456789abcdef", **kwargs) -> Job:
    return Job(InputGroup("Größe_1.x", (Path("Größe_1.x.png"),)), key, 3, **kwargs)


def test_pairs_of_a_job_can_be_told_from_their_ids(tmp_path):
    dataset = Dataset.create(tmp_path, "d")
    loaded = [LoadedPicture(np.random.default_rng(9).integers(0, 256, (6, 8, 3), dtype=np.uint8))]
    plan = _plan(instruction="{image} go")
    object.__setattr__(plan, "workflow", None)
    single, batch = _job("a" * 64), _job("b" * 64)
    store_pairs(dataset, single, make_pairs(plan, single, loaded, FetchedFiles((_png(1),), {})))
    pairs = make_pairs(plan, batch, loaded, FetchedFiles((_png(2), _png(3), _png(4)), {}))
    store_pairs(dataset, batch, pairs[:2])
    names = [row.id.rsplit("-", 1)[0] for row in dataset.rows()]
    assert names == ["groe-1-x-aaaaaaaa", "groe-1-x-bbbbbbbb-0", "groe-1-x-bbbbbbbb-1"]
    found = stored_result_numbers(dataset, {"a" * 64, "b" * 64, "c" * 64})
    assert found == {"a" * 64: {None}, "b" * 64: {0, 1}}
    batch.stored = found["b" * 64]
    assert len(store_pairs(dataset, batch, pairs)) == 1 and len(dataset) == 4
    assert all(row.seed == 3 for row in dataset.rows())


@pytest.mark.parametrize(("shape", "said"), [((64, 64), False), ((6, 8), True), ((5, 5), True)])
def test_a_black_mask_counts_as_none_and_that_is_said_but_for_load_images_own(tmp_path, shape, said):
    dataset = Dataset.create(tmp_path, "d")
    loaded = [LoadedPicture(_write(tmp_path / "a.png", 9), np.zeros(shape, np.uint8))]
    plan = _plan(instruction="{image} go")
    object.__setattr__(plan, "workflow", None)
    (kept,) = store_pairs(dataset, _job(), make_pairs(plan, _job(), loaded, FetchedFiles((_png(1),), {})))
    assert kept.stored and dataset.load(kept.id).masks == (None,)
    assert ["counts as no mask" in note for note in kept.notes] == [True] * said


def test_ids_leave_room_for_the_key():
    job = Job(InputGroup("x" * 200, (Path("x.png"),)), "ab" * 32, None)
    assert pair_name(job, 123).endswith("-abababab-123") and len(pair_name(job, 123)) <= 40


def test_results_that_make_no_pair():
    with pytest.raises(UnusableResultError, match="without a result"):
        make_pairs(_plan(), _job(), [LoadedPicture(np.zeros((6, 8, 3), np.uint8))], FetchedFiles((), {}))
    with pytest.raises(ImageError):
        make_pairs(_plan(), _job(), [LoadedPicture(np.zeros((6, 8, 3), np.uint8))], FetchedFiles((b"<html>",), {}))


@pytest.mark.parametrize(
    "images", [[{"filename": 5, "subfolder": "", "type": "temp"}], ["x"], [{"filename": "a"}], [None]]
)
def test_strange_histories_are_refused(images):
    with pytest.raises(UnusableResultError, match="describes the picture"):
        picture_refs({"outputs": {"n": {"images": images}}}, "n")


@pytest.mark.parametrize("entry", [{}, {"outputs": None}, {"outputs": {"n": []}}, {"outputs": {"n": {"images": 7}}}])
def test_histories_without_pictures(entry):
    assert picture_refs(entry, "n") == []


# -- failures -------------------------------------------------------------------------------------------------------


def _error(kind: str, message: str) -> dict:
    data = {"node_id": "4", "node_type": "KSampler", "exception_type": kind, "exception_message": message}
    return {
        "status": {
            "status_str": "error",
            "completed": False,
            "messages": [["execution_start", {}], ["execution_error", data]],
        }
    }


@pytest.mark.parametrize(
    "entry, kind",
    [
        (_error("torch.OutOfMemoryError", "Allocation on device"), "memory"),
        (_error("RuntimeError", "CUDA error: out of memory"), "memory"),
        (
            _error("RuntimeError", "[enforce fail at alloc_cpu.cpp:114] DefaultCPUAllocator: not enough memory"),
            "memory",
        ),
        (_error("MemoryError", ""), "memory"),
        (_error("ValueError", "bad picture"), "input"),
        ({"status": {"status_str": "error", "messages": [["execution_interrupted", {}]]}}, "interrupted"),
        ({"status": {"status_str": "error", "messages": []}}, "input"),
    ],
)
def test_failures_are_sorted(entry, kind):
    assert classify_failure(entry).kind == kind


@pytest.mark.parametrize("entry", [{}, {"status": None}, {"status": {"status_str": "success", "messages": [5, ["x"]]}}])
def test_no_failure(entry):
    assert classify_failure(entry) is None


def test_a_refusal_is_the_inputs_only_where_the_input_stands():
    def kind(message: str, *nodes: str) -> str:
        error = PromptValidationError(message, dict.fromkeys(nodes, "…"))
        return classify_validation_error(error, _plan()).kind

    assert kind("Invalid image file", "1") == "invalid"
    assert kind("Value not in list: model", "7") == "server"
    assert kind("Value not in list: model", "1", "7") == "server"
    assert kind("no prompt") == "server"


def test_messages_are_fit_to_be_kept():
    message = safe_message("a\n\nb " + "x" * 5000 + " token=hf_abcdefghijklmnopqrstuvwxyz")
    assert "\n" not in message and len(message) <= 600
    assert "hf_abc" not in safe_message("failed: https://h/x?token=hf_abcdefghijklmnopqrstuvwxyz")


def test_addresses():
    assert str(parse_url("127.0.0.1:8188")) == "http://127.0.0.1:8188" and parse_url("https://h/base/").host == "h"
    assert public_name(parse_url("http://me:secret@host:1/x/")) == "http://host:1/x"
    for wrong in ("ftp://x", "", "http://", "file:///etc/passwd", "http://h:port"):
        with pytest.raises(CaptureError):
            parse_url(wrong)


# -- the teacher's time ---------------------------------------------------------------------------------------------


def _history(*messages) -> dict:
    return {"status": {"status_str": "success", "messages": [list(message) for message in messages]}, "outputs": {}}


_START = ("execution_start", {"prompt_id": "x", "timestamp": 1_000_000})
_END = ("execution_success", {"prompt_id": "x", "timestamp": 1_002_500})


def _cached(*nodes: str) -> tuple:
    return "execution_cached", {"nodes": list(nodes), "timestamp": 1_000_001}


@pytest.mark.parametrize(
    ("messages", "seconds"),
    [
        ((_START, _cached(), _END), 2.5),
        ((_START, _cached("9", "1"), _END), 2.5),  # a model, and the picture itself
        ((_START, _cached("2"), _END), None),  # a part of the edit
        ((_START, _END), None),  # not known what was cached
        ((_START, _cached()), None),
        ((_END, _cached()), None),
        ((("execution_start", {"timestamp": "soon"}), _cached(), _END), None),
        ((("execution_start", {"timestamp": 2_000_000}), _cached(), _END), None),
        ((("execution_start",), 5, _cached(), _END), None),
    ],
)
def test_the_teachers_time_is_what_the_server_says_of_the_run(messages, seconds):
    messages = [message if isinstance(message, tuple) else [message] for message in messages]
    plan = _plan()
    assert plan.edit_nodes == {"2"}
    assert edit_seconds(plan, _history(*messages)) == seconds
    assert edit_seconds(plan, {"outputs": {}}) is edit_seconds(plan, {"status": 3}) is None


def test_several_pairs_of_one_prompt_share_its_time(tmp_path):
    pixels = _write(tmp_path / "a.png")
    group = InputGroup("a", (tmp_path / "a.png",))
    file = (tmp_path / "a.png").read_bytes()
    job = Job(group, job_key(_plan(), ["a"], 1), 1)
    for count in (1, 4):
        fetched = FetchedFiles((file,) * count, {}, seconds=2.0)
        pairs = make_pairs(_plan(), job, [LoadedPicture(pixels)], fetched)
        assert [pair.teacher_seconds for pair in pairs] == [2.0 / count] * count
