"""Faces and letters, as ACE's appendix E measures them."""

from __future__ import annotations

from collections.abc import Callable

from ..metrics.faces import face_cosine, is_effective, mapped_similarity
from ..metrics.lettering import crop_line, line_accuracy, normalised_similarity, prepare_line
from ..metrics.similarity import Several, Undefined, Value
from .profile import NO_SOURCE, Metric, Profile, Sample, Tools

NO_LINES = Undefined("no line of text is asked for")


def _face(then: Callable[[float], float]) -> Callable[[Sample, Tools], Value]:
    def run(sample: Sample, tools: Tools) -> Value:
        if sample.source is None:
            return NO_SOURCE
        value = face_cosine(tools.faces.embeddings(sample.source), tools.faces.embeddings(sample.result))
        return value if isinstance(value, Undefined) else then(value)

    return run


def _letters(compare: Callable[[str, str], float]) -> Callable[[Sample, Tools], Value]:
    """One number a line; a line whose mask marks nothing is read as nothing."""

    def run(sample: Sample, tools: Tools) -> Value:
        if not sample.lines:
            return NO_LINES
        values = []
        for wanted, mask in sample.lines:
            line = crop_line(sample.result, mask)
            values.append(compare("" if line is None else tools.ocr.read(prepare_line(line)), wanted))
        return Several(tuple(values))

    return run


FACE = Profile(
    name="face",
    title="Faces (ACE, appendix E)",
    encoders="YuNet and SFace; the paper has MTCNN and ArcFace, so its numbers are not comparable",
    preprocessing="pictures of at most 640 pixels; faces are aligned by their landmarks",
    reference="the largest face before the edit, against the nearest one in the result",
    aggregation="mean over the pictures with a face before and after; the others are counted",
    metrics=(
        Metric("cosine", "cosine", _face(lambda value: value), ("faces",)),
        Metric("similarity", "50 (1 + cosine)", _face(mapped_similarity), ("faces",)),
        Metric("effective", "Effective Score", _face(is_effective), ("faces",)),
    ),
)
ANYTEXT = Profile(
    name="anytext",
    title="Letters (AnyText)",
    encoders="PaddleOCR by rapidocr; the paper has another OCR, so its numbers are not comparable to the digit",
    preprocessing="each line cut out by its mask, turned if upright, 48 pixels high",
    reference="the text that was asked for",
    aggregation="mean over all lines",
    metrics=(
        Metric("ned", "NED", _letters(normalised_similarity), ("ocr",)),
        Metric("accuracy", "Sen. Acc", _letters(line_accuracy), ("ocr",)),
    ),
)
