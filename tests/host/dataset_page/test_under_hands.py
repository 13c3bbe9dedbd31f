"""The page of datasets while others change what is looked at, and while answers are on their way."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import quote

import pytest
from comfyui_ace.training.dataset.store import Dataset
from comfyui_ace.training.label.journal import ACCEPTED, LabelJournal
from comfyui_ace.training.label.labeller import Labeller
from comfyui_ace.training.label.labelling import label_dataset
from comfyui_ace.training.label.settings import LabelSettings
from host.dataset_page.page_datasets import make_many
from host.dataset_page.test_dataset_page import Page, until
from host.harness.late import Late
from label_models import Looking, scene_pair

TEXTS = ".ace-proposed textarea"
_SHOWN = "() => document.querySelector('.ace-viewer[open] .ace-facts dd')?.innerText ?? null"


@pytest.fixture
def labelled(comfy, request) -> Dataset:
    """Three pairs with proposed texts, of each test its own."""
    made = Dataset.create(comfy.base_dir / "output" / "datasets", f"hands {request.node.name[5:45].strip('_')}")
    for seed, place in enumerate(("left", "right", "top")):
        assert made.append(scene_pair(seed, "red", "blue", place)).stored
    settings = LabelSettings(forms=("short",), languages=("en", "zh"), identical=0)
    assert label_dataset(made, Labeller(Looking(), settings), settings).proposed == 3
    return made


def shown(page: Page) -> str | None:
    """Id of the pair whose form is shown."""
    return page.page.evaluate(_SHOWN)


def is_whole(page: Page, pair: str) -> bool:
    """Whether form and pictures are those of a pair."""
    picture = "() => decodeURIComponent(document.querySelector('.ace-viewer .ace-after').src)"
    return shown(page) == pair and f"/{pair}/" in page.page.evaluate(picture)


def open_first(page: Page) -> str:
    page.grid.focus()
    page.press("Home", "Enter")
    page.page.wait_for_selector(".ace-viewer[open] .ace-facts dd")
    page.comfy.rest()
    return shown(page)


def until_another(page: Page, pair: str) -> None:
    """Waits until a pair other than this one is shown, and nothing more is on its way."""
    until(lambda: shown(page) not in (pair, None) and page.comfy.rest() is None, "no other pair is shown")


def until_weight(page: Page, dataset: Dataset, pair: str, weight: float) -> None:
    """Waits until a pair has this weight on disk, and the page has done with it."""
    until(lambda: dataset.row(pair).weight == weight, f"the weight did not become {weight}")
    page.comfy.rest()


def show_proposed(page: Page) -> None:
    page.grid.focus()
    page.press("4")
    page.page.wait_for_function("() => document.querySelectorAll('.ace-cell').length === 3")


def decided(journal: LabelJournal, pair: str) -> bool:
    journal.refresh()
    return not journal[pair].waits


def test_a_pair_that_leaves_the_list_leaves_the_page_whole(open_page, comfy, labelled):
    """Its pictures never stand beside the words of another."""
    page = Page(open_page(comfy), labelled)
    splits = {row.id: row.split for row in labelled.rows()}
    page.page.get_by_label("Split", exact=True).first.select_option(next(iter(splits.values())))
    page.comfy.rest()
    first, second, *_ = page.cells()
    assert open_first(page) == first
    page.press("s")
    until(lambda: labelled.row(first).split != splits[first], "the split did not change")
    page.comfy.rest()
    assert is_whole(page, second)
    page.press("+")
    until(lambda: labelled.row(second).weight == 1.25, "what is shown was not changed")
    assert labelled.row(first).weight == 1 and page.errors() == []


def test_nobody_loses_what_is_written_when_the_order_changes(open_page, comfy, labelled):
    page = Page(open_page(comfy), labelled)
    page.page.get_by_label("Order", exact=True).select_option(label="by weight")
    page.comfy.rest()
    pair = open_first(page)
    others = [row.id for row in labelled.rows() if row.id != pair]
    page.press("e")
    page.page.wait_for_selector(f"{TEXTS}:focus")
    page.press("Control+a")
    page.page.keyboard.type("{image} by hand")
    weights = dict(zip(others, (0.5, 5.0), strict=True))
    labelled.rewrite(lambda row: replace(row, weight=weights.get(row.id, 1.0)))  # as from another window
    until(lambda: page.cells()[0] != pair, "the list is not in another order")
    page.comfy.rest()
    assert is_whole(page, pair) and page.page.locator(TEXTS).input_value() == "{image} by hand"
    page.press("Control+Enter")
    until(lambda: labelled.row(pair).instruction == "{image} by hand", "it was not accepted")
    assert all(labelled.row(other).instruction == "{image} trigger" for other in others) and page.errors() == []


def test_a_corrected_text_outlives_a_change_of_another_field(open_page, comfy, labelled):
    page = Page(open_page(comfy), labelled)
    pair = open_first(page)
    page.page.locator(TEXTS).fill("{image} corrected")
    page.page.locator(".ace-proposed summary").first.click()
    weight, tags = (page.page.locator(".ace-form").get_by_label(name, exact=True) for name in ("Weight", "Tags"))
    late = Late(page.comfy, "/edit$")
    weight.fill("2")
    page.press("Tab")
    late.wait()
    tags.focus()
    page.page.keyboard.type("typed mea")
    late.come()
    page.page.keyboard.type("nwhile")
    assert tags.input_value() == "typed meanwhile" and page.page.locator(TEXTS).input_value() == "{image} corrected"
    assert labelled.row(pair).weight == 2
    assert page.page.locator(".ace-proposed details[open]").count() == 1, "what was open has gone"
    page.page.locator(".ace-label-accept").click()
    until(lambda: labelled.row(pair).instruction == "{image} corrected", "another text was accepted")
    assert page.errors() == []


def test_what_is_typed_while_words_are_saved_is_kept(open_page, comfy, labelled):
    page = Page(open_page(comfy), labelled)
    pair = open_first(page)
    words = page.page.locator(".ace-form").get_by_label("Instruction", exact=True)
    words.fill("{image} saved")
    late = Late(page.comfy, "/edit$")
    page.press("Control+Enter")
    late.wait()
    page.page.keyboard.type(" and more")
    late.come()
    assert labelled.row(pair).instruction == "{image} saved"
    assert words.input_value() == "{image} saved and more"
    page.press("Control+Enter")
    until(lambda: labelled.row(pair).instruction == "{image} saved and more", "it was not saved")
    assert page.errors() == []


def test_the_last_decision_that_is_undone_can_be_made_again(open_page, comfy, labelled):
    page = Page(open_page(comfy), labelled)
    show_proposed(page)
    open_first(page)
    journal = LabelJournal(labelled.folder)
    for _ in range(3):
        page.page.wait_for_selector(".ace-label-reject:not([disabled])")
        last = shown(page)
        page.press("j")
        until(lambda: decided(journal, last), "it was not rejected")  # noqa: B023
        page.comfy.rest()
    page.page.wait_for_selector(".ace-viewer[open]", state="detached")
    page.grid.focus()
    page.press("Control+z")
    until(lambda: not decided(journal, last), "it was not undone")
    page.comfy.rest()
    assert open_first(page) == last
    page.press("a")
    until(lambda: decided(journal, last) and journal[last].decision == ACCEPTED, "the buttons are dead")
    assert page.errors() == []


def test_a_decision_that_is_refused_can_be_made_again(open_page, comfy, labelled):
    page = Page(open_page(comfy), labelled)
    show_proposed(page)
    pair = open_first(page)
    page.page.locator(TEXTS).fill("")
    page.press("Control+Enter")
    page.told("needs a text")
    page.page.wait_for_function("() => document.querySelectorAll('.ace-cell').length === 3")
    page.press("Escape")
    page.page.wait_for_selector(".ace-viewer[open]", state="detached")
    assert open_first(page) == pair
    page.press("a")
    until(lambda: decided(LabelJournal(labelled.folder), pair), "it cannot be decided on")


def test_a_corrected_text_waits_while_other_pairs_are_looked_at(open_page, comfy, labelled):
    """Also after the pair was closed, and after Escape; what was proposed can be had back."""
    page = Page(open_page(comfy), labelled)
    show_proposed(page)
    pair = open_first(page)
    texts = page.page.locator(TEXTS)
    proposed = texts.input_value()
    texts.fill("{image} by hand")
    page.press("Escape")  # leaves the field
    page.press("ArrowRight")
    until_another(page, pair)
    assert texts.input_value() not in ("{image} by hand", "")
    page.press("ArrowLeft")
    until(lambda: is_whole(page, pair), "the pair is not shown again")
    assert texts.input_value() == "{image} by hand"
    page.comfy.screenshot("proposed-draft")
    page.press("+")
    until_weight(page, labelled, pair, 1.25)
    page.page.locator(".ace-viewer .pi-undo").click()
    until_weight(page, labelled, pair, 1)
    page.press("+")
    until_weight(page, labelled, pair, 1.25)
    assert texts.input_value() == "{image} by hand"
    page.press("Escape")
    page.page.wait_for_selector(".ace-viewer[open]", state="detached")
    assert open_first(page) == pair and texts.input_value() == "{image} by hand"
    page.page.get_by_role("button", name="Restore the proposal").click()
    assert texts.input_value() == proposed
    texts.fill("{image} by hand")
    page.press("ArrowRight")  # in the text
    page.press("Control+Enter")
    until(lambda: labelled.row(pair).instruction == "{image} by hand", "it was not accepted")
    assert page.errors() == []


def test_a_text_about_a_pair_that_others_decide_on_holds_nobody(open_page, comfy, labelled):
    page = Page(open_page(comfy), labelled)
    show_proposed(page)
    pair = open_first(page)
    page.page.locator(TEXTS).fill("{image} by hand")
    address = f"/ace/datasets/{quote(labelled.folder.name)}"
    version = comfy.fetch(f"{address}/pairs/{pair}").json()["version"]
    rejected = {"pair": {"id": pair, "version": version}, "action": "reject"}
    assert comfy.fetch(f"{address}/label", "POST", json=rejected).status == 200
    until(lambda: len(page.cells()) == 2 and page.comfy.rest() is None, "the list does not know")
    assert is_whole(page, pair) and page.page.locator(TEXTS).input_value() == "{image} by hand"
    page.press("Escape", "ArrowLeft")
    until_another(page, pair)
    assert is_whole(page, page.cells()[0]) and "by hand" not in page.page.locator(TEXTS).input_value()
    assert page.errors() == []


def test_escape_keeps_what_was_written_and_undo_takes_that_back_first(open_page, comfy, labelled):
    page = Page(open_page(comfy), labelled)
    pair = open_first(page)
    words = page.page.get_by_role("textbox", name="Instruction", exact=True)
    words.fill("{image} saved")
    page.press("Control+Enter")
    until(lambda: labelled.row(pair).instruction == "{image} saved" and page.comfy.rest() is None, "it is not saved")
    words.fill("{image} taken back")
    page.press("Escape")
    assert words.input_value() == "{image} taken back"
    page.press("Control+z")
    assert words.input_value() == "{image} saved"
    words.fill("  ")
    page.press("Escape")
    assert words.input_value() == "{image} saved", "a pair without words could not be left"
    words.fill("{image} left")
    page.press("Escape")
    page.press("ArrowRight")
    until(lambda: labelled.row(pair).instruction == "{image} left", "it is lost")
    assert page.errors() == []


def test_keys_and_undo_are_at_hand_over_an_open_pair(open_page, comfy, labelled):
    page = Page(open_page(comfy), labelled)
    pair = open_first(page)
    page.press("?")
    page.page.locator(".ace-viewer .ace-keys").get_by_text("other split").wait_for()
    page.comfy.screenshot("keys-over-a-pair")
    page.press("Escape")
    assert page.page.locator(".ace-viewer[open] .ace-keys").is_hidden()
    page.press("+")
    until(lambda: labelled.row(pair).weight == 1.25, "it does not weigh more")
    page.told("Saved")
    page.page.locator(".ace-viewer .pi-undo").click()
    until_weight(page, labelled, pair, 1)
    page.press("x")
    assert [page.page.locator(f".ace-label-{side}").is_visible() for side in ("before", "after")] == [False, True]
    page.press("x")
    assert [page.page.locator(f".ace-label-{side}").is_visible() for side in ("before", "after")] == [True, False]
    page.press("n")
    until_another(page, pair)
    assert page.page.locator(".ace-viewer .ace-bar .ace-note").is_hidden(), "what was said was about another pair"
    page.press("Escape", "?")
    page.page.locator(".ace-page > .ace-keys").wait_for()
    page.press("Escape")
    assert page.page.locator(".ace-page > .ace-keys").is_hidden()
    assert page.errors() == []


def test_what_was_not_saved_does_not_stand_in_the_way(open_page, comfy, labelled):
    """Of a pair that is closed, of one that is deleted, and of one that somebody else has deleted."""
    page = Page(open_page(comfy), labelled)
    first, second, third = page.cells()
    assert open_first(page) == first
    page.page.locator(TEXTS).fill("{image} half a sen")
    page.page.locator(".ace-viewer .pi-times").click()
    page.page.wait_for_selector(".ace-viewer[open]", state="detached")
    page.press("ArrowRight", "Enter")
    until(lambda: is_whole(page, second) and page.comfy.rest() is None, "the next pair is not shown")
    page.page.locator(".ace-form").get_by_label("Instruction", exact=True).fill("{image} half a sen")
    page.page.locator(".ace-delete:visible").last.click()
    until(lambda: second not in labelled, "it was not deleted")
    page.comfy.rest()
    assert is_whole(page, third)
    page.page.locator(".ace-form").get_by_label("Instruction", exact=True).fill("{image} half a sen")
    labelled.rewrite(lambda row: None if row.id == third else row)  # as from another window
    until(lambda: page.cells() == [first], "the list does not know")
    close = page.page.locator(".ace-viewer .pi-times")
    close.click()
    page.page.locator(".ace-message:visible").wait_for()
    close.click()
    page.page.wait_for_selector(".ace-viewer[open]", state="detached")


def test_what_is_chosen_meanwhile_is_not_replaced(open_page, comfy, root):
    page = Page(open_page(comfy), make_many(root, "hands many", 300))
    page.grid.focus()
    page.press("Home")
    late = Late(page.comfy, "/list", "GET")
    page.press("Control+a")
    late.wait()
    page.press("Escape", " ")
    late.come()
    assert page.page.locator(".ace-counts").inner_text().endswith("1 selected")
    assert page.page.locator(".ace-cell[aria-selected=true]").count() == 1
    assert page.errors() == []


def test_keys_stay_with_the_page(open_page, comfy, labelled):
    """Ctrl+Z is the page's alone, and a button that goes away hands the keyboard on."""
    comfy_page = open_page(comfy)
    comfy_page.load_default_workflow()
    nodes = comfy_page.page.evaluate("() => app.graph.nodes.length")
    comfy_page.page.evaluate(
        "() => { app.graph.remove(app.graph.nodes[0]);"
        "app.extensionManager.workflow.activeWorkflow.changeTracker.checkState() }"
    )
    page = Page(comfy_page, labelled)
    (pair, *_), graph = page.cells(), nodes - 1
    page.grid.focus()
    page.press("Home", "Delete")
    until(lambda: pair not in labelled, "it was not deleted")
    page.press("Control+z")
    until(lambda: pair in labelled, "it did not come back")
    page.comfy.rest()
    assert page.page.evaluate("() => app.graph.nodes.length") == graph, "Ctrl+Z reached ComfyUI's graph"
    page.press("Home", "Delete")
    until(lambda: pair not in labelled, "it was not deleted again")
    page.press("3")
    page.page.wait_for_function("() => document.querySelectorAll('.ace-cell').length === 1")
    page.page.locator(".ace-restore").click()
    until(lambda: pair in labelled, "it was not restored")
    page.comfy.rest()
    assert page.page.evaluate("() => Boolean(document.activeElement.closest('.ace-page'))"), "keys would be ComfyUI's"
    assert page.errors() == []


@pytest.fixture(scope="module")
def root(comfy):
    return comfy.base_dir / "output" / "datasets"
