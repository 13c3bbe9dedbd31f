"""SimpleTuner: an image backend and one conditioning backend a reference, tied by equal file names."""

from __future__ import annotations

import json
from typing import Any

from .base import Export, Group

MAX_REFERENCES = 3


def write(export: Export) -> None:
    """Writes a dataset as SimpleTuner reads it."""
    groups = export.groups(max_images=MAX_REFERENCES)
    backends: list[dict[str, Any]] = []
    for group in groups:
        backends += _backends(export, group, export.copy_group(group, masks=False))
    backends.append(
        {
            "id": "text-embeds",
            "type": "local",
            "dataset_type": "text_embeds",
            "default": True,
            "cache_dir": export.final_path("cache/text"),
        }
    )
    export.write("multidatabackend.json", _json(backends), config=True)
    export.write("config.json", _json(_config(export, groups)), config=True)
    export.note_omissions(
        masks="Masks are left out: beside reference pictures SimpleTuner takes no masks for Qwen's edit models."
    )
    export.notes.insert(
        0, "Train with SimpleTuner: copy config.json into its config/ folder; it names multidatabackend.json here."
    )


def _backends(export: Export, group: Group, paths: dict[str, Any]) -> list[dict[str, Any]]:
    side = export.options.resolution

    def backend(kind: str, folder: str) -> dict[str, Any]:
        return {
            "id": f"{group.name}-{kind}",
            "type": "local",
            "instance_data_dir": folder,
            "resolution": side,
            "resolution_type": "pixel_area",
            "minimum_image_size": 0,
            "cache_dir_vae": export.final_path(f"cache/vae/{group.name}-{kind}"),
        }

    conditioning = []
    for index, folder in enumerate(paths["controls"]):
        kind = "source" if index == 0 else f"reference-{index}"
        entry = backend(kind, folder)
        # Strict alignment is for pictures that lie on each other; only the source does.
        entry |= {"dataset_type": "conditioning", "caption_strategy": None}
        entry["conditioning_type"] = "reference_strict" if index == 0 else "reference_loose"
        conditioning.append(entry)
    target = backend("target", paths["target"])
    target |= {"dataset_type": "image", "caption_strategy": "textfile"}
    target["conditioning_data"] = [entry["id"] for entry in conditioning]
    if group.split != export.training_split:
        target["dataset_type"] = "eval"
    return [target, *conditioning]


def _config(export: Export, groups: list[Group]) -> dict[str, Any]:
    config: dict[str, Any] = {
        "model_type": "lora",
        "model_family": "qwen_image",
        "model_flavour": "edit-v2",
        "lora_type": "standard",
        "lora_rank": 16,
        "train_batch_size": 1,
        "gradient_accumulation_steps": 4,
        "gradient_checkpointing": True,
        "mixed_precision": "bf16",
        "base_model_precision": "int8-quanto",
        "quantize_via": "cpu",
        "optimizer": "adamw_bf16",
        "learning_rate": 1e-4,
        "lr_scheduler": "constant",
        "max_train_steps": 3000,
        "num_train_epochs": 0,
        "resolution": export.options.resolution,
        "resolution_type": "pixel_area",
        "minimum_image_size": 0,
        "flow_schedule_shift": 1.73,
        "conditioning_multidataset_sampling": "combined",
        "data_backend_config": export.final_path("multidatabackend.json"),
        "output_dir": export.final_path("runs"),
        "seed": 42,
        "validation_guidance": 4.0,
        "validation_num_inference_steps": 30,
        "validation_resolution": f"{export.options.resolution}x{export.options.resolution}",
        "validation_steps": 250,
    }
    held_out = next((group for group in groups if group.split != export.training_split), None)
    if held_out is not None:
        config |= {"eval_dataset_id": f"{held_out.name}-target", "eval_steps_interval": 250, "num_eval_images": 4}
    return config


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
