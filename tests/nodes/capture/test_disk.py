"""The writer beside the graph when the disk refuses: nothing raised, nothing half written, nothing silently lost."""

from __future__ import annotations

import errno
import logging
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from captured_pairs import capture, kept
from comfyui_ace.nodes.capture.recorder import Recorder
from comfyui_ace.training.dataset.disk import storage
from comfyui_ace.training.dataset.store import Dataset
from comfyui_ace.training.errors import WriteError
from disks import small_disk


@contextmanager
def a_file_in_the_way(folder: Path) -> Iterator[None]:
    """Fails for every user and on every system."""
    (folder / "target").rename(folder / "aside")
    (folder / "target").write_text("a file where the folder was")
    yield
    (folder / "target").unlink()
    (folder / "aside").rename(folder / "target")


@contextmanager
def no_space(folder: Path) -> Iterator[None]:
    """Every file is opened, and can then not be written to the disk."""

    def refuse(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(storage.os, "fsync", refuse)
        yield


@pytest.mark.parametrize("refusal", [a_file_in_the_way, no_space])
def test_what_is_refused_is_held_and_written_later_in_order(tmp_path, refusal):
    recorder, told = Recorder(), []
    folder = recorder.open(tmp_path, "held")
    recorder.submit(capture(folder, 0))
    assert recorder.flush(60) and kept(folder) == 1
    with refusal(folder):
        recorder.submit(capture(folder, 1, told=told))
        assert recorder.flush(60)
        assert (
            told[-1].startswith("NOT KEPT: ")
            and "1 pair of “held” in memory" in told[-1]
            and "Cannot write to" in told[-1]
        )
        recorder.submit(capture(folder, 2, 3, told=told))  # no error: the graph's own result goes on
        assert recorder.flush(60)
        assert "\n3 pairs of" in told[-1] and "queue again" in told[-1]
        assert recorder.counts() == {"waiting": 0, "held": 3, "lost": 0}
        assert "\n3 pairs of" in recorder.write_problem(folder)
        assert len(Dataset(folder)) == 1
    assert recorder.write_problem(folder) == ""
    assert recorder.flush(60) and kept(folder) == 4
    assert recorder.counts() == {"waiting": 0, "held": 0, "lost": 0}
    assert "held: 4 pairs" in told[-1] and "given up" not in told[-1]
    firsts = [np.asarray(pair.source) for pair in Dataset(folder)]
    for seed, first in enumerate(firsts):
        wanted = (capture(folder, seed).pairs[0].source.numpy() * 255).round()
        np.testing.assert_allclose(first, wanted, atol=1)


def test_half_of_a_batch_is_not_written_twice(tmp_path, monkeypatch):
    recorder, told = Recorder(), []
    folder = recorder.open(tmp_path, "batch")
    append, calls = Dataset.append, []

    def append_twice(*args, **kwargs):
        calls.append(args)
        if len(calls) == 3:
            raise WriteError("It is full.", "full")
        return append(*args, **kwargs)

    monkeypatch.setattr(Dataset, "append", append_twice)
    recorder.submit(capture(folder, 1, 2, 3, 4, told=told))
    assert recorder.flush(60) and recorder.counts()["held"] == 2 and "\n2 pairs of" in told[-1]
    recorder.submit(capture(folder, 5))
    assert recorder.flush(60) and kept(folder) == 5 and len(calls) == 6


def test_pairs_that_memory_cannot_hold_are_counted_and_their_marker_runs_again(tmp_path, caplog):
    recorder, told = Recorder(max_bytes=10), []
    folder = recorder.open(tmp_path, "bounded")
    other = recorder.open(tmp_path, "other")
    with a_file_in_the_way(folder), caplog.at_level(logging.ERROR):
        for seed in (1, 2):
            recorder.submit(capture(folder, seed, size=5, told=told))
        assert recorder.flush(60)
        before = recorder.generation(folder)
        recorder.submit(capture(folder, 3, 4, size=5, told=told))
        assert recorder.counts() == {"waiting": 0, "held": 2, "lost": 2}
        assert "2 pairs given up" in told[-1] and "2 captured pair(s) were not kept" in caplog.text
        assert recorder.generation(folder) != before
        recorder.submit(capture(other, 5, size=5, told=told))  # another dataset, but the same memory
        assert "of “other”" in told[-1] and "1 pair given up" in told[-1] and "Cannot write to" in told[-1]
    recorder.submit(capture(folder, 3, 4, size=5, told=told))
    assert recorder.flush(60) and kept(folder) == 4
    assert "2 pairs given up" in told[-1]  # it stays said: nobody may have looked at the time


def test_a_disk_that_is_refused_at_the_first_pair_of_all(tmp_path):
    """The folder of all datasets cannot be made: also then the graph goes on."""
    (tmp_path / "datasets").write_text("a file")
    recorder, told = Recorder(), []
    folder = recorder.open(tmp_path / "datasets", "first")
    recorder.submit(capture(folder, 1, told=told))
    assert recorder.flush(60) and "A file is where a folder should be" in told[-1]
    (tmp_path / "datasets").unlink()
    assert recorder.write_problem(folder) == "" and recorder.flush(60) and kept(folder) == 1


def test_a_drive_that_was_unplugged_is_no_deleted_dataset(tmp_path):
    recorder, told = Recorder(), []
    folder = recorder.open(tmp_path / "drive", "pairs")
    (tmp_path / "drive").rename(tmp_path / "unplugged")
    recorder.submit(capture(folder, 1, told=told))
    assert recorder.flush(60) and "Connect its disk again" in told[-1]
    (tmp_path / "unplugged").rename(tmp_path / "drive")
    recorder.submit(capture(folder, 2))
    assert recorder.flush(60) and kept(folder) == 2


@pytest.mark.parametrize("mended", [True, False])
def test_at_the_end_of_the_process_what_is_held_is_tried_once_more(tmp_path, caplog, mended):
    recorder = Recorder()
    folder = recorder.open(tmp_path, "ending")
    with a_file_in_the_way(folder):
        recorder.submit(capture(folder, 1))
        assert recorder.flush(60)
        if not mended:
            recorder.finish()
    caplog.clear()
    recorder.finish()
    assert kept(folder) == 1 and "not kept" not in caplog.text


def test_what_is_lost_at_the_end_stands_in_the_log(tmp_path, caplog):
    recorder = Recorder()
    folder = recorder.open(tmp_path, "ending")
    with a_file_in_the_way(folder):
        recorder.submit(capture(folder, 1, 2))
        recorder.finish()
        assert "2 captured pair(s) were not kept" in caplog.text and "Cannot write to" in caplog.text


def test_writers_of_several_threads_and_a_disk_that_comes_and_goes(tmp_path):
    recorder = Recorder()
    folder = recorder.open(tmp_path, "several")
    with a_file_in_the_way(folder):
        threads = [threading.Thread(target=recorder.submit, args=(capture(folder, seed),)) for seed in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert recorder.flush(60) and recorder.counts()["held"] == 6
    recorder.submit(capture(folder, 6))
    assert recorder.flush(60) and kept(folder) == 7


def test_a_real_disk_that_is_full_and_one_that_is_read_only(tmp_path):
    with small_disk(tmp_path / "disk") as disk:
        recorder, told = Recorder(), []
        folder = recorder.open(disk.path, "real")
        recorder.submit(capture(folder, 0))
        assert recorder.flush(60)
        disk.fill(left=100_000)  # there is room for one of the two pictures
        recorder.submit(capture(folder, 1, told=told))
        assert recorder.flush(60)
        assert "\n1 pair of" in told[-1] and "The disk is full" in told[-1] and "Free some space" in told[-1]
        storage.check_writable(folder)  # a full disk is only seen by writing
        assert kept(folder) == 1
        disk.empty()
        disk.set_read_only(True)
        recorder.submit(capture(folder, 2, told=told))
        assert recorder.flush(60) and "\n2 pairs of" in told[-1] and "Read-only" in told[-1]
        with pytest.raises(WriteError, match=r"Read-only file system\. The folder cannot be written to"):
            storage.check_writable(folder)
        disk.set_read_only(False)
        assert recorder.write_problem(folder) == "" and recorder.flush(60)
        assert kept(folder) == 3


def test_what_plainly_cannot_be_written_to(tmp_path):
    storage.check_writable(tmp_path / "not" / "made" / "yet")
    (tmp_path / "file").write_text("")
    with pytest.raises(WriteError, match="A file is where a folder should be"):
        storage.check_writable(tmp_path / "file" / "datasets" / "name")
