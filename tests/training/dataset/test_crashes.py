"""A process may die at any moment, the disk may fill: what a reader sees is whole pairs, each once."""

import errno
import os
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from comfyui_ace.training.dataset.disk import storage
from comfyui_ace.training.dataset.store import Dataset
from comfyui_ace.training.errors import DatasetError
from pair_factory import pair

posix_only = pytest.mark.skipif(os.name == "nt", reason="signals and limits of POSIX")

WRITER = """
import sys
import numpy as np
from comfyui_ace.training.dataset.store import Dataset, Pair
dataset = Dataset(sys.argv[1])
start = int(sys.argv[2])
print("ready", flush=True)
for seed in range(start, start + 100_000):
    source = np.random.default_rng(seed).integers(0, 256, (24, 32, 3), dtype=np.uint8)
    mask = np.full((24, 32), 255, np.uint8)
    pair = Pair(source=source, target=255 - source, instruction="{image} as a negative", masks=[mask], seed=seed)
    result = dataset.append(pair)
    print(seed, result.id, flush=True)
"""


def start_writer(folder, start: int, **options) -> subprocess.Popen:
    command = [sys.executable, "-c", WRITER, str(folder), str(start)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **options)
    assert process.stdout.readline() == "ready\n"
    return process


def assert_whole(dataset: Dataset) -> dict[int, str]:
    """Every visible pair loads and is right; returns id by seed."""
    seen: dict[int, str] = {}
    for row in dataset.rows():
        loaded = dataset.load(row)
        assert np.array_equal(loaded.target, 255 - loaded.source)
        assert row.seed not in seen, f"pair {row.seed} is there twice"
        seen[row.seed] = row.id
    return seen


def visible_files(dataset: Dataset) -> set[str]:
    folders = [path for path in dataset.folder.iterdir() if path.is_dir() and path.name != "orphans"]
    return {f"{path.parent.name}/{path.name}" for folder in folders for path in folder.glob("[!.]*")}


@posix_only
def test_killed_writers_leave_whole_pairs_or_nothing(tmp_path):
    dataset = Dataset.create(tmp_path, "d")
    chance = random.Random(0)
    promised: dict[int, str] = {}
    for _ in range(10):
        # Two writers at once on the same seeds, so that a death also meets a living competitor.
        writers = [start_writer(dataset.folder, len(promised)) for _ in range(2)]
        time.sleep(chance.uniform(0.05, 0.4))
        writers[0].kill()
        time.sleep(chance.uniform(0.0, 0.1))
        writers[1].kill()
        for writer in writers:
            assert writer.wait() == -signal.SIGKILL
            lines = writer.stdout.read().split("\n")[:-1]
            promised.update((int(seed), pair_id) for seed, pair_id in (line.split() for line in lines))
    last = dataset.append(pair(10**6))  # the next writer completes what the dead began
    seen = assert_whole(dataset)
    assert last.stored and seen[10**6] == last.id
    assert promised.items() <= seen.items(), "a pair that was reported as stored is gone"
    assert len(promised) >= 10
    expected = {name for row in dataset.rows() for name in row.all_files}
    assert visible_files(dataset) == expected
    assert not (dataset.folder / storage.JOURNAL).exists()


class Crash(BaseException):
    """Stands for the end of the process: nothing of ours may catch it."""


def crash_at(monkeypatch, step: int) -> list[str]:
    """Make the `step`-th change to the disk the last one; returns the names of the changes made."""
    calls: list[str] = []

    def wrap(name):
        real = getattr(os, name)

        def call(*args, **kwargs):
            if len(calls) == step:
                raise Crash(name)
            calls.append(name)
            return real(*args, **kwargs)

        monkeypatch.setattr(storage.os, name, call)

    for name in ("replace", "write", "fsync", "unlink"):
        wrap(name)
    # Code that cleans up after itself would not run in a process that is gone.
    monkeypatch.setattr(storage, "delete_files", lambda *_: None)
    return calls


def test_a_crash_after_every_single_step(tmp_path, monkeypatch):
    finished = False
    step = 0
    while not finished:
        dataset = Dataset.create(tmp_path, f"d{step}")
        kept = dataset.append(pair(0)).id
        with monkeypatch.context() as patch:
            crash_at(patch, step)
            try:
                dataset.append(pair(1))
                finished = True
            except Crash:
                pass
        ids = [row.id for row in Dataset(dataset.folder).rows()]
        assert ids[0] == kept and len(ids) <= 2
        survivor = Dataset(dataset.folder)
        result = survivor.append(pair(1))
        assert result.status in ("stored", "duplicate")
        assert sorted(assert_whole(survivor)) == [0, 1]
        assert visible_files(survivor) == {name for row in survivor.rows() for name in row.all_files}
        step += 1
    assert step > 10, "the steps of a commit were not seen at all"


def failing(monkeypatch, name: str, number: int, code: int) -> None:
    """Make the `number`-th call of os.`name` fail with an error of the system."""
    real = getattr(os, name)
    calls = iter(range(10**6))

    def call(*args, **kwargs):
        if next(calls) == number:
            raise OSError(code, os.strerror(code))
        return real(*args, **kwargs)

    monkeypatch.setattr(storage.os, name, call)


@pytest.mark.parametrize("name", ["replace", "write", "fsync"])
@pytest.mark.parametrize("number", range(8))
def test_a_full_disk_at_any_call_leaves_the_dataset_as_it_was(tmp_path, monkeypatch, name, number):
    dataset = Dataset.create(tmp_path, "d")
    dataset.append(pair(0))
    before = (dataset.folder / "metadata.jsonl").read_bytes()
    files = visible_files(dataset)
    with monkeypatch.context() as patch:
        failing(patch, name, number, errno.ENOSPC)
        try:
            stored = dataset.append(pair(1)).stored
        except DatasetError as error:
            assert "disk is full" in str(error)
            stored = False
    if not stored:
        assert (dataset.folder / "metadata.jsonl").read_bytes() == before
        assert visible_files(dataset) == files
        assert not list(dataset.folder.rglob("*.part"))
    assert dataset.append(pair(1)).status == ("duplicate" if stored else "stored")
    assert sorted(assert_whole(dataset)) == [0, 1]


@posix_only
def test_a_real_size_limit(tmp_path):
    """The system itself refuses to let files grow: every write past 2 kB fails."""
    import resource

    dataset = Dataset.create(tmp_path, "d")
    process = start_writer(
        dataset.folder,
        0,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000)),
    )
    _, errors = process.communicate()
    assert process.returncode == 1 and "The disk is full" in errors
    assert not list(dataset.folder.rglob("*.part"))
    assert_whole(dataset)
    assert dataset.append(pair(10**6)).stored


@posix_only
@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_write_permission_says_so(tmp_path):
    dataset = Dataset.create(tmp_path, "d")
    dataset.append(pair(0))
    for folder in (dataset.folder / "target", dataset.folder / "control", dataset.folder):
        folder.chmod(0o555)
    try:
        with pytest.raises(DatasetError, match="cannot be written"):
            dataset.append(pair(1))
        assert len(list(Dataset(dataset.folder))) == 1
    finally:
        for folder in (dataset.folder, dataset.folder / "target", dataset.folder / "control"):
            folder.chmod(0o755)


def test_a_read_only_system_says_so(tmp_path, monkeypatch):
    dataset = Dataset.create(tmp_path, "d")
    dataset.append(pair(0))
    with monkeypatch.context() as patch:
        failing(patch, "fsync", 0, errno.EROFS)
        with pytest.raises(DatasetError, match="cannot be written to"):
            dataset.append(pair(1))
    assert len(list(Dataset(dataset.folder))) == 1


def test_a_journal_from_a_stranger_moves_nothing_out_of_the_dataset(tmp_path):
    dataset = Dataset.create(tmp_path, "d")
    kept = dataset.append(pair(0)).id
    outside = tmp_path / "outside.txt"
    outside.write_text("mine")
    row = dataset.row(kept).to_json()
    for text in (
        "not json",
        "[]",
        '{"moves": [["../outside.txt", "target/x.png"]], "row": "{}"}',
        f'{{"moves": [["../../outside.part", "target/{kept}.png"]], "row": {row!r}}}',
    ):
        (dataset.folder / storage.JOURNAL).write_text(text)
        assert dataset.append(pair(0)).status == "duplicate"
        dataset.rewrite(lambda row: row)
        assert outside.read_text() == "mine"
    assert [row.id for row in dataset.rows()] == [kept]
    assert not (dataset.folder / storage.JOURNAL).exists()


def test_a_busy_dataset_is_an_error_not_a_hang(tmp_path):
    dataset = Dataset.create(tmp_path, "d")
    with storage.locked(dataset.folder), pytest.raises(DatasetError, match="busy"), storage.locked(dataset.folder, 0.1):
        pass
