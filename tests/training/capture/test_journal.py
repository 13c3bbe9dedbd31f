"""The journal of a capture: what is remembered of every job, whatever happens to the file."""

from __future__ import annotations

import json
import os

import pytest
from comfyui_ace.training.capture.errors import CaptureError
from comfyui_ace.training.capture.journal import JOURNAL, Journal, open_journal, read_entries
from hypothesis import given
from hypothesis import strategies as st


def _queue(journal: Journal, key: str, attempt: int = 0) -> str:
    prompt_id = journal.prompt_id(key, attempt)
    journal.queued(key, attempt=attempt, prompt_id=prompt_id, server="http://s", source="a.png", seed=1)
    return prompt_id


def test_the_journal_remembers(tmp_path):
    with open_journal(tmp_path) as journal:
        first = _queue(journal, "a")
        _queue(journal, "b")
        journal.done("b", workflow="w", pairs=["x"], rejected=[])
        _queue(journal, "c", attempt=2)
        journal.failed("c", "no memory")
        journal.quarantined("d", "broken")
    with open_journal(tmp_path) as again:
        assert again["a"].state == "queued" and again["a"].prompt_id == first == again.prompt_id("a", 0)
        assert again["b"].state == "done" and again["z"] is None
        assert again["c"].state == "failed" and again["c"].attempt == 3  # an id that no server has seen
        assert again["d"].reason == "broken" and again.id == journal.id
    assert read_entries(tmp_path) == again.entries and again.succeeded == {"w"}


def test_torn_and_foreign_lines_are_passed_over(tmp_path):
    with open_journal(tmp_path) as journal:
        _queue(journal, "a")
    with open(tmp_path / JOURNAL, "ab") as file:
        file.write(
            b'not json\n[1]\n{"key": 5, "state": "done"}\n{"key": "a", "state": "eaten"}\n{"key":"a","state":"do'
        )
    with open_journal(tmp_path) as again:
        assert again["a"].state == "queued"
        again.done("a", workflow="w", pairs=[], rejected=[])
    assert read_entries(tmp_path)["a"].state == "done"
    lines = (tmp_path / JOURNAL).read_bytes().splitlines()
    assert json.loads(lines[-1])["state"] == "done"


@given(cut=st.integers(0, 2000))
def test_a_journal_cut_anywhere_can_be_read_and_continued(tmp_path_factory, cut):
    folder = tmp_path_factory.mktemp("journal")
    with open_journal(folder) as journal:
        for key in "abc":
            _queue(journal, key)
            journal.done(key, workflow="w", pairs=[key], rejected=[])
    data = (folder / JOURNAL).read_bytes()
    (folder / JOURNAL).write_bytes(data[: min(cut, len(data))])
    with open_journal(folder) as journal:
        before = {key: entry.state for key, entry in journal.entries.items()}
        _queue(journal, "d")
    after = {key: entry.state for key, entry in read_entries(folder).items()}
    assert after == {**before, "d": "queued"}


def test_one_capture_at_a_time(tmp_path):
    with open_journal(tmp_path), pytest.raises(CaptureError, match="Another capture"), open_journal(tmp_path):
        pass


def test_what_is_done_is_done_again_only_where_that_could_give_something(tmp_path):
    with open_journal(tmp_path) as journal:
        journal.done("whole", workflow="w", pairs=["x", "y"], rejected=[])
        journal.done("half", workflow="w", pairs=["x"], rejected=["blank"], checks={"no_op": False})
        journal.done("old", workflow="w", pairs=[], rejected=["blank"])  # as records were that name no checks
        _queue(journal, "open")
    entries = read_entries(tmp_path)
    up_to_date = {
        (name, kept, bool(checks)): entries[name].up_to_date(set(kept), checks)
        for name in entries
        for kept in ("xy", "x")
        for checks in ({}, {"no_op": False})
    }
    again = {key for key, value in up_to_date.items() if not value and key[0] != "open"}
    assert again == {
        ("whole", "x", False), ("whole", "x", True),  # a pair of it was lost
        ("half", "xy", False), ("half", "x", False), ("old", "xy", True), ("old", "x", True),  # other checks
    }  # fmt: skip
    assert not any(value for key, value in up_to_date.items() if key[0] == "open")


def test_the_pairs_of_a_job_are_remembered_while_it_is_done_again(tmp_path):
    with open_journal(tmp_path) as journal:
        journal.done("a", workflow="w", pairs=["x"], rejected=["blank"])
        _queue(journal, "a", attempt=1)
        assert journal["a"].pairs == ("x",) and journal["a"].state == "queued"


@pytest.mark.parametrize("name", [JOURNAL, ".capture.lock"])
def test_a_journal_that_cannot_be_opened_is_explained(tmp_path, name):
    (tmp_path / name).mkdir()
    with pytest.raises(CaptureError, match=str(tmp_path)), open_journal(tmp_path):
        pass


def test_a_dataset_that_cannot_be_written_to_is_explained(tmp_path, monkeypatch):
    """The tests may run as a user who can write anywhere, so the system's answer is taken for one who cannot."""
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(CaptureError, match="cannot be written to"), open_journal(tmp_path):
        pass
    assert not list(tmp_path.iterdir())
