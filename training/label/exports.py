"""Accepted labels as a fine-tuning set for a captioner, as ACE's Instruction Captioner was made (Han et al. 2024, §3.2).

A student sees source and result and answers in one step with the instruction and the captions that the pair has.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ...ace.files import atomic_write
from ..dataset.disk.rows import PairRow
from ..dataset.store import Dataset
from ..errors import DatasetError
from ..vision_language.fine_tuning import Example, Format, pictures_in_set, write_examples
from ..vision_language.request import LabelledImage, Request
from .applying import PERSON, words_of_row
from .journal import ACCEPTED, LabelJournal
from .settings import shown_pair

_NAME = "ace_captioner"
_SYSTEM = (
    "You name edits of pictures: what an artist would have asked for, and what the picture showed before and after."
)
_QUESTION = (
    "Image 1 is the picture before an edit and Image 2 after it.{references} Write the instruction that leads from one to "
    'the other; call the edited picture "{{image}}".{captions}'
)
# What is asked for beside the instruction, by which captions the pair has: nothing is learnt from an empty one.
_CAPTIONS = {
    (): "",
    ("source_caption",): " Also say what Image 1 shows.",
    ("target_caption",): " Also say what Image 2 shows.",
    ("source_caption", "target_caption"): " Also say what each of the two shows.",
}
_TEXT = {"type": "string"}
_CONFIGURATIONS = {
    "llama-factory": """# LLaMA-Factory: llamafactory-cli train {name}.yaml, in this folder
model_name_or_path: Qwen/Qwen2.5-VL-7B-Instruct
template: qwen2_vl
stage: sft
do_train: true
finetuning_type: lora
lora_target: all
dataset_dir: .
dataset: {name}
cutoff_len: 4096
per_device_train_batch_size: 1
gradient_accumulation_steps: 8
learning_rate: 1.0e-4
num_train_epochs: 2
bf16: true
output_dir: ./{name}-lora
""",
    "ms-swift": """# ms-swift: swift sft --config {name}.yaml, in this folder
model: Qwen/Qwen2.5-VL-7B-Instruct
dataset:
  - {name}.jsonl
target_modules: all-linear
max_length: 4096
torch_dtype: bfloat16
per_device_train_batch_size: 1
gradient_accumulation_steps: 8
learning_rate: 1.0e-4
num_train_epochs: 2
output_dir: ./{name}-lora
""",
}


@dataclass(frozen=True)
class ExportedLabels:
    """What was written: examples, pairs, and pairs left out because nobody accepted their words."""

    folder: Path
    examples: int
    pairs: int
    left_out: int


def export_labels(
    dataset: Dataset,
    folder: Path,
    style: Format,
    *,
    split: str | None = None,
    by_person: bool = False,
    every_phrasing: bool = False,
) -> ExportedLabels:
    """Writes a fine-tuning set of what stands in the rows of accepted pairs now.

    Args:
        folder: a new one; pictures are copied into it.
        split: of pairs that validate the captioner nothing should be learnt.
        by_person: only what a person accepted, not what passed the checks alone.
        every_phrasing: an example for each phrasing, not for the instruction alone.

    Raises:
        DatasetError: no pair has accepted words, or the folder is there or cannot be written.
    """
    journal = LabelJournal(dataset.folder)
    rows = [row for row in dataset.rows(split) if row.source_file_name is not None]
    accepted = [row for row in rows if _is_accepted(journal, row, by_person)]
    if not accepted:
        raise DatasetError(
            f"no pair of {dataset.name!r} has accepted words: accept some on the page of datasets, or write those that "
            "passed the checks with `comfyui-ace label write --apply`"
        )
    examples = (example for row in accepted for example in _examples(dataset, row, every_phrasing))
    count = write_examples(folder, _NAME, examples, style)
    with atomic_write(folder / f"{_NAME}.yaml") as temporary:
        temporary.write_text(_CONFIGURATIONS[style].format(name=_NAME), encoding="utf-8", newline="\n")
    return ExportedLabels(folder, count, len(accepted), len(rows) - len(accepted))


def _is_accepted(journal: LabelJournal, row: PairRow, by_person: bool) -> bool:
    state = journal[row.id]
    if state.decision != ACCEPTED or state.writing is None or (by_person and state.writing.by != PERSON):
        return False
    return words_of_row(row).instruction in (state.writing.after.instruction, *state.writing.after.phrasings)


def _examples(dataset: Dataset, row: PairRow, every_phrasing: bool) -> Iterator[Example]:
    shown = shown_pair(dataset, row)
    files = (row.source_file_name, row.target_file_name, *row.reference_file_names)
    labels = ["Image 1 (before)", "Image 2 (after)"]
    labels += [f"Image {number} (reference)" for number in range(3, 3 + len(shown.references))]
    pictures = zip(labels, (shown.source, shown.result, *shown.references), strict=True)
    references = " The further images are references." if shown.references else ""
    captions = {"source_caption": row.source_caption, "target_caption": row.target_caption}
    captions = {name: words for name, words in captions.items() if words}
    fields = ("instruction", *captions)
    schema = {
        "type": "object",
        "properties": dict.fromkeys(fields, _TEXT),
        "required": list(fields),
        "additionalProperties": False,
    }
    question = _QUESTION.format(references=references, captions=_CAPTIONS[tuple(captions)])
    parts = (*(LabelledImage(*each) for each in pictures), question)
    request = Request(parts=parts, system=_SYSTEM, schema=schema)
    for words in row.all_instructions if every_phrasing else (row.instruction,):
        yield Example(request, {"instruction": words, **captions}, pictures_in_set(dataset.folder, files))
