"""Judging a dataset over a scripted server: resumed, never guessed."""

from __future__ import annotations

import json

import numpy as np
import pytest
from comfyui_ace.training.dataset.store import Dataset, Pair
from comfyui_ace.training.judge.exports import export_judgements
from comfyui_ace.training.judge.judges import LanguageModelJudge
from comfyui_ace.training.judge.scores import Marks
from comfyui_ace.training.judge.scoring import ScoringSettings, judge_dataset, measure_pixels
from comfyui_ace.training.vision_language.errors import ModelError, RequestRefused, ServerUnreachable
from comfyui_ace.training.vision_language.recorded import RecordedAnswers
from judging import PAIRS, Scripted, judgements
from pair_factory import pair


def test_every_pair_gets_two_questions_and_its_marks(dataset):
    backend = Scripted()
    result = judge_dataset(dataset, LanguageModelJudge(backend))
    assert (result.scored, result.unscored, result.known, result.finished) == (PAIRS, 0, 0, True)
    assert len(backend.asked) == 2 * PAIRS
    shown = sorted(len(request.images) for request in backend.asked)
    assert shown == [1] * PAIRS + [2] * PAIRS
    alone = [request for request in backend.asked if len(request.images) == 1]
    assert not any("negative" in str(request.parts[-1]) for request in alone), "quality is judged without the words"
    for row in dataset.rows():
        pixels = np.asarray(dataset.load(row).target, dtype=np.uint32)
        assert judgements(dataset)[row.id].passes == (Marks((pixels.sum() % 11,) * 2, (pixels.sum() % 11,) * 2),)


def test_what_is_judged_is_not_judged_again(dataset):
    judge_dataset(dataset, LanguageModelJudge(Scripted()), ScoringSettings(limit=5))
    backend = Scripted()
    result = judge_dataset(dataset, LanguageModelJudge(backend))
    assert (result.scored, result.known) == (PAIRS - 5, 5) and len(backend.asked) == 2 * (PAIRS - 5)
    again = Scripted()
    judge_dataset(dataset, LanguageModelJudge(again))
    assert not again.asked


def test_other_questions_are_asked_anew(dataset):
    judge_dataset(dataset, LanguageModelJudge(Scripted()))
    backend = Scripted()
    judge_dataset(dataset, LanguageModelJudge(backend, passes=2))
    assert len(backend.asked) == 4 * PAIRS
    assert all(len(one.passes) == 2 for one in judgements(dataset).values())


def test_pictures_are_called_as_they_are_labelled(dataset):
    """The second picture that a judge sees is the result, and not the pair's second picture."""
    made = Dataset.create(dataset.folder.parent, "references")
    one = pair(3, references=[pair(4).source], instruction="put the hat of {image1} on {image}")
    assert made.append(one).stored
    backend = Scripted()
    judge_dataset(made, LanguageModelJudge(backend))
    asked = next(request for request in backend.asked if len(request.images) == 3)
    assert "put the hat of Image 3 on Image 1" in asked.parts[-1]
    assert [image.label for image in asked.images][1:] == ["Image 2 (after)", "Image 3 (reference)"]


def test_other_words_are_another_question_and_are_taught_as_they_were_asked(dataset, tmp_path):
    """A trigger tells a judge nothing: asked about plain words it judges anew, and its student learns from those."""
    judge_dataset(dataset, LanguageModelJudge(Scripted()))
    plain = ScoringSettings(instruction="make it snow")
    backend = Scripted()
    assert judge_dataset(dataset, LanguageModelJudge(backend), plain).scored == PAIRS
    assert all("make it snow" in request.parts[-1] for request in backend.asked if len(request.images) == 2)
    assert judge_dataset(dataset, LanguageModelJudge(Scripted()), plain).known == PAIRS
    done = export_judgements(dataset, "eyes", tmp_path / "out", "ms-swift")
    questions = [json.loads(line)["messages"][1]["content"] for line in (done.folder / "ace_judge.jsonl").open()]
    assert sum("make it snow" in question for question in questions) == PAIRS


def test_an_answer_that_cannot_be_read_is_asked_once_more_and_then_unscored(dataset):
    backend = Scripted(lambda request, _: "no idea" if len(request.images) == 2 else None)
    judge = LanguageModelJudge(backend)
    result = judge_dataset(dataset, judge, ScoringSettings(limit=4))
    assert (result.scored, result.unscored, result.repeated) == (0, 4, 4)
    found = [one for one in judgements(dataset).values() if one is not None]
    assert len(found) == 4 and not any(one.scored for one in found)
    assert not judge_dataset(dataset, LanguageModelJudge(Scripted()), ScoringSettings(limit=1, again=False)).unscored
    result = judge_dataset(dataset, LanguageModelJudge(Scripted()), ScoringSettings(again=True))
    assert result.scored == PAIRS - 1 and all(one.scored for one in judgements(dataset).values())


def test_the_second_try_says_what_was_wrong(dataset):
    backend = Scripted(lambda request, number: "hm" if number == 1 else None)
    backend.parallel = 1
    result = judge_dataset(dataset, LanguageModelJudge(backend), ScoringSettings(limit=1))
    assert result.scored == 1 and result.repeated == 1
    assert (
        "could not be read" in backend.asked[1].parts[-1]
        and backend.asked[1].max_tokens == 2 * backend.asked[0].max_tokens
    )


def test_a_server_that_goes_away_loses_nothing(dataset):
    backend = Scripted(lambda _, number: ServerUnreachable("gone") if number > 10 else None)
    with pytest.raises(ServerUnreachable):
        judge_dataset(dataset, LanguageModelJudge(backend))
    kept = [one for one in judgements(dataset).values() if one is not None]
    assert 3 <= len(kept) <= 5 and all(one.scored for one in kept)
    assert judge_dataset(dataset, LanguageModelJudge(Scripted())).scored == PAIRS - len(kept)


def test_a_pair_that_is_refused_is_passed_over_and_tried_again(dataset):
    backend = Scripted(lambda _, number: RequestRefused("content filter", 400) if number == 3 else None)
    backend.parallel = 1
    result = judge_dataset(dataset, LanguageModelJudge(backend))
    assert result.scored == PAIRS - 1 and list(result.failed.values()) == ["content filter"]
    assert judge_dataset(dataset, LanguageModelJudge(Scripted())).scored == 1


def test_refusals_without_end_stop_the_run(dataset):
    with pytest.raises(ModelError, match=r"5 pairs in a row.*no credit"):
        judge_dataset(dataset, LanguageModelJudge(Scripted(lambda *_: RequestRefused("no credit", 402))))


def test_a_stop_saves_and_the_same_call_goes_on(dataset):
    done = []
    result = judge_dataset(
        dataset,
        LanguageModelJudge(Scripted()),
        progress=lambda *now: done.append(now),
        should_stop=lambda: len(done) > 4,
    )
    assert not result.finished and 4 <= result.scored < PAIRS
    assert sum(one is not None for one in judgements(dataset).values()) == result.scored
    assert judge_dataset(dataset, LanguageModelJudge(Scripted())).scored == PAIRS - result.scored


def test_answers_survive_a_kill_before_the_rows_are_written(dataset, tmp_path):
    """Recorded answers are on disk as they come: a second run over untouched rows asks for none of them."""
    path = tmp_path / "answers.jsonl"
    rows = (dataset.folder / "metadata.jsonl").read_bytes()
    judge_dataset(dataset, LanguageModelJudge(RecordedAnswers(path, Scripted())))
    (dataset.folder / "metadata.jsonl").write_bytes(rows)
    offline = LanguageModelJudge(RecordedAnswers(path, model="eyes"))
    assert judge_dataset(Dataset(dataset.folder), offline).scored == PAIRS and offline.usage.prompt_tokens == 0


def test_pairs_that_come_while_it_judges_keep_their_rows(dataset):
    def rule(_, number):
        if number == 5:
            dataset.append(pair(99))

    judge_dataset(dataset, LanguageModelJudge(Scripted(rule)))
    assert len(list(dataset.rows())) == PAIRS + 1
    assert sum(one is None for one in judgements(dataset).values()) == 1


def test_some_pairs_are_shown_the_wrong_way_round(dataset):
    judge_dataset(dataset, LanguageModelJudge(Scripted()), ScoringSettings(swaps=4))
    assert sum(bool(one.swapped) for one in judgements(dataset).values()) == 4
    judge_dataset(dataset, LanguageModelJudge(Scripted(), passes=2))
    assert sum(bool(one.swapped) for one in judgements(dataset).values()) == 4, "a check once made stays"


def test_a_picture_from_words_alone_has_one_mark_for_the_edit(dataset):
    made = Dataset.create(dataset.folder.parent, "created")
    made.append(Pair(source=None, target=pair(5).target, instruction="a storm at sea"))
    judge_dataset(made, LanguageModelJudge(Scripted()), ScoringSettings(swaps=1))
    (one,) = judgements(made).values()
    assert len(one.passes[0].semantic) == 1 and not one.swapped


def test_pixels_find_copies_and_leave_other_scores_alone(dataset):
    loose = Dataset(dataset.folder, checks=dataset.checks.model_copy(update={"near_duplicate": False}))
    copy = pair(3, tags=("invert",))
    copy.target[0, 0] ^= 1
    assert loose.append(copy).stored
    judge_dataset(dataset, LanguageModelJudge(Scripted()))
    assert measure_pixels(dataset) == PAIRS + 1 and measure_pixels(dataset) == 0
    duplicates = [row for row in dataset.rows() if row.scores["pixels"]["duplicate"]]
    assert len(duplicates) == 1 and duplicates[0].scores["pixels"]["o_score"] == 0
    assert all(one.scored for one in judgements(dataset).values())


def test_what_was_seen_before_a_stop_is_kept_and_a_broken_picture_stops_nobody(dataset, caplog):
    broken = list(dataset.rows())[3]
    (dataset.folder / broken.target_file_name).write_bytes(b"no picture")

    def stop(done, total):
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        measure_pixels(dataset, progress=stop)
    assert sum("pixels" in row.scores for row in dataset.rows()) == 4
    assert measure_pixels(dataset) == PAIRS - 5 and broken.id in caplog.text
    assert [row.id for row in dataset.rows() if "pixels" not in row.scores] == [broken.id]


def test_two_results_of_one_source_that_differ_in_a_small_place_are_no_copies(dataset):
    for place in (4, 100):
        one = Pair(
            source=np.tile(pair(7).source, (6, 6, 1)), target=np.tile(pair(8).source, (6, 6, 1)), instruction="dot"
        )
        one.target[place : place + 16, place : place + 16] = 255
        assert dataset.append(one).stored
    measure_pixels(dataset)
    assert not any(row.scores["pixels"]["duplicate"] for row in dataset.rows())
