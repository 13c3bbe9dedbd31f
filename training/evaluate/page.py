"""An evaluation as one page that can be looked at in any browser and sent to anybody."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

from ...ace.files import atomic_write, format_size
from ..listing import listed
from ..pages import facts_table, html_page, inline_picture
from .evaluation import Evaluation, PairResult
from .metrics.image_metrics import ImageMetrics
from .verdict import give_verdict

_SIDE = 200
_NAMED = 5  # pairs that are named in a sentence
_NAMES = {
    "student": "student",
    "with_detail": "student with Keep Detail",
    "source": "unedited source",
    "other_seed": "teacher, another seed",
    "ceiling": "VAE round trip (ceiling)",
}
_COLUMNS = {
    "L1": ("l1", "{:.4f}"),
    "PSNR": ("psnr", "{:.1f} dB"),
    "SSIM": ("ssim", "{:.3f}"),
    "MS-SSIM": ("ms_ssim", "{:.3f}"),
    "GMSD": ("gmsd", "{:.3f}"),
    "detail": ("detail", "{:.0%}"),
    "LPIPS": ("lpips", "{:.3f}"),
    "texture": ("texture", "{:.3f}"),
}
_STYLE = """
.numbers td, .numbers th { padding-right: 1.2rem; } .numbers td { text-align: right; }
.pair { display: block; } .pictures { display: flex; flex-wrap: wrap; gap: .8rem; margin-bottom: .4rem; }
.pictures img { max-width: 200px; } .big { font-size: 1.2rem; } details { margin: .6rem 0; }
"""
_MEANING = (
    "<p>All distances are those to the teacher's result, at the size the model works at. L1 and PSNR like a blurred picture; "
    "MS-SSIM (1 is equal), GMSD (0 is equal) and detail (100 % is as much fine detail) do not. The score is 1 − L1(student, "
    "teacher) / L1(source, teacher): 0 is no better than leaving the source as it is, 1 is the teacher. The VAE that the "
    "student paints with limits what it can reach: its round trip of the teacher's own result is the ceiling. Keep Detail "
    "gives back what the VAE took of the source, and can go beyond that. Where a "
    "pair has a mask, only the masked part is taken from the student. (The replacement workflow does so, too, at the "
    "picture's own size and with a soft seam.)</p>"
)


def write_page(evaluation: Evaluation, path: Path, *, more: Sequence[str] = ()) -> Path:
    """Writes the page.

    Args:
        evaluation: what it shows.
        path: of the HTML file.
        more: further HTML behind the numbers.

    Raises:
        OSError: the file cannot be written.
    """
    title = f"{evaluation.student or 'Student'} against its teacher"
    pairs = [_pair(result) for result in sorted(evaluation.results, key=_worst_last)]
    text = html_page(
        title, _verdict(evaluation), _failures(evaluation), *pairs, _numbers(evaluation), _MEANING, *more, style=_STYLE
    )
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")
    return path


def describe(evaluation: Evaluation) -> str:
    """The evaluation in one sentence."""
    count = len(evaluation.results)
    plural = "" if count == 1 else "s"
    kinds = {"validation": f"{count} held-out pair{plural}", "train": f"{count} training pair{plural}"}
    where = kinds.get(evaluation.split, f"{count} pair{plural}")
    if evaluation.score is None:
        parts = [f"no score on {where}: they have no source, or the teacher changed nothing"]
    else:
        parts = [f"score {evaluation.score:.3f} on {where}"]
        if evaluation.score <= 0:
            parts.append("no better than the unedited source")
        elif (reached := evaluation.share_of_ceiling) is not None:
            parts.append(f"{reached:.0%} of the best that this model can paint")
        if evaluation.score_with_detail is not None:
            parts.append(f"with Keep Detail {evaluation.score_with_detail:.3f}")
        parts.append(_weakest(evaluation))
    return "; ".join(filter(None, [*parts, _failed(evaluation)]))


def _weakest(evaluation: Evaluation) -> str:
    """Of several datasets, the one that a mean would hide."""
    for name, part in evaluation.by_dataset().items():
        if part.score is not None:
            return f"weakest on {name}: {part.score:.3f}"
    return ""


def _failed(evaluation: Evaluation) -> str:
    """The pairs that no number tells of, by name."""
    if not evaluation.failed:
        return ""
    names = [pair.id for pair in evaluation.failed]
    one = len(names) == 1
    return (
        f"{len(names)} more pair{'' if one else 's'} {'is' if one else 'are'} in no number, because the student gave no "
        f"picture there: {listed(names, _NAMED)}"
    )


def _failures(evaluation: Evaluation) -> str:
    """Why the student gave no picture, pair by pair."""
    return "".join(
        f'<p class="bad">{escape(f"{pair.id} of {pair.dataset}: {pair.reason}")}</p>' for pair in evaluation.failed
    )


def _verdict(evaluation: Evaluation) -> str:
    flattered = (
        ""
        if evaluation.split == "validation"
        else ' <span class="bad">Among these are pairs it was trained on: on new pictures it will do worse.</span>'
    )
    verdict = describe(evaluation)
    place = give_verdict(evaluation).sentence
    return f'<p class="big">{escape(place)}</p><p>{escape(verdict[0].upper() + verdict[1:])}.{flattered}</p>'


def _numbers(evaluation: Evaluation) -> str:
    head = "".join(f"<th>{name}</th>" for name in ("", *_COLUMNS))
    rows = [
        f"<tr><th>{escape(label)}</th>{''.join(f'<td>{cell}</td>' for cell in _cells(evaluation.mean(name)))}</tr>"
        for name, label in _NAMES.items()
    ]
    facts = {
        "datasets": ", ".join(evaluation.datasets),
        "score of the ceiling": _number(evaluation.ceiling_score),
        "score with Keep Detail": _detail(evaluation),
        **_judged(evaluation),
        "time of the student": f"{evaluation.seconds:.2f} s a picture on {evaluation.device} (median)",
        "time of the teacher": "not recorded"
        if evaluation.teacher_seconds is None
        else f"{evaluation.teacher_seconds:.3g} s (median)",
        "memory of the student": _memory(evaluation.peak_memory, "unknown"),
        "memory of the teacher": _memory(evaluation.teacher_memory, "not recorded"),
        "sampler": ", ".join(f"{name} {value:g}" for name, value in evaluation.sampler.items()),
    }
    return f'<table class="numbers"><tr>{head}</tr>{"".join(rows)}</table>{_datasets(evaluation)}{facts_table(facts)}'


def _datasets(evaluation: Evaluation) -> str:
    """A row for each of several datasets, the weakest first."""
    parts = evaluation.by_dataset()
    if not parts:
        return ""
    rows = "".join(
        f"<tr><th>{escape(name)}</th>"
        + "".join(
            f"<td>{cell}</td>"
            for cell in (
                len(part.results),
                _number(part.score),
                _number(part.score_with_detail),
                _number(part.ceiling_score),
                "–" if part.share_of_ceiling is None else f"{part.share_of_ceiling:.0%}",
            )
        )
        + "</tr>"
        for name, part in parts.items()
    )
    head = "".join(f"<th>{name}</th>" for name in ("dataset", "pairs", "score", "with Keep Detail", "ceiling", "share"))
    return f'<h2>By dataset</h2><table class="numbers"><tr>{head}</tr>{rows}</table>'


def _judged(evaluation: Evaluation) -> dict[str, str]:
    if not evaluation.judge:
        return {}
    facts = {}
    for who in ("student", "teacher"):
        marks = evaluation.marks(who)
        words = (
            "none could be read" if marks is None else ", ".join(f"{key} {value:.2f}" for key, value in marks.items())
        )
        facts[f"{who} by {evaluation.judge}"] = words
    return facts


def _detail(evaluation: Evaluation) -> str:
    """What Keep Detail adds, and whether that is worth while."""
    if evaluation.score is None or evaluation.score_with_detail is None:
        return "not measured"
    added = evaluation.score_with_detail - evaluation.score
    meaning = "it helps" if evaluation.detail_helps else "too little, or too uneven from pair to pair, to count on"
    return f"{evaluation.score_with_detail:.3f}, {added:+.3f}: {meaning}"


def _memory(size: int | None, otherwise: str) -> str:
    """The same measure for both: on CUDA the allocator's peak, on a CPU the whole process."""
    return otherwise if size is None else f"{format_size(size)} at most"


def _cells(metrics: ImageMetrics | None) -> tuple[str, ...]:
    values = [None if metrics is None else getattr(metrics, name) for name, _ in _COLUMNS.values()]
    return tuple(
        "–" if value is None else form.format(value) for value, (_, form) in zip(values, _COLUMNS.values(), strict=True)
    )


def _pair(result: PairResult) -> str:
    figures = "".join(
        f"<figure>{inline_picture(picture, _SIDE)}<figcaption>{escape(label)}</figcaption></figure>"
        for label, picture in result.pictures
    )
    numbers = result.as_dict()
    facts = [
        f"score {_number(numbers['score'])} of {_number(numbers['ceiling_score'])}",
        f"L1 {result.student.l1:.4f}",
        f"{result.student.psnr:.1f} dB",
        f"SSIM {result.student.ssim:.3f}",
        f"detail {result.student.detail:.0%}",
        *_marks(result),
        f"{result.seconds:.2f} s",
        *(["masked"] if result.masked else []),
        result.id,
    ]
    return (
        f'<div class="pair"><p>{escape(result.instruction)}</p><div class="pictures">{figures}</div>'
        f'<p class="facts">{escape(" · ".join(facts))}</p></div>'
    )


def _marks(result: PairResult) -> list[str]:
    """What the judge says of both, with its reasons about the student."""
    if result.student_marks is None or result.teacher_marks is None:
        return []
    sides = (("student", result.student_marks), ("teacher", result.teacher_marks))
    words = [f"{name} O {marks.overall:.1f}" if marks.scored else f"{name} unscored" for name, marks in sides]
    return [*words, *filter(None, (result.student_marks.semantic_reasoning, result.student_marks.quality_reasoning))]


def _worst_last(result: PairResult) -> float:
    value = result.as_dict()["score"]
    return result.student.l1 if value is None else -value


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
