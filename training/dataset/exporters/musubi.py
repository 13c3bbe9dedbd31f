"""musubi-tuner: jsonl files with numbered control paths, and the dataset TOML that names them.

The jsonl points at the dataset's own files, so nothing is copied.
"""

from __future__ import annotations

import json

from ..disk.rows import PairRow
from .base import Export, Group, toml_table

_HEADER = """# musubi-tuner dataset configuration: pass it as --dataset_config to the cache scripts and to the trainer.
# Qwen-Image-Edit-2509/2511 and FLUX.2 take several control images; FLUX.1 Kontext and Qwen-Image-Edit take one.
"""


def write(export: Export) -> None:
    """Writes a dataset as musubi-tuner reads it."""
    groups = export.groups()
    tables: dict[bool, list[str]] = {True: [], False: []}  # by whether it is trained on
    for group in groups:
        lines = [json.dumps(_item(export, row), ensure_ascii=False) for row in group.rows]
        export.write(f"{group.name}.jsonl", "\n".join(lines) + "\n")
        tables[group.split == export.training_split].append(_table(export, group))
    side = export.options.resolution
    general = {"resolution": [side, side], "batch_size": 1, "enable_bucket": True, "bucket_no_upscale": True}
    names = {True: "musubi_dataset.toml", False: "musubi_validation.toml"}
    for trained, datasets in tables.items():
        if datasets:
            text = "\n".join([_HEADER, toml_table("[general]", general), *datasets])
            export.write(names[trained], text, config=True)
    export.note_omissions(
        masks="Masks are left out: of musubi's trainers only FramePack one-frame takes any, as alpha of the control."
    )
    export.notes.insert(
        0,
        "Train with musubi-tuner: --dataset_config musubi_dataset.toml. The jsonl files point into the dataset: "
        "leave it where it is.",
    )


def _item(export: Export, row: PairRow) -> dict[str, str]:
    controls = {f"control_path_{index}": export.stored_path(name) for index, name in enumerate(row.image_files)}
    return {"image_path": export.stored_path(row.target_file_name), **controls, "caption": row.prompt}


def _table(export: Export, group: Group) -> str:
    return toml_table(
        "[[datasets]]",
        {
            "image_jsonl_file": export.final_path(f"{group.name}.jsonl"),
            # Every dataset needs a cache of its own.
            "cache_directory": export.final_path(f"cache/{group.name}"),
            "num_repeats": 1,
            "no_resize_control": False,
            "control_resolution": [1024, 1024],  # what the models' own code scales conditions to
        },
    )
