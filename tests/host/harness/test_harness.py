"""The harness itself, on core nodes and the probe pack: a test that trusts it must be able to."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from host.harness.comfy_server import ComfyServer, Graph, NodeRef, PromptFailedError
from PIL import Image

# A child of a test process that starts a server and is then killed without a chance to clean up.
_ABANDON = """
import sys, time
from host.harness.comfy_server import ComfyServer
server = ComfyServer(packs={})
server.start()
print(server.port, server.base_dir, flush=True)
time.sleep(600)
"""

PROBE_PACK = Path(__file__).with_name("probe_pack")


def _gray(value: int, size: tuple[int, int] = (24, 16)) -> Image.Image:
    return Image.new("RGB", size, (value, value, value))


def _steps(steps: int, seconds: float) -> Graph:
    graph = Graph()
    noise = graph.node("ProbeNoise", size=16)
    slow = graph.node("ProbeSteps", image=noise, steps=steps, seconds=seconds)
    graph.node("PreviewImage", images=slow)
    return graph


def test_graph_is_api_format():
    graph = Graph()
    image = graph.node("EmptyImage", width=8)
    graph.node("Join", a=image, **{"refs.ref0": image[1]})
    graph.set(image, width=16)
    prompt = graph.prompt()
    graph.set(image, width=32)
    assert prompt["1"]["inputs"] == {"width": 16}
    assert prompt["2"]["inputs"] == {"a": ["1", 0], "refs.ref0": ["1", 1]}
    assert prompt["2"]["class_type"] == "Join"


def test_upload_invert_save_view(comfy):
    name = comfy.upload_image(_gray(200), "gray.png")
    graph = Graph()
    photo = graph.node("LoadImage", image=name)
    inverted = graph.node("ImageInvert", image=photo[0])
    graph.node("SaveImage", images=inverted, filename_prefix="sub/inverted")
    result = comfy.run(graph, extra_data={"extra_pnginfo": {"workflow": {"mark": 7}}})
    assert result.error is None
    assert abs(np.asarray(result.image).mean() - 55) <= 1  # the host truncates to 8 bits
    assert result.image.size == (24, 16)
    assert json.loads(result.image.info["workflow"]) == {"mark": 7}
    assert result.history["status"]["completed"] is True
    (stored,) = result.outputs["3"]["images"]
    assert stored["subfolder"] == "sub"
    assert comfy.view(**stored).size == (24, 16)
    assert comfy.history(result.prompt_id) == result.history
    assert result.prompt_id in comfy.history()


def test_upload_replaces_and_keeps_alpha(comfy, tmp_path):
    comfy.upload_image(_gray(0), "hole.png")
    hole = _gray(100).convert("RGBA")
    hole.putalpha(0)
    hole.save(tmp_path / "any.png")
    assert comfy.upload_image(tmp_path / "any.png", "hole.png") == "hole.png"
    graph = Graph()
    mask = graph.node("MaskToImage", mask=graph.node("LoadImage", image="hole.png")[1])
    graph.node("PreviewImage", images=mask)
    assert np.asarray(comfy.run(graph).image).min() == 255  # transparent = masked


def test_executed_and_cached(comfy):
    graph = _steps(1, 0.0)
    first = comfy.run(graph)
    assert first.executed == ["1", "2", "3"]
    assert first.cached == []
    again = comfy.run(graph)
    assert (again.executed, again.cached) == ([], ["1", "2", "3"])
    assert np.array_equal(np.asarray(again.image), np.asarray(first.image))
    graph.set(NodeRef("2"), steps=2)
    changed = comfy.run(graph)
    assert (changed.executed, changed.cached) == (["2", "3"], ["1"])


def test_free_forgets(comfy):
    graph = _steps(1, 0.0)
    comfy.run(graph)
    comfy.free()
    assert comfy.run(graph).cached == []


def test_progress_previews_and_messages(comfy):
    comfy.free()
    result = comfy.run(_steps(3, 0.0))
    assert result.progress("2") == [(1, 3), (2, 3), (3, 3)]
    assert [preview.node_id for preview in result.previews] == ["2", "2", "2"]
    assert result.previews[0].image.size == (512, 256)  # the host scales a preview to the size it was given
    assert result.previews[0].metadata["prompt_id"] == result.prompt_id
    assert result.texts == [("2", "3 steps, ünï")]


def test_node_error(comfy):
    graph = Graph()
    failing = graph.node("ProbeFail", image=graph.node("ProbeNoise", size=8), message="broken glass")
    graph.node("PreviewImage", images=failing)
    error = comfy.run_expect_error(graph)
    assert (error.kind, error.node_id, error.node_type) == ("execution", "2", "ProbeFail")
    assert error.exception_type == "ValueError"
    assert error.message == "broken glass"
    assert "in execute" in error.traceback
    with pytest.raises(PromptFailedError, match="broken glass"):
        comfy.run(graph)
    assert comfy.run(graph, check=False).error.kind == "execution"


def test_refused_prompts(comfy):
    unknown = Graph()
    unknown.node("NoSuchNode")
    error = comfy.run_expect_error(unknown)
    assert error.kind == "validation"
    assert "NoSuchNode" in error.message

    out_of_range = Graph()
    steps = out_of_range.node("ProbeSteps", image=out_of_range.node("ProbeNoise", size=8), steps=0, seconds=0.0)
    preview = out_of_range.node("PreviewImage", images=steps)
    error = comfy.run_expect_error(out_of_range)
    assert (error.kind, error.node_id, error.node_type) == ("validation", steps.id, "ProbeSteps")
    assert "steps" in error.message

    # One good output beside the bad one: the server runs it, the harness still reports the refusal.
    out_of_range.node("PreviewImage", images=out_of_range.node("ProbeNoise", size=8))
    result = comfy.run(out_of_range, check=False)
    assert result.error.kind == "validation"
    assert result.images and preview.id not in result.images


def test_success_where_an_error_is_expected_fails(comfy):
    with pytest.raises(AssertionError, match="succeeded"):
        comfy.run_expect_error(_steps(1, 0.0))


def test_interrupt_in_mid_run_then_run_again(comfy):
    prompt_id = comfy.queue(_steps(600, 0.1))
    comfy.wait_for_event(prompt_id, "progress", where=lambda data: data["value"] >= 2)
    comfy.interrupt()
    result = comfy.wait(prompt_id, timeout=20)
    assert (result.error.kind, result.error.node_type) == ("interrupted", "ProbeSteps")
    assert len(result.progress()) < 600
    assert comfy.run(_steps(2, 0.0)).error is None


def test_timeout_frees_the_server(comfy):
    with pytest.raises(TimeoutError, match="did not finish"):
        comfy.run(_steps(601, 0.1), timeout=2)
    assert comfy.run(_steps(4, 0.0), timeout=20).error is None


def test_two_prompts_in_a_row_keep_apart(comfy):
    first, second = comfy.queue(_steps(5, 0.0)), comfy.queue(_steps(6, 0.0))
    results = comfy.wait(first), comfy.wait(second)
    assert [len(result.progress()) for result in results] == [5, 6]
    assert [len(result.previews) for result in results] == [5, 6]
    assert [texts for result in results for _, texts in result.texts] == ["5 steps, ünï", "6 steps, ünï"]


def test_object_info(comfy):
    assert comfy.object_info("ProbeSteps")["category"] == "probe"
    assert comfy.object_info()["ProbeSteps"]["python_module"] == "custom_nodes.probe"
    with pytest.raises(KeyError, match="NoSuchNode"):
        comfy.object_info("NoSuchNode")


def test_models_can_be_placed(comfy, ace_models, tmp_path):
    (tmp_path / "tiny.safetensors").write_bytes(b"tiny")
    (tmp_path / "bundle").mkdir()
    assert ace_models(tmp_path) == ["bundle", "tiny.safetensors"]
    assert (comfy.base_dir / "models" / "ace" / "tiny.safetensors").read_bytes() == b"tiny"


def _stays_off_device(server: ComfyServer) -> str:
    graph = Graph()
    shown = graph.node("PreviewAny", source=graph.node("ProbeLoad"))
    (text,) = server.run(graph).outputs[shown.id]["text"]
    return text


def test_novram_keeps_models_off_the_device(comfy, start_novram):
    assert _stays_off_device(comfy) == "False"
    with start_novram(packs={"probe": PROBE_PACK}) as server:
        assert _stays_off_device(server) == "True"
        assert "loaded partially" in server.log_text()


def test_start_failure_shows_the_log_and_leaves_nothing(tmp_path):
    server = ComfyServer("--no-such-option", packs={})
    with pytest.raises(RuntimeError, match="unrecognized arguments: --no-such-option"):
        server.start()
    assert not server.running
    assert not server.base_dir.exists()
    assert "--no-such-option" in server.log_text()


def test_broken_pack_is_seen_and_server_stops(start_comfy, tmp_path):
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "__init__.py").write_text("import no_such_module_at_all\n")
    with start_comfy(packs={"broken": broken}, env={"HF_HUB_OFFLINE": "0"}) as server:
        assert server.imports["broken"].failed
        assert any("no_such_module_at_all" in line for line in server.startup_problems)
        pid, port = server._process.pid, server.port
    assert not server.base_dir.exists()
    with pytest.raises(ProcessLookupError):
        os.killpg(pid, 0)
    assert "no_such_module_at_all" in server.log_text()  # the log outlives the server
    assert not _listens(port)


@pytest.mark.skipif(os.name == "nt", reason="process groups are POSIX")
def test_server_dies_with_a_killed_test_run():
    child = subprocess.Popen(
        [sys.executable, "-c", _ABANDON],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    port, base_dir = child.stdout.readline().split()
    try:
        assert _listens(int(port))
        child.send_signal(signal.SIGKILL)
        child.wait()
        deadline = time.monotonic() + 20
        while _listens(int(port)) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert not _listens(int(port))
        while Path(base_dir).exists() and time.monotonic() < deadline:
            time.sleep(0.1)
        assert not Path(base_dir).exists()
    finally:
        child.stdout.close()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
