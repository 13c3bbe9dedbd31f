"""Every reader meets thousands of damaged files: each is read, or refused in one clear sentence with the file's name.

The usual run takes a few hundred; ``ACE_FUZZ=10000`` takes that many, ``ACE_FUZZ_SEED`` others.
"""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from comfyui_ace.ace.lcu.rounds import StoredImage, StoredRound, load_rounds, save_rounds
from comfyui_ace.ace.pictures.image_files import load_mask, load_picture
from comfyui_ace.ace.weights.containers import read_container
from comfyui_ace.ace.weights.lora import read_lora
from comfyui_ace.training.capture.errors import WorkflowError
from comfyui_ace.training.capture.workflow.load import load_workflow, read_workflow
from comfyui_ace.training.dataset.disk.images import image_format, image_size, read_image, read_mask
from comfyui_ace.training.dataset.importers import ImportOptions, import_pairs
from comfyui_ace.training.dataset.settings import DatasetSettings
from comfyui_ace.training.dataset.store import Dataset
from comfyui_ace.training.dataset.upkeep.repair import repair
from comfyui_ace.training.dataset.upkeep.verify import verify
from comfyui_ace.training.errors import DatasetError
from comfyui_ace.training.trainer.config_file import load_config
from fuzzing import damaged
from pair_factory import encoded, pair, picture
from PIL import Image, PngImagePlugin
from safetensors.torch import save_file
from ui_files import SAVED, SCHEMAS

pytestmark = [pytest.mark.usefixtures("no_sync"), pytest.mark.filterwarnings("ignore")]

COUNT = int(os.environ.get("ACE_FUZZ", "400"))
SEED = int(os.environ.get("ACE_FUZZ_SEED", "0"))


def _png(**options) -> bytes:
    info = PngImagePlugin.PngInfo()
    info.add_text("workflow", json.dumps({"nodes": [], "links": []}), zip=True)
    info.add_itxt("title", "grün", zip=True)
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded(Image.fromarray(picture(0)), "PNG", pnginfo=info, exif=exif, **options)


def _pictures() -> dict[str, bytes]:
    image = Image.fromarray(picture(1))
    alpha = image.convert("RGBA")
    alpha.putalpha(Image.linear_gradient("L").resize(image.size))
    deep = Image.fromarray(picture(2)[..., 0].astype("uint16") * 257)
    return {
        "a.png": _png(),
        "palette.png": encoded(image.quantize(16), "PNG", transparency=3),
        "alpha.png": encoded(alpha, "PNG"),
        "deep.png": encoded(deep, "PNG"),
        "a.jpg": encoded(image, "JPEG", exif=Image.Exif()),
        "a.webp": encoded(alpha, "WEBP", lossless=True),
        "a.tif": encoded(image, "TIFF", compression="tiff_lzw"),
        "a.gif": encoded(image.quantize(8), "GIF"),
        "a.bmp": encoded(image, "BMP"),
        "a.tga": encoded(image, "TGA"),
        "a.ppm": encoded(image, "PPM"),
    }


def _check(error: Exception, name: str) -> None:
    """An error of ours is one paragraph that names the file."""
    text = str(error)
    assert name in text, f"{type(error).__name__} without the file's name: {text}"
    assert type(error).__module__ != "builtins" or type(error) is ValueError, repr(error)
    assert "Traceback" not in text and len(text) < 4000


def _fuzz(seeds: dict[str, bytes], read, folder: Path, share: float) -> Counter:
    outcomes: Counter = Counter()
    for number in range(max(len(seeds), int(COUNT * share))):
        name = list(seeds)[number % len(seeds)]
        path = folder / name
        path.write_bytes(damaged(seeds[name], SEED * 1_000_003 + number))
        try:
            read(path)
        except Exception as error:
            try:
                _check(error, path.name)
            except AssertionError as wrong:
                raise AssertionError(f"seed {SEED}, file {number} ({name}): {wrong}") from error
            outcomes["refused"] += 1
        else:
            outcomes["read"] += 1
    print(f"{sum(outcomes.values())} damaged files: {dict(outcomes)}")
    return outcomes


@pytest.mark.parametrize("read", [load_picture, load_mask, read_image, read_mask, image_size, image_format])
def test_pictures(tmp_path, read):
    options = {"max_pixels": 1_000_000} if read not in (load_picture, load_mask) else {}
    outcomes = _fuzz(_pictures(), lambda path: read(path, **options), tmp_path, 0.08)
    assert outcomes["read"] and outcomes["refused"]


def _open_workflow(path: Path) -> None:
    data = read_workflow(path)  # its own errors name the file
    try:
        load_workflow(data, SCHEMAS)
    except WorkflowError as error:  # of what stands in the file; whoever reads it was given one file
        raise WorkflowError(f"{path}: {error}") from error


def _workflow_files() -> dict[str, bytes]:
    """Of both formats, by themselves and inside pictures."""
    prompt = {
        "1": {"class_type": "LoadImage", "inputs": {"image": "a.png"}},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0]}},
    }
    ui = {path.name: path.read_bytes() for path in sorted(SAVED.glob("*.json")) if "prompt" not in path.name}
    image, info, exif = Image.fromarray(picture(0)), PngImagePlugin.PngInfo(), Image.Exif()
    info.add_text("workflow", ui["crop.json"].decode(), zip=True)
    exif[0x0110] = f"prompt:{json.dumps(prompt)}"
    comment = Image.Exif()
    comment.get_ifd(0x8769)[0x9286] = b"UNICODE\0" + f"workflow:{ui['combo.json'].decode()}".encode("utf-16-le")
    return {
        "flow.json": json.dumps(prompt).encode(),
        **ui,
        "flow.png": encoded(image, "PNG", pnginfo=info),
        "flow.webp": encoded(image, "WEBP", exif=exif),
        "flow.jpg": encoded(image, "JPEG", exif=comment),
    }


def test_workflows(tmp_path):
    seeds = _workflow_files()
    for name, data in seeds.items():
        (tmp_path / name).write_bytes(data)
        _open_workflow(tmp_path / name)
    outcomes = _fuzz(seeds, _open_workflow, tmp_path, 0.5)
    assert outcomes["read"] and outcomes["refused"]


def test_rounds(tmp_path):
    save_rounds([StoredRound("{image} grün", (StoredImage("{image}", tmp_path / "a.png"),))] * 2, tmp_path / "r.json")
    assert _fuzz({"rounds.json": (tmp_path / "r.json").read_bytes()}, load_rounds, tmp_path, 0.1)["refused"]


def test_weights(tmp_path):
    tensors = {f"diffusion_model.blocks.0.attn.q.lora_{part}.weight": torch.ones(4, 4) for part in "AB"}
    save_file(tensors, tmp_path / "w.safetensors", {"trigger": "ink"})
    torch.save(tensors, tmp_path / "w.pth")
    torch.save(tensors, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    seeds = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    for read in (read_container, read_lora):
        assert _fuzz(seeds, read, tmp_path, 0.08)["refused"]


def test_configurations_of_training(tmp_path):
    shipped = sorted((Path(__file__).parents[2] / "training" / "configs").glob("*.toml"))
    assert _fuzz({"train.toml": shipped[0].read_bytes()}, load_config, tmp_path, 0.05)["refused"]


def _import_files(folder: Path) -> dict[str, tuple[str, bytes]]:
    """Format and content of files that import one pair each."""
    for name, pixels in (("image", 255 - picture(0)), ("control", picture(0))):
        (folder / name).mkdir()
        Image.fromarray(pixels).save(folder / name / "a.png")
    (folder / "image" / "a.txt").write_text("words")
    jsonl = json.dumps({"image_path": "image/a.png", "control_path": "control/a.png", "caption": "grün"})
    files = {
        "t.csv": ("ace-csv", 'Target:FILE,Source:FILE,Prompt\nimage/a.png,control/a.png,"grün, ""sehr"""\n'),
        "t.jsonl": ("musubi", f"{jsonl}\n{jsonl}\n"),
        "t.toml": ("musubi", '[[datasets]]\nimage_directory = "image"\ncontrol_directory = "control"\n'),
        "t.yaml": ("ai-toolkit", "datasets:\n- folder_path: image\n  control_path: [control]\n  caption_ext: txt\n"),
    }
    return {name: (format, text.encode()) for name, (format, text) in files.items()}


def test_imports(tmp_path):
    files = _import_files(tmp_path)
    dataset = Dataset.create(tmp_path, "d")

    def read(path: Path) -> None:
        result = import_pairs(dataset, path, files[path.name][0], options=ImportOptions("words"))
        assert result.stored + result.duplicates + result.rejected + len(result.failed) > 0
        assert all(label and reason for label, reason in result.failed)

    assert _fuzz({name: data for name, (_, data) in files.items()}, read, tmp_path, 0.1)["refused"]
    assert verify(dataset.folder).ok, "whatever was imported is sound"


def test_tables_of_parquet(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    row = {
        "source": [encoded(Image.fromarray(picture(0)), "PNG")],
        "target": [encoded(Image.fromarray(picture(1)), "PNG")],
    }
    parquet.write_table(pyarrow.table({**row, "instruction": ["words"]}), tmp_path / "seed.parquet")
    dataset = Dataset.create(tmp_path, "d")
    seeds = {"t.parquet": (tmp_path / "seed.parquet").read_bytes()}

    def read(path: Path) -> None:
        result = import_pairs(dataset, path, "columns")
        assert result.stored + result.duplicates + result.rejected + len(result.failed) > 0
        assert all(label and reason for label, reason in result.failed)

    assert _fuzz(seeds, read, tmp_path, 0.05)["refused"]
    assert verify(dataset.folder).ok, "whatever was imported is sound"
    for row in dataset.rows():  # PNGs have checksums, so a picture comes in as it was, or not at all
        stored = dataset.load(row)
        assert np.array_equal(stored.source, picture(0)) and np.array_equal(stored.target, picture(1))


def test_datasets_are_checked_and_repaired(tmp_path):
    made = Dataset.create(tmp_path, "d")
    kept = made.append(pair(0))
    made.append(pair(1))
    names = [
        "metadata.jsonl",
        "dataset.json",
        f"target/{kept.id}.txt",
        f"control/{kept.id}.png",
        f"target/{kept.id}.png",
    ]
    for number in range(max(5, int(COUNT * 0.02))):
        copy = tmp_path / f"copy{number}"
        shutil.copytree(made.folder, copy)
        name = names[number % len(names)]
        (copy / name).write_bytes(damaged((copy / name).read_bytes(), SEED * 1_000_003 + number))
        verify(copy)
        repair(copy, accept_changes=number % 2 == 0)
        found = verify(copy)
        assert found.ok, f"seed {SEED}, {name}, file {number}: {[str(fault) for fault in found.faults]}"
        shutil.rmtree(copy)


def test_settings_of_a_dataset(tmp_path):
    made = Dataset.create(tmp_path, "d")
    seeds = {"dataset.json": (made.folder / "dataset.json").read_bytes()}

    def read(path: Path) -> None:
        settings = DatasetSettings.read(path.parent)
        written = json.loads(path.read_bytes())
        assert settings == DatasetSettings(written["validation_fraction"], written["split_seed"]), "as it stands there"

    assert _fuzz(seeds, read, tmp_path, 0.1)["refused"]


@pytest.mark.parametrize("seed", [1.5, "1", True, None])
def test_a_seed_that_is_no_whole_number_is_refused(tmp_path, seed):
    made = Dataset.create(tmp_path, "d")
    values = {"format": 1, "validation_fraction": 0.1, "split_seed": seed}
    (made.folder / "dataset.json").write_text(json.dumps(values))
    with pytest.raises(DatasetError, match=r"dataset\.json cannot be read"):
        DatasetSettings.read(made.folder)
