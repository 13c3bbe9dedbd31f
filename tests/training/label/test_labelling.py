"""A dataset is labelled: resumed, killed at any moment, written into rows and taken back, with nothing lost."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from comfyui_ace.training.dataset.curation.catalogue import Catalogue
from comfyui_ace.training.dataset.store import Dataset
from comfyui_ace.training.dataset.upkeep.verify import verify
from comfyui_ace.training.errors import DatasetError, WriteError
from comfyui_ace.training.label import applying
from comfyui_ace.training.label.applying import apply_labels, plan, recover, undo
from comfyui_ace.training.label.journal import ACCEPTED, LabelJournal
from comfyui_ace.training.label.opening import open_labeller_backend
from comfyui_ace.training.vision_language import servers
from comfyui_ace.training.vision_language.errors import ModelError, RequestRefused, ServerUnreachable
from comfyui_ace.training.vision_language.recorded import RecordedAnswers
from label_models import Looking
from labelled_scenes import PAIRS, PLAIN, filled, run


@pytest.fixture
def dataset(tmp_path, no_sync):
    return filled(tmp_path)


def test_all_pairs_get_texts_and_no_row_changes(dataset):
    before = (dataset.folder / "metadata.jsonl").read_bytes()
    result = run(dataset)
    assert (result.proposed, result.left, result.known, result.finished) == (PAIRS, 0, 0, True)
    assert result.usage.completion_tokens > 0
    assert (dataset.folder / "metadata.jsonl").read_bytes() == before
    journal = LabelJournal(dataset.folder)
    assert all(journal[row.id].waits and len(journal[row.id].label.texts) == 2 for row in dataset.rows())
    assert verify(dataset.folder).faults == []


def test_what_is_labelled_is_not_asked_about_again(dataset):
    run(dataset, settings=replace(PLAIN, limit=3))
    model = Looking()
    result = run(dataset, model)
    assert (result.proposed, result.known) == (PAIRS - 3, 3)
    again = Looking()
    assert run(dataset, again).proposed == 0 and not again.asked
    assert run(dataset, Looking(model="other")).proposed == PAIRS, "another model is another opinion"


def test_a_model_that_invents_is_counted(dataset):
    result = run(dataset, Looking(invents=True), settings=replace(PLAIN, identical=4))
    assert (result.invented, result.shown_twice) == (4, 4) and result.unlabelled["identical"] == 4


def test_failures_are_tried_again_and_end_a_hopeless_run(dataset):
    class Refusing(Looking):
        def ask(self, request):
            raise RequestRefused("no credit", 402)

    with pytest.raises(ModelError, match=r"5 pairs in a row.*no credit"):
        run(dataset, Refusing(parallel=1))
    assert run(dataset).proposed == PAIRS

    class Gone(Looking):
        def ask(self, request):
            if len(self.asked) > 20:
                raise ServerUnreachable("gone")
            return super().ask(request)

    with pytest.raises(ServerUnreachable):
        run(dataset, Gone(model="later", parallel=1))
    kept = sum(state.label.model == "later" for _, state in LabelJournal(dataset.folder).items())
    assert 2 <= kept < PAIRS


def test_a_stop_keeps_what_came_and_the_next_run_goes_on(dataset):
    done = []
    result = run(dataset, progress=lambda *now: done.append(now), should_stop=lambda: len(done) > 3)
    assert not result.finished and 3 <= result.proposed < PAIRS
    assert run(dataset).proposed == PAIRS - result.proposed


def test_recorded_answers_are_not_asked_for_twice(dataset, tmp_path):
    path = tmp_path / "answers.jsonl"
    run(dataset, RecordedAnswers(path, Looking()))
    (dataset.folder / "label" / "labels.jsonl").unlink()
    offline = run(Dataset(dataset.folder), RecordedAnswers(path, model="eyes"))
    assert offline.proposed == PAIRS and offline.usage.completion_tokens == 0


def test_texts_go_into_rows_and_come_back(dataset):
    run(dataset)
    journal = LabelJournal(dataset.folder)
    old = {row.id: row for row in dataset.rows()}
    planned = plan(dataset, journal)
    assert len(planned) == PAIRS and {row.id: row for row in dataset.rows()} == old, "a plan changes nothing"
    assert apply_labels(dataset, journal, planned).changed == PAIRS
    for row in dataset.rows():
        label = journal[row.id].label
        assert row.all_instructions == label.words("en") and row.target_caption == label.target_caption
        assert (row.scores, row.seed, row.source_hash) == (
            old[row.id].scores,
            old[row.id].seed,
            old[row.id].source_hash,
        )
        assert (dataset.folder / "target" / f"{row.id}.txt").read_text() == row.prompt
        assert journal[row.id].decision == ACCEPTED and journal[row.id].writing.by == "checks"
    assert verify(dataset.folder).faults == [] and not plan(dataset, journal)
    assert undo(dataset, journal).changed == PAIRS
    assert {row.id: row for row in dataset.rows()} == old and len(plan(dataset, journal)) == PAIRS
    with pytest.raises(DatasetError, match="undone already"):
        undo(dataset, journal)


def test_again_asks_the_server_anew(dataset, monkeypatch):
    model = Looking()
    monkeypatch.setattr(servers, "open_backend", lambda *_arguments, **_values: model)
    opened = lambda **values: open_labeller_backend(dataset, "http://here", check=False, **values)  # noqa: E731
    run(dataset, opened())
    count = len(model.asked)
    (dataset.folder / "label" / "labels.jsonl").unlink()
    run(dataset, opened())
    assert len(model.asked) == count, "recorded answers are taken"
    run(dataset, opened(again=True), settings=replace(PLAIN, again=True))
    assert len(model.asked) == 2 * count


@pytest.mark.parametrize("when", ["before the rows", "after the rows"])
def test_a_process_that_ends_between_journal_and_rows_is_finished_by_the_next(dataset, monkeypatch, when):
    run(dataset)
    journal = LabelJournal(dataset.folder)

    def die(*_arguments, **_values):
        raise KeyboardInterrupt

    if when == "before the rows":
        monkeypatch.setattr(applying, "_edit_rows", die)
    else:
        monkeypatch.setattr(LabelJournal, "finish", die)
    with pytest.raises(KeyboardInterrupt):
        apply_labels(dataset, journal, plan(dataset, journal))
    monkeypatch.undo()
    fresh = LabelJournal(dataset.folder)
    assert len(fresh.pending) == 1
    assert recover(Catalogue(dataset.folder), fresh) == (PAIRS if when == "before the rows" else 0)
    assert not fresh.pending and all(fresh[row.id].decision == ACCEPTED for row in dataset.rows())
    assert all(row.instruction == fresh[row.id].label.texts[0].text for row in dataset.rows())
    assert undo(dataset, fresh).changed == PAIRS


def test_a_full_disk_leaves_rows_as_they_were(dataset, monkeypatch):
    run(dataset)
    journal, old = LabelJournal(dataset.folder), list(dataset.rows())

    def full(*_arguments):
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr("comfyui_ace.training.label.journal.append_line", full)
    with pytest.raises(WriteError, match="disk is full"):
        apply_labels(dataset, journal, plan(dataset, journal))
    assert list(dataset.rows()) == old


_KILLED = """
import sys
sys.path[:0] = {paths!r}
from pathlib import Path
from comfyui_ace.training.dataset.store import Dataset
from comfyui_ace.training.label.applying import apply_labels, plan
from comfyui_ace.training.label.journal import LabelJournal
from comfyui_ace.training.label.labeller import Labeller
from comfyui_ace.training.label.labelling import label_dataset
from comfyui_ace.training.label.settings import LabelSettings
from label_models import Looking
dataset = Dataset(Path(sys.argv[1]))
settings = LabelSettings(forms=("imperative", "short"), identical=0, limit=3)
print("ready", flush=True)
while True:
    sys.stdin.readline()  # whoever asks for it lets one round begin
    label_dataset(dataset, Labeller(Looking(), settings), settings)
    journal = LabelJournal(dataset.folder)
    if not (planned := plan(dataset, journal)):
        break
    apply_labels(dataset, journal, planned)
"""


@pytest.mark.timeout(300)
def test_killed_at_random_moments_no_label_is_half(tmp_path):
    dataset = filled(tmp_path, 16)
    rng = random.Random(7)
    script = _KILLED.format(paths=[str(Path(__file__).parents[2])])
    kills = 0
    for _ in range(12):
        command = [sys.executable, "-c", script, str(dataset.folder)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            process.stdout.readline()
            process.stdin.write(b"\n")
            process.stdin.flush()
            time.sleep(rng.uniform(0.0, 0.3))
            process.send_signal(signal.SIGKILL)
        kills += process.returncode == -signal.SIGKILL
        assert verify(dataset.folder).faults == []
        journal = LabelJournal(dataset.folder)
        for _, state in journal.items():
            assert state.label is None or (state.label.proposed and len(state.label.texts) == 2)
    assert kills >= 5  # of six rounds and more
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    journal, fresh = LabelJournal(dataset.folder), Dataset(dataset.folder)
    recover(Catalogue(dataset.folder), journal)
    for row in fresh.rows():
        assert journal[row.id].decision == ACCEPTED and row.all_instructions == journal[row.id].label.words("en")
    assert len(list(fresh.rows())) == 16 and verify(dataset.folder).faults == []


def test_lines_of_other_hands_are_passed_over(dataset):
    run(dataset, settings=replace(PLAIN, limit=2))
    path = dataset.folder / "label" / "labels.jsonl"
    whole = path.read_bytes()
    path.write_bytes(b'\n[1]\n{"event":"label","label":{}}\n' + whole + whole.splitlines()[0][:50])
    assert sum(1 for _ in LabelJournal(dataset.folder).items()) == 2
    assert run(dataset).proposed == PAIRS - 2, "a torn line is no hindrance"
    lines = path.read_bytes().splitlines()
    assert sum(b'"event":"label"' in line and _is_json(line) for line in lines) == PAIRS + 1


def _is_json(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False


def test_raw_answers_stay_in_the_file(dataset):
    run(dataset, settings=replace(PLAIN, limit=1))
    lines = [json.loads(line) for line in (dataset.folder / "label" / "labels.jsonl").read_text().splitlines()]
    questions = [answer["question"] for answer in lines[0]["label"]["answers"]]
    assert questions[:2] == ["compare", "exchanged"] and all(answer["text"] for answer in lines[0]["label"]["answers"])
    ((_, state),) = LabelJournal(dataset.folder).items()
    assert state.label.answers == () and state.label.time == lines[0]["time"]
