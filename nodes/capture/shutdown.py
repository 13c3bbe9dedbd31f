"""Shutdown hooks for the ways in which a process ends without running its exit handlers: signals and exec."""

from __future__ import annotations

import functools
import os
import signal
import threading
from collections.abc import Callable
from types import FrameType

# A service manager's stop, a closed terminal, Windows' Ctrl+Break. Ctrl+C needs no help: it ends the server as an error
# would.
_SIGNALS = ("SIGTERM", "SIGHUP", "SIGBREAK")


def finish_on_shutdown(finish: Callable[[], None], resume: Callable[[], None]) -> None:
    """Has `finish` called before a signal ends this process, or before it replaces itself by another one.

    Args:
        finish: may be called more than once.
        resume: called where the process could not replace itself, and so goes on.
    """
    _finish_on_signals(finish)
    _finish_on_exec(finish, resume)


def _finish_on_signals(finish: Callable[[], None]) -> None:
    """A handler that somebody else has set stays; what it does is then theirs to say."""
    if threading.current_thread() is not threading.main_thread():
        return  # Python takes handlers from there alone
    process = os.getpid()

    def end(number: int, frame: FrameType | None) -> None:
        signal.signal(number, signal.SIG_DFL)  # so that a second one ends the process at once
        if os.getpid() == process:  # and not a child that inherited this
            finish()
        signal.raise_signal(number)

    for name in _SIGNALS:
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, end)


def _finish_on_exec(finish: Callable[[], None], resume: Callable[[], None]) -> None:
    """The restart button of ComfyUI-Manager is an `os.execv`. The other functions of its family call this one or the next."""
    for name in ("execv", "execve"):
        setattr(os, name, _wrap_exec(finish, resume, getattr(os, name)))


def _wrap_exec(finish: Callable[[], None], resume: Callable[[], None], replace_process: Callable) -> Callable:
    process = os.getpid()

    @functools.wraps(replace_process)
    def finish_and_replace(*args, **kwargs):
        if os.getpid() != process:
            return replace_process(*args, **kwargs)
        finish()
        try:
            return replace_process(*args, **kwargs)
        finally:  # reached only where that failed
            resume()

    return finish_and_replace
