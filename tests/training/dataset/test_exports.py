"""Exports are read back with the readers that the trainers themselves use, not with ours."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from comfyui_ace.training.dataset.exporters import ExportOptions, export_dataset
from comfyui_ace.training.dataset.formats import EXPORTS
from comfyui_ace.training.dataset.store import Dataset
from comfyui_ace.training.dataset.upkeep.verify import verify
from comfyui_ace.training.errors import DatasetError
from pair_factory import half_mask, pair, picture
from PIL import Image

pytestmark = pytest.mark.usefixtures("no_sync")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Pairs with one, two and three condition images, masks, a history, a text-to-image pair; both splits."""
    made = Dataset.create(tmp_path_factory.mktemp("exports"), "Märchen 1")
    for seed in range(6):
        made.append(pair(seed, instruction='{image} as a "negative" \\ Ünïcode', scores={"judge": {"sc": seed}}))
    for seed in range(10, 14):
        full = np.full((24, 32), 255, np.uint8)
        made.append(pair(seed, references=[picture(seed + 100)], masks=[full, half_mask()], weight=0.5, tags=["two"]))
    made.append(pair(20, references=[picture(121), picture(122)], seed=2**64 - 1))
    first = made.append(pair(30))
    made.append(pair(30, source=255 - picture(30), target=picture(31), history=[first.id]))
    made.append(pair(40, source=None, target=picture(40), instruction="a picture of noise"))
    made.split(0.3, seed=1)
    assert {row.split for row in made.rows()} == {"train", "validation"}
    return made


def rows_with(dataset, counts=(1, 2, 3), split=None):
    return [row for row in dataset.rows(split) if len(row.image_files) in counts]


def pixels(file) -> np.ndarray:
    with Image.open(file) as image:
        return np.array(image)


@pytest.mark.parametrize("name", EXPORTS)
def test_every_export_appears_whole_and_overwrites_nothing(dataset, tmp_path, name):
    before = {path: path.read_bytes() for path in dataset.folder.rglob("*") if path.is_file()}
    result = export_dataset(dataset, tmp_path / "out", name)
    assert result.pairs + sum(result.skipped.values()) == len(dataset)
    assert result.configs and all(path.is_file() for path in result.configs)
    assert result.explanation
    with pytest.raises(DatasetError, match="there already"):
        export_dataset(dataset, tmp_path / "out", name)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out"]
    assert {path: path.read_bytes() for path in before} == before


@pytest.mark.parametrize("name", EXPORTS)
def test_a_missing_picture_stops_the_export_and_leaves_nothing(tmp_path, name):
    dataset = Dataset.create(tmp_path, "d")
    kept = dataset.append(pair(0)).id
    dataset.append(pair(1))
    (dataset.folder / f"target/{kept}.png").unlink()
    with pytest.raises(DatasetError, match="dataset check"):
        export_dataset(dataset, tmp_path / "out", name)
    assert [path.name for path in tmp_path.iterdir()] == ["d"]


def test_nothing_to_export_says_why(tmp_path):
    dataset = Dataset.create(tmp_path, "d")
    with pytest.raises(DatasetError, match="no pairs"):
        export_dataset(dataset, tmp_path / "out", "webdataset")
    dataset.append(pair(0, source=None, instruction="noise"))
    with pytest.raises(DatasetError, match="1 with no source image"):
        export_dataset(dataset, tmp_path / "out", "ai-toolkit")
    with pytest.raises(DatasetError, match="Choose one of: ai-toolkit"):
        export_dataset(dataset, tmp_path / "out", "kohya")


def stems(folder, suffix: str) -> list[str]:
    return sorted(path.stem for path in Path(folder).iterdir() if path.suffix == suffix)


def test_ai_toolkit(dataset, tmp_path):
    yaml = pytest.importorskip("yaml")
    result = export_dataset(dataset, tmp_path / "out", "ai-toolkit", options=ExportOptions(resolution=768))
    job = yaml.safe_load(result.configs[0].read_text(encoding="utf-8"))
    assert job["job"] == "extension" and result.skipped == {"no source image": 1}
    (process,) = job["config"]["process"]
    seen = 0
    for entry in process["datasets"]:
        # The trainer's rule: the control of folder_path/x.png is control_path/x with any known suffix.
        controls = entry["control_path"] if isinstance(entry["control_path"], list) else [entry["control_path"]]
        targets = stems(entry["folder_path"], ".png")
        assert targets and targets == stems(entry["folder_path"], ".txt")
        assert all(stems(folder, ".png") == targets for folder in controls)
        assert entry["resolution"] == [768] and "mask_path" not in entry
        seen += len(targets)
    assert seen == len(rows_with(dataset, split="train"))
    samples = process["sample"]["samples"]
    held_out = {row.prompt for row in rows_with(dataset, split="validation")}
    assert samples and all(sample["prompt"] in held_out for sample in samples)
    assert all(os.path.isfile(value) for sample in samples for key, value in sample.items() if key != "prompt")


def test_masks_for_the_loss_on_request_only(dataset, tmp_path):
    yaml = pytest.importorskip("yaml")
    result = export_dataset(dataset, tmp_path / "out", "ai-toolkit", options=ExportOptions(loss_masks=True))
    entries = yaml.safe_load(result.configs[0].read_text(encoding="utf-8"))["config"]["process"][0]["datasets"]
    masked = [entry for entry in entries if "mask_path" in entry]
    assert len(masked) == 1
    assert stems(masked[0]["mask_path"], ".png") == stems(masked[0]["folder_path"], ".png")


def toml(path):
    tomllib = pytest.importorskip("tomllib")
    return tomllib.loads(path.read_text(encoding="utf-8"))


def test_diffusion_pipe(dataset, tmp_path):
    result = export_dataset(dataset, tmp_path / "out", "diffusion-pipe")
    run = toml(tmp_path / "out" / "diffusion_pipe.toml")
    data = toml(Path(run["dataset"]))
    assert run["model"]["type"] == "flux" and run["adapter"]["type"] == "lora"
    assert os.path.isfile(run["eval_datasets"][0]["config"])
    for directory in data["directory"]:
        targets = stems(directory["path"], ".png")
        assert targets == stems(directory["path"], ".txt")
        if "control_path" in directory:
            assert targets == stems(directory["control_path"], ".png")
    assert sum("control_path" in directory for directory in data["directory"]) == 1
    assert result.skipped == {"more than 1 condition image(s)": 5}


def test_musubi(dataset, tmp_path):
    result = export_dataset(dataset, tmp_path / "out", "musubi")
    data = toml(result.configs[0])
    known_general = {"resolution", "batch_size", "enable_bucket", "bucket_no_upscale"}
    known = {"image_jsonl_file", "cache_directory", "num_repeats", "no_resize_control", "control_resolution"}
    assert set(data["general"]) == known_general and all(set(entry) == known for entry in data["datasets"])
    assert len({entry["cache_directory"] for entry in data["datasets"]}) == len(data["datasets"])
    by_target = {row.target_file_name: row for row in dataset.rows("train")}
    seen = 0
    for entry in data["datasets"]:
        for line in Path(entry["image_jsonl_file"]).read_text(encoding="utf-8").splitlines():
            item = json.loads(line)
            row = by_target[os.path.relpath(item["image_path"], dataset.folder).replace(os.sep, "/")]
            controls = [item[f"control_path_{index}"] for index in range(len(row.image_files))]
            assert set(item) == {"image_path", "caption", *(f"control_path_{i}" for i in range(len(controls)))}
            assert all(os.path.isabs(path) and os.path.isfile(path) for path in controls)
            assert np.array_equal(pixels(controls[0]), dataset.load(row).source)
            assert item["caption"] == row.prompt
            seen += 1
    assert seen == len(rows_with(dataset, split="train"))


def test_simpletuner(dataset, tmp_path):
    export_dataset(dataset, tmp_path / "out", "simpletuner", options=ExportOptions(loss_masks=True))
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    backends = json.loads((tmp_path / "out" / "multidatabackend.json").read_text())
    assert config["data_backend_config"] == (tmp_path / "out" / "multidatabackend.json").as_posix()
    by_id = {backend["id"]: backend for backend in backends}
    assert len(by_id) == len(backends)
    caches = [backend["cache_dir_vae"] for backend in backends if "cache_dir_vae" in backend]
    assert len(set(caches)) == len(caches)
    assert [backend["id"] for backend in backends if backend.get("default")] == ["text-embeds"]
    trained = 0
    for backend in backends:
        if backend["dataset_type"] not in ("image", "eval"):
            continue
        names = sorted(os.listdir(backend["instance_data_dir"]))
        pictures = [name for name in names if name.endswith(".png")]
        for name in backend["conditioning_data"]:
            assert by_id[name]["dataset_type"] == "conditioning"
            # Nothing else, masks of the loss least of all, is taken for the model that the configuration names.
            assert config["model_flavour"] == "edit-v2"
            assert by_id[name]["conditioning_type"] in ("reference_strict", "reference_loose")
            assert sorted(os.listdir(by_id[name]["instance_data_dir"])) == pictures, "equal names and extensions"
        trained += len(pictures) * (backend["dataset_type"] == "image")
    assert trained == len(rows_with(dataset, split="train"))
    assert by_id[config["eval_dataset_id"]]["dataset_type"] == "eval"


@pytest.fixture
def datasets(tmp_path, monkeypatch):
    """Hugging Face `datasets`, offline and with its cache in the test's folder.

    It comes with the test extra. No skip: without it nobody would notice that exports cannot be read.
    """
    import datasets as module

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(module.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    module.disable_progress_bars()
    return module


def check_row(dataset, row, entry, *, source: str = "source", target: str = "target") -> None:
    loaded = dataset.load(row)
    assert np.array_equal(np.array(entry[target]), loaded.target)
    assert (entry[source] is None) == (loaded.source is None)
    if loaded.source is not None:
        assert np.array_equal(np.array(entry[source]), loaded.source)
    assert entry["instruction"] == row.instruction and entry["prompt"] == row.prompt


def test_huggingface_parquet_by_datasets(dataset, tmp_path, datasets):
    result = export_dataset(dataset, tmp_path / "out", "huggingface", options=ExportOptions(shard_pairs=4))
    assert result.pairs == len(dataset) and result.skipped == {}
    loaded = datasets.load_dataset(str(tmp_path / "out"), cache_dir=str(tmp_path / "cache"))
    assert set(loaded) == {"train", "validation"}
    for split, table in loaded.items():
        wanted = {row.id: row for row in dataset.rows(split)}
        assert set(table["id"]) == set(wanted)
        assert isinstance(table.features["target"], datasets.Image)
        for entry in table:
            row = wanted[entry["id"]]
            check_row(dataset, row, entry)
            pair_on_disk = dataset.load(row)
            assert len(entry["references"]) == len(pair_on_disk.references)
            for index, mask in zip(entry["mask_indices"], entry["masks"], strict=True):
                assert np.array_equal(np.array(mask), pair_on_disk.masks[index])
            assert entry["seed"] == row.seed and entry["weight"] == row.weight
            assert json.loads(entry["scores"]) == row.scores and tuple(entry["history"]) == row.history


def test_diffusers_columns_by_datasets(dataset, tmp_path, datasets):
    export_dataset(dataset, tmp_path / "out's", "diffusers")
    script = (tmp_path / "out's" / "train_diffusers.sh").read_text()
    assert "--image_column=target --cond_image_column=source --caption_column=prompt" in script
    subprocess.run(["sh", "-n", str(tmp_path / "out's" / "train_diffusers.sh")], check=True)
    table = datasets.load_dataset(str(tmp_path / "out's"), cache_dir=str(tmp_path / "cache"))["train"]
    assert {"target", "source", "prompt"} <= set(table.column_names)
    wanted = {row.id: row for row in rows_with(dataset, counts=(1,), split="train")}
    assert set(table["id"]) == set(wanted)
    for entry in table:
        check_row(dataset, wanted[entry["id"]], entry)


def test_the_dataset_itself_is_an_imagefolder(dataset, tmp_path, datasets):
    table = datasets.load_dataset("imagefolder", data_dir=str(dataset.folder), cache_dir=str(tmp_path / "cache"))
    rows = {row.id: row for row in dataset.rows()}
    entries = [entry for split in table.values() for entry in split]
    assert {entry["id"] for entry in entries} == set(rows)
    for entry in entries:
        check_row(dataset, rows[entry["id"]], entry)
        assert len(entry["reference"]) == len(rows[entry["id"]].reference_file_names)


def test_webdataset_shards_by_webdataset(dataset, tmp_path):
    import webdataset

    export_dataset(dataset, tmp_path / "out", "webdataset", options=ExportOptions(shard_pairs=3))
    index = json.loads((tmp_path / "out" / "dataset.json").read_text())
    for split, pattern in index["urls"].items():
        wanted = {row.id: row for row in dataset.rows(split)}
        samples = list(webdataset.WebDataset(str(tmp_path / "out" / pattern), shardshuffle=False).decode("pil"))
        assert sorted(sample["__key__"] for sample in samples) == sorted(wanted)
        for sample in samples:
            row = wanted[sample["__key__"]]
            loaded = dataset.load(row)
            assert np.array_equal(np.array(sample["target.png"]), loaded.target)
            assert ("source.png" in sample) == (loaded.source is not None)
            assert sample["txt"] == row.prompt and sample["json"]["seed"] == row.seed
            assert sum(key.startswith("reference") for key in sample) == len(loaded.references)
            for number, mask in enumerate(loaded.masks):
                assert (f"mask{number}.png" in sample) == (mask is not None)
        sizes = [(entry["url"], entry["filesize"]) for entry in index["shards"][split]]
        assert all((tmp_path / "out" / url).stat().st_size == size for url, size in sizes)
    done = subprocess.run([sys.executable, "load.py"], cwd=tmp_path / "out", capture_output=True, text=True)
    assert done.returncode == 0 and len(done.stdout.splitlines()) == len(dataset)


def test_shards_are_the_same_bytes_every_time(dataset, tmp_path):
    for name in ("a", "b"):
        export_dataset(dataset, tmp_path / name, "webdataset")
    first, second = ({p.name: p.read_bytes() for p in (tmp_path / name).glob("*.tar")} for name in ("a", "b"))
    assert first == second and len(first) == 2


def test_one_split_alone_and_links(dataset, tmp_path):
    yaml = pytest.importorskip("yaml")
    options = ExportOptions(link=True)
    result = export_dataset(dataset, tmp_path / "out", "ai-toolkit", split="validation", options=options)
    entries = yaml.safe_load(result.configs[0].read_text(encoding="utf-8"))["config"]["process"][0]["datasets"]
    row = rows_with(dataset, split="validation")[0]
    linked = next((tmp_path / "out").rglob(f"target/{row.id}.png"))
    assert entries and os.path.samefile(linked, dataset.folder / row.target_file_name)
    assert verify(dataset.folder).ok


def test_missing_libraries_are_named(dataset, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(DatasetError, match="pip install pyarrow"):
        export_dataset(dataset, tmp_path / "out", "huggingface")
    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(DatasetError, match="pip install pyyaml"):
        export_dataset(dataset, tmp_path / "out", "ai-toolkit")
    assert list(tmp_path.iterdir()) == []
