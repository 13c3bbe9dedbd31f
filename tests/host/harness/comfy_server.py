"""A real ComfyUI for tests: found, started with the pack in a folder of its own, and stopped whatever happens."""

from __future__ import annotations

import atexit
import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from host.harness.graph import Graph, NodeRef
from host.harness.hosts import Host, HostNotFoundError, find_host
from host.harness.install.host_requirements import host_requirements
from host.harness.wire.comfy_client import ComfyClient
from host.harness.wire.results import Event, Preview, PromptError, PromptFailedError, Result

__all__ = [
    "ComfyServer",
    "Event",
    "Graph",
    "Host",
    "HostNotFoundError",
    "NodeRef",
    "PackImport",
    "Preview",
    "PromptError",
    "PromptFailedError",
    "Result",
    "find_host",
]

PACK_ROOT = Path(__file__).resolve().parents[3]

_MEMORY_FLAGS = {"--cpu", "--gpu-only", "--highvram", "--lowvram", "--normalvram", "--novram"}  # the host takes one

# Ends the host's group and removes its folder when this process is gone, however it went: the pipe then ends.
_WATCHDOG = """
import os, shutil, signal, sys
sys.stdin.read()
try:
    os.killpg(int(sys.argv[1]), signal.SIGKILL)
finally:
    shutil.rmtree(sys.argv[2], ignore_errors=True)
"""
# "[INFO] " in colours, with which newer hosts begin their lines.
_LEVEL = re.compile(r"(?:\x1b\[\d+m)+\[[A-Z]+\]\x1b\[0m ?")
_IMPORT_LINE = re.compile(r"^\s*([\d.]+) seconds( \(IMPORT FAILED\))?: (.+)$", re.MULTILINE)
# Core's list of attention kernels, logged before any pack, says "ImportError" for what a machine lacks.
_PACKS_BEGIN, _PACKS_END = "[Prompt Server] web root", "Starting server"
_TROUBLE = re.compile(r"traceback|error|exception|failed|cannot import|unable to|deprecat|^skip ", re.IGNORECASE)


@dataclass(frozen=True)
class PackImport:
    """One line of "Import times for custom nodes"; the host rounds to a tenth of a second."""

    seconds: float
    failed: bool


class ComfyServer(ComfyClient):
    """A ComfyUI process and a client connected to it.

    ``packs`` maps folder names in custom_nodes to pack folders (linked, not copied); one pack may appear under
    several names. ``args`` go to main.py; the host runs on the CPU unless one of them (``"--novram"``) speaks of GPU
    memory, which needs a GPU: see ``start_novram`` in conftest.py. ``env`` is added to the host's environment;
    ``api_nodes`` leaves it its nodes for paid services.
    Everything the host reads or writes lies in ``base_dir``, a temporary folder removed at the end.
    """

    def __init__(
        self,
        *args: str,
        packs: Mapping[str, Path] | None = None,
        env: Mapping[str, str] | None = None,
        host: Host | None = None,
        start_timeout: float = 480.0,
        api_nodes: bool = False,
    ):
        self.host = host or find_host()
        self.args = args
        self.packs = dict(packs) if packs is not None else {"ace-edit": PACK_ROOT}
        self.env = dict(env or {})
        self.start_timeout = start_timeout
        self.api_nodes = api_nodes
        self.port = _free_port()
        self.base_dir = Path(tempfile.mkdtemp(prefix="comfy-test-")).resolve()
        self._log_path = self.base_dir / "comfyui.log"
        self._process: subprocess.Popen | None = None
        self._watchdog: subprocess.Popen | None = None
        self._last_log = b""
        atexit.register(self.stop)
        super().__init__(f"http://127.0.0.1:{self.port}")

    # -- life ---------------------------------------------------------------------------------------------------

    def start(self) -> ComfyServer:
        """Start the host and wait until it answers; RuntimeError with the log's tail when it does not."""
        try:
            self._lay_out_base()
            self._spawn()
            self._start_loop()
            self._wait_until_ready()
            self.connect()
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """End the host with all its children and remove its folder; harmless when called twice."""
        atexit.unregister(self.stop)
        self.close()
        if self._process is not None:
            self._end_process(self._process)
            self._process = None
        if self._watchdog is not None:
            self._watchdog.kill()
            self._watchdog.wait()
            self._watchdog.stdin.close()
            self._watchdog = None
        if self._log_path.exists():
            self._last_log = self._log_path.read_bytes()
        shutil.rmtree(self.base_dir, ignore_errors=True)

    def __enter__(self) -> ComfyServer:
        return self if self.running else self.start()

    def __exit__(self, *exc_info) -> None:
        self.stop()

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def _lay_out_base(self) -> None:
        custom_nodes = self.base_dir / "custom_nodes"
        for folder in (custom_nodes, *(self.base_dir / name for name in ("models", "input", "output", "user"))):
            folder.mkdir()
        for name, pack in self.packs.items():
            (custom_nodes / name).symlink_to(Path(pack).resolve(), target_is_directory=True)

    def _command(self) -> list[str]:
        return [
            str(self.host.python),
            str(self.host.directory / "main.py"),
            *([] if _MEMORY_FLAGS.intersection(self.args) else ["--cpu"]),
            "--listen=127.0.0.1",
            f"--port={self.port}",
            f"--base-directory={self.base_dir}",
            f"--database-url=sqlite:///{self.base_dir / 'comfyui.db'}",
            *([] if self.api_nodes else ["--disable-api-nodes"]),
            *self.args,
        ]

    def _spawn(self) -> None:
        env = {**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8"}
        # Nothing may be downloaded behind a test's back; a path of the tests' own Python must not leak into the host's.
        env.update(HF_HUB_OFFLINE="1", HF_HUB_DISABLE_TELEMETRY="1")
        env["OMP_NUM_THREADS"] = "1"  # models of tests are so small that threads would only wait for each other
        env.pop("PYTHONPATH", None)
        if requirements := host_requirements(self.host.python):
            env["PYTHONPATH"] = str(requirements)
        env.update(self.env)
        with self._log_path.open("wb") as log:
            self._process = subprocess.Popen(
                self._command(),
                cwd=self.host.directory,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        if hasattr(os, "killpg"):
            self._watchdog = subprocess.Popen(
                [sys.executable, "-S", "-E", "-c", _WATCHDOG, str(self._process.pid), str(self.base_dir)],
                stdin=subprocess.PIPE,
                start_new_session=True,
            )

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + self.start_timeout
        while not self._answers():
            if not self.running:
                raise RuntimeError(f"ComfyUI ended with code {self._process.returncode}{self._post_mortem()}")
            if time.monotonic() > deadline:
                raise RuntimeError(f"ComfyUI was not ready after {self.start_timeout:.0f} s{self._post_mortem()}")
            time.sleep(0.2)

    def _answers(self) -> bool:
        """True when this very host answers: another program may have taken the port in the meantime."""
        try:
            reply = self.fetch("/system_stats", timeout=10.0)
        except (OSError, TimeoutError):
            return False
        except Exception as error:  # aiohttp's own errors: something answers, but does not speak HTTP
            raise RuntimeError(f"port {self.port} is taken by another program: {error!r}") from error
        argv = reply.json()["system"]["argv"] if reply.status == 200 else []
        if f"--base-directory={self.base_dir}" not in argv:
            raise RuntimeError(f"port {self.port} is taken by another program (status {reply.status})")
        return True

    @staticmethod
    def _end_process(process: subprocess.Popen) -> None:
        for end in (signal.SIGTERM, getattr(signal, "SIGKILL", signal.SIGTERM)):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                if hasattr(os, "killpg"):
                    os.killpg(process.pid, end)
                else:
                    process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)

    # -- log ----------------------------------------------------------------------------------------------------

    def log_text(self, since: int = 0) -> str:
        """What the host printed, from a position returned by ``log_mark`` on; also after it was stopped.

        Without the level that newer hosts put before each line.
        """
        log = self._log_path.read_bytes() if self._log_path.exists() else self._last_log
        return _LEVEL.sub("", log[since:].decode(errors="replace"))

    def log_mark(self) -> int:
        """The present end of the log."""
        return self._log_path.stat().st_size

    @property
    def imports(self) -> dict[str, PackImport]:
        """How the import of each pack went, by folder name."""
        text = self.log_text().partition("Import times for custom nodes:")[2]
        return {
            Path(path).name: PackImport(float(seconds), bool(failed))
            for seconds, failed, path in _IMPORT_LINE.findall(text)
            if Path(path).parent.name == "custom_nodes"
        }

    @property
    def startup_problems(self) -> list[str]:
        """Lines of the log that speak of trouble while nodes were loaded; empty for a clean start."""
        text = self.log_text().partition(_PACKS_BEGIN)[2].partition(_PACKS_END)[0]
        return [line for line in text.splitlines()[1:] if _TROUBLE.search(line)]

    def _post_mortem(self) -> str:
        state = "running" if self.running else "not running"
        tail = "\n".join(self.log_text().splitlines()[-60:])
        return f"\n--- ComfyUI ({state}), end of its log ---\n{tail}"

    # -- files --------------------------------------------------------------------------------------------------

    def add_model(self, source: Path, kind: str = "ace", name: str | None = None) -> str:
        """Link a file or a folder into models/<kind>; returns its name there. Placing the same source twice is fine."""
        target = self.base_dir / "models" / kind / (name or source.name)
        target.parent.mkdir(parents=True, exist_ok=True)
        if not (target.is_symlink() and target.resolve() == source.resolve()):
            target.symlink_to(source.resolve(), target_is_directory=source.is_dir())
        return target.name

    def add_models(self, folder: Path, kind: str = "ace") -> list[str]:
        """Link everything that lies in a folder into models/<kind>."""
        return [self.add_model(source, kind) for source in sorted(folder.iterdir())]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
