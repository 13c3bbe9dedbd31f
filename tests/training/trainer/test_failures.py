"""What goes wrong beside the steps: what was trained is saved, the message names the culprit, and nobody waits for ever."""

from __future__ import annotations

import errno
import os
import random
from pathlib import Path

import pytest
import torch
from comfyui_ace.training.trainer.config_file import make_config
from comfyui_ace.training.trainer.errors import DataError, TrainError
from comfyui_ace.training.trainer.preparation import open_accelerator, prepare
from comfyui_ace.training.trainer.run import train
from trainer_runs import (
    assert_equal_tensors,
    checkpoint,
    fill_dataset,
    join_run,
    metrics,
    run,
    start_processes,
    workshop_fixture,  # noqa: F401
)


class Listener:
    """Does something after a step."""

    def __init__(self, step: int, action) -> None:
        self.step, self.action, self.seen = step, action, 0

    def __call__(self, event) -> None:
        if event["event"] == "step":
            self.seen = event["step"]
            if self.seen == self.step:
                self.action()


def examples_of(config):
    """The cache and the examples of a run that has not begun."""
    with open_accelerator(config) as accelerator:
        prepared = prepare(config, accelerator)
    return prepared.cache, prepared.examples


def damage(path: Path) -> None:
    path.write_bytes(b"")


def test_a_held_out_picture_that_cannot_be_measured(workshop, tmp_path):
    config = workshop.config(
        tmp_path / "run", steps=9, validation__every=3, checkpoints__every=0, data__cache=str(tmp_path / "cache")
    )
    cache, examples = examples_of(config)
    lost = examples.validation[0]
    listener = Listener(2, lambda: damage(cache.path(lost.target)))
    with pytest.raises(DataError, match=rf"pair {lost.id} of .* cannot be read.*\(the run is saved at step 3\)"):
        train(config, on_event=listener)
    assert listener.seen == 3 and checkpoint(tmp_path / "run", 3)


def test_a_held_out_picture_that_cannot_be_drawn(workshop, tmp_path):
    dataset = fill_dataset(tmp_path / "pairs")
    changes = {"data__datasets": [str(dataset.folder)], "samples__every": 2, "samples__steps": 1}
    config = workshop.config(tmp_path / "run", steps=9, checkpoints__every=0, **changes)
    lost = next(dataset.rows("validation"))
    listener = Listener(1, (dataset.folder / lost.target_file_name).unlink)
    with pytest.raises(DataError, match=rf"pair {lost.id} of .* cannot be drawn: .*\(the run is saved at step 2\)"):
        train(config, on_event=listener)
    assert checkpoint(tmp_path / "run", 2)


def test_a_listener_that_has_gone(workshop, tmp_path):
    def gone() -> None:
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))

    config = workshop.config(tmp_path / "run", steps=6, checkpoints__every=0)
    with pytest.raises(TrainError, match=r"no longer takes its reports .*Broken pipe.*\(the run is saved at step 4\)"):
        train(config, on_event=Listener(4, gone))
    run(config)
    run(workshop.config(tmp_path / "whole", steps=6))
    assert_equal_tensors(checkpoint(tmp_path / "run", 6), checkpoint(tmp_path / "whole", 6))
    assert [line["step"] for line in metrics(tmp_path / "run")] == [1, 2, 3, 4, 5, 6]


def test_a_full_disk_under_the_metrics(workshop, tmp_path, monkeypatch):
    """Writing and closing fail; the first error is the one that is told, and the checkpoint is written all the same."""
    from comfyui_ace.training.trainer.reporting import Reporter

    reporters: list[Reporter] = []
    real = Reporter.__init__

    def remembered(self, *arguments, **options) -> None:
        real(self, *arguments, **options)
        reporters.append(self)

    def fill() -> None:
        reporters[0]._file.close()
        reporters[0]._file = open("/dev/full", "w", buffering=1)  # noqa: SIM115

    monkeypatch.setattr(Reporter, "__init__", remembered)
    with pytest.raises(TrainError, match=r"metrics in .*run cannot be written \(No space left.*saved at step 3\)"):
        train(workshop.config(tmp_path / "run", steps=6, checkpoints__every=0), on_event=Listener(2, fill))
    assert checkpoint(tmp_path / "run", 3)


def test_short_memory_saves_what_was_trained(workshop, tmp_path, monkeypatch):
    from comfyui_ace.ace.model.transformer import ACEModel

    real, calls = ACEModel.forward, []

    def forward(self, *arguments, **options):
        calls.append(1)
        if len(calls) == 3:
            raise torch.OutOfMemoryError("out of memory")
        return real(self, *arguments, **options)

    monkeypatch.setattr(ACEModel, "forward", forward)
    with pytest.raises(TrainError, match=r"out of memory \(the run is saved at step 2\)"):
        run(workshop.config(tmp_path / "run", steps=6, checkpoints__every=0))
    assert checkpoint(tmp_path / "run", 2)


def test_a_mistake_in_the_program_keeps_its_name_and_the_training(workshop, tmp_path):
    def mistake() -> None:
        raise KeyError("a mistake")

    with pytest.raises(KeyError, match="a mistake"):
        train(workshop.config(tmp_path / "run", steps=6, checkpoints__every=0), on_event=Listener(2, mistake))
    assert checkpoint(tmp_path / "run", 2)


def test_a_loss_that_is_no_number_before_the_first_checkpoint(workshop, tmp_path):
    with pytest.raises(TrainError, match=r"Nothing of it is saved; there is no checkpoint yet\. Lower"):
        run(workshop.config(tmp_path / "run", steps=9, optimizer__learning_rate=1e30, optimizer__clip_norm=0.0))
    assert not (tmp_path / "run" / "checkpoints").exists()


def test_nothing_of_a_step_is_lost_by_a_kill_at_its_checkpoint(workshop, tmp_path):
    """What is measured and drawn at a step comes before its checkpoint, so a kill cannot fall between."""

    class Killed(BaseException):
        pass

    def kill(event) -> None:
        if event["event"] == "checkpoint" and event["step"] == 2:
            raise Killed

    changes = {"steps": 4, "checkpoints__every": 2, "validation__every": 2, "samples__every": 2, "samples__steps": 1}
    config = workshop.config(tmp_path / "run", **changes)
    with pytest.raises(Killed):
        train(config, on_event=kill)
    run(config)
    assert [line["step"] for line in metrics(tmp_path / "run") if line["event"] == "validation"] == [2, 4]
    assert sorted(path.name for path in (tmp_path / "run" / "samples").iterdir()) == [
        "step-00000002.png",
        "step-00000004.png",
    ]


def told_by_two(worker, folder: Path, table: dict, victim: Path) -> set[str]:
    """Runs two processes that fail; what each of them says. Neither may be left waiting for the other."""
    children = start_processes(worker, 2, table, victim, folder)
    for child in children:
        child.join(60)
    waiting = [child for child in children if child.is_alive()]
    for child in waiting:
        child.kill()
    assert not waiting
    return {(folder / str(rank)).read_text() for rank in range(2)}


def failing_worker(rank: int, processes: int, port: int, table: dict, victim: Path, told: Path) -> None:
    """One of two processes; a cached file is damaged after the third step. Writes down how it ended."""
    join_run(rank, processes, port)

    def damage_later(event) -> None:
        if event["event"] == "step" and event["step"] == 3:
            damage(victim)

    try:
        train(make_config(table), on_event=damage_later)
    except TrainError as error:
        (told / str(rank)).write_text(f"{type(error).__name__}: {error}")


def test_a_pair_that_one_process_cannot_encode_stops_all(workshop, tmp_path):
    dataset = fill_dataset(tmp_path / "pairs")
    lost = next(dataset.rows("train"))
    path = dataset.folder / lost.target_file_name
    path.write_bytes(path.read_bytes()[:-200])
    places = {"data__cache": str(tmp_path / "cache"), "data__datasets": [str(dataset.folder)]}
    (message,) = told_by_two(failing_worker, tmp_path, workshop.table(tmp_path / "run", **places), path)
    assert message.startswith(f"DataError: pair {lost.id} of ") and "Repair the pair" in message


def test_an_unreadable_pair_stops_all_processes(workshop, tmp_path):
    changes = {"steps": 40, "data__cache": str(tmp_path / "cache"), "data__keep_in_memory_mb": 0, "batch_size": 1}
    config = workshop.config(tmp_path / "run", **changes)
    cache, examples = examples_of(config)
    lost = random.Random(0).choice(examples.train)
    table = workshop.table(tmp_path / "run", **changes)
    (message,) = told_by_two(failing_worker, tmp_path, table, cache.path(lost.target))
    step = metrics(tmp_path / "run")[-1]["step"]
    assert message.startswith(f"DataError: pair {lost.id} of ") and message.endswith(
        f"(the run is saved at step {step})"
    )
    assert checkpoint(tmp_path / "run", step) and 3 <= step < 40
