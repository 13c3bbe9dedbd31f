"""What people decide and write stays: while a run labels, when it labels again, when texts go into rows and come back."""

from __future__ import annotations

from dataclasses import replace

import pytest
from comfyui_ace.training.dataset.curation.catalogue import Catalogue
from comfyui_ace.training.dataset.store import Dataset
from comfyui_ace.training.errors import StalePairError
from comfyui_ace.training.label.applying import apply_labels, decide, plan, undo, words_of_row
from comfyui_ace.training.label.journal import ACCEPTED, OPEN, REJECTED, LabelJournal, Words
from comfyui_ace.training.label.labeller import Labeller
from comfyui_ace.training.label.labelling import label_dataset
from comfyui_ace.training.label.labels import PROPOSED, Label, LabelText
from comfyui_ace.training.label.settings import LabelSettings, Shown
from label_models import Looking, scene, scene_pair
from labelled_scenes import PAIRS, PLAIN, digest_of, edit_by_hand, filled, group, run
from PIL import Image, ImageOps


@pytest.fixture
def dataset(tmp_path, no_sync):
    return filled(tmp_path)


def test_rows_that_were_changed_since_are_not_taken_back(dataset):
    run(dataset)
    journal = LabelJournal(dataset.folder)
    apply_labels(dataset, journal, plan(dataset, journal))
    first = next(dataset.rows()).id
    words = Words("{image} in my own words")
    decide(Catalogue(dataset.folder), journal, first, digest_of(dataset, first), words)
    assert undo(dataset, journal).changed == PAIRS - 1 and dataset.row(first).instruction == words.instruction


def test_a_pair_edited_by_hand_does_not_stop_undo(dataset):
    """What was written before the run that cannot be taken back whole comes back all the same."""
    journal = LabelJournal(dataset.folder)
    for limit in (3, PAIRS):
        run(dataset, settings=replace(PLAIN, limit=limit))
        journal.refresh()
        apply_labels(dataset, journal, plan(dataset, journal))
    last = list(dataset.rows())[-1].id
    edit_by_hand(dataset, last, instruction="{image} in my own words")
    first, second = undo(dataset, journal), undo(dataset, journal)
    assert (first.changed, second.changed) == (PAIRS - 4, 3)
    assert first.left == second.left == {last: "it was changed since"} and not first.failed
    assert {row.instruction for row in dataset.rows()} == {"{image} trigger", "{image} in my own words"}
    assert undo(dataset, journal).changed == 0


def test_words_that_somebody_changed_since_the_label_are_left(dataset):
    run(dataset)
    first, second, third = (row.id for row in list(dataset.rows())[:3])
    edit_by_hand(dataset, first, instruction="{image} in my own words")
    edit_by_hand(dataset, second, target_caption="what I see")
    edit_by_hand(dataset, third, phrasings=("{image} otherwise",))
    journal = LabelJournal(dataset.folder)
    planned = plan(dataset, journal)
    assert [one.row.id for one in planned if one.changed] == [first, second]
    result = apply_labels(dataset, journal, planned)
    assert result.changed == PAIRS - 2 and list(result.left) == [first, second]
    assert dataset.row(first).instruction == "{image} in my own words" and journal[first].waits
    assert dataset.row(second).target_caption == "what I see"
    assert dataset.row(third).phrasings[-1] == "{image} otherwise", "a further phrasing takes nobody's place"
    assert apply_labels(dataset, journal, plan(dataset, journal), overwrite=True).changed == 2
    assert dataset.row(first).instruction == journal[first].label.texts[0].text


def test_what_happens_between_plan_and_writing_stays(dataset):
    run(dataset)
    journal = LabelJournal(dataset.folder)
    planned = plan(dataset, journal)
    first, second, third = (one.row.id for one in planned[:3])
    edit_by_hand(dataset, first, instruction="{image} in my own words")
    decide(Catalogue(dataset.folder), journal, second, digest_of(dataset, second), Words("{image} by hand"))
    LabelJournal(dataset.folder).add_rejection(third)
    result = apply_labels(dataset, journal, planned)
    assert result.changed == PAIRS - 3
    assert result.failed == {first: "its words were changed meanwhile"} and list(result.left) == [second, third]
    assert dataset.row(second).instruction == "{image} by hand" and journal[third].decision == REJECTED


def test_labelling_again_loses_nothing_of_a_row(dataset):
    first, second = (row.id for row in list(dataset.rows())[:2])
    mine = {"phrasings": ("{image} as I say",), "source_caption": "my source", "target_caption": "my result"}
    for pair in (first, second):
        edit_by_hand(dataset, pair, **mine)
    run(dataset, settings=replace(PLAIN, limit=1))
    label = Labeller(None, PLAIN).label(second, Shown(_picture("red"), ImageOps.invert(_picture("red")))).label
    journal = LabelJournal(dataset.folder)
    journal.add_label(label, 0)
    apply_labels(dataset, journal, plan(dataset, journal))
    row, other = dataset.row(first), dataset.row(second)
    assert row.all_instructions == (*journal[first].label.words("en"), "{image} as I say")
    assert row.target_caption == journal[first].label.target_caption
    assert other.instruction == label.texts[0].text and other.phrasings[-1] == "{image} as I say"
    assert (other.source_caption, other.target_caption) == ("my source", "my result"), "a template has no captions"


def test_texts_that_are_one_in_the_row_are_one_in_the_journal(dataset):
    """A stop between journal and rows is finished, and undone, only if both have the very same words."""
    first = next(dataset.rows()).id
    texts = ("{image} one", "{image}  two", "{image} one", "{image} two")
    label = Label(first, PROPOSED, texts=tuple(LabelText(text, "en", "short", "model", "") for text in texts))
    journal = LabelJournal(dataset.folder)
    journal.add_label(label, 0)
    (planned,) = plan(dataset, journal)
    assert (planned.words.instruction, planned.words.phrasings) == ("{image} one", ("{image} two",))
    apply_labels(dataset, journal, [planned])
    assert words_of_row(dataset.row(first)) == journal[first].writing.after
    assert undo(dataset, journal).changed == 1
    decide(Catalogue(dataset.folder), journal, first, digest_of(dataset, first), Words(texts[0], texts[1:], " ", "\n"))
    assert words_of_row(dataset.row(first)) == journal[first].writing.after and not journal[first].writing.edited


def test_a_person_accepts_edits_rejects_and_changes_their_mind(dataset):
    run(dataset)
    journal, catalogue = LabelJournal(dataset.folder), Catalogue(dataset.folder)
    first, second, third = (row.id for row in list(dataset.rows())[:3])
    proposed = Words(*(journal[first].label.words("en")[:1]), journal[first].label.words("en")[1:])
    label = journal[first].label
    whole = replace(proposed, source_caption=label.source_caption, target_caption=label.target_caption)
    old = words_of_row(dataset.row(first))
    decide(catalogue, journal, first, digest_of(dataset, first), whole)
    decide(catalogue, journal, second, digest_of(dataset, second), Words("{image} by hand", ("by hand, {image}",)))
    journal.add_rejection(third)
    assert [journal[pair].decision for pair in (first, second, third)] == [ACCEPTED, ACCEPTED, REJECTED]
    assert [journal[pair].writing.edited for pair in (first, second)] == [False, True]
    assert dataset.row(second).phrasings == ("by hand, {image}",)
    decide(catalogue, journal, first, digest_of(dataset, first), old, OPEN)
    journal.add_reopening(third)
    assert words_of_row(dataset.row(first)) == old and journal[first].waits and journal[third].waits
    with pytest.raises(StalePairError):
        decide(catalogue, journal, second, "0" * 64, whole)
    assert LabelJournal(dataset.folder)[second].writing == journal[second].writing, "another reader finds the same"
    model = Looking()
    again = run(dataset, model, settings=replace(PLAIN, again=True))
    assert again.proposed == PAIRS - 1, "what is accepted stays"


@pytest.mark.parametrize("again", [False, True])
def test_what_a_person_decides_while_a_run_labels_stays(dataset, again):
    """The decisions fall while the model looks at the very pairs, and before it comes to others."""
    if again:
        run(dataset)
    rows = list(dataset.rows())
    asked, later = (row.id for row in (rows[0], rows[-1]))

    class Slow(Looking):
        def compare(self, before, after):
            if not self.decided:
                self.decided = True
                person = LabelJournal(dataset.folder)
                words = Words("{image} by hand")
                decide(Catalogue(dataset.folder), person, asked, digest_of(dataset, asked), words)
                if again:
                    person.add_rejection(later)
                else:
                    decide(Catalogue(dataset.folder), person, later, digest_of(dataset, later), words)
            return super().compare(before, after)

    model = Slow(parallel=1)
    model.decided = False
    result = run(dataset, model, settings=replace(PLAIN, again=again))
    fresh = LabelJournal(dataset.folder)
    assert fresh[asked].decision == ACCEPTED and fresh[asked].writing.edited
    assert dataset.row(asked).instruction == "{image} by hand"
    assert fresh[later].decision == (REJECTED if again else ACCEPTED)
    assert (result.proposed, result.decided) == (PAIRS - 1, 1), "about what is decided nobody is asked"
    assert all(fresh[row.id].waits for row in rows[1:-1])
    assert [one.row.id for one in plan(dataset, fresh)] == [row.id for row in rows[1:-1]]


def test_a_rejection_outlives_labels_that_began_before_it(dataset):
    run(dataset)
    journal = LabelJournal(dataset.folder)
    first = next(dataset.rows()).id
    label = journal[first].label
    journal.add_rejection(first)
    journal.add_label(label, decided=0)
    assert journal[first].decision == REJECTED == LabelJournal(dataset.folder)[first].decision
    journal.add_label(label, decided=journal[first].decided)
    assert journal[first].waits, "who labels a rejected pair again wants to see what comes of it"


def test_again_brings_new_texts_and_none_that_was_rejected(dataset):
    run(dataset)
    journal = LabelJournal(dataset.folder)
    first = next(dataset.rows()).id
    rejected = journal[first].label.words("en")
    journal.add_rejection(first)
    everything = LabelSettings(identical=0, again=True)
    assert run(dataset, settings=everything).proposed == PAIRS
    journal.refresh()
    assert journal[first].waits and not {*rejected} & {*journal[first].label.words("en")}
    second = journal[first].label.words("en")
    journal.add_rejection(first)
    assert journal[first].rejected == (*rejected, *second)
    journal.add_reopening(first)
    assert journal[first].rejected == rejected
    journal.add_rejection(first)
    assert run(dataset, settings=everything).unlabelled == {"words": 1}, "there is nothing else that this model says"
    journal.refresh()
    assert not journal[first].waits


def test_a_run_without_a_model_leaves_what_a_model_proposed(dataset):
    run(dataset)
    other = replace(PLAIN, forms=("long",))
    assert label_dataset(dataset, Labeller(None, other), other).known == PAIRS
    assert all(state.waits for _, state in LabelJournal(dataset.folder).items())


def test_a_judge_or_a_set_that_is_named_later_is_asked(dataset):
    run(dataset)
    judge = Looking(model="judge")
    judged = lambda: label_dataset(dataset, Labeller(Looking(), PLAIN, judge=judge), PLAIN)  # noqa: E731
    assert judged().proposed == PAIRS and len(judge.asked) == PAIRS
    assert judged().known == PAIRS == run(dataset).known, "without a judge, what was judged is known"
    ids = [row.id for row in list(dataset.rows())[:3]]
    group(dataset, dict.fromkeys(ids, "set"))
    with_sets = replace(PLAIN, sets=True)
    result = run(dataset, settings=with_sets, shared=dict.fromkeys(ids, ()))
    assert (result.proposed, result.known) == (3, PAIRS - 3), "others are in no set"
    assert run(dataset, settings=with_sets).known == PAIRS, "a set that shares nothing was asked about, too"


def test_a_pair_that_would_be_another_ones_copy_keeps_its_words(dataset):
    twin = dataset.append(
        scene_pair(0, "red", "blue", "left", instruction="{image} twin", seed=9), checks=_loose(dataset)
    )
    assert twin.stored
    run(dataset)
    journal = LabelJournal(dataset.folder)
    result = apply_labels(dataset, journal, plan(dataset, journal))
    assert result.changed == PAIRS and list(result.failed) == [twin.id] and "same as" in result.failed[twin.id]
    assert dataset.row(twin.id).instruction == "{image} twin" and journal[twin.id].waits


def _picture(colour: str) -> Image.Image:
    return Image.fromarray(scene(colour))


def _loose(dataset: Dataset):
    return dataset.checks.model_copy(update={"near_duplicate": False})
