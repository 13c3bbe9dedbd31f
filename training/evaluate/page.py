"""An evaluation as one page that can be looked at in any browser and sent to anybody."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

from ...ace.files import atomic_write, format_size
from ..pages import facts_table, html_page, inline_picture
from .evaluation import Answer, Evaluation
from .measures import Distances

_SIDE = 200
_NAMES = {
    "student": "student",
    "source": "unedited source",
    "other_seed": "teacher, another seed",
    "ceiling": "VAE round trip (ceiling)",
}
_STYLE = """
.numbers td, .numbers th { padding-right: 1.2rem; } .numbers td { text-align: right; }
.pair { display: block; } .pictures { display: flex; flex-wrap: wrap; gap: .8rem; margin-bottom: .4rem; }
.pictures img { max-width: 200px; } .big { font-size: 1.2rem; } details { margin: .6rem 0; }
"""
_MEANING = (
    "<p>All distances are those to the teacher's result, at the size the model works at. The score is 1 − L1(student, "
    "teacher) / L1(source, teacher): 0 is no better than leaving the source as it is, 1 is the teacher. The VAE that the "
    "student paints with limits what it can reach: its round trip of the teacher's own result is the ceiling. Where a "
    "pair has a mask, only the masked part is taken from the student. (The replacement workflow does so, too, at the "
    "picture's own size and with a soft seam.)</p>"
)


def write_page(evaluation: Evaluation, path: Path, *, more: Sequence[str] = ()) -> Path:
    """Writes the page.

    Args:
        more: further HTML behind the numbers.

    Raises:
        OSError: the file cannot be written.
    """
    title = f"{evaluation.student or 'Student'} against its teacher"
    pairs = [_pair(answer) for answer in sorted(evaluation.answers, key=_worst_last)]
    text = html_page(title, _verdict(evaluation), _numbers(evaluation), _MEANING, *more, *pairs, style=_STYLE)
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path


def describe(evaluation: Evaluation) -> str:
    """The result in one sentence."""
    where = "held-out pairs" if evaluation.split == "validation" else f"pairs of the split {evaluation.split}"
    if evaluation.score is None:
        return f"no score on {len(evaluation.answers)} {where}: they have no source, or the teacher changed nothing"
    if evaluation.score <= 0:
        share = ", no better than the unedited source"
    else:
        share = "" if evaluation.share is None else f", {evaluation.share:.0%} of what its VAE allows"
    return f"score {evaluation.score:.3f}{share}, on {len(evaluation.answers)} {where}"


def _verdict(evaluation: Evaluation) -> str:
    flattered = (
        ""
        if evaluation.split == "validation"
        else ' <span class="bad">Among these are pairs it was trained on: on new pictures it will do worse.</span>'
    )
    verdict = describe(evaluation)
    return f'<p class="big">{escape(verdict[0].upper() + verdict[1:])}.{flattered}</p>'


def _numbers(evaluation: Evaluation) -> str:
    columns = ("L1", "PSNR", "SSIM", "LPIPS")
    head = "".join(f"<th>{name}</th>" for name in ("", *columns))
    rows = [
        f"<tr><th>{escape(label)}</th>{''.join(f'<td>{cell}</td>' for cell in _cells(evaluation.mean(name)))}</tr>"
        for name, label in _NAMES.items()
    ]
    facts = {
        "datasets": ", ".join(evaluation.datasets),
        "score of the ceiling": _number(evaluation.ceiling_score),
        "time of the student": f"{evaluation.seconds:.2f} s a picture on {evaluation.device} (median)",
        "time of the teacher": "not recorded"
        if evaluation.teacher_seconds is None
        else f"{evaluation.teacher_seconds:.3g} s (median)",
        "memory of the student": _memory(evaluation.peak_memory, "unknown"),
        "memory of the teacher": _memory(evaluation.teacher_memory, "not recorded"),
        "sampler": ", ".join(f"{name} {value:g}" for name, value in evaluation.sampler.items()),
    }
    return f'<table class="numbers"><tr>{head}</tr>{"".join(rows)}</table>{facts_table(facts)}'


def _memory(size: int | None, otherwise: str) -> str:
    """The same measure for both: on CUDA the allocator's peak, on a CPU the whole process."""
    return otherwise if size is None else f"{format_size(size)} at most"


def _cells(distances: Distances | None) -> tuple[str, ...]:
    if distances is None:
        return ("–",) * 4
    lpips = "–" if distances.lpips is None else f"{distances.lpips:.3f}"
    return f"{distances.l1:.4f}", f"{distances.psnr:.1f} dB", f"{distances.ssim:.3f}", lpips


def _pair(answer: Answer) -> str:
    figures = "".join(
        f"<figure>{inline_picture(picture, _SIDE)}<figcaption>{escape(label)}</figcaption></figure>"
        for label, picture in answer.pictures
    )
    numbers = answer.as_dict()
    facts = [
        f"score {_number(numbers['score'])} of {_number(numbers['ceiling_score'])}",
        f"L1 {answer.student.l1:.4f}",
        f"{answer.student.psnr:.1f} dB",
        f"SSIM {answer.student.ssim:.3f}",
        f"{answer.seconds:.2f} s",
        *(["masked"] if answer.masked else []),
        answer.id,
    ]
    return (
        f'<div class="pair"><p>{escape(answer.instruction)}</p><div class="pictures">{figures}</div>'
        f'<p class="facts">{escape(" · ".join(facts))}</p></div>'
    )


def _worst_last(answer: Answer) -> float:
    value = answer.as_dict()["score"]
    return answer.student.l1 if value is None else -value


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
