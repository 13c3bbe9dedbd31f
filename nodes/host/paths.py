"""Where things lie: models in ``models/ace`` and what extra_model_paths.yaml adds to it, datasets in the output folder."""

from __future__ import annotations

import os
from pathlib import Path

import folder_paths

from ...ace.bundles.bundle import (
    COMPONENTS,
    PUBLISHED_MODELS,
    SHIPPED_BUNDLES,
    Bundle,
    find_bundle,
    list_bundles,
)
from ...training.capture.uploads import SUBFOLDER
from ...training.dataset.disk.names import list_datasets, resolve_dataset
from . import examples

FOLDER = "ace"
EDITNETS = "model_patches"  # core's folder for what steers a model from beside
# Where datasets lie in ComfyUI's output folder. For the command line that is its default, too, when it runs there.
DATASETS = "datasets"
# What the pack itself puts there: menus of folders leave it out.
_OWN_FOLDERS = (SUBFOLDER, "ace-chat")
_MAX_DEPTH = 3  # of folders in the input folder
# Inside a bundle only the transformer is a model that Load Model opens.
_OTHER_PARTS = tuple(f"/{part}/" for part in COMPONENTS if part != "dit")


def register() -> None:
    """Makes ``models/ace`` known to ComfyUI, keeping folders that were configured before."""
    default = os.path.join(folder_paths.models_dir, FOLDER)
    folders, extensions = folder_paths.folder_names_and_paths.get(FOLDER, ([], set()))
    if default not in folders:
        folders.append(default)
    # Folders added by configuration alone come with an empty set, which would list every file.
    folder_paths.folder_names_and_paths[FOLDER] = (folders, set(extensions) | folder_paths.supported_pt_extensions)


def model_names() -> list[str]:
    """Transformer files in the model folders, bundles' other parts left out."""
    names = folder_paths.get_filename_list(FOLDER)
    return [name for name in names if not any(part in f"/{Path(name).as_posix()}" for part in _OTHER_PARTS)]


def model_path(name: str) -> str:
    """The file behind a name of :func:`model_names`.

    Raises:
        FileNotFoundError: it is gone.
    """
    return folder_paths.get_full_path_or_raise(FOLDER, name)


def model_folders() -> list[Path]:
    """Folders with ACE models, ``models/ace`` and those that are configured, the first one for new models."""
    return [Path(folder) for folder in folder_paths.get_folder_paths(FOLDER)]


def bundle_names() -> list[str]:
    """Complete bundles on disk, the shipped one among them, then the published ones."""
    found = [bundle.name for root in (*model_folders(), SHIPPED_BUNDLES) for bundle in list_bundles(root)]
    return list(dict.fromkeys([*found, *PUBLISHED_MODELS]))


def installed_bundle(name: str) -> Bundle | None:
    """The bundle of that name, or None when no model folder has it.

    Raises:
        BundleError: the folder is there but incomplete.
    """
    for root in (*model_folders(), SHIPPED_BUNDLES):
        if (root / name).is_dir():
            return find_bundle(root / name)
    return None


def datasets_root() -> Path:
    """The folder of all datasets: ``$ACE_DATASETS``, as for the command line, else ``datasets`` in the output folder."""
    return Path(os.environ.get("ACE_DATASETS") or os.path.join(folder_paths.get_output_directory(), DATASETS))


def dataset_folder(name: str) -> Path:
    """The folder of a dataset, which need not exist yet.

    Raises:
        DatasetNameError: the name leads elsewhere.
    """
    return resolve_dataset(datasets_root(), name)


def dataset_names() -> list[str]:
    """Names of all datasets."""
    return list_datasets(datasets_root())


def input_folders() -> list[str]:
    """Folders below ComfyUI's input folder that hold files, "." for itself; hidden ones and links are passed over.

    The folders of examples are named whether they are there yet or not.
    """
    root = folder_paths.get_input_directory()
    found = []
    for folder, below, files in os.walk(root):
        depth = os.path.relpath(folder, root).count(os.sep)
        shown = sorted(name for name in below if not name.startswith(".") and name not in _OWN_FOLDERS)
        below[:] = shown if depth < _MAX_DEPTH else []
        if files:
            found.append(Path(os.path.relpath(folder, root)).as_posix())
    return [*found, *(name for name in examples.folder_names() if name not in found)]


def input_folder(name: str) -> Path:
    """The folder behind a name of :func:`input_folders`; a folder of examples is made.

    Raises:
        ValueError: it lists none of that name.
        OSError: examples cannot be copied.
    """
    examples.provide([name])
    if name not in input_folders():
        raise ValueError(
            f"ComfyUI's input folder has no folder {name!r:.80} with files in it; put pictures there, then refresh (R)"
        )
    return Path(folder_paths.get_input_directory(), name)
