"""Workflows inside pictures."""

from __future__ import annotations

import json
import zlib
from pathlib import Path

import numpy as np
import pytest
from comfyui_ace.training.capture.errors import WorkflowError
from comfyui_ace.training.capture.workflow import load
from comfyui_ace.training.capture.workflow.load import read_workflow
from fuzzing import png_chunk, with_chunk
from PIL import Image, PngImagePlugin

PIXELS = np.random.default_rng(4).integers(0, 256, (64, 96, 3), dtype=np.uint8)


PROMPT = {"1": {"class_type": "LoadImage", "inputs": {"image": "grün.png"}}}


def _picture(path: Path, texts: dict[str, str], **how) -> Path:
    info = PngImagePlugin.PngInfo()
    for key, text in texts.items():
        (info.add_itxt if how.get("international") else info.add_text)(key, text, zip=how.get("packed", False))
    Image.fromarray(PIXELS).save(path, pnginfo=info)
    return path


@pytest.mark.parametrize(
    "how", [{}, {"packed": True}, {"international": True}, {"international": True, "packed": True}]
)
def test_a_picture_of_comfyui_is_a_workflow(tmp_path, how):
    texts = {"workflow": json.dumps({"nodes": [], "links": []}), "prompt": json.dumps(PROMPT)}
    assert read_workflow(_picture(tmp_path / "a.png", texts, **how)) == PROMPT
    large = {"1": {"class_type": "Note", "inputs": {"text": "a" * 3_000_000}}}
    assert read_workflow(_picture(tmp_path / "a.png", {"prompt": json.dumps(large)}, **how)) == large
    only_ui = _picture(tmp_path / "b.png", {"workflow": texts["workflow"], "prompt": "null"}, **how)
    assert read_workflow(only_ui) == {"nodes": [], "links": []}


def test_a_webp_of_comfyui_is_a_workflow(tmp_path):
    exif = Image.Exif()
    exif[0x0110], exif[0x010F] = f"prompt:{json.dumps(PROMPT)}", 'workflow:{"nodes": [], "links": []}'
    Image.fromarray(PIXELS).save(tmp_path / "a.webp", exif=exif)
    assert read_workflow(tmp_path / "a.webp") == PROMPT


COMMENTS = {
    "ASCII": b"ASCII\0\0\0" + f"prompt:{json.dumps(PROMPT)}".encode(),
    "UTF-8 called ASCII": b"ASCII\0\0\0" + f"prompt:{json.dumps(PROMPT, ensure_ascii=False)}".encode(),
    "Unicode, little": b"UNICODE\0" + f"prompt:{json.dumps(PROMPT)}".encode("utf-16-le"),
    "Unicode, big": b"UNICODE\0" + f"prompt:{json.dumps(PROMPT)}".encode("utf-16-be"),
    "Unicode with a mark": b"UNICODE\0" + f"prompt:{json.dumps(PROMPT)}".encode("utf-16"),
    "no charset": bytes(8) + f"Prompt: {json.dumps(PROMPT)}".encode(),
    "no prefix": f"prompt:{json.dumps(PROMPT)}".encode(),
    "both as JSON": b"ASCII\0\0\0" + json.dumps({"workflow": {"nodes": []}, "prompt": PROMPT}).encode(),
    "both as texts in JSON": b"ASCII\0\0\0" + json.dumps({"workflow": "{}", "prompt": json.dumps(PROMPT)}).encode(),
    "the prompt alone": b"ASCII\0\0\0" + json.dumps(PROMPT).encode(),
}


@pytest.mark.parametrize("name", ["a.jpg", "a.webp", "a.avif"])
@pytest.mark.parametrize("kind", COMMENTS)
def test_a_workflow_in_a_pictures_comment_is_found(tmp_path, name, kind):
    exif = Image.Exif()
    exif[0x0131] = "a saver"  # Pillow takes EXIF without a field of its own for none
    exif.get_ifd(0x8769)[0x9286] = COMMENTS[kind]
    Image.fromarray(PIXELS).save(tmp_path / name, exif=exif)
    assert read_workflow(tmp_path / name) == PROMPT


def test_a_large_picture_is_no_large_workflow(tmp_path, monkeypatch):
    path = _picture(tmp_path / "a.png", {"prompt": json.dumps(PROMPT)})
    (tmp_path / "a.json").write_text(json.dumps(PROMPT).ljust(2000))
    monkeypatch.setattr(load, "MAX_FILE_BYTES", 1 << 10)
    assert path.stat().st_size > 1 << 10 and read_workflow(path) == PROMPT
    with pytest.raises(WorkflowError, match=r"a\.json.*a workflow has at most"):
        read_workflow(tmp_path / "a.json")
    monkeypatch.setattr(load, "MAX_PICTURE_BYTES", 1 << 10)
    with pytest.raises(WorkflowError, match=r"a\.png.*a picture has at most"):
        read_workflow(path)


@pytest.mark.parametrize("name", ["plain.png", "plain.jpg", "plain.webp", "plain.avif", "broken.png", "bomb.png"])
def test_a_picture_without_a_workflow_says_so(tmp_path, name):
    path = tmp_path / name
    Image.fromarray(PIXELS).save(path)
    if name == "broken.png":
        path.write_bytes(_picture(path, {"prompt": json.dumps(PROMPT)}).read_bytes()[:60])
    if name == "bomb.png":
        body = b"prompt\0\0" + zlib.compress(b"[" * 100_000_000)
        path.write_bytes(with_chunk(path.read_bytes(), png_chunk(b"zTXt", body, 0), b"IDAT"))
    with pytest.raises(WorkflowError, match=rf"{name} is a picture without a workflow inside.*Export"):
        read_workflow(path)
