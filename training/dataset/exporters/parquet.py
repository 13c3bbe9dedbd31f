"""Hugging Face parquet: every column, pictures inside, loadable by ``datasets`` without a script.

The same files serve diffusers' image-to-image LoRA scripts, which take column names on the command line.
"""

from __future__ import annotations

import json
from typing import Any

from ...errors import DatasetError
from ..disk.rows import PairRow
from ..disk.storage import safe_file
from .base import Export, iter_shards

_ROW_GROUP = 20
_IMAGE = {"_type": "Image"}
_TEXT = {"dtype": "string", "_type": "Value"}
_FEATURES: dict[str, Any] = {
    "id": _TEXT,
    "target": _IMAGE,
    "source": _IMAGE,
    "references": {"feature": _IMAGE, "_type": "List"},
    "masks": {"feature": _IMAGE, "_type": "List"},
    "mask_indices": {"feature": {"dtype": "int32", "_type": "Value"}, "_type": "List"},
    "instruction": _TEXT,
    "prompt": _TEXT,
    "history": {"feature": _TEXT, "_type": "List"},
    "seed": {"dtype": "uint64", "_type": "Value"},
    "scores": _TEXT,
    "weight": {"dtype": "float64", "_type": "Value"},
    "workflow": _TEXT,
    "tags": {"feature": _TEXT, "_type": "List"},
    "created": _TEXT,
}
_CARD = """---
pretty_name: {name}
task_categories:
- image-to-image
configs:
- config_name: default
  data_files:
{files}
---

# {title}

{count} pairs of condition images, instruction and result.

| column | content |
| --- | --- |
| target, source | result and first condition image |
| references, masks | further condition images; masks (white = may change), `mask_indices` says of which image |
| instruction, prompt | with `{{image}}` tokens, and in plain words |
| scores | JSON text of raw sub-scores by scorer |
| history | ids of earlier rounds, oldest first |

```python
from datasets import load_dataset
pairs = load_dataset("{path}", split="{split}")
```
"""
_COMMAND = """#!/bin/sh
# diffusers, examples/dreambooth: image-to-image LoRA on this dataset. It reads the split "train" alone.
# train_dreambooth_lora_flux2_img2img.py takes the same four data arguments.
accelerate launch train_dreambooth_lora_flux_kontext.py \\
  --pretrained_model_name_or_path=black-forest-labs/FLUX.1-Kontext-dev \\
  --dataset_name={path} \\
  --image_column=target --cond_image_column=source --caption_column=prompt \\
  --output_dir={output} \\
  --mixed_precision=bf16 --resolution={resolution} --train_batch_size=1 --guidance_scale=1 \\
  --gradient_accumulation_steps=4 --gradient_checkpointing --optimizer=adamw --use_8bit_adam --cache_latents \\
  --learning_rate=1e-4 --lr_scheduler=constant --lr_warmup_steps=200 --max_train_steps=1000 --rank=16 --seed=0
"""


def write_huggingface(export: Export) -> None:
    """Writes all pairs and columns as parquet, with a dataset card."""
    _write_shards(export, export.rows)
    export.notes.insert(0, f'Load with datasets: load_dataset("{export.folder.as_posix()}").')


def write_diffusers(export: Export) -> None:
    """Writes the pairs with one condition image as parquet, with a training command for diffusers."""
    groups = export.groups(max_images=1)
    if not any(group.split == "train" for group in groups):
        raise DatasetError("diffusers' scripts read the split train, and this selection has no pair in it.")
    rows = [row for group in groups for row in group.rows]
    _write_shards(export, rows)
    path, output = (_quoted(export.final_path(name)) for name in ("", "runs"))
    command = _COMMAND.format(path=path, output=output, resolution=export.options.resolution)
    export.write("train_diffusers.sh", command, config=True)
    export.note_omissions()
    export.notes.insert(0, "Train with diffusers: run train_diffusers.sh in its examples/dreambooth folder.")


def _write_shards(export: Export, rows: list[PairRow]) -> None:
    _, parquet = _pyarrow()
    schema = _schema()
    (export.building / "data").mkdir(parents=True)
    for split, number, count, chosen in iter_shards(rows, export.options.shard_pairs):
        name = f"data/{split}-{number:05d}-of-{count:05d}.parquet"
        with parquet.ParquetWriter(export.building / name, schema) as writer:
            # A row group is held in memory whole, here and by readers that stream.
            for start in range(0, len(chosen), _ROW_GROUP):
                writer.write_table(_table(export, chosen[start : start + _ROW_GROUP], schema))
    splits = sorted({row.split for row in rows}, key=("train", "validation").index)
    files = "\n".join(f"  - split: {split}\n    path: data/{split}-*" for split in splits)
    card = _CARD.format(
        name=json.dumps(export.dataset.name, ensure_ascii=False),
        title=export.dataset.name,
        files=files,
        count=len(rows),
        path=export.folder.name,
        split=splits[0],
    )
    export.write("README.md", card, config=True)


def _table(export: Export, rows: list[PairRow], schema) -> Any:
    pyarrow, _ = _pyarrow()

    def picture(name: str | None) -> dict[str, Any] | None:
        if name is None:
            return None
        return {"bytes": safe_file(export.dataset.folder, name).read_bytes(), "path": name.replace("/", "-")}

    values = [
        {
            "id": row.id,
            "target": picture(row.target_file_name),
            "source": picture(row.source_file_name),
            "references": [picture(name) for name in row.reference_file_names],
            "masks": [picture(name) for name in row.masks_by_index.values()],
            "mask_indices": list(row.masks_by_index),
            "instruction": row.instruction,
            "prompt": row.prompt,
            "history": list(row.history),
            "seed": row.seed if row.seed is None or 0 <= row.seed < 2**64 else None,
            "scores": json.dumps(row.scores, ensure_ascii=False),
            "weight": float(row.weight),
            "workflow": row.workflow,
            "tags": list(row.tags),
            "created": row.created,
        }
        for row in rows
    ]
    return pyarrow.Table.from_pylist(values, schema=schema)


def _schema():
    pyarrow, _ = _pyarrow()
    image = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])

    def arrow(feature: dict[str, Any]):
        if feature["_type"] == "Image":
            return image
        if feature["_type"] == "List":
            return pyarrow.list_(arrow(feature["feature"]))
        return getattr(pyarrow, feature["dtype"])()

    fields = [(name, arrow(feature)) for name, feature in _FEATURES.items()]
    # ``datasets`` reads the column types from this key; without it the pictures would be plain structs.
    info = json.dumps({"info": {"features": _FEATURES}})
    return pyarrow.schema(fields, metadata={"huggingface": info})


def _pyarrow():
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise DatasetError("Reading and writing parquet needs pyarrow: pip install pyarrow") from error
    return pyarrow, pyarrow.parquet


def _quoted(path: str) -> str:
    return "'" + path.replace("'", "'\\''") + "'"
