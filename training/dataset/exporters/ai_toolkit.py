"""ai-toolkit: folders of targets with captions, control folders of the same stems, one YAML job."""

from __future__ import annotations

from typing import Any

from .base import Export, Group

MAX_CONTROLS = 3
_HEADER = """# ai-toolkit job for this dataset. Put it into ai-toolkit's config/ folder and run: python run.py "{path}"
# The base model, steps and learning rate are starting points; see the examples that come with ai-toolkit.
"""


def write(export: Export) -> None:
    """Writes a dataset as ai-toolkit reads it."""
    groups = export.groups(max_images=MAX_CONTROLS)
    paths = {group.name: export.copy_group(group) for group in groups}
    job = {
        "job": "extension",
        "config": {
            "name": _job_name(export),
            "process": [_process(export, groups, paths)],
        },
        "meta": {"name": "[name]", "version": "1.0"},
    }
    export.write("ai_toolkit.yaml", _HEADER.format(path=export.final_path("ai_toolkit.yaml")) + _yaml(job), config=True)
    export.note_omissions(masks=_masks(export))
    export.notes.insert(0, "Train with ai-toolkit: python run.py ai_toolkit.yaml (sample prompts are held-out pairs).")


def _process(export: Export, groups: list[Group], paths: dict[str, dict]) -> dict[str, Any]:
    side = export.options.resolution
    return {
        "type": "diffusion_trainer",
        "training_folder": "output",
        "device": "cuda:0",
        "network": {"type": "lora", "linear": 16, "linear_alpha": 16},
        "save": {"dtype": "float16", "save_every": 250, "max_step_saves_to_keep": 4},
        "datasets": [_dataset(paths[group.name], side) for group in groups if group.split == export.training_split],
        "train": {
            "batch_size": 1,
            "cache_text_embeddings": True,
            "steps": 3000,
            "gradient_accumulation": 1,
            "timestep_type": "weighted",
            "train_unet": True,
            "train_text_encoder": False,
            "gradient_checkpointing": True,
            "noise_scheduler": "flowmatch",
            "optimizer": "adamw8bit",
            "lr": 1e-4,
            "dtype": "bf16",
        },
        "model": {
            "name_or_path": "Qwen/Qwen-Image-Edit-2509",
            "arch": "qwen_image_edit_plus",
            "quantize": True,
            "qtype": "uint3|ostris/accuracy_recovery_adapters/qwen_image_edit_2509_torchao_uint3.safetensors",
            "quantize_te": True,
            "qtype_te": "qfloat8",
            "low_vram": True,
        },
        "sample": {
            "sampler": "flowmatch",
            "sample_every": 250,
            "width": side,
            "height": side,
            "samples": _samples(export, groups),
            "neg": "",
            "seed": 42,
            "walk_seed": True,
            "guidance_scale": 3,
            "sample_steps": 25,
        },
    }


def _dataset(paths: dict[str, Any], side: int) -> dict[str, Any]:
    entry = {
        "folder_path": paths["target"],
        "control_path": paths["controls"] if len(paths["controls"]) > 1 else paths["controls"][0],
        "caption_ext": "txt",
        "caption_dropout_rate": 0.05,
        "cache_latents_to_disk": True,
        "resolution": [side],
    }
    if paths["mask"]:
        entry["mask_path"] = paths["mask"]
    return entry


def _samples(export: Export, groups: list[Group], most: int = 4) -> list[dict[str, str]]:
    """Prompts with control images for previews, from validation pairs where there are any."""
    held_out = [(group, row) for group in groups if group.split != export.training_split for row in group.rows]
    chosen = held_out or [(group, row) for group in groups for row in group.rows]
    return [
        {
            "prompt": row.prompt,
            **{
                f"ctrl_img_{index + 1}": export.final_path(f"{group.name}/{name}")
                for index, name in enumerate(row.image_files)
            },
        }
        for group, row in chosen[:most]
    ]


def _masks(export: Export) -> str:
    if export.options.loss_masks:
        return "Masks weight the loss (mask_path); they are no input of the model."
    return "Masks are left out: ai-toolkit would weight the loss by them (ask for that with --loss-masks)."


def _job_name(export: Export) -> str:
    return f"{export.dataset.name.replace(' ', '_')}_lora_v1"


def _yaml(value: Any) -> str:
    try:
        import yaml
    except ImportError as error:
        from ...errors import DatasetError

        raise DatasetError("Writing ai-toolkit's configuration needs PyYAML: pip install pyyaml") from error
    return yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=1000)
