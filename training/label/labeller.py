"""Labels one pair: what differs, the words for it, and whether they are true. Where any of that fails, there is no text."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from ...ace.lcu.indicators import indicator, mentioned_images, normalize_indicators
from ..vision_language.answer import Answer, Usage
from ..vision_language.asking import ask_readable
from ..vision_language.backend import Backend
from ..vision_language.request import Request
from .analysis import checks
from .analysis.answers import (
    Comparison,
    Composition,
    composition_reader,
    presence_reader,
    read_caption,
    read_comparison,
    read_wording,
)
from .analysis.changes import find_changes
from .analysis.prompts import (
    PROMPT,
    REMINDER,
    caption_request,
    comparison_request,
    composition_request,
    creation_request,
    presence_request,
    rewrite_request,
)
from .analysis.recognise import Recognised, recognise, template_texts
from .analysis.words import MOST_ALIKE, alike, colours, comparable, keeps, sides
from .labels import PROPOSED, UNLABELLED, Label, LabelText, RawAnswer
from .settings import LabelSettings, Shown

Found = TypeVar("Found")
_UNREAD = "the answer could not be read, even asked twice"
_ALL_REJECTED = "a person rejected all that the templates have"
_TOO_LONG = 2000  # characters; longer is no instruction


class _NoLabel(Exception):
    """There is no text for this pair; the words say why."""


@dataclass
class _Work:
    """What has been found out of one pair.

    Attributes:
        rejected: texts that a person did not want.
    """

    rejected: tuple[str, ...] = ()
    checks: dict[str, str] = field(default_factory=dict)
    answers: list[RawAnswer] = field(default_factory=list)
    dropped: list[tuple[str, str]] = field(default_factory=list)
    texts: list[LabelText] = field(default_factory=list)
    captions: tuple[str, str] = ("", "")
    task: str = ""
    usage: Usage = field(default_factory=Usage)
    repeated: int = 0

    def refusal(self, text: str, earlier: Sequence[str]) -> str:
        """Why a text is not taken, however true it may be."""
        said = comparable(text)
        if said in map(comparable, self.rejected):
            return "a person rejected it"
        return "it is there already" if said in map(comparable, earlier) else ""

    def words(self, language: str) -> list[str]:
        """The texts until now in one language."""
        return [text.text for text in self.texts if text.language == language]

    def check(self, name: str, said: str) -> None:
        """Notes a check, and ends the work if it failed."""
        self.checks[name] = said
        if said not in (checks.PASSED, checks.NOT_NEEDED):
            raise _NoLabel(f"{name}: {said}")


@dataclass(frozen=True)
class Labelled:
    """A label and what it cost: tokens of new answers, and questions that were asked twice."""

    label: Label
    usage: Usage
    repeated: int


class Labeller:
    """Asks a vision-language model, and believes nothing that does not pass the checks. May be used from several threads.

    Args:
        backend: the model; None recognises tasks by the pixels and labels nothing else.
        settings: what is asked for.
        judge: who is asked whether the words are true; ``backend`` itself if left out.

    Attributes:
        model: as the artist knows it; empty without one.
        judged_by: who is asked whether the words are true, where that is another model.
        address: who gets the pictures; None if they stay in this program.
        parallel: pairs at once.
        asked: hash of the questions, and the settings that change them.
    """

    def __init__(self, backend: Backend | None, settings: LabelSettings, *, judge: Backend | None = None) -> None:
        self.backend, self.settings, self.judge = backend, settings, backend if judge is None else judge
        self.model = "" if backend is None else backend.model
        self.judged_by = "" if judge is None else judge.model
        self.address = None if backend is None else backend.address
        self.parallel = 1 if backend is None else backend.parallel
        wanted = (*settings.languages, *settings.forms, str(settings.rewrites))
        self.asked = f"{PROMPT} {' '.join(wanted)}"

    def label(
        self,
        pair: str,
        shown: Shown,
        *,
        identical: bool = False,
        shared: Sequence[str] | None = None,
        rejected: Sequence[str] = (),
    ) -> Labelled:
        """Labels a pair.

        Args:
            pair: its id.
            identical: also show it with the source in both places.
            shared: what all pictures of its set have in common; None if that was not asked.
            rejected: texts that a person did not want for it.

        Raises:
            ModelError: there is nobody to ask, or a question was refused.
        """
        work, reason = _Work(tuple(rejected)), ""
        try:
            if shown.source is None:
                self._create(work, shown)
            else:
                self._edit(work, shown, identical, shared or ())
        except _NoLabel as found:
            reason = str(found)
        label = Label(
            pair=pair,
            status=UNLABELLED if reason else PROPOSED,
            reason=reason,
            texts=() if reason else tuple(work.texts),
            source_caption="" if reason else work.captions[0],
            target_caption="" if reason else work.captions[1],
            checks=dict(work.checks),
            dropped=tuple(work.dropped),
            task=work.task,
            shared=tuple(shared or ()),
            model=self.model,
            asked=self.asked,
            judge=self.judged_by,
            in_set=shared is not None,
            answers=tuple(work.answers),
        )
        return Labelled(label, work.usage, work.repeated)

    def _edit(self, work: _Work, shown: Shown, identical: bool, shared: Sequence[str]) -> None:
        changes = find_changes(shown.source, shown.result)
        if not changes.visible:
            raise _NoLabel("nothing changed that can be seen")
        task = recognise(shown) if self.settings.tasks else None
        if task is not None:
            return self._by_template(work, shown, task)
        self._need_model("its task cannot be told from the pixels, and no model was named")
        compared = self._ask(work, "compare", comparison_request(shown), read_comparison)
        work.check("content", checks.check_content(compared))
        work.check("place", checks.check_places(compared, changes))
        if identical:
            same = self._ask(work, "identical", comparison_request(shown.unchanged()), read_comparison)
            work.check("identical", checks.check_identical(same))
        exchanged = self._ask(work, "exchanged", comparison_request(shown.exchanged()), read_comparison)
        work.check("exchange", checks.check_exchange(compared, exchanged))
        self._check_mirror(work, shown, compared)
        compositions = []
        for language in self.settings.languages:
            request = composition_request(compared, shown, language, self.settings.forms, shared, work.rejected)
            compositions.append(self._compose(work, shown, request, language, compared))
        self._finish(work, shown, compositions)

    def _create(self, work: _Work, shown: Shown) -> None:
        self._need_model("it was made from text alone, and no model was named to look at it")
        caption = self._ask(work, "caption", caption_request(shown.result), read_caption)
        compositions = []
        for language in self.settings.languages:
            request = creation_request(caption, language, self.settings.forms, work.rejected)
            compositions.append(self._compose(work, shown, request, language, None))
        self._finish(work, shown, compositions)

    def _finish(self, work: _Work, shown: Shown, compositions: Sequence[Composition]) -> None:
        for language, composition in zip(self.settings.languages, compositions, strict=True):
            self._check_presence(work, shown, composition, language)
        work.captions = (compositions[0].source_caption, compositions[0].target_caption)
        self._rewrite(work, shown, compositions[0])

    def _check_mirror(self, work: _Work, shown: Shown, compared: Comparison) -> None:
        if not checks.needs_mirror(compared):
            work.check("mirror", checks.NOT_NEEDED)
            return
        mirrored = self._ask(work, "mirrored", comparison_request(shown.mirrored()), read_comparison)
        work.check("mirror", checks.check_mirror(compared, mirrored))

    def _compose(
        self, work: _Work, shown: Shown, request: Request, language: str, compared: Comparison | None
    ) -> Composition:
        """The words in one language; texts that say more than was seen are dropped."""
        reader = composition_reader(self.settings.forms, shown.source is not None)
        composition = self._ask(work, f"words {language}", request, reader)
        taken = 0
        for form, raw in composition.instructions.items():
            text, reason = _with_indicators(raw, shown)
            reason = reason or ("" if compared is None else _beyond(text, compared, language))
            reason = reason or work.refusal(text, work.words(language))
            if reason:
                work.dropped.append((raw, reason))
                continue
            taken += 1
            work.texts.append(LabelText(text, language, form, "model", PROMPT))
        if not taken:
            raise _NoLabel(f"words: {work.dropped[-1][1]}")
        return composition

    def _check_presence(self, work: _Work, shown: Shown, composition: Composition, language: str) -> None:
        sentences = [*work.words(language), *filter(None, (composition.source_caption, composition.target_caption))]
        presence = self._ask(
            work,
            f"presence {language}",
            presence_request(shown, sentences, composition.things),
            presence_reader(composition.things),
            self.judge,
        )
        work.check(f"presence {language}", checks.check_presence(composition, presence))

    def _rewrite(self, work: _Work, shown: Shown, composition: Composition) -> None:
        """Further wordings, each held against all before it and against the pictures."""
        language = self.settings.languages[0]
        there, found = work.words(language), []
        for number in range(1, self.settings.rewrites + 1):
            earlier = [*there, *found]
            reading = self._read(
                work, f"rewrite {number}", rewrite_request(there[0], earlier, language, number), read_wording
            )
            if reading is None:
                work.dropped.append(("", _UNREAD))
                continue
            text, reason = _with_indicators(reading, shown)
            reason = reason or keeps(text, there[0], [one.thing for one in composition.things])
            reason = reason or work.refusal(text, earlier)
            if not reason and (likeness := alike(text, earlier)) >= MOST_ALIKE:
                reason = f"it is {likeness:.0f} % like one that is there"
            if reason:
                work.dropped.append((reading, reason))
            else:
                found.append(text)
        true = self._true_of(work, shown, found, composition)
        work.texts += [LabelText(text, language, "rewrite", "model", PROMPT) for text in true]

    def _true_of(self, work: _Work, shown: Shown, texts: list[str], composition: Composition) -> list[str]:
        """Rewrites that name nothing new: all are asked about in one question, and each one if something is wrong."""
        if not texts or not (reason := self._untrue(work, shown, texts, composition)):
            return texts
        true = []
        for text in texts:
            if len(texts) > 1:
                reason = self._untrue(work, shown, [text], composition)
            if reason:
                work.dropped.append((text, reason))
            else:
                true.append(text)
        return true

    def _untrue(self, work: _Work, shown: Shown, texts: list[str], composition: Composition) -> str:
        request = presence_request(shown, texts, composition.things)
        presence = self._read(work, "presence rewrites", request, presence_reader(composition.things), self.judge)
        said = _UNREAD if presence is None else checks.check_presence(composition, presence)
        return "" if said == checks.PASSED else said

    def _by_template(self, work: _Work, shown: Shown, task: Recognised) -> None:
        """A recognised task needs no model, and has a caption only if there is one and it is true."""
        work.task = task.id
        work.checks["task"] = checks.PASSED
        caption = self._caption(work, shown) if self.backend is not None and task.captioned else ""
        work.texts += template_texts(task, caption, self.settings, set(map(comparable, work.rejected)))
        if not work.texts:
            raise _NoLabel(f"words: {_ALL_REJECTED}")
        work.captions = ("", caption)

    def _caption(self, work: _Work, shown: Shown) -> str:
        """What the result shows, if the judge sees all of it."""
        caption = self._read(work, "caption", caption_request(shown.result), read_caption)
        if caption is None:
            return ""
        request = presence_request(Shown(None, shown.result), [caption], ())
        presence = self._read(work, "presence caption", request, presence_reader(()), self.judge)
        said = _UNREAD if presence is None else checks.check_absent(presence)
        if said == checks.PASSED:
            return caption
        work.dropped.append((caption, said))
        return ""

    def _need_model(self, reason: str) -> None:
        if self.backend is None:
            raise _NoLabel(reason)

    def _ask(
        self,
        work: _Work,
        name: str,
        request: Request,
        read: Callable[[Answer], Found | None],
        backend: Backend | None = None,
    ) -> Found:
        found = self._read(work, name, request, read, backend)
        if found is None:
            raise _NoLabel(f"{name}: {_UNREAD}")
        return found

    def _read(
        self,
        work: _Work,
        name: str,
        request: Request,
        read: Callable[[Answer], Found | None],
        backend: Backend | None = None,
    ) -> Found | None:
        asked = self.backend if backend is None else backend
        reading = ask_readable(asked, request, read, REMINDER)
        work.answers += [RawAnswer(name, request.digest(), answer.text, asked.model) for answer in reading.answers]
        work.usage = work.usage + reading.usage
        work.repeated += reading.repeated
        return reading.found


def _with_indicators(text: str, shown: Shown) -> tuple[str, str]:
    """A text that names its pictures as the model was trained to read them, and why it is none."""
    if len(text) > _TOO_LONG:
        return text, "it is too long"
    try:
        text = normalize_indicators(text)
    except ValueError as error:
        return text, str(error)
    named = mentioned_images(text)
    if shown.source is not None and 0 not in named:
        text, named = f"{indicator(0)} {text}", [0, *named]
    beyond = [indicator(number) for number in named if number >= shown.images]
    if beyond:
        return text, f"it names {', '.join(beyond)}, which the pair does not have"
    missing = [indicator(number) for number in range(shown.images) if number not in named]
    if missing:
        return text, f"it does not name {', '.join(missing)}"
    return text, "" if re.sub(r"\{[^}]*\}", "", text).strip(" .,!。，") else "it asks for nothing"


def _beyond(text: str, compared: Comparison, language: str) -> str:
    """What of colours and sides a text says that the comparison did not; of Chinese, sides alone can be told."""
    places = tuple(place for one in compared.differences for place in one.where)
    seen = " ".join((*compared.texts, *compared.commonalities, *compared.orientation_words, *places))
    new = sides(text) - sides(seen)
    if language == "en":
        new |= colours(text) - colours(seen)
    return f"it says {', '.join(sorted(new))}, which was not seen" if new else ""
