"""diffusion-pipe: one folder of targets, one of controls, TOML files for the data and for the run."""

from __future__ import annotations

from typing import Any

from .base import Export, Group, toml_table

_BUCKETS = {"enable_ar_bucket": True, "min_ar": 0.5, "max_ar": 2.0, "num_ar_buckets": 9, "num_repeats": 1}
_RUN = """# diffusion-pipe run for this dataset:
#   deepspeed --num_gpus=1 train.py --deepspeed --config "{path}"
# Put the paths of your base model into [model]; the other values are starting points.
"""


def write(export: Export) -> None:
    """Writes a dataset as diffusion-pipe reads it."""
    groups = export.groups(max_images=1, text_to_image=True)
    paths = {group.name: export.copy_group(group) for group in groups}
    trained = [group for group in groups if group.split == export.training_split]
    held_out = [group for group in groups if group.split != export.training_split]
    export.write("dataset.toml", _data(export, trained, paths), config=True)
    if held_out:
        export.write("dataset_validation.toml", _data(export, held_out, paths), config=True)
    export.write("diffusion_pipe.toml", _run(export, bool(held_out)), config=True)
    export.note_omissions(
        masks="Masks weight the loss (mask_path); they are no input of the model."
        if export.options.loss_masks
        else "Masks are left out: diffusion-pipe would weight the loss by them (ask for that with --loss-masks)."
    )
    export.notes.insert(
        0,
        "Train with diffusion-pipe: set the model's paths in diffusion_pipe.toml, then "
        "deepspeed --num_gpus=1 train.py --deepspeed --config diffusion_pipe.toml",
    )


def _data(export: Export, groups: list[Group], paths: dict[str, dict]) -> str:
    top = "\n".join(toml_table("", {"resolutions": [export.options.resolution], **_BUCKETS}).splitlines()[1:])
    tables = [toml_table("[[directory]]", _directory(paths[group.name])) for group in groups]
    return top + "\n\n" + "\n".join(tables)


def _directory(paths: dict[str, Any]) -> dict[str, str]:
    entry = {"path": paths["target"]}
    if paths["controls"]:
        entry["control_path"] = paths["controls"][0]
    if paths["mask"]:
        entry["mask_path"] = paths["mask"]
    return entry


def _run(export: Export, validation: bool) -> str:
    top: dict[str, Any] = {
        "output_dir": export.final_path("runs"),
        "dataset": export.final_path("dataset.toml"),
        "epochs": 100,
        "micro_batch_size_per_gpu": 1,
        "pipeline_stages": 1,
        "gradient_accumulation_steps": 4,
        "gradient_clipping": 1.0,
        "warmup_steps": 100,
        "eval_every_n_epochs": 1,
        "eval_before_first_step": True,
        "eval_micro_batch_size_per_gpu": 1,
        "eval_gradient_accumulation_steps": 1,
        "save_every_n_epochs": 2,
        "checkpoint_every_n_minutes": 120,
        "activation_checkpointing": True,
        "partition_method": "parameters",
        "save_dtype": "bfloat16",
        "caching_batch_size": 1,
        "steps_per_print": 1,
    }
    model = {
        "type": "flux",
        "diffusers_path": "/path/to/FLUX.1-dev",
        "transformer_path": "/path/to/flux1-kontext-dev.safetensors",
        "dtype": "bfloat16",
        "transformer_dtype": "float8",
    }
    optimizer = {"type": "adamw_optimi", "lr": 2e-5, "betas": [0.9, 0.99], "weight_decay": 0.01, "eps": 1e-8}
    parts = [_RUN.format(path=export.final_path("diffusion_pipe.toml")) + toml_table("", top).lstrip("\n")]
    if validation:
        held_out = {"name": "held_out", "config": export.final_path("dataset_validation.toml")}
        parts.append(toml_table("[[eval_datasets]]", held_out))
    parts.append(toml_table("[model]", model))
    parts.append(toml_table("[adapter]", {"type": "lora", "rank": 32, "dtype": "bfloat16"}))
    parts.append(toml_table("[optimizer]", optimizer))
    return "\n".join(parts)
