"""The page of datasets: which pair is meant by a key while lists and pairs are on their way."""

from __future__ import annotations

from comfyui_ace.training.label.journal import ACCEPTED, LabelJournal
from host.dataset_page.page_datasets import make_many
from host.dataset_page.test_dataset_page import Page, until
from host.dataset_page.test_under_hands import (
    TEXTS,
    decided,
    is_whole,
    labelled,  # noqa: F401 - the fixture
    open_first,
    show_proposed,
)
from host.harness.late import Late
from label_models import scene_pair


def test_words_of_ones_own_are_saved_when_what_was_proposed_is_rejected(open_page, comfy, labelled):  # noqa: F811
    page = Page(open_page(comfy), labelled)
    show_proposed(page)
    pair = open_first(page)
    page.page.get_by_role("textbox", name="Instruction", exact=True).fill("{image} of mine")
    page.press("Escape", "j")
    journal = LabelJournal(labelled.folder)
    until(lambda: decided(journal, pair), "it was not rejected")
    assert labelled.row(pair).instruction == "{image} of mine" and journal[pair].decision != ACCEPTED
    assert page.errors() == []


def test_whoever_goes_on_before_a_pair_is_there_does_not_write_in_the_next(open_page, comfy, labelled):  # noqa: F811
    page = Page(open_page(comfy), labelled)
    first, second, _ = page.cells()
    page.grid.focus()
    page.press("Home")
    late = Late(page.comfy, r"/pairs/[^/]+$", "GET")
    page.press("e")
    late.wait()
    page.press("ArrowRight")
    late.wait(2)
    late.come()
    until(lambda: is_whole(page, second), "the next pair is not shown")
    assert page.page.evaluate("() => document.activeElement.matches('.ace-viewer')"), "the next key would be a letter"
    page.press("ArrowLeft", "e")
    page.page.wait_for_selector(f"{TEXTS}:focus")
    assert is_whole(page, first) and page.errors() == []


def test_after_a_deletion_the_next_pair_has_the_keys_although_others_come_above(open_page, comfy, labelled):  # noqa: F811
    page = Page(open_page(comfy), labelled)
    newest, middle, oldest = page.cells()
    page.grid.focus()
    page.press("Home", "ArrowRight")
    page.page.wait_for_selector(f".ace-current[data-pair='{middle}']")
    late = Late(page.comfy, "/delete$")
    page.press("Delete")
    late.wait()
    assert labelled.append(scene_pair(7, "green", "blue", "bottom")).stored
    late.come()
    until(lambda: newest in page.cells()[1:] and middle not in page.cells(), "the list is not read again")
    page.page.wait_for_selector(f".ace-current[data-pair='{oldest}']")
    assert page.errors() == []


def test_a_dataset_without_proposals_opens_on_its_pairs(open_page, comfy, labelled):  # noqa: F811
    other = make_many(labelled.folder.parent, "nothing proposed", 2)
    page = Page(open_page(comfy), labelled)
    show_proposed(page)
    page.choose(other)
    page.page.wait_for_function("() => document.querySelectorAll('.ace-cell').length === 2")
    assert set(page.cells()) == {row.id for row in other.rows()}
    assert page.page.get_by_role("tab", name="Proposed").is_hidden() and page.errors() == []
