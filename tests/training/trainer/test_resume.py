"""What a run survives: stops, kills, full disks; and that it then goes on as if nothing had happened."""

from __future__ import annotations

import errno
import os
import random
import signal
import time
from pathlib import Path

import pytest
from comfyui_ace.ace.weights.checkpoint import load_model
from comfyui_ace.training.trainer.errors import DataError, TrainError
from comfyui_ace.training.trainer.run import train
from trainer_runs import (
    PROCESSES,
    assert_equal_tensors,
    checkpoint,
    command,
    losses,
    metrics,
    run,
    workshop_fixture,  # noqa: F401
    write_toml,
)


def start(table: dict, folder: Path):
    config = write_toml(table, folder / "config.toml")
    process = PROCESSES.Process(target=command, args=(["train", str(config), "--json"],))
    process.start()
    return process


def wait_for_step(process, output: Path, step: int) -> None:
    deadline = time.monotonic() + 120
    while not any(line["step"] >= step for line in metrics(output)):
        assert process.is_alive() and time.monotonic() < deadline
        time.sleep(0.002)


@pytest.mark.parametrize("kind", ["full", "dora", "lokr"])
def test_a_stopped_run_goes_on_bit_for_bit(workshop, tmp_path, kind):
    settings = {"steps": 6, "ema": 0.9, "accumulate": 2, "optimizer__schedule": "cosine", "optimizer__warmup_steps": 2}
    settings |= _kind(workshop, kind)
    whole = run(workshop.config(tmp_path / "whole", **settings))
    halves = workshop.config(tmp_path / "halves", **settings)
    first = run(halves, stop_at=2)
    assert first[-1]["event"] == "end" and not first[-1]["finished"]
    second = run(halves)
    assert losses(first) + losses(second) == losses(whole)
    assert_equal_tensors(checkpoint(tmp_path / "halves", 6), checkpoint(tmp_path / "whole", 6))
    if kind == "full":
        load_model(tmp_path / "halves" / "halves.safetensors")


def _kind(workshop, kind: str) -> dict:
    """Settings of a whole model, or of an adapter."""
    if kind == "full":
        return {}
    adapter = {"lora__adapter": kind, "lora__rank": 2, "lora__dropout": 0.3}
    return {"method": "lora", "model": {"bundle": str(workshop.bundle)}, **adapter}


@pytest.mark.parametrize("kind", ["full", "lora"])
def test_killed_runs_go_on_bit_for_bit(workshop, tmp_path, kind):
    changes = {"steps": 24 if kind == "full" else 12, "ema": 0.5, "checkpoints__every": 3, **_kind(workshop, kind)}
    whole = run(workshop.config(tmp_path / "whole", **changes))
    output = tmp_path / "killed"
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    for step in sorted(random.Random(seed).sample(range(1, changes["steps"]), 2)):
        process = start(workshop.table(output, **changes), tmp_path)
        wait_for_step(process, output, step)
        process.kill()
        process.join()
    run(workshop.config(output, **changes))
    assert [line["loss"] for line in metrics(output)] == losses(whole)
    assert [line["step"] for line in metrics(output)] == list(range(1, changes["steps"] + 1))
    assert_equal_tensors(checkpoint(output, changes["steps"]), checkpoint(tmp_path / "whole", changes["steps"]))


def test_sigterm_saves_and_stops(workshop, tmp_path):
    output = tmp_path / "run"
    process = start(workshop.table(output, steps=100_000), tmp_path)
    wait_for_step(process, output, 3)
    os.kill(process.pid, signal.SIGTERM)
    process.join(60)
    assert process.exitcode == 0
    step = metrics(output)[-1]["step"]
    assert checkpoint(output, step)
    load_model(output / "run.safetensors")


def test_files_in_the_output_folder_save_and_stop(workshop, tmp_path):
    output = tmp_path / "run"
    output.mkdir()
    (output / "save_now").touch()
    events = run(workshop.config(output, steps=2))
    assert [event["step"] for event in events if event["event"] == "checkpoint"] == [0, 2]
    (output / "stop_now").touch()
    events = run(workshop.config(output, steps=50))
    assert events[-1]["step"] == 2 and not events[-1]["finished"]
    assert not (output / "stop_now").exists()


def test_only_the_latest_checkpoints_stay(workshop, tmp_path):
    run(workshop.config(tmp_path / "run", steps=5, checkpoints__every=1, checkpoints__keep=2))
    assert sorted(path.name for path in (tmp_path / "run" / "checkpoints").iterdir()) == [
        "step-00000004",
        "step-00000005",
    ]


def test_a_full_disk_keeps_the_last_checkpoint(workshop, tmp_path, monkeypatch):
    output = tmp_path / "run"
    run(workshop.config(output, steps=2))
    before = checkpoint(output, 2)
    real = os.fsync

    def full(handle: int) -> None:
        if "checkpoints" in os.readlink(f"/proc/self/fd/{handle}"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(handle)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(TrainError, match=r"step 4 cannot be written.*step-00000002 is kept; free some space"):
        run(workshop.config(output, steps=4))
    monkeypatch.undo()
    assert [path.name for path in (output / "checkpoints").iterdir()] == ["step-00000002"]
    assert_equal_tensors(checkpoint(output, 2), before)
    run(workshop.config(output, steps=4))
    run(workshop.config(tmp_path / "whole", steps=4))
    assert_equal_tensors(checkpoint(output, 4), checkpoint(tmp_path / "whole", 4))


def test_a_lost_cache_file_stops_with_everything_saved(workshop, tmp_path):
    config = workshop.config(tmp_path / "run", steps=50, data__cache=str(tmp_path / "cache"), data__keep_in_memory_mb=0)
    seen: list[int] = []

    def lose(event) -> None:
        if event["event"] == "step":
            seen.append(event["step"])
        if event["event"] == "step" and event["step"] == 3:
            for path in (tmp_path / "cache").glob("*/*.safetensors"):
                path.write_bytes(b"")

    with pytest.raises(DataError, match=r"pair train-\S+ of .*pairs: the cached file .* cannot be read.*saved at step"):
        train(config, on_event=lose)
    assert checkpoint(tmp_path / "run", seen[-1])


def test_a_loss_that_is_no_number_is_not_saved(workshop, tmp_path):
    output = tmp_path / "run"
    run(workshop.config(output, steps=1))
    before = checkpoint(output, 1)
    with pytest.raises(TrainError, match=r"NaN or infinite at step .*the checkpoint of step 1 is kept"):
        run(workshop.config(output, steps=30, optimizer__learning_rate=1e30, optimizer__clip_norm=0.0))
    assert [path.name for path in (output / "checkpoints").iterdir()] == ["step-00000001"]
    assert_equal_tensors(checkpoint(output, 1), before)


def test_another_model_is_not_continued(workshop, tmp_path):
    output = tmp_path / "run"
    run(workshop.config(output, steps=1))
    wider = workshop.config(output, model__scratch={"hidden_size": 64, "depth": 2, "num_heads": 2, "max_seq_len": 64})
    with pytest.raises(TrainError, match="does not fit the model that the configuration describes"):
        run(wider)


def test_changed_settings_are_told(workshop, tmp_path):
    output = tmp_path / "run"
    run(workshop.config(output, steps=1))
    events = run(workshop.config(output, steps=2, optimizer__learning_rate=0.5))
    notices = [event["text"] for event in events if event["event"] == "notice"]
    assert any("since step 1 optimizer.learning_rate changed from 0.01 to 0.5" in text for text in notices)


def test_a_stop_while_encoding_keeps_what_is_encoded(workshop, tmp_path):
    config = workshop.config(tmp_path / "run", data__cache=str(tmp_path / "cache"))
    seen: list[str] = []

    def stop() -> bool:
        return seen.count("encoding pictures") >= 3

    with pytest.raises(TrainError, match=r"stopped while encoding pictures, 2 of 22 done\. They are kept"):
        train(config, on_event=lambda event: seen.append(event.get("what", "")), should_stop=stop)
    assert len(list((tmp_path / "cache").glob("*/*.safetensors"))) == 5 + 2
    assert not (tmp_path / "run").exists()
