"""The small workflow that takes the place of the one a LoRA was distilled from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ...ace.files import atomic_write
from ...ace.lcu.indicators import indicator, mentioned_images
from ...ace.pictures.fit import PATCH_PIXELS
from ..dataset.disk.rows import PairRow
from ..dataset.store import Dataset
from ..errors import DatasetError
from ..trainer.config import ResolutionSection
from .ace_graph import ACEGraph
from .graph import NodeRef

_BLANK = "blank: paint something new"
_BY_TOKENS = {1024: "512 px model", 4096: "1024 px model"}
_LEAST_MEGAPIXELS = 0.01  # of the Sampler's widget


@dataclass(frozen=True)
class Picture:
    """A Load Image of the workflow.

    Attributes:
        file: in ComfyUI's input folder.
        masked: whether its mask matters.
    """

    file: str
    masked: bool


@dataclass(frozen=True)
class Round:
    """A Condition Unit of the workflow.

    Attributes:
        instruction: its text.
        pictures: those it speaks of, in indicator order.
    """

    instruction: str
    pictures: tuple[Picture, ...]


@dataclass(frozen=True)
class Replacement:
    """What the replacement workflow is made of.

    Attributes:
        name: for the saved pictures and the note.
        bundle: folder name of the base model.
        lora: file name in models/loras.
        rounds: earlier rounds, oldest first, and the present one.
        sampler: steps, cfg, guidance_rescale, and the resolution where it is not the model's own.
        fill: what the model sees under a mask, "keep" or "blank"; as in training.
        keep_detail: give back what the VAE took of the edited picture.
        triggers: instructions of the other edits that the LoRA has learnt, by dataset.
    """

    name: str
    bundle: str
    lora: str
    rounds: tuple[Round, ...]
    sampler: Mapping[str, Any]
    fill: str = "keep"
    keep_detail: bool = False
    triggers: Mapping[str, str] = field(default_factory=dict)

    def graph(self) -> ACEGraph:
        """Load Image → ACE with the LoRA → Save Image."""
        g = ACEGraph()
        models = g.load_bundle(self.bundle)
        model = g.load_lora(models[0], self.lora)
        loaded: dict[str, NodeRef] = {}
        units = [self._unit(g, one, loaded) for one in self.rounds]
        context: Any = units[0]
        if len(units) > 1:
            context = g.long_context(units[0])
            for unit in units[1:]:
                context = g.long_context(unit, context[0], max_rounds=len(units) - 1)
        present = self.rounds[-1].pictures
        pasted = bool(present) and present[0].masked
        detail = self.keep_detail and bool(present)
        # Paste Back scales by itself; the detail to keep is that of the picture's own size.
        size = "as the source" if present and (detail or not pasted) else "as sampled"
        sampler = {**self.sampler, "result_size": size, "keep_detail": float(detail)}
        result = g.sampler(models, context, model=model[0], **sampler)
        if pasted:
            source = loaded[present[0].file]
            g.save_image(g.paste_back(source[0], result[0], mask=source[1], fit=result[2])[0], self.name)
        else:
            g.save_image(result[0], self.name)
        return g

    def _unit(self, g: ACEGraph, one: Round, loaded: dict[str, NodeRef]) -> NodeRef:
        images = []
        for number, picture in enumerate(one.pictures):
            photo = loaded[picture.file] = g.load_image(picture.file)
            images.append(self._image(g, photo, picture.masked, indicator(number)))
        return g.unit(one.instruction, *images)

    def _image(self, g: ACEGraph, photo: NodeRef, masked: bool, word: str) -> NodeRef:
        if masked and self.fill == "blank":
            return g.node("ACEInpaint", image=photo[0], mask=photo[1], way=_BLANK, indicator=word)
        return g.ace_image(photo[0], word, **({"mask": photo[1]} if masked else {}))

    def note(self, verdict: str) -> str:
        """Markdown for the note in the graph.

        Args:
            verdict: what the evaluation found, or why there is none.
        """
        pictures = [picture for one in self.rounds for picture in one.pictures]
        lines = [
            f"**{self.name}**: the distilled workflow, {verdict.removesuffix('.')}.",
            f"It needs the model *{self.bundle}* and the LoRA *{self.lora}*, which works on that model alone. The "
            "instruction is the one it was trained with; keep its words.",
        ]
        if self.triggers:
            listed = "\n".join(f"- {name}: `{words}`" for name, words in self.triggers.items())
            lines.append(f"This one LoRA has learnt several edits. Their instructions:\n\n{listed}")
        if pictures:
            lines.append("Choose your own pictures in **Load Image**; those shown are from the dataset.")
        if self.keep_detail and self.rounds[-1].pictures:
            lines.append(
                "**keep_detail** of the Sampler gives back grain and texture of your picture as far as the result follows "
                "it; on the pictures that were measured this came nearer to the original workflow. 0 switches it off."
            )
        if any(picture.masked for picture in pictures):
            lines.append(
                "White of a mask may change: right click on the picture, *Open in MaskEditor*. Without a mask there is "
                "nothing to paste back."
            )
        return "\n\n".join(lines)


def sampler_resolution(settings: ResolutionSection, own_tokens: int) -> dict[str, Any]:
    """The size of a training as inputs of the Sampler node; empty for the model's own.

    Args:
        settings: of the training.
        own_tokens: what the base model was trained at.
    """
    if settings.rule == "megapixels":
        return {"resolution": "megapixels", "resolution.megapixels": settings.megapixels}
    if settings.rule == "exact":
        return {"resolution": "exact size", "resolution.width": settings.width, "resolution.height": settings.height}
    if settings.rule == "source":
        return {"resolution": "source size"}
    if settings.max_tokens in (None, own_tokens):
        return {}
    if settings.max_tokens in _BY_TOKENS:
        return {"resolution": _BY_TOKENS[settings.max_tokens]}
    # The Sampler has no other budgets of tokens; this is the same area, at which it would also enlarge small pictures.
    area = settings.max_tokens * PATCH_PIXELS**2 / 1024**2
    return {"resolution": "megapixels", "resolution.megapixels": max(_LEAST_MEGAPIXELS, round(area, 2))}


def choose_example(folders: Sequence[Path], trigger: str) -> tuple[Dataset, PairRow]:
    """The pair whose pictures, masks and rounds the workflow gets: of the commonest kind, held out where there is one.

    Args:
        folders: of the datasets.
        trigger: pairs with this instruction are preferred.

    Raises:
        DatasetError: the datasets have no pair.
    """
    found = []
    for folder in folders:
        dataset = Dataset(folder)
        rows = {row.id: row for row in dataset.rows()}
        found += [(dataset, row, _kind(row, rows)) for row in rows.values() if row.labelled]
    if not found:
        raise DatasetError(f"{', '.join(map(str, folders))}: there is no pair to make a workflow from")
    called = [one for one in found if one[1].instruction == trigger] or found
    commonest = Counter(kind for *_, kind in called).most_common(1)[0][0]
    fitting = [one for one in called if one[2] == commonest]
    dataset, row, _ = next((one for one in fitting if one[1].split == "validation"), fitting[0])
    return dataset, row


def _kind(row: PairRow, rows: Mapping[str, PairRow]) -> tuple:
    """Images and masks of every round."""
    rounds = [*(rows[earlier] for earlier in row.history if earlier in rows), row]
    return tuple((len(one.image_files), tuple(one.masks_by_index)) for one in rounds)


def write_rounds(dataset: Dataset, row: PairRow, trigger: str, folder: Path, prefix: str) -> tuple[Round, ...]:
    """The rounds of a pair, their pictures written as PNG files that Load Image opens, masks in the alpha channel.

    Args:
        dataset: of the pair.
        row: the pair's.
        trigger: instruction of the last round, where it mentions no picture that the pair lacks.
        folder: ComfyUI's input folder, or one whose files are to be copied there.
        prefix: of the file names; files of the same names are replaced.

    Raises:
        OSError: a file cannot be written.
    """
    rows = [*(dataset.row(earlier) for earlier in row.history), row]
    rounds = []
    for number, one in enumerate(rows, 1):
        pair = dataset.load(one)
        where = f"{prefix} round {number}" if len(rows) > 1 else prefix
        pictures = []
        for index, (pixels, mask) in enumerate(zip(pair.images, pair.masks, strict=True)):
            file = f"{where} image{index or ''}.png"
            _write_picture(folder / file, pixels, mask)
            pictures.append(Picture(file, mask is not None))
        fits = one is row and set(mentioned_images(trigger)) <= set(range(len(pictures)))
        words = trigger if fits else one.instruction
        rounds.append(Round(words, tuple(pictures)))
    return tuple(rounds)


def _write_picture(path: Path, pixels: np.ndarray, mask: np.ndarray | None) -> None:
    """Pixels (H, W, 3) and mask (H, W), uint8, as RGBA: Load Image takes as mask what is transparent."""
    from PIL import Image

    image = Image.fromarray(pixels)
    if mask is not None:
        image.putalpha(Image.fromarray(255 - mask))
    with atomic_write(path) as temporary:
        image.save(temporary, format="PNG")
