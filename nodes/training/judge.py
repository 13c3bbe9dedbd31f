"""Scores of a dataset's pairs, and the weights that are made of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
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
    from ...training.dataset.disk.rows import PairRow
    from ...training.dataset.store import Dataset
    from ...training.judge.judges import Judge
    from ...training.judge.weights import WeightSettings

_LEAVE, _TOP, _THRESHOLD, _RANK, _UNDO = "leave as they are", "best share", "at least", "by rank", "as at first"
_SHOWN = 6  # pairs of the worst and of the best


class JudgeNode(Node):
    """ACE_DATASET -> scores in its rows, and weights."""

    @classmethod
    def define_schema(cls):
        return schema(
            node_id="ACEJudge",
            display_name="ACE Edit: Judge",
            category="training data",
            description="Gives every pair of a dataset a score from 0 to 10, and can let the scores decide how much of it is "
            "learnt from each. Without a model it looks at the pixels alone: unchanged, blurred, noisy, shifted, doubled.",
            search_aliases=["score pairs", "quality", "filter dataset", "VIEScore", "importance weighting"],
            inputs=[
                AceDataset.Input("dataset", tooltip="From Load Dataset."),
                *model_inputs(
                    "Pictures and instructions",
                    "Ask the model about at most so many pairs this time. 0: about all. Pairs that have a score keep "
                    "it, so a run goes on where it was stopped.",
                ),
                io.String.Input(
                    "edit",
                    default="",
                    multiline=True,
                    tooltip="What the edit is, in plain words, if the pairs' own instruction is a mere trigger word.",
                ),
                io.Combo.Input(
                    "weights",
                    options=[_LEAVE, _TOP, _THRESHOLD, _RANK, _UNDO],
                    tooltip="What the scores do to the training. Best share: the best of each kind of edit are learnt, the "
                    "others left out. At least: those with the score below. By rank: all, the better the more. As "
                    "at first: all weights as they were before any judge changed them.",
                ),
                io.Float.Input(
                    "share",
                    default=0.3,
                    min=0.01,
                    max=1.0,
                    step=0.01,
                    tooltip="For best share: how many of each kind of edit are kept, 0.3 is 30 %.",
                ),
                io.Float.Input(
                    "score",
                    default=9.0,
                    min=0.0,
                    max=10.0,
                    step=0.1,
                    tooltip="For at least: the score a pair must reach. No two judges mean the same by a number, so look at "
                    "the page first.",
                ),
                io.Boolean.Input(
                    "force",
                    default=False,
                    tooltip="Change weights even by a judge that its own report advises against.",
                ),
                clip_input("judges"),
            ],
            outputs=[
                AceDataset.Output(display_name="dataset", tooltip="The same dataset, for Train and Distil."),
                io.String.Output(
                    display_name="report", tooltip="Is this judge any good? And what became of the weights."
                ),
                io.String.Output(display_name="page", tooltip="The page with pictures, scores and reasons, to open."),
                io.Int.Output(display_name="kept", tooltip="How many pairs will be learnt from."),
            ],
            hidden=[io.Hidden.unique_id],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, dataset, server, model, pairs, edit, weights, share, score, force, clip=None) -> io.NodeOutput:
        from ...training.judge.pixels import JUDGE
        from ...training.judge.scoring import measure_pixels

        opened = open_dataset(dataset)
        notify = Messages(cls.hidden.unique_id)
        bar = comfy.utils.ProgressBar(1)
        measure_pixels(opened, progress=_step(bar))
        judge = _open_judge(opened, server.strip(), model.strip(), clip)
        if judge is not None:
            _ask(opened, judge, pairs, edit.strip(), bar, notify)
        name = JUDGE if judge is None else judge.name
        text, page = _report(opened, name)
        if weights != _LEAVE:
            weighed, weights_page = _weigh(opened, _settings(name, weights, share, score), force)
            text, page = f"{text}\n{weighed}", weights_page or page
        kept = sum(row.weight > 0 for row in opened.rows())
        if cls.hidden.unique_id is not None:
            show_on_node("\n".join([*notify.lines, text]), cls.hidden.unique_id)
        sheet = to_batch(_draw(opened, name))
        return io.NodeOutput(str(opened.folder), text, str(page), kept, ui=ui.PreviewImage(sheet, cls=cls))


def _step(bar: comfy.utils.ProgressBar):
    """Progress that an interrupt of ComfyUI stops."""

    def step(done: int, total: int) -> None:
        comfy.model_management.throw_exception_if_processing_interrupted()
        bar.update_absolute(done, max(1, total))

    return step


def _open_judge(dataset: Dataset, server: str, model: str, clip) -> Judge | None:
    """The judge that was connected or typed, after it has proved that it sees; None for the pixels alone."""
    from ...training.judge.judges import LanguageModelJudge
    from ...training.judge.opening import open_judge
    from ...training.judge.ranking import FOLDER

    if clip is not None:
        return LanguageModelJudge(connected_model(clip))
    answers = dataset.folder / FOLDER / "answers.jsonl"
    return open_judge(server, model, answers, ask_unread=True) if server else None


def _ask(dataset: Dataset, judge: Judge, pairs: int, edit: str, bar, notify: Messages) -> None:
    """Raises InterruptProcessingException after an interrupt; the scores until then are kept."""
    from ...training.judge.opening import where_pictures_go
    from ...training.judge.scoring import ScoringSettings, judge_dataset

    notify(where_pictures_go(judge))
    result = judge_dataset(
        dataset,
        judge,
        ScoringSettings(limit=pairs, again=True, swaps=10, instruction=edit),
        **asking(bar),
    )
    comfy.model_management.throw_exception_if_processing_interrupted()
    tokens = result.usage.completion_tokens
    parts = {
        f"{result.scored} scored": True,
        f"{result.unscored} could not be read": result.unscored,
        f"{result.known} judged before": result.known,
        f"{len(result.failed)} failed": len(result.failed),
        f"{tokens} tokens written in {result.seconds:.0f} s": tokens,
    }
    notify(counted(parts))
    tell_failures(result.failed, notify)


def _report(dataset: Dataset, judge: str) -> tuple[str, Path]:
    """The verdict on the judge, and its page."""
    from ...training.judge.pages.preview import describe_report
    from ...training.judge.weighing import report_with_page

    report, page = report_with_page(dataset, judge)
    return describe_report(report), page


def _settings(judge: str, weights: str, share: float, score: float) -> WeightSettings | None:
    """None brings the first weights back."""
    from ...training.judge.weights import WeightSettings

    modes = {_TOP: "top", _THRESHOLD: "threshold", _RANK: "rank"}
    return None if weights == _UNDO else WeightSettings(judge, modes[weights], threshold=score, share=share)


def _weigh(dataset: Dataset, settings: WeightSettings | None, force: bool) -> tuple[str, Path | None]:
    """What became of the weights in words, and the page that shows it."""
    from ...training.judge.pages.preview import describe_weighing
    from ...training.judge.weighing import weigh_dataset
    from ...training.judge.weights import restore

    if settings is None:
        return f"{restore(dataset)} pairs have their first weight again", None
    weighing, page, _changed = weigh_dataset(dataset, settings, force=force)
    return describe_weighing(weighing), page


def _draw(dataset: Dataset, judge: str):
    """The worst pairs and the best, with their scores; those by the pixels if a model could read none."""
    from ...training.judge.pixels import JUDGE
    from .dataset_sheet import draw_sheet

    rows = list(dataset.rows())
    scored = _scored(rows, judge) or _scored(rows, JUDGE)
    shown = scored if len(scored) <= 2 * _SHOWN else [*scored[:_SHOWN], *scored[-_SHOWN:]]
    return draw_sheet(dataset, [row for _, row in shown], [f"{score:.1f}  {row.id}" for score, row in shown])


def _scored(rows: Sequence[PairRow], judge: str) -> list[tuple[float, PairRow]]:
    """O and row of every pair that a judge has scored, the worst first."""
    from ...training.judge.scores import overall_of

    found = [(overall_of(row.scores, judge), row) for row in rows]
    return sorted(((score, row) for score, row in found if score is not None), key=lambda pair: pair[0])
