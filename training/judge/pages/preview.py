"""Pages with pictures: what a weighing would keep and leave out, and how a judge answers."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

from PIL import Image

from ....ace.files import atomic_write
from ...dataset.disk.images import read_image
from ...dataset.disk.rows import PairRow
from ...dataset.disk.storage import safe_file
from ...dataset.store import Dataset
from ...errors import DatasetError
from ...pages import THUMBNAIL_SIDE, facts_table, html_page, inline_picture
from ..pixels import JUDGE as PIXELS
from ..pixels import Faults, describe_faults
from ..report import JudgeReport, unusual_in
from ..scores import Judgement, overall_of
from ..weights import Weighing, WeightSettings

_EACH = 16  # pairs of a kind on the page
_STYLE = """
.pair { align-items: flex-start; } .kept { border-left: 4px solid #4a4; padding-left: .6rem; }
.left { border-left: 4px solid #c33; padding-left: .6rem; } .big { font-size: 1.2rem; white-space: pre-line; }
.mark { font-weight: 600; }
"""


def write_weighing_page(dataset: Dataset, weighing: Weighing, path: Path, *, each: int = _EACH) -> Path:
    """What would be kept, and what not: numbers for every task, then pictures around the limit and at both ends.

    Raises:
        OSError: the file cannot be written.
    """
    every = list(dataset.rows())
    rows = {row.id: row for row in every if row.id in weighing.weights}
    by_score = sorted(rows, key=lambda pair: (weighing.scores[pair] is None, weighing.scores[pair] or 0.0))
    kept = [pair for pair in by_score if weighing.weights[pair] > 0 and weighing.scores[pair] is not None]
    left = [pair for pair in by_score if weighing.weights[pair] == 0 and weighing.scores[pair] is not None]
    sections = {
        "Only just left out": left[::-1][:each],
        "Only just kept": kept[:each],
        "The worst": left[: max(0, len(left) - each)][:each],
        "The best": kept[each:][::-1][:each],
        "Without a score": weighing.unscored[:each],
    }
    unusual = unusual_in(every)
    parts = [
        f'<p class="big">{escape(describe_weighing(weighing))}</p>',
        f"<p>{escape(describe_settings(weighing.settings))} Nothing has been changed by looking at this page.</p>",
        _tasks(weighing),
    ]
    for title, pairs in sections.items():
        parts += [f"<h2>{title}</h2>"] if pairs else []
        parts += [_weighed(dataset, rows[pair], weighing, unusual.get(pair)) for pair in pairs]
    return _write(path, html_page(f"Weights for {dataset.name}", *parts, style=_STYLE))


def write_report_page(dataset: Dataset, report: JudgeReport, path: Path, *, each: int = _EACH) -> Path:
    """A judge's report, and the pairs it finds best and worst with its reasons. Raises OSError."""
    every = list(dataset.rows())
    unusual = unusual_in(every) if report.faults is not None else {}
    said = {row.id: found for row in every if (found := _said(row, report.judge, unusual.get(row.id))) is not None}
    rows = {row.id: row for row in every}
    ordered = sorted((pair for pair in said if said[pair][0] is not None), key=lambda pair: said[pair][0])
    sections = {
        "The worst": ordered[:each],
        "The best": ordered[each:][::-1][:each],
        "Not read": [pair for pair in said if said[pair][0] is None][:each],
    }
    parts = [f'<p class="big">{escape(describe_report(report))}</p>', facts_table(report_facts(report))]
    for title, pairs in sections.items():
        parts += [f"<h2>{title}</h2>"] if pairs else []
        parts += [_pair(dataset, rows[pair], said[pair][1], "") for pair in pairs]
    title = f"{dataset.name}, as {_name(report.judge)} sees it"
    return _write(path, html_page(title, *parts, style=_STYLE))


def pair_figures(dataset: Dataset, row: PairRow, side: int = THUMBNAIL_SIDE) -> str:
    """A pair's pictures as HTML, before and after; a picture that cannot be read gives way to the reason.

    Args:
        side: pixels of the longer side.
    """
    names = [("before", row.source_file_name), ("after", row.target_file_name)]
    return "".join(_figure(dataset, name, label, side) for label, name in names if name is not None)


def describe_weighing(weighing: Weighing) -> str:
    """In one line."""
    total, kept = len(weighing.weights), len(weighing.kept)
    parts = [f"{kept} of {total} pairs would be learnt from"]
    if weighing.gated:
        parts.append(f"{len(weighing.gated)} are left out because their pixels are broken")
    if weighing.unscored:
        weight = weighing.settings.unscored
        parts.append(f"{len(weighing.unscored)} have no score ({f'weight {weight:g}' if weight else 'left out'})")
    return "; ".join(parts)


def describe_settings(settings: WeightSettings) -> str:
    """The rule in words."""
    rule = {
        "threshold": f"Kept is what {_name(settings.judge)} gives {settings.threshold:g} or more.",
        "top": f"Kept is the best {settings.share:.0%} of every task by {_name(settings.judge)}.",
        "rank": f"All scored pairs are kept; each counts by its rank in its task by {_name(settings.judge)}, to the power "
        f"{settings.power:g}.",
    }
    return rule[settings.mode]


def describe_report(report: JudgeReport) -> str:
    """The verdict on a judge in a sentence, and remarks on lines of their own."""
    if report.faults is not None and report.usable:
        found = ", ".join(f"{name} in {count}" for name, count in report.faults.items() if count)
        text = f"The judge of the pixels looked at {report.scored} pairs and found {found or 'no fault'}."
    elif report.usable:
        text = f"Nothing speaks against {report.judge}."
    else:
        text = f"{report.judge} should not decide what is learnt: {'; '.join(report.objections)}."
    return "\n".join([text, *report.remarks])


def report_facts(report: JudgeReport) -> dict[str, str]:
    """The numbers, by what an artist calls them."""
    ranking = report.ranking
    rho = (
        f"{ranking.pairs} pairs compared, too few or all alike"
        if ranking.rho is None
        else f"{ranking.rho:.2f} (95 %: {ranking.low:.2f} to {ranking.high:.2f}) over {ranking.pairs} pairs"
    )
    means = ", ".join(
        f"{name} {report.means[key]:.2f}"
        for name, key in (("SC", "sc"), ("PQ", "pq"), ("O", "overall"))
        if report.means[key] is not None
    )
    scores = {"O of 8 or more": f"{report.at_least_8:.1%}", "O of 9 or more": f"{report.at_least_9:.1%}"}
    if report.faults is not None:
        faults = {name: f"{count} pair{'s' * (count > 1)}" for name, count in report.faults.items() if count}
        return {"pairs looked at": str(report.scored), **faults, **scores, "agreement with your own order": rho}
    return {
        "pairs scored": str(report.scored),
        "answers that could not be read": str(report.unscored),
        "most frequent answer": f"{report.alike:.0%} ({report.alike_answer})" if report.scored else "–",
        **scores,
        "means": means or "–",
        "noticed source and result exchanged": "not checked"
        if report.swaps_seen is None
        else f"{report.swaps_seen:.0%} of {report.swaps}",
        "agreement with your own order": rho,
    }


def _tasks(weighing: Weighing) -> str:
    lines = ["<tr><th>task</th><th>pairs</th><th>kept</th><th>scores</th></tr>"]
    groups: dict[str, list[str]] = {}
    for pair, task in weighing.tasks.items():
        groups.setdefault(task, []).append(pair)
    for task, pairs in sorted(groups.items()):
        scores = sorted(score for pair in pairs if (score := weighing.scores[pair]) is not None)
        span = f"{scores[0]:.1f} to {scores[-1]:.1f}, median {scores[len(scores) // 2]:.1f}" if scores else "none"
        kept = sum(weighing.weights[pair] > 0 for pair in pairs)
        lines.append(
            f"<tr><td>{escape(task) or '(no tag)'}</td><td>{len(pairs)}</td><td>{kept}</td><td>{span}</td></tr>"
        )
    return f"<table>{''.join(lines)}</table>"


def _weighed(dataset: Dataset, row: PairRow, weighing: Weighing, unusual: Faults | None) -> str:
    score, weight, judge = weighing.scores[row.id], weighing.weights[row.id], weighing.settings.judge
    words = f"{'no score' if score is None else f'O {score:.2f}'} · weight {weight:.2f}"
    if row.id in weighing.gated:
        words += " · left out: its pixels are broken"
    judgement = Judgement.from_scores(judge, row.scores.get(judge))
    reasons = [] if judgement is None else _reasons(judgement)
    if unusual is not None and (judge == PIXELS or row.id in weighing.gated):
        reasons.append(describe_faults(unusual))
    return _pair(dataset, row, [words, *filter(None, reasons)], "kept" if weight > 0 else "left")


def _said(row: PairRow, judge: str, unusual: Faults | None) -> tuple[float | None, list[str]] | None:
    """O (None if it could not be read) and what there is to say; None for a pair that was not judged."""
    judgement = Judgement.from_scores(judge, row.scores.get(judge))
    if judgement is not None:
        return judgement.overall, _marks(judgement)
    score = overall_of(row.scores, judge)
    if score is None:
        return None
    return score, [f"O {score:.2f}", *filter(None, ["" if unusual is None else describe_faults(unusual)])]


def _name(judge: str) -> str:
    return "the judge of the pixels" if judge == PIXELS else judge


def _marks(judgement: Judgement) -> list[str]:
    if not judgement.scored:
        return ["its answer could not be read", *_reasons(judgement)]
    marks = f"O {judgement.overall:.2f} · SC {judgement.sc:g} · PQ {judgement.pq:g}"
    return [marks, *_reasons(judgement)]


def _reasons(judgement: Judgement) -> list[str]:
    return [text for text in (judgement.semantic_reasoning, judgement.quality_reasoning) if text]


def _pair(dataset: Dataset, row: PairRow, lines: Sequence[str], kind: str) -> str:
    figures = pair_figures(dataset, row)
    first, *rest = lines
    words = f'<p class="mark">{escape(first)}</p>' + "".join(f"<p>{escape(line)}</p>" for line in rest)
    title = f"<p>{escape(row.prompt or row.instruction)}</p>"
    facts = f'<p class="facts">{escape(row.id)}</p>'
    return f'<div class="pair {kind}">{figures}<div class="words">{title}{words}{facts}</div></div>'


def _figure(dataset: Dataset, name: str, label: str, side: int) -> str:
    try:
        picture = inline_picture(Image.fromarray(read_image(safe_file(dataset.folder, name)).pixels), side)
    except DatasetError as error:
        picture = f'<div class="bad">{escape(str(error))}</div>'
    return f"<figure>{picture}<figcaption>{label}</figcaption></figure>"


def _write(path: Path, text: str) -> Path:
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")
    return path
