"""Where training reads and writes inside ComfyUI: configurations, runs, LoRAs, workflows."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import folder_paths

from ...ace.files import atomic_write
from ...ace.text_files import read_text
from ...training.dataset.disk.names import check_dataset_name
from ...training.errors import DatasetNameError
from ..host import paths
from .dataset import dataset_state

STANDARD = "(standard)"
CONNECTED = "(the connected one)"
_SHIPPED_CONFIGS = Path(__file__).resolve().parents[2] / "training" / "configs"
_SOFTWARE = "ACE Edit"


def _user_folder() -> Path:
    return Path(folder_paths.get_user_directory(), "default")


def _configs() -> dict[str, Path]:
    """Configuration files by the name that the menu shows; those of the user hide shipped ones of the same name."""
    found = {}
    for folder in (_SHIPPED_CONFIGS, _user_folder() / "ace"):
        if folder.is_dir():
            found |= {path.name: path for path in sorted(folder.glob("*.toml")) if not path.is_symlink()}
    return found


def config_names(kind: str) -> list[str]:
    """Configurations for the menu of Train ("train") or Distil ("distil").

    Distil makes LoRAs and is not offered what trains a whole model; a broken file is, and is explained when it is used.
    """
    return [STANDARD, *(name for name, path in _configs().items() if kind == "train" or _could_be_lora(path))]


def _could_be_lora(path: Path) -> bool:
    from ...training.trainer.errors import TrainError

    try:
        return config_method(path) == "lora"
    except TrainError:
        return True


def config_path(name: str) -> Path | None:
    """The file behind a name of the menu; None for the standard one. Other places than the two folders are never read.

    Raises:
        ValueError: there is none of that name.
    """
    if name == STANDARD:
        return None
    found = _configs().get(name)
    if found is None:
        raise ValueError(
            f"there is no configuration {name!r:.80}; put it into {_user_folder() / 'ace'} and refresh the page"
        )
    return found


def choose_dataset(connected: str | None, name: str) -> Path:
    """The dataset's folder: of the socket, else the one the menu names.

    Raises:
        ValueError: neither says one.
        DatasetNameError: the name leads elsewhere.
    """
    if connected is not None:
        return Path(connected)
    if name == CONNECTED:
        raise ValueError("connect a dataset (from Load Dataset), or choose one by its name")
    return paths.dataset_folder(name)


def check_name(name: str) -> str:
    """A name that the artist typed, if files can have it on every system.

    Raises:
        ValueError: they cannot.
    """
    try:
        return check_dataset_name(name, "name")
    except DatasetNameError as error:
        raise ValueError(str(error)) from None


def run_folder(kind: str, name: str) -> Path:
    """Folder of a run in ComfyUI's output folder; kind is "train" or "distil"."""
    return Path(folder_paths.get_output_directory(), kind, name)


def cache_folder() -> Path:
    """Encoded pictures and texts, shared by all runs."""
    return Path(folder_paths.get_output_directory(), "training-cache")


def config_method(config: Path | None) -> str:
    """What a configuration trains: "lora", "full" or "editnet".

    Raises:
        ConfigError: it cannot be read.
    """
    from ...training.trainer.config_file import read_toml

    return "lora" if config is None else read_toml(config).get("method", "lora")


def has_own_cache(config: Path | None) -> bool:
    """Whether a file of the user says where encoded pictures are kept.

    Raises:
        ConfigError: it cannot be read.
    """
    from ...training.trainer.config_file import read_toml

    if config is None or config.parent == _SHIPPED_CONFIGS:
        return False
    data = read_toml(config).get("data")
    return isinstance(data, dict) and "cache" in data


def model_path(method: str, name: str) -> Path:
    """Where the trained file goes: LoRAs to models/loras, EditNets to models/model_patches, whole models to models/ace.

    Nobody else's file is replaced.

    Raises:
        ValueError: there is a file of this name that ACE Edit has not trained under it.
    """
    kinds = {"lora": "loras", "editnet": paths.EDITNETS}
    path = Path(folder_paths.get_folder_paths(kinds.get(method, paths.FOLDER))[0]) / f"{name}.safetensors"
    if path.exists() and not _was_trained_as(path, name):
        raise ValueError(f"{path} is there already and is not from this training; choose another name")
    return path


def _was_trained_as(path: Path, name: str) -> bool:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
    except (OSError, SafetensorError):
        return False
    return (metadata.get("software"), metadata.get("title")) == (_SOFTWARE, name)


def publish_model(trained: Path, method: str, name: str) -> Path:
    """Copies what was trained to where ComfyUI's loaders look.

    Args:
        trained: the file in the run's folder.
        method: see :func:`config_method`.
        name: of the file.

    Returns:
        The copy.

    Raises:
        ValueError: a file there would be lost.
        OSError: it cannot be written.
    """
    target = model_path(method, name)
    with atomic_write(target, trained.stat().st_size) as temporary:
        shutil.copyfile(trained, temporary)
    return target


def publish_workflow(workflow: Path) -> Path:
    """Copies a workflow to the user's; another one of the same name stays, and the new one gets a number.

    Raises:
        OSError: it cannot be written.
    """
    folder, content = _user_folder() / "workflows", workflow.read_bytes()
    target, number = folder / workflow.name, 2
    while target.exists() and _workflow_id(target) != _workflow_id(workflow):
        target, number = folder / f"{workflow.stem} {number}{workflow.suffix}", number + 1
    with atomic_write(target) as temporary:
        temporary.write_bytes(content)
    return target


def is_workflow(name: str) -> bool:
    """Whether the user has a workflow in a file of this name, directly among the workflows."""
    return Path(name).name == name and (_user_folder() / "workflows" / name).is_file()


def _workflow_id(workflow: Path) -> str | None:
    """The workflow's own id, which saving it in the front end keeps; None for other files."""
    try:
        return json.loads(read_text(workflow)).get("id")
    except (OSError, ValueError, AttributeError):
        return None


def run_state(dataset: Path, run: Path) -> str:
    """A text that changes when a training would do something else than before: new pairs, or a run that was stopped."""
    stopped = run / "stopped"
    return f"{dataset_state(dataset)}-{stopped.stat().st_mtime_ns if stopped.exists() else ''}"


def mark_stopped(run: Path, stopped: bool) -> None:
    """Notes whether a run was stopped, so that queueing it again goes on though nothing on the node has changed."""
    if stopped:
        (run / "stopped").touch()
    else:
        (run / "stopped").unlink(missing_ok=True)
