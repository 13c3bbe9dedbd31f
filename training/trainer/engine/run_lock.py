"""One run in an output folder at a time: two would mix their checkpoints and lose each other's metrics."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import time
from collections.abc import Iterator
from pathlib import Path

from ..errors import TrainError
from .processes import Processes

LOCK, HOLDER = ".lock", ".running.json"


@contextlib.contextmanager
def run_lock(folder: Path, processes: Processes) -> Iterator[None]:
    """Makes an output folder and locks it against other runs for as long as the block lasts; a collective call.

    The operating system drops the lock when its holder dies.

    Args:
        folder: of the run.
        processes: of the run; the main one holds the lock.

    Raises:
        TrainError: another run is at work there (the message says which), or there can be no such folder.
    """
    lock = processes.on_main(lambda: _acquire(folder))
    try:
        yield
    finally:
        if lock is not None:
            (folder / HOLDER).unlink(missing_ok=True)
            lock.release()


def _acquire(folder: Path):
    import filelock

    lock = filelock.FileLock(str(folder / LOCK), timeout=0)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
        holder = {"pid": os.getpid(), "machine": platform.node(), "since": time.strftime("%Y-%m-%d %H:%M:%S")}
        (folder / HOLDER).write_text(json.dumps(holder), encoding="utf-8", newline="\n")
        return lock
    except filelock.Timeout:
        raise TrainError(
            f"{_holder(folder)} is training in {folder}. Wait for it or stop it (an empty file named stop_now in that "
            "folder does so), or choose another output folder"
        ) from None
    except (FileExistsError, NotADirectoryError):
        raise TrainError(f"the output folder {folder} cannot be made: a file is in its place") from None
    except NotImplementedError:
        raise TrainError(
            f"{folder} lies on a file system without locks, where two runs could destroy each other's files; choose an "
            "output folder on a local disk"
        ) from None
    except OSError as error:
        lock.release()
        raise TrainError(f"the output folder {folder} cannot be written to: {error.strerror or error}") from error


def _holder(folder: Path) -> str:
    try:
        holder = json.loads((folder / HOLDER).read_text(encoding="utf-8"))
        return f"process {holder['pid']} on {holder['machine']} (since {holder['since']})"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
