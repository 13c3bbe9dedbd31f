"""A profile: metrics with everything that decides their numbers, and what a report must say of them."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass

from PIL import Image

from ...vision_language.backend import Backend
from ..metrics.encoders import ClipEncoder, DinoEncoder
from ..metrics.faces import FaceEncoder
from ..metrics.lettering import LineReader
from ..metrics.similarity import Mean, Undefined, Value, mean_of


@dataclass(frozen=True, eq=False)
class Sample:
    """One result and all that it can be measured against.

    Attributes:
        result: what the model made.
        source: before the edit; None for a picture made from words alone.
        target: the ground truth, where the benchmark has one.
        mask: white where the source may change.
        instruction: what was asked for.
        source_caption, target_caption: what the pictures show; empty where the benchmark does not say.
        task: kind of edit.
        references: further pictures the instruction speaks of.
        lines: text that the result shall show, each with a mask of where.
    """

    result: Image.Image
    source: Image.Image | None = None
    target: Image.Image | None = None
    mask: Image.Image | None = None
    instruction: str = ""
    source_caption: str = ""
    target_caption: str = ""
    task: str = ""
    references: tuple[Image.Image, ...] = ()
    lines: tuple[tuple[str, Image.Image], ...] = ()


@dataclass(frozen=True, eq=False)
class Tools:
    """What is at hand to measure with. A metric whose tool is missing is left out, and the report says so."""

    clip: ClipEncoder | None = None
    dino: DinoEncoder | None = None
    ocr: LineReader | None = None
    faces: FaceEncoder | None = None
    language_model: Backend | None = None

    @property
    def clip_words(self) -> ClipEncoder | None:
        """CLIP where it has its half for words, too."""
        return self.clip if self.clip is not None and self.clip.reads_words else None

    def describe(self) -> dict[str, str]:
        """Each tool by what it is for, with its checksum or version."""
        found = {}
        for name, tool in (("CLIP", self.clip), ("DINO", self.dino)):
            if tool is not None:
                found[name] = tool.describe()
        for name, tool in (("OCR", self.ocr), ("faces", self.faces)):
            if tool is not None:
                found[name] = tool.name
        if self.language_model is not None:
            found["language model"] = self.language_model.model
        return found


Run = Callable[[Sample, Tools], Value]


@dataclass(frozen=True)
class Metric:
    """One column of a table.

    Attributes:
        key: in files.
        label: for people.
        run: gives the number of one sample.
        needs: names of the tools it cannot do without.
        higher_is_better: which way is up.
    """

    key: str
    label: str
    run: Run
    needs: tuple[str, ...] = ()
    higher_is_better: bool = True


@dataclass(frozen=True)
class Profile:
    """A way of measuring.

    Attributes:
        name, title: for the command line, and for people.
        encoders, preprocessing, reference, aggregation: what decides the numbers, in words, for the report.
        metrics: the columns.
        summarise: from the samples' values by metric to the table's means.
        choose: keys of the metrics that are taken of a task; None takes all of every task.
    """

    name: str
    title: str
    encoders: str
    preprocessing: str
    reference: str
    aggregation: str
    metrics: tuple[Metric, ...]
    summarise: Callable[[Profile, Sequence[Measured]], dict[str, Mean]] | None = None
    choose: Callable[[str], Container[str]] | None = None

    def missing(self, tools: Tools) -> dict[str, tuple[str, ...]]:
        """Tools that are not at hand, by the metric that is left out for it."""
        lacking = {
            metric.key: tuple(need for need in metric.needs if getattr(tools, need) is None) for metric in self.metrics
        }
        return {key: needs for key, needs in lacking.items() if needs}

    def measure(self, sample: Sample, tools: Tools) -> dict[str, Value]:
        """The numbers of one sample, for all metrics that its task has and whose tools are at hand."""
        left_out = self.missing(tools)
        taken = [one for one in self.metrics if self.choose is None or one.key in self.choose(sample.task)]
        return {one.key: one.run(sample, tools) for one in taken if one.key not in left_out}

    def means(self, measured: Sequence[Measured]) -> dict[str, Mean]:
        """The table's row."""
        return (self.summarise or plain_means)(self, measured)


@dataclass(frozen=True)
class Measured:
    """The numbers of one sample, and its task."""

    values: Mapping[str, Value]
    task: str = ""


def plain_means(profile: Profile, measured: Sequence[Measured]) -> dict[str, Mean]:
    """Mean over all samples, metric by metric."""
    return {
        metric.key: mean_of(one.values[metric.key] for one in measured if metric.key in one.values)
        for metric in profile.metrics
        if any(metric.key in one.values for one in measured)
    }


NO_SOURCE = Undefined("there is no picture before the edit")
NO_TARGET = Undefined("there is no ground truth")
NO_CAPTION = Undefined("there is no caption")
LONG_CAPTION = Undefined("the caption has more than CLIP's 77 tokens")
UNCHANGED_REGION = Undefined("the mask leaves nothing outside")
