"""Fifty proposed labels gone through by keys, in ComfyUI's own front end."""

from __future__ import annotations

import re
from dataclasses import replace
from urllib.parse import unquote

import pytest
from comfyui_ace.training.dataset.store import Dataset
from comfyui_ace.training.dataset.upkeep.verify import verify
from comfyui_ace.training.label.journal import ACCEPTED, REJECTED, LabelJournal
from comfyui_ace.training.label.labeller import Labeller
from comfyui_ace.training.label.labelling import label_dataset
from comfyui_ace.training.label.settings import LabelSettings
from host.dataset_page.test_dataset_page import Page, until
from label_models import COLOURS, Looking, scene_pair

COUNT = 50
PLACES = ("left", "right", "top", "bottom", "center")


@pytest.fixture(scope="module")
def labelled(comfy) -> Dataset:
    made = Dataset.create(comfy.base_dir / "output" / "datasets", "labels to correct")
    names = list(COLOURS)
    for seed in range(COUNT):
        before, after = names[seed % 4], names[(seed + 1 + seed // 4 % 3) % 4]
        assert made.append(scene_pair(seed, before, after, PLACES[seed % 5])).stored
    settings = LabelSettings(forms=("imperative", "short"), identical=0)
    assert label_dataset(made, Labeller(Looking(), settings), settings).proposed == COUNT
    return made


@pytest.fixture(scope="module")
def three(comfy) -> Dataset:
    made = Dataset.create(comfy.base_dir / "output" / "datasets", "labels by mouse")
    for seed in range(3):
        assert made.append(scene_pair(seed, "red", "blue", PLACES[seed])).stored
    settings = LabelSettings(forms=("short",), identical=0)
    assert label_dataset(made, Labeller(Looking(), settings), settings).proposed == 3
    return made


class Review(Page):
    """Going through what is proposed."""

    def start(self, count: int = COUNT) -> None:
        self.grid.focus()
        self.press("4")
        self.page.wait_for_function(
            f"() => document.querySelector('.ace-tab.ace-chosen').innerText.includes('{count}')"
        )
        self.press("Home", "Enter")

    def shown(self, not_id: str = "") -> str:
        """Id of the pair that is shown with its texts, once that is another one."""
        found = self.page.wait_for_function(
            """not => {
                const facts = document.querySelector('.ace-viewer[open] .ace-facts dd');
                return facts && document.querySelector('.ace-viewer .ace-proposed textarea')
                    && facts.innerText !== not ? facts.innerText : null;
            }""",
            arg=not_id,
        )
        return found.json_value()

    def finished(self) -> None:
        self.page.wait_for_selector(".ace-viewer[open]", state="detached")

    def asked(self) -> list[str]:
        """Ids of the pairs that the page asks the server to show, from now on."""
        found: list[str] = []
        place = re.compile(r"/pairs/([^/?]+)$")

        def take(request) -> None:
            if request.method == "GET" and (match := place.search(request.url)):
                found.append(unquote(match[1]))

        self.page.on("request", take)
        return found


def test_fifty_pairs_are_corrected_by_keys(open_page, comfy, labelled):
    page = Review(open_page(comfy), labelled)
    asked = page.asked()
    page.start()
    journal = LabelJournal(labelled.folder)
    wanted: dict[str, tuple[str, ...] | None] = {}
    current = page.shown()
    for number in range(COUNT):
        proposed = journal[current].label.words("en")
        if number == 0:
            page.page.wait_for_function("() => document.querySelector('.ace-after').naturalWidth > 0")
            page.comfy.screenshot("labels-proposed")
        if number % 5 == 3:
            page.press("j")
            wanted[current] = None
        elif number % 5 == 4:
            page.press("e")
            page.page.wait_for_selector(".ace-proposed textarea:focus")
            page.press("Control+a")
            page.page.keyboard.type(f"{{image}} by hand {number}\n{{image}} as I say, {number}")
            page.press("Control+Enter")
            wanted[current] = (f"{{image}} by hand {number}", f"{{image}} as I say, {number}")
        else:
            page.press("a")
            wanted[current] = proposed
        current = page.shown(current) if number < COUNT - 1 else page.finished()
    assert len(wanted) == COUNT, "a pair was shown twice"
    assert sorted(asked) == sorted(wanted), (
        "what is asked for twice is shown twice, the second time under a writer's hands"
    )

    def written() -> bool:
        journal.refresh()
        return not any(journal[pair].waits for pair in wanted)

    until(written, "not all decisions were written")
    for row in labelled.rows():
        words, state = wanted[row.id], journal[row.id]
        if words is None:
            assert state.decision == REJECTED and row.all_instructions == ("{image} trigger",)
        else:
            assert state.decision == ACCEPTED and row.all_instructions == words
            assert state.writing.by == "person" and state.writing.edited == ("by hand" in words[0])
    assert verify(labelled.folder).faults == []

    page.grid.focus()
    last = list(wanted)[-1]
    page.press("Control+z")
    until(lambda: labelled.row(last).instruction == "{image} trigger", "the last decision was not undone")
    until(lambda: (journal.refresh(), journal[last].waits)[1], "the texts do not wait again")
    assert page.errors() == [] and page.comfy.foreign_requests == []


def test_what_is_selected_stays_while_others_change_the_pair(open_page, comfy, three):
    page = Review(open_page(comfy), three)
    page.start(3)
    shown = page.shown()
    proposed = LabelJournal(three.folder)[shown].label.words("en")[0]
    assert page.page.locator(".ace-cell .ace-words").first.inner_text() == proposed != three.row(shown).instruction
    page.press("e")
    page.page.wait_for_selector(".ace-proposed textarea:focus")
    page.press("Control+a")
    three.rewrite(lambda row: replace(row, weight=2.5) if row.id == shown else row)  # as from another window
    page.page.wait_for_function("() => document.querySelector('.ace-form input[type=number]').value === '2.5'")
    page.page.keyboard.type("{image} by hand")
    assert page.page.evaluate("() => document.activeElement.value") == "{image} by hand"
    assert page.errors() == []


def test_nobody_decides_on_a_pair_that_was_not_looked_at(open_page, comfy, three):
    """A double click on a button, and a key that is held down, are one decision each."""
    page = Review(open_page(comfy), three)
    page.start(3)
    first = page.shown()
    page.page.dblclick(".ace-label-reject")
    second = page.shown(first)
    page.page.wait_for_function("() => document.activeElement.closest('.ace-viewer')")
    page.page.dispatch_event(".ace-label-reject", "click", {"detail": 2})
    page.page.keyboard.down("a")
    third = page.shown(second)
    page.page.keyboard.down("a")  # it was not let go of
    page.page.wait_for_timeout(500)
    page.page.keyboard.up("a")
    journal = LabelJournal(three.folder)
    until(lambda: (journal.refresh(), journal[second].decision == ACCEPTED)[1], "the second pair was not accepted")
    assert journal[first].decision == REJECTED and journal[third].waits
    assert page.errors() == []


def test_why_no_text_was_proposed_is_said_in_chinese(open_page, comfy):
    page = open_page(comfy, locale="zh-CN")
    said = """async ([reason, dropped]) => {
        const { labelReason, droppedReason } = await import("/extensions/ace-edit/dataset_page/texts/texts.js");
        return [labelReason(reason), labelReason("nothing changed that can be seen"), ...dropped.map(droppedReason)];
    }"""
    reason = "presence en: 'a red hat and a dog' is not seen in the result"
    dropped = ["it does not name {image1}", "its colours are none, not blue, red"]
    assert page.page.evaluate(said, [reason, dropped]) == [
        "是否可见 en: 结果中没有看到 'a red hat and a dog'",
        "看不出任何变化",
        "它没有提到 {image1}",
        "它的颜色是 无，而不是 blue, red",
    ]
