"""Instructions for a dataset's pairs, written by a model that sees pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import comfy.model_management
import comfy.utils
from comfy_api.latest import io, ui

from ..host.messages import Messages, counted, show_on_node
from ..host.node import Node
from ..host.types import AceDataset, schema
from .asking import asking, clip_input, connected_model, model_inputs, tell_failures
from .dataset import open_dataset, to_batch

if TYPE_CHECKING:
    from ...training.dataset.store import Dataset
    from ...training.label.labeller import Labeller
    from ...training.label.settings import LabelSettings
    from ...training.vision_language.backend import Backend

_LEAVE, _WRITE, _UNDO = "propose only", "write checked texts", "as before"
_LANGUAGES = {"English": ("en",), "Chinese": ("zh",), "English and Chinese": ("en", "zh")}
_SHOWN = 8  # pairs on the sheet


class LabelNode(Node):
    """ACE_DATASET -> texts proposed for its pairs, and in its rows."""

    @classmethod
    def define_schema(cls):
        return schema(
            node_id="ACELabel",
            display_name="ACE Edit: Label",
            category="training data",
            description="Has a model that sees pictures write the instructions of a dataset's pairs, in several wordings, "
            "and checks what it says. Without a model only edits that can be told from the pixels get instructions: gray, "
            "mosaic, edges, mirrored, inverted, enlarged.",
            search_aliases=["caption pairs", "instructions", "describe difference", "captioning", "prompts"],
            inputs=[
                AceDataset.Input("dataset", tooltip="From Load Dataset."),
                *model_inputs(
                    "Pictures",
                    "Label at most so many pairs this time. 0: all. Pairs that have texts keep them, so a run goes "
                    "on where it was stopped.",
                ),
                io.Combo.Input(
                    "language",
                    options=list(_LANGUAGES),
                    tooltip="Of the texts. The published models read English only.",
                ),
                io.Int.Input(
                    "rewrites",
                    default=0,
                    min=0,
                    max=16,
                    tooltip="So many further wordings are asked for, each clearly another than all before it. Training draws "
                    "one of a pair's wordings each time.",
                ),
                io.Combo.Input(
                    "rows",
                    options=[_LEAVE, _WRITE, _UNDO],
                    tooltip="What happens to the pairs' instructions. Propose only: nothing yet; accept, edit or reject the "
                    "texts on the page of datasets. Write checked texts: all that passed the checks. As before: what was "
                    "written last is taken back.",
                ),
                clip_input("is asked"),
            ],
            outputs=[
                AceDataset.Output(display_name="dataset", tooltip="The same dataset, for Train and Distil."),
                io.String.Output(
                    display_name="report", tooltip="What was proposed and written, and why pairs have no text."
                ),
                io.Int.Output(display_name="waiting", tooltip="How many pairs have texts that nobody has decided on."),
            ],
            hidden=[io.Hidden.unique_id],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, dataset, server, model, pairs, language, rewrites, rows, clip=None) -> io.NodeOutput:
        from ...training.label.journal import LabelJournal
        from ...training.label.labeller import Labeller
        from ...training.label.report import describe, summarise
        from ...training.label.settings import LabelSettings

        opened = open_dataset(dataset)
        notify = Messages(cls.hidden.unique_id)
        settings = LabelSettings(languages=_LANGUAGES[language], rewrites=rewrites, limit=pairs)
        if rows == _UNDO:
            _undo(opened, notify)
        else:
            _label(opened, Labeller(_open(opened, server.strip(), model.strip(), clip), settings), settings, notify)
            if rows == _WRITE:
                _write(opened, settings.languages[0], notify)
        report = "\n".join([*notify.lines, describe(summarise(opened))])
        if cls.hidden.unique_id is not None:
            show_on_node(report, cls.hidden.unique_id)
        journal = LabelJournal(opened.folder)
        waiting = sum(journal[row.id].waits for row in opened.rows())
        sheet = to_batch(_draw(opened, journal))
        return io.NodeOutput(str(opened.folder), report, waiting, ui=ui.PreviewImage(sheet, cls=cls))


def _open(dataset: Dataset, server: str, model: str, clip) -> Backend | None:
    """The model that was connected or typed, after it has proved that it sees; None for the pixels alone."""
    from ...training.label.opening import open_labeller_backend

    if clip is not None:
        return connected_model(clip)
    return open_labeller_backend(dataset, server, model) if server else None


def _label(dataset: Dataset, labeller: Labeller, settings: LabelSettings, notify: Messages) -> None:
    """Raises InterruptProcessingException after an interrupt; the labels until then are kept."""
    from ...training.label.labelling import label_dataset

    if labeller.model:
        place = labeller.address
        notify(
            f"{labeller.model}: pictures are sent to {place}" if place else f"{labeller.model} runs on this computer"
        )
    bar = comfy.utils.ProgressBar(1)
    result = label_dataset(
        dataset,
        labeller,
        settings,
        **asking(bar),
    )
    comfy.model_management.throw_exception_if_processing_interrupted()
    tokens = result.usage.completion_tokens
    parts = {
        f"{result.proposed} pairs got texts": True,
        f"{result.left} were left without": result.left,
        f"{result.known} were known": result.known,
        f"{result.decided} were decided on meanwhile": result.decided,
        f"{len(result.failed)} failed": len(result.failed),
        f"{tokens} tokens written in {result.seconds:.0f} s": tokens,
    }
    notify(counted(parts))
    if 2 * result.invented > result.shown_twice:
        notify("shown one picture twice, this model sees a difference in most: it invents, take another one")
    tell_failures(result.failed, notify)


def _write(dataset: Dataset, language: str, notify: Messages) -> None:
    from ...training.label.applying import apply_labels, plan
    from ...training.label.journal import LabelJournal

    journal = LabelJournal(dataset.folder)
    result = apply_labels(dataset, journal, plan(dataset, journal, language))
    notify(f"{result.changed} pairs have new instructions; {_UNDO!r} takes that back")
    if result.left:
        notify(f"{len(result.left)} keep their words: somebody has changed or decided on them since they were labelled")
    tell_failures(result.failed, notify)


def _undo(dataset: Dataset, notify: Messages) -> None:
    from ...training.label.applying import undo
    from ...training.label.journal import LabelJournal

    result = undo(dataset, LabelJournal(dataset.folder))
    notify(f"{result.changed} pairs have their earlier instructions again")
    if result.left:
        notify(f"{len(result.left)} were changed since and keep their words: {', '.join(list(result.left)[:_SHOWN])}")


def _draw(dataset: Dataset, journal):
    """Pairs with their texts: those that wait first, else the last of all."""
    from .dataset_sheet import draw_sheet

    rows = list(dataset.rows())
    shown = ([row for row in rows if journal[row.id].waits] or rows[-_SHOWN:])[:_SHOWN]
    return draw_sheet(dataset, shown, [_text(journal, row) for row in shown])


def _text(journal, row) -> str:
    state = journal[row.id]
    return state.label.texts[0].text if state.waits else row.instruction
