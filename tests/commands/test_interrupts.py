"""How commands end: by signals, also of other systems than this one; with nobody reading; out of memory."""

from __future__ import annotations

import asyncio
import errno
import signal
import threading

import pytest
import torch
from comfyui_ace import cli
from comfyui_ace.commands import common
from comfyui_ace.commands.common import StopOnSignal, call_on_stop, stop_signals


@pytest.fixture
def handlers(monkeypatch):
    """The handlers that are set, instead of setting them."""
    found: dict[int, object] = {}

    def set_handler(number, handler):
        before, found[number] = found.get(number, signal.SIG_DFL), handler
        return before

    monkeypatch.setattr(common.signal, "signal", set_handler)
    return found


def test_ctrl_break_counts_where_there_is_one(monkeypatch, handlers):
    assert stop_signals() == (signal.SIGINT, signal.SIGTERM)
    monkeypatch.setattr(common.signal, "SIGBREAK", 21, raising=False)
    assert stop_signals() == (signal.SIGINT, signal.SIGTERM, 21)
    with StopOnSignal() as stop:
        assert not stop.requested()
        handlers[21](21, None)
        assert stop.requested()
    assert set(handlers.values()) == {signal.SIG_DFL}


def test_a_capture_stops_in_order_where_loops_know_no_signals(monkeypatch, handlers):
    """Windows' loop has no handlers of signals; the interrupt must not tear a capture out of what it writes."""
    stopped = []

    async def run() -> bool:
        loop, stop = asyncio.get_running_loop(), asyncio.Event()

        def lacks(number, callback):
            raise NotImplementedError

        monkeypatch.setattr(loop, "add_signal_handler", lacks)
        call_on_stop(loop, stop.set)
        loop.call_later(0.01, handlers[signal.SIGINT], signal.SIGINT, None)
        await asyncio.wait_for(stop.wait(), 10)
        return stop.is_set()

    thread = threading.Thread(target=lambda: stopped.append(asyncio.run(run())))
    thread.start()
    thread.join()
    assert stopped == [True]


@pytest.mark.parametrize(
    "error, windows, gone",
    [
        (BrokenPipeError(errno.EPIPE, "Broken pipe"), False, True),
        (OSError(errno.EINVAL, "Invalid argument"), True, True),
        (OSError(errno.EINVAL, "Invalid argument"), False, False),
        (OSError(errno.EINVAL, "Invalid argument", "a.png"), True, False),
        (ValueError("x"), True, False),
    ],
)
def test_that_nobody_reads_the_output_any_more_is_no_failure(monkeypatch, capsys, error, windows, gone):
    def fail(arguments):
        raise error

    left = []
    monkeypatch.setattr(cli, "_WINDOWS", windows)
    monkeypatch.setattr(cli, "_reader_is_gone", lambda: left.append(True) or 1)
    monkeypatch.setattr("comfyui_ace.commands.edit.run_edit", fail)
    assert cli.main(["edit", "x", "photo.png"]) == 1
    assert bool(left) == gone and bool(capsys.readouterr().err) != gone


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError(
            "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you tried"
        ),
        RuntimeError(
            "[enforce fail at alloc_cpu.cpp:81] data. DefaultCPUAllocator: not enough memory: you tried to allocate"
        ),
        RuntimeError("MPS backend out of memory (MPS allocated: 8.00 GB). Tried to allocate 1 GB on private pool."),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nSee the documentation"),
    ],
)
def test_too_little_memory_is_said_with_what_helps(monkeypatch, capsys, error):
    def fail(arguments):
        raise error

    monkeypatch.setattr("comfyui_ace.commands.edit.run_edit", fail)
    assert cli.main(["edit", "x", "photo.png"]) == 1
    message = capsys.readouterr().err
    assert message.startswith("comfyui-ace: there is not enough memory for this. Make the picture smaller")
    assert len(message.splitlines()) == 1
